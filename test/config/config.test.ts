// Settings and bursar.json: every mistake is reported at once, by name and without secrets, and the example lists them all.

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { ConfigError } from '../../src/config/config-error.ts'
import { readFileConfig } from '../../src/config/file.ts'
import { readSettings, SETTING_SECTIONS, SETTINGS, settingLimits } from '../../src/config/settings.ts'
import { BUILT_IN_PROVIDERS } from '../../src/providers/index.ts'

const USD = 1_000_000_000n

const ENV_EXAMPLE_HEAD = `# Every setting there is, with its default. Copy to .env and change what you need. Read at the start.
# If a value is one of a few words, they are listed above it.`

/** What is wrong with a configuration, line by line; none when it is taken. */
function mistakesOf(read: () => unknown): readonly string[] {
  try {
    read()
    return []
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    for (const mistake of error.mistakes) expect(error.message).toContain(mistake)
    return error.mistakes
  }
}

describe('settings', () => {
  test('have defaults that are taken, once and for all', () => {
    const settings = readSettings({})
    expect(Object.keys(settings)).toEqual(Object.keys(SETTINGS))
    expect(Object.isFrozen(settings)).toBe(true)
    expect(settings).toMatchObject({
      PORT: 5_555,
      HOST: '127.0.0.1',
      BURSAR_KEYS: [],
      MAX_REQUESTS_PER_MINUTE: 60n,
      MAX_COST_PER_REQUEST: USD / 2n,
      DAILY_SPENDING_LIMIT: 10n * USD,
      MONTHLY_SPENDING_LIMIT: undefined,
      ENABLE_COST_TRACKING: true,
      ENFORCEMENT: 'hard',
    })
  })

  test('that are empty or blank are absent: a limit is off, anything else has its default', () => {
    for (const empty of ['', '  ', '\n']) {
      const settings = readSettings(Object.fromEntries(Object.keys(SETTINGS).map((name) => [name, empty])))
      const limits = [
        'MAX_REQUESTS_PER_MINUTE',
        'MAX_TOKENS_PER_MINUTE',
        'MAX_COST_PER_REQUEST',
        'DAILY_SPENDING_LIMIT',
      ] as const
      expect(settings).toEqual({ ...readSettings({}), ...Object.fromEntries(limits.map((name) => [name, undefined])) })
      expect(settingLimits(settings)).toEqual([])
    }
  })

  test.each<[string, string, unknown]>([
    ['PORT', '0', 0],
    ['PORT', ' 8080 ', 8_080],
    ['MAX_REQUESTS_PER_MINUTE', '0', 0n],
    ['MAX_COST_PER_REQUEST', '0', 0n],
    ['DAILY_SPENDING_LIMIT', '0.000000001', 1n],
    ['OPENAI_BASE_URL', 'http://localhost:1/v1//', 'http://localhost:1/v1'],
    ['TIME_ZONE', 'Europe/Berlin', 'Europe/Berlin'],
    ['ENABLE_COST_TRACKING', 'false', false],
    ['DATABASE_URL', 'memory:', 'memory:'],
    [
      'BURSAR_KEYS',
      'a:0123456789abcdef, b:x:123456789abcdef',
      [
        { id: 'a', secret: '0123456789abcdef' },
        { id: 'b', secret: 'x:123456789abcdef' },
      ],
    ],
  ])('%s=%s is taken', (name, text, value) => {
    expect(readSettings({ [name]: text })).toMatchObject({ [name]: value })
  })

  const SAME = '0123456789abcdef'
  const WRONG: readonly (readonly [string, string])[] = [
    ['PORT', '65536'],
    ['PORT', '-1'],
    ['PORT', '80.5'],
    ['PORT', '0x50'],
    ['HOST', '0.0.0.0'],
    ['DATABASE_URL', 'bursar.db'],
    ['BURSAR_KEYS', 'alice'],
    ['BURSAR_KEYS', `a b:${SAME}`],
    ['BURSAR_KEYS', 'alice:short'],
    ['BURSAR_KEYS', `alice:${SAME},`],
    ['BURSAR_KEYS', `alice:${SAME},alice:${SAME}0`],
    ['BURSAR_KEYS', `alice:${SAME},bob:${SAME}`],
    ['BURSAR_KEYS', `alice:${SAME} ${SAME}`],
    ['ADMIN_KEY', 'short'],
    ['BURSAR_SECRET', 'short'],
    ['AUTH', 'on'],
    ['PUBLIC_URL', 'example.com'],
    ['ALERTS_ALLOW_PRIVATE', 'yes'],
    ['LOG_LEVEL', 'loud'],
    ['OPENAI_API_KEY', 'sk-a b'],
    ['ANTHROPIC_API_KEY', 'sk-ä'],
    ['GEMINI_API_KEY', 'a\nb'],
    ['OPENAI_BASE_URL', 'api.openai.com/v1'],
    ['OPENAI_BASE_URL', 'https://user:password@api.example/v1'],
    ['ANTHROPIC_BASE_URL', 'https://api.example/?key=secret'],
    ['ANTHROPIC_BASE_URL', 'ftp://x'],
    ['GEMINI_BASE_URL', 'https://'],
    ['DEFAULT_LLM_PROVIDER', 'OpenAI'],
    ['MAX_REQUESTS_PER_MINUTE', '-5'],
    ['MAX_TOKENS_PER_MINUTE', '1e5'],
    ['MAX_COST_PER_REQUEST', '$1'],
    ['MAX_COST_PER_REQUEST', '1e-3'],
    ['DAILY_SPENDING_LIMIT', '0.0000000001'],
    ['MONTHLY_SPENDING_LIMIT', 'none'],
    ['MAX_IN_FLIGHT', '1.5'],
    ['ENABLE_COST_TRACKING', 'yes'],
    ['ENFORCEMENT', 'Hard'],
    ['TIME_ZONE', 'Berlin'],
    ['USAGE_HISTORY_SIZE', '1000001'],
    ['RETENTION_DAYS', '31'],
    ['TOKEN_RESERVATION', 'best'],
    ['DEFAULT_MAX_OUTPUT_TOKENS', '0'],
    ['MIN_INJECTED_OUTPUT_TOKENS', '0'],
    ['ON_DISCONNECT', 'hang'],
    ['MAX_DRAINS', 'many'],
    ['UNKNOWN_PRICE', 'guess'],
    ['PRICES_URL', 'prices.json'],
    ['MONEY_REFUSAL', '403'],
    ['HOSTED_TOOLS', 'allow'],
    ['UNBOUNDED_CALLS', 'allow'],
    ['MAX_BODY_BYTES', '0'],
    ['MAX_BUFFERED_BYTES', '0'],
    ['UPSTREAM_TIMEOUT_MS', '0'],
    ['DRAIN_TIMEOUT_MS', '-1'],
    ['SQLITE_SYNCHRONOUS', 'off'],
    ...BUILT_IN_PROVIDERS.flatMap(({ settings }): [string, string][] => [
      [settings.apiKey.variable, 'sk a b'],
      [settings.baseUrl.variable, 'ftp://x'],
    ]),
  ]

  test.each(WRONG)('%s=%s is refused by its name', (name, text) => {
    const mistakes = mistakesOf(() => readSettings({ [name]: text }))
    expect(mistakes).toHaveLength(1)
    expect(mistakes[0]).toMatch(new RegExp(`^${name}: ..`))
  })

  test('that are wrong are all reported at once, and each of them can be wrong', () => {
    // HOST is only a mistake of its own while AUTH and BURSAR_KEYS are none.
    const wrong = new Map(WRONG.filter(([name]) => name !== 'HOST'))
    const mistakes = mistakesOf(() => readSettings(Object.fromEntries(wrong)))
    expect(mistakes.map((mistake) => mistake.split(':')[0])).toEqual(
      Object.keys(SETTINGS).filter((name) => wrong.has(name)),
    )
    const models: string[] = BUILT_IN_PROVIDERS.map(({ settings }) => settings.model.variable)
    const free = ['HOST', 'CONFIG_FILE', ...models]
    expect(Object.keys(SETTINGS).filter((name) => !wrong.has(name) && !free.includes(name))).toEqual([])
    expect(mistakesOf(() => readSettings({ HOST: '0.0.0.0', PORT: 'x' }))).toHaveLength(2)
  })

  test.each([
    [{ HOST: '0.0.0.0', AUTH: 'off' }],
    [{ HOST: '192.168.1.2', BURSAR_KEYS: `alice:${SAME}` }],
    [{ HOST: '::1' }],
    [{ HOST: 'localhost' }],
  ])('may be served: %j', (env) => {
    expect(mistakesOf(() => readSettings(env))).toEqual([])
  })

  test('that are secrets are in no message', () => {
    const piece = fc.string({ unit: fc.constantFrom(...'0123456789abcdefXYZ'), minLength: 10, maxLength: 30 })
    const flaw = fc.constantFrom('', ' ', ':', ',', 'ä', '\u0000', '\n', ':short', ',x:', ':,:')
    const names = fc.constantFrom(
      'OPENAI_API_KEY',
      'ANTHROPIC_API_KEY',
      'GEMINI_API_KEY',
      'BURSAR_KEYS',
      'ADMIN_KEY',
      'BURSAR_SECRET',
    )
    fc.assert(
      fc.property(names, piece, flaw, piece, (name, start, middle, end) => {
        const text = mistakesOf(() => readSettings({ [name]: `${start}${middle}${end}`, PORT: 'x' })).join('\n')
        expect(text).not.toContain(start)
        expect(text).not.toContain(end)
      }),
      { numRuns: 500 },
    )
  })

  test('make one limit each, over everyone', () => {
    const limits = settingLimits(readSettings({ MONTHLY_SPENDING_LIMIT: '100', MAX_IN_FLIGHT: '4' }))
    expect(limits.map(({ what, span, refill, capacity }) => `${what}/${span} ${refill} ${capacity}`)).toEqual([
      'requests/minute steady 60',
      'tokens/minute steady 90000',
      'inFlight/call none 4',
      'cost/call call 500000000',
      'cost/day window 10000000000',
      'cost/month window 100000000000',
    ])
    expect(limits.every(({ who, subject, enforced }) => who === 'global' && subject === undefined && enforced)).toBe(
      true,
    )
    expect(settingLimits(readSettings({ ENABLE_COST_TRACKING: 'false' })).map(({ what }) => what)).toEqual([
      'requests',
      'tokens',
    ])
  })

  test('are .env.example: `npx vitest run test/config -u` writes it anew', async () => {
    const sections = SETTING_SECTIONS.map(([title, rows]) =>
      [
        `# --- ${title} ---\n`,
        ...Object.entries(rows).flatMap(([name, { about, defaultText }]) => [
          ...about.map((line) => `# ${line}`),
          `${name}=${defaultText}`,
        ]),
      ].join('\n'),
    )
    await expect(`${[ENV_EXAMPLE_HEAD, ...sections].join('\n\n')}\n`).toMatchFileSnapshot('../../.env.example')
    expect(SETTING_SECTIONS.flatMap(([, rows]) => Object.keys(rows))).toEqual(Object.keys(SETTINGS))
  })

  test('of a provider are rows that the provider brings along', () => {
    expect(BUILT_IN_PROVIDERS.map(({ name }) => name)).toEqual(
      expect.arrayContaining(['openai', 'anthropic', 'gemini']),
    )
    for (const { name, settings } of BUILT_IN_PROVIDERS) {
      for (const { variable, defaultText, about } of [settings.apiKey, settings.baseUrl, settings.model]) {
        expect(SETTINGS[variable]).toMatchObject({ defaultText, about: [about] })
      }
      expect(readSettings({ DEFAULT_LLM_PROVIDER: name }).DEFAULT_LLM_PROVIDER).toBe(name)
    }
  })
})

const LOCAL_ENDPOINT = { baseUrl: 'http://127.0.0.1:8000/v1' }

/** A mistake says what must be, in no words of a library. */
const SENTENCE =
  /^(?!.*(Invalid|Unrecognized|Too (big|small)|received))[^:]*.*: (is missing; it )?must (be|have|not|name|end) ./

describe('bursar.json', () => {
  const mistakesIn = (file: unknown) =>
    mistakesOf(() => readFileConfig(typeof file === 'string' ? file : JSON.stringify(file)))

  test('may be empty', () => {
    expect(readFileConfig('{}')).toMatchObject({
      limits: [],
      prices: [],
      providers: { callerKeys: [], compatible: [] },
      routes: { aliases: new Map(), retries: 0 },
      patterns: {},
    })
  })

  test('holds limits per subject, for each of a kind and over everyone', () => {
    const { limits } = readFileConfig(
      JSON.stringify({
        $schema: './bursar.schema.json',
        limits: {
          global: { costPerMonth: '100.50', inFlight: 8 },
          perKey: { requestsPerDay: { amount: 1_000, refill: 'steady' }, tokensPerCall: 5_000 },
          'user:alice/7': { costPerDay: { amount: 0.5, enforce: false }, costPerHour: { amount: 1, shadow: true } },
          'user:ann': { costPerDay: { amount: 3, shadow: false } },
          'model:openai/gpt-4o': { costPerTotal: '0' },
        },
      }),
    )
    const written = limits.map(
      ({ who, subject, what, span, capacity, refill, enforced }) =>
        `${who}:${subject ?? '*'} ${what}/${span} ${capacity} ${refill} ${enforced}`,
    )
    expect(written).toEqual([
      `global:* cost/month ${100_500_000_000n} window true`,
      'global:* inFlight/call 8 none true',
      'key:* requests/day 1000 steady true',
      'key:* tokens/call 5000 call true',
      'user:alice/7 cost/day 500000000 window false',
      'user:alice/7 cost/hour 1000000000 window false',
      'user:ann cost/day 3000000000 window true',
      'model:openai/gpt-4o cost/total 0 window true',
    ])
  })

  test('holds amounts and prices below a millionth of a dollar, as JSON writes them', () => {
    const text = '{"limits":{"global":{"costPerDay":1e-9}},"prices":[{"model":"m","input":1e-9,"output":2.5e-7}]}'
    const { prices } = readFileConfig(text)
    expect(prices).toEqual([{ provider: '*', model: 'm', input: 1e-9, output: 2.5e-7 }])
  })

  test('holds prices, for any provider unless it names one', () => {
    const price = { model: 'm', input: '1.00', output: 2, maxOutput: 4_096 }
    expect(readFileConfig(JSON.stringify({ prices: [price, { ...price, provider: 'openai' }] })).prices).toEqual([
      { ...price, provider: '*' },
      { ...price, provider: 'openai' },
    ])
  })

  test.each<[string, unknown]>([
    ['limits', '{"limits":'],
    ['file', ''],
    ['file', []],
    ['limit', { limit: {} }],
    ['limits', { limits: [] }],
    ['limits.everyone', { limits: { everyone: { costPerDay: '1' } } }],
    ['limits.perkey', { limits: { perkey: {} } }],
    ['limits.perGlobal', { limits: { perGlobal: {} } }],
    ['limits.global:x', { limits: { 'global:x': {} } }],
    ['limits.key:', { limits: { 'key:': {} } }],
    ['limits.thread:bob', { limits: { 'thread:bob': {} } }],
    ['limits.agent:bob', { limits: { 'agent:bob': {} } }],
    ['limits.task:7', { limits: { 'task:7': {} } }],
    ['limits.model:gpt-4o', { limits: { 'model:gpt-4o': {} } }],
    ['limits.global.costPerWeek', { limits: { global: { costPerWeek: '1' } } }],
    ['limits.global.costperday', { limits: { global: { costperday: '1' } } }],
    ['limits.global.costPerDay', { limits: { global: { costPerDay: '-1' } } }],
    ['limits.global.costPerDay', { limits: { global: { costPerDay: '0.0000000001' } } }],
    ['limits.global.costPerDay', { limits: { global: { costPerDay: 1e-10 } } }],
    ['limits.global.costPerDay', { limits: { global: { costPerDay: null } } }],
    [
      'limits.global.costPerDay.shadow',
      { limits: { global: { costPerDay: { amount: '1', shadow: true, enforce: true } } } },
    ],
    ['limits.global.costPerDay.enforced', { limits: { global: { costPerDay: { amount: '1', enforced: true } } } }],
    ['limits.global.costPerDay.refill', { limits: { global: { costPerDay: { amount: '1', refill: 'call' } } } }],
    ['limits.global.costPerDay.refill', { limits: { global: { costPerDay: { amount: '1', refill: 'steady' } } } }],
    ['limits.perKey.tokensPerCall.refill', { limits: { perKey: { tokensPerCall: { amount: 1, refill: 'steady' } } } }],
    [
      'limits.perKey.requestsPerMonth.refill',
      { limits: { perKey: { requestsPerMonth: { amount: 1, refill: 'steady' } } } },
    ],
    ['limits.perKey.requestsPerMinute', { limits: { perKey: { requestsPerMinute: 1.5 } } }],
    ['limits.perKey.requestsPerMinute', { limits: { perKey: { requestsPerMinute: '60' } } }],
    ['limits.perKey.requestsPerMinute', { limits: { perKey: { requestsPerMinute: -1 } } }],
    ['limits.global.inFlight.refill', { limits: { global: { inFlight: { amount: 1, refill: 'window' } } } }],
    ['limits.global.costPerCall.refill', { limits: { global: { costPerCall: { amount: 1, refill: 'window' } } } }],
    [
      'prices[1]',
      {
        prices: [
          { model: 'm', input: 1 },
          { model: ' M', output: 1 },
        ],
      },
    ],
    [
      'providers.a.paths.openai.chat',
      { providers: { a: { ...LOCAL_ENDPOINT, paths: { 'openai.chat': '/{deploymnet}/chat' } } } },
    ],
    ['prices', { prices: {} }],
    ['prices[0].model', { prices: [{ input: '1' }] }],
    ['prices[0].model', { prices: [{ model: '' }] }],
    ['prices[1].inputs', { prices: [{ model: 'm' }, { model: 'm', inputs: '1' }] }],
    ['prices[0].input', { prices: [{ model: 'm', input: true }] }],
    ['prices[0].maxOutput', { prices: [{ model: 'm', maxOutput: -1 }] }],
    ['providers', { providers: [] }],
    ['providers.sim', { providers: { sim: LOCAL_ENDPOINT } }],
    ['providers.simulated', { providers: { simulated: LOCAL_ENDPOINT } }],
    ['providers.a/b', { providers: { 'a/b': LOCAL_ENDPOINT } }],
    ['providers.""', { providers: { '': LOCAL_ENDPOINT } }],
    ['providers.openai', { providers: { openai: { callerKeys: 'forward', model: 'gpt-5' } } }],
    ['providers.anthropic', { providers: { anthropic: LOCAL_ENDPOINT } }],
    ['providers.gemini.callerKeys', { providers: { gemini: { callerKeys: 'on' } } }],
    ['providers.a.apikey', { providers: { a: { ...LOCAL_ENDPOINT, apikey: 'x' } } }],
    ['providers.a.preset', { providers: { a: { preset: 'grok' } } }],
    ['providers.a.baseUrl', { providers: { a: {} } }],
    ['providers.a.baseUrl', { providers: { a: { preset: 'azure', apiKey: 'x' } } }],
    ['providers.a.baseUrl', { providers: { a: { baseUrl: 'localhost:8000/v1' } } }],
    ['providers.a.baseUrl', { providers: { a: { baseUrl: 'https://user:pass@host/v1' } } }],
    ['providers.a.baseUrl', { providers: { a: { baseUrl: 'https://host/v1?api-version=1' } } }],
    ['providers.a.apiKey', { providers: { a: { ...LOCAL_ENDPOINT, apiKey: 'two words' } } }],
    ['providers.a.apiKey', { providers: { a: { ...LOCAL_ENDPOINT, apiKey: 'x', auth: 'none' } } }],
    ['providers.a.apiKey', { providers: { a: { ...LOCAL_ENDPOINT, apiKey: '$' } } }],
    ['providers.a.apiKey', { providers: { a: { ...LOCAL_ENDPOINT, apiKey: '$MY KEY' } } }],
    ['providers.a.callerKeys', { providers: { a: { ...LOCAL_ENDPOINT, callerKeys: 'forward', auth: 'none' } } }],
    ['providers.a.auth', { providers: { a: { ...LOCAL_ENDPOINT, auth: 'basic' } } }],
    ['providers.a.headers', { providers: { a: { ...LOCAL_ENDPOINT, headers: { 'Content-Length': '1' } } } }],
    ['providers.a.headers', { providers: { a: { ...LOCAL_ENDPOINT, headers: { 'x-bursar-user': 'me' } } } }],
    ['providers.a.headers', { providers: { a: { ...LOCAL_ENDPOINT, headers: { Authorization: 'Bearer x' } } } }],
    ['providers.a.headers.a b', { providers: { a: { ...LOCAL_ENDPOINT, headers: { 'a b': 'x' } } } }],
    ['providers.a.headers.x', { providers: { a: { ...LOCAL_ENDPOINT, headers: { x: 'a\nb: c' } } } }],
    ['providers.a.capField', { providers: { a: { ...LOCAL_ENDPOINT, capField: 'maxTokens' } } }],
    ['providers.a.tokensPerCall', { providers: { a: { ...LOCAL_ENDPOINT, tokensPerCall: -1 } } }],
    ['providers.a.dialects', { providers: { a: { ...LOCAL_ENDPOINT, dialects: [] } } }],
    ['providers.a.dialects[0]', { providers: { a: { ...LOCAL_ENDPOINT, dialects: ['anthropic.messages'] } } }],
    [
      'providers.a.paths.openai.chat',
      { providers: { a: { ...LOCAL_ENDPOINT, paths: { 'openai.chat': 'chat?x=1' } } } },
    ],
    ['providers.a.deployments.m', { providers: { a: { ...LOCAL_ENDPOINT, deployments: { m: '' } } } }],
  ])('is refused at %s: %j', (path, file) => {
    const mistakes = mistakesIn(file)
    expect(mistakes).toHaveLength(1)
    expect(mistakes[0]?.startsWith(`${path}: `)).toBe(true)
    expect(mistakes[0]).toMatch(SENTENCE)
  })

  test.each<[unknown, string]>([
    [
      { limit: {} },
      'limit: must not be here. Did you mean limits? The keys here are $schema, aliases, retries, patterns, providers, limits, prices or alerts',
    ],
    [{ prices: [{}] }, 'prices[0].model: is missing; it must be text'],
    [
      { prices: [{ model: 'm', input: 'a dollar' }] },
      'prices[0].input: must be decimal dollars such as "2.50", zero or more',
    ],
    [{ aliases: { a: [] } }, 'aliases.a: must be a list of 1 to 8 models, or { "targets": [models], "retries": 0 to 5'],
    [
      { limits: { global: { costPerDay: true } } },
      'limits.global.costPerDay: must be decimal dollars such as "2.50", zero or more, with at most 12 digits and 9 decimals, or { "amount": "2.50", ',
    ],
    [
      { limits: { global: { inFlight: 0.5 } } },
      'limits.global.inFlight: must be a whole number, 0 or more, or { "amount": 60, ',
    ],
    [
      { limits: { global: { costPerWeek: '1' } } },
      'limits.global.costPerWeek: must not be here. Did you mean costPerDay? The keys here are requestsPerMinute, ',
    ],
    [{ limits: { everyone: {} } }, 'limits.everyone: must be named global, perOrganisation, '],
    [
      { providers: { a: { ...LOCAL_ENDPOINT, auth: 'basic' } } },
      'providers.a.auth: must be "bearer", "api-key" or "none"',
    ],
    [
      { providers: { a: { ...LOCAL_ENDPOINT, headers: { 'a b': 'x' } } } },
      'providers.a.headers.a b: must be the name of a header',
    ],
    [
      { providers: { openai: LOCAL_ENDPOINT } },
      'providers.openai: must have only callerKeys. Its key, address and model are settings: OPENAI_API_KEY',
    ],
    [{ retries: 9 }, 'retries: must be a whole number from 0 to 5'],
    [
      '{\n  "limits": {},\n  "prices": [ok]\n}',
      'prices[0]: must be a value: text in double quotes, a number, true, false, null, an object or a list',
    ],
  ])('says what must be: %j', (file, mistake) => {
    expect(mistakesIn(file)).toEqual([expect.stringContaining(mistake)])
  })

  test('says so whatever is wrong, and where', () => {
    const value = fc.oneof(fc.jsonValue({ maxDepth: 2 }), fc.constantFrom('', '1', -1, 0.5, 1e300, [], {}, null))
    const places = [
      (wrong: unknown) => wrong,
      (wrong: unknown) => ({ limits: wrong }),
      (wrong: unknown) => ({ limits: { global: { costPerDay: wrong } } }),
      (wrong: unknown) => ({ limits: { perKey: { requestsPerDay: { amount: wrong } } } }),
      (wrong: unknown) => ({ prices: [wrong] }),
      (wrong: unknown) => ({ prices: [{ model: 'm', input: wrong, maxOutput: wrong }] }),
      (wrong: unknown) => ({ aliases: { a: wrong } }),
      (wrong: unknown) => ({ patterns: { model: wrong } }),
      (wrong: unknown) => ({ providers: { a: { baseUrl: wrong, apiKey: wrong, paths: wrong, headers: wrong } } }),
      (wrong: unknown) => ({
        providers: { a: { ...LOCAL_ENDPOINT, paths: { x: wrong }, dialects: wrong, preset: wrong } },
      }),
    ]
    fc.assert(
      fc.property(fc.constantFrom(...places), value, (place, wrong) => {
        for (const mistake of mistakesIn(place(wrong) ?? null)) expect(mistake).toMatch(SENTENCE)
      }),
      { numRuns: 1_000 },
    )
  })

  test('repeats no key if it is no JSON', () => {
    const mistakes = mistakesIn('{"providers": {"groq": {"apiKey": sk-secret-1234}}}')
    expect(mistakes).toHaveLength(1)
    expect(mistakes.join()).not.toMatch(/sk-|secret|1234/)
  })

  test('is refused with all its mistakes', () => {
    const limits = { nobody: {}, perKey: { costPerDay: { amount: '1', refill: 'steady' } }, somebody: {} }
    expect(mistakesIn({ limits })).toHaveLength(3)
    expect(mistakesIn({ limits: { global: { costPerDay: 'x', inFlight: 'y' } }, prices: [{}] })).toHaveLength(3)
    expect(
      mistakesIn({ limits, providers: { sim: LOCAL_ENDPOINT, a: { apiKey: 'two words' }, openai: LOCAL_ENDPOINT } }),
    ).toHaveLength(7)
  })

  const providersIn = (providers: object, env: Readonly<Record<string, string>> = {}) =>
    readFileConfig(JSON.stringify({ providers }), env).providers

  test('holds providers: rows of their own, what presets say, and whose keys are used', () => {
    const { callerKeys, compatible } = providersIn({
      groq: { preset: 'groq', apiKey: 'gsk', model: 'llama-3.3-70b-versatile' },
      'my-vllm': LOCAL_ENDPOINT,
      openai: { callerKeys: 'forward' },
      gemini: { callerKeys: 'off' },
    })
    expect(callerKeys).toEqual(['openai'])
    expect(compatible.map(({ name }) => name)).toEqual(['groq', 'my-vllm'])
    expect(compatible[0]).toMatchObject({
      baseUrl: 'https://api.groq.com/openai/v1',
      apiKey: 'gsk',
      capField: 'max_completion_tokens',
      model: 'llama-3.3-70b-versatile',
      callerKeys: false,
    })
    expect(compatible[1]).toMatchObject({
      ...LOCAL_ENDPOINT,
      apiKey: '',
      missingVariable: undefined,
      knowsStreamOptions: false,
    })
  })

  test.each([
    [{ preset: 'groq', apiKey: '$MY_KEY' }, { MY_KEY: ' gsk\n' }, 'gsk', undefined],
    [{ preset: 'groq' }, { GROQ_API_KEY: 'gsk' }, 'gsk', undefined],
    [{ preset: 'groq' }, {}, '', 'GROQ_API_KEY'],
    [{ preset: 'groq', apiKey: '$MY_KEY' }, { GROQ_API_KEY: 'gsk', MY_KEY: '' }, '', 'MY_KEY'],
    [{ preset: 'groq', apiKey: '' }, { GROQ_API_KEY: 'gsk' }, '', undefined],
    [{ ...LOCAL_ENDPOINT, apiKey: '$toString' }, {}, '', 'toString'],
    [{ preset: 'groq', auth: 'none' }, { GROQ_API_KEY: 'gsk' }, '', undefined],
    [{ preset: 'ollama' }, {}, '', undefined],
  ])('has keys in it, or the names of variables: %j with %j', (row, env, apiKey, missingVariable) => {
    expect(providersIn({ a: row }, env).compatible[0]).toMatchObject({ apiKey, missingVariable })
  })

  test('shows no key when it is refused', () => {
    const secret = 'gsk 0123456789'
    const rows = {
      a: { ...LOCAL_ENDPOINT, apiKey: secret },
      b: { ...LOCAL_ENDPOINT, apiKey: '$KEY' },
      c: { ...LOCAL_ENDPOINT, headers: { x: secret, 'content-type': secret } },
    }
    const mistakes = mistakesOf(() => providersIn(rows, { KEY: secret })).join('\n')
    expect(mistakes).toContain('providers.c.headers')
    expect(mistakes).not.toContain('0123456789')
    expect(mistakesOf(() => providersIn({ a: rows.a, b: rows.b }, { KEY: secret })).join('\n')).not.toContain(
      '0123456789',
    )
  })
})
