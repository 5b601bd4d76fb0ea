// Settings and bursar.json together: all mistakes in one round, and every name that matches nothing with the nearest that does.

import { describe, expect, it } from 'vitest'
import { bookOf, loadConfiguration, nameWarnings } from '../../src/app/load-configuration.ts'
import { configuredLimits } from '../../src/app/reload.ts'
import { ConfigError } from '../../src/config/config-error.ts'
import { readFileText, readFileValue } from '../../src/config/file.ts'
import type { Environment } from '../../src/config/settings.ts'
import { mergeLimits } from '../../src/limits/merge-limits.ts'

const NOW_MS = Date.parse('2026-11-30T12:00:00Z')
const BATCH = { BURSAR_KEYS: 'batch:0123456789abcdef' }

function warningsOf(value: unknown, env: Environment = BATCH): readonly string[] {
  const { settings, file, warnings } = loadConfiguration(env, () => readFileValue(value, env), NOW_MS)
  const limits = mergeLimits({ ...configuredLimits(settings, file), registry: [] })
  return [...warnings, ...nameWarnings(settings, file, bookOf(file), NOW_MS, limits)]
}

/** The error of a configuration with mistakes. */
function errorOf(text: string, env: Environment = {}): ConfigError {
  try {
    loadConfiguration(env, () => readFileText(text, env, 'bursar.json'), NOW_MS)
  } catch (error) {
    if (error instanceof ConfigError) return error
    throw error
  }
  throw new Error('The configuration was taken.')
}

const limitsFor = (row: string) => ({ limits: { [row]: { requestsPerDay: 1 } } })
const alertOn = (...limits: string[]) => ({
  limits: { perKey: { costPerDay: '5' }, 'key:batch': { costPerMonth: '5' } },
  alerts: [{ name: 'ops', send: 'slack', url: 'https://example.com/', limits }],
})
const VLLM = { preset: 'vllm', baseUrl: 'http://127.0.0.1:8000/v1' }

describe('a name that matches nothing is told with the nearest that does', () => {
  it.each<[unknown, string]>([
    [limitsFor('key:batsch'), 'limits.key:batsch: limits nothing: BURSAR_KEYS has no batsch. Did you mean batch?'],
    [limitsFor('key:nobody'), 'limits.key:nobody: limits nothing: BURSAR_KEYS has no nobody. Its names are batch'],
    [limitsFor('key:(none)'), 'limits.key:(none): limits nothing: BURSAR_KEYS has keys, so every call is of a key'],
    [limitsFor('user:btach/7'), 'limits.user:btach/7: limits nothing: BURSAR_KEYS has no btach. Did you mean batch?'],
    [limitsFor('thread:bath/7'), 'limits.thread:bath/7: limits nothing: BURSAR_KEYS has no bath. Did you mean batch?'],
    [limitsFor('agent:bach/7'), 'limits.agent:bach/7: limits nothing: BURSAR_KEYS has no bach. Did you mean batch?'],
    [limitsFor('task:batc/7/8'), 'limits.task:batc/7/8: limits nothing: BURSAR_KEYS has no batc. Did you mean batch?'],
    [
      alertOn('perUser.costPerDay'),
      'alerts[0].limits[0]: watches nothing: no limit perUser.costPerDay is set. Did you mean perKey.costPerDay?',
    ],
    [
      alertOn('global.costPerDay', 'key:batsch.costPerDay'),
      'alerts[0].limits[1]: watches nothing: BURSAR_KEYS has no batsch. Did you mean batch?',
    ],
    [
      alertOn('global.costPerMonth'),
      'alerts[0].limits[0]: watches nothing: no limit global.costPerMonth is set. Limits that are set: global.requestsPerMinute, global.tokensPerMinute, global.costPerDay, perKey.costPerDay or key:batch.costPerMonth',
    ],
    [limitsFor('provider:opnai'), 'limits.provider:opnai: no provider is named opnai. Did you mean openai?'],
    [
      limitsFor('provider:groq'),
      'limits.provider:groq: no provider is named groq. The names are openai, anthropic, gemini or simulated',
    ],
    [
      limitsFor('model:opneai/gpt-5'),
      'limits.model:opneai/gpt-5: no provider is named opneai. Did you mean openai/gpt-5?',
    ],
    [
      limitsFor('model:openai/gpt-5-mni'),
      'limits.model:openai/gpt-5-mni: openai has no known model gpt-5-mni. Did you mean openai/gpt-5-mini?',
    ],
    [
      limitsFor('model:anthropic/claude-sonnet-5.5x'),
      'limits.model:anthropic/claude-sonnet-5.5x: anthropic has no known model claude-sonnet-5.5x. Did you mean anthropic/claude-sonnet-5-5?',
    ],
    [
      limitsFor('model:google/gemini-3.5-flash-lite'),
      'limits.model:google/gemini-3.5-flash-lite: no provider is named google. Did you mean gemini/gemini-3.5-flash-lite?',
    ],
    [limitsFor('model:sim/echo'), 'limits.model:sim/echo: no provider is named sim. Did you mean simulated/sim/echo?'],
    [
      { aliases: { a: ['nope/x'] } },
      'aliases.a[0]: no provider is named nope. The names are openai, anthropic, gemini or simulated',
    ],
    [
      { aliases: { a: ['sim/echo', 'gtp-6-luna'] } },
      'aliases.a[1]: no provider has a model gtp-6-luna. Did you mean gpt-6-luna?',
    ],
    [
      { aliases: { a: { targets: ['openai/gpt-6-lnua'] } } },
      'aliases.a[0]: openai has no known model gpt-6-lnua. Did you mean openai/gpt-6-luna?',
    ],
    [{ aliases: { a: ['sim/ehco'] } }, 'aliases.a[0]: sim has no known model ehco. Did you mean sim/echo?'],
    [
      { prices: [{ model: 'openai/zz', input: 1, output: 1 }] },
      'prices[0]: is for no model: the name of a model has no provider in front here. Did you mean "provider": "openai", "model": "zz"?',
    ],
    [
      { prices: [{ provider: 'gemini', model: 'models/zz', input: 1, output: 1 }] },
      'prices[0]: is for no model: the name of a model has no provider in front here. Did you mean "provider": "gemini", "model": "zz"?',
    ],
    [{ aliases: { a: ['openai/'] } }, 'aliases.a[0]: openai has no known model ""'],
    [{ aliases: { mine: ['mine'] } }, 'aliases.mine[0]: names its own alias, and no provider has a model mine'],
    [
      { aliases: { 'gpt-6-luna': ['sim/echo'] } },
      'aliases.gpt-6-luna: has the name of the model openai/gpt-6-luna, which is none of its targets: calls for gpt-6-luna no longer reach it. Rename the alias, or add openai/gpt-6-luna to it',
    ],
    [
      { aliases: { 'openai/gpt-6-luna': ['sim/echo'] } },
      'aliases.openai/gpt-6-luna: has the name of the model openai/gpt-6-luna, which is none of its targets: calls for openai/gpt-6-luna no longer reach it. Rename the alias, or add openai/gpt-6-luna to it',
    ],
    [
      { patterns: { model: 'openai/gpt-6-lunar' } },
      'patterns.model: openai has no known model gpt-6-lunar. Did you mean openai/gpt-6-luna?',
    ],
    [
      { patterns: { embeddingModel: 'text-embedding-3-smal' } },
      'patterns.embeddingModel: no provider has a model text-embedding-3-smal. Did you mean text-embedding-3-small?',
    ],
    [
      { prices: [{ provider: 'openia', model: 'm', input: 1, output: 1 }] },
      'prices[0]: is for no model: no provider is named openia. Did you mean openai?',
    ],
    [
      { prices: [{ provider: 'google', model: 'm', input: 1, output: 1 }] },
      'prices[0]: is for no model: no provider is named google. Did you mean gemini?',
    ],
    [
      {
        providers: { west: { ...VLLM, preset: 'groq', apiKey: 'x' } },
        prices: [{ provider: 'west', model: 'm', input: 1, output: 1 }],
      },
      'prices[0]: is for no model: west has the prices of groq. Did you mean groq?',
    ],
    [
      { prices: [{ model: 'm' }] },
      'prices[0]: says nothing of m: it needs amounts, such as "input": "3.00", "output": "12.00"',
    ],
    [
      { prices: [{ model: 'm', input: 1 }] },
      'prices[0]: makes no price of m, because none is known that it could correct: it needs both input and output',
    ],
  ])('%j', (file, warning) => {
    expect(warningsOf(file)).toEqual([warning])
  })

  it.each<[Environment, unknown, string]>([
    [
      {},
      limitsFor('perKey'),
      'limits.perKey: limits all calls together, as one key: BURSAR_KEYS has no keys, and none is known that was made',
    ],
    [
      {},
      limitsFor('key:batch'),
      'limits.key:batch: limits nothing: BURSAR_KEYS has no keys, and none is known that was made. Every call is of (none)',
    ],
    [
      {},
      limitsFor('user:batch/7'),
      'limits.user:batch/7: limits nothing: BURSAR_KEYS has no keys, and none is known that was made. Every call is of (none)',
    ],
    [
      { DAILY_SPENDING_LIMT: '1' },
      {},
      'DAILY_SPENDING_LIMT: is no setting, and is not read. Did you mean DAILY_SPENDING_LIMIT?',
    ],
    [
      { ANTHROPIC_MODEL: 'claude-sonet-5-5' },
      {},
      'ANTHROPIC_MODEL: anthropic has no known model claude-sonet-5-5. Did you mean anthropic/claude-sonnet-5-5?',
    ],
    [
      { GROQ_API_KEY: 'gsk' },
      { providers: { groq: { preset: 'groq', apiKey: '$GROQ_APIKEY' } } },
      'providers.groq.apiKey: names the variable GROQ_APIKEY, which is not set. Did you mean GROQ_API_KEY? The provider has no key until it is',
    ],
  ])('%j %j', (env, file, warning) => {
    expect(warningsOf(file, env)).toEqual([warning])
  })
})

describe('a name that matches is not told', () => {
  it.each<[unknown, Environment]>([
    [{ limits: { global: {}, perKey: {}, 'key:batch': {}, 'user:batch/7': {}, perModel: {}, perUser: {} } }, BATCH],
    [{ limits: { 'user:(none)/7': {}, 'key:(none)': {}, perUser: {} } }, {}],
    [{ limits: { perOrganisation: {}, 'organisation:acme': {}, perProject: {}, 'project:web': {} } }, {}],
    [
      { limits: { 'model:openai/GPT-4o': {}, 'model:openai/gpt-4o-2024-08-06': {}, 'model:simulated/sim/echo': {} } },
      {},
    ],
    [{ limits: { 'model:local/anything': {}, 'provider:local': {} }, providers: { local: VLLM } }, {}],
    [{ limits: { 'model:openai/m': {} }, prices: [{ model: 'm', input: 1, output: 1 }] }, {}],
    [{ aliases: { steady: ['anthropic/claude-sonnet-5-5', 'openai/gpt-6-luna', 'gpt-6-luna', 'sim/long-3'] } }, {}],
    [{ aliases: { 'gpt-6-luna': ['gpt-6-luna', 'anthropic/claude-sonnet-5-5'] } }, {}],
    [{ aliases: { 'gpt-6-luna': ['openai/GPT-6-luna', 'sim/echo'] } }, {}],
    [{ aliases: { fast: ['local/x'] }, patterns: { model: 'fast' }, providers: { local: VLLM } }, {}],
    [
      {
        prices: [
          { provider: 'openai', model: 'gpt-6-luna', input: 1 },
          { model: 'gpt-6-luna', maxOutput: 5 },
        ],
      },
      {},
    ],
    [
      {
        prices: [{ provider: 'groq', model: 'm', input: 1, output: 1 }],
        providers: { g: { preset: 'groq', apiKey: 'x' } },
      },
      {},
    ],
    [{ providers: { groq: { preset: 'groq', apiKey: '$OPENAI_KEY' } } }, { OPENAI_KEY: 'x' }],
    [{ providers: { groq: { preset: 'groq' } } }, {}],
    [
      {
        prices: [{ model: 'openai/zz', input: 1, output: 1 }],
        providers: { o: { preset: 'openrouter', apiKey: 'x' } },
      },
      {},
    ],
    [
      {
        prices: [
          { model: 'm', contextWindow: 1_000 },
          { provider: 'simulated', model: 'sim/echo', input: 1, output: 1 },
        ],
      },
      {},
    ],
  ])('%j with %j', (file, env) => {
    expect(warningsOf(file, env)).toEqual([])
  })
})

describe('mistakes', () => {
  it('of settings and file are told in one round, in the order of the file, with what to look at as well', () => {
    const text = `{
  "limits": {
    "perkey": { "costPerDay": "1" },
    "global": { "costPerWeek": "1", "costPerDay": { "amount": "1", "enforced": true }, "inFlight": "3" },
    "key:batsch": { "requestsPerMinute": 1e309, "costPerDay": -1 }
  },
  "prices": [{ "model": "m", "inputt": 1, "input": "a dollar" }, { "model": "n", "input": 1 }, { "model": "N", "input": 2 }],
  "aliases": { "a": ["b"], "b": ["a"], "c": ["openai/m", "local/x"] },
  "providers": { "local": { "baseUrl": 5 }, "g": { "preset": "grok" } },
  "retry": 1
}`
    const error = errorOf(text, { ...BATCH, PORT: 'x', LOG_LEVEL: 'wran', DAILY_SPENDING_LIMT: '1' })
    const options = '"refill": "steady" or "window", "shadow": true or false }'
    expect(error.mistakes.map((mistake) => mistake.replace(/ The keys here are .*/, ''))).toEqual([
      'PORT: must be a whole number from 0 to 65535',
      'LOG_LEVEL: must be trace, debug, info, warn, error, fatal or silent. Did you mean warn?',
      'bursar.json:3:5: limits.perkey: must be named global, perOrganisation, perProject, perKey, perUser, perThread, perAgent, perTask, perModel, perProvider or who:subject such as key:alice. Did you mean perKey?',
      'bursar.json:4:17: limits.global.costPerWeek: must not be here. Did you mean costPerDay?',
      'bursar.json:4:68: limits.global.costPerDay.enforced: must not be here. Did you mean enforce?',
      `bursar.json:4:88: limits.global.inFlight: must be a whole number, 0 or more, or { "amount": 60, ${options}`,
      `bursar.json:5:21: limits.key:batsch.requestsPerMinute: must be a whole number, 0 or more, or { "amount": 60, ${options}`,
      `bursar.json:5:49: limits.key:batsch.costPerDay: must be decimal dollars such as "2.50", zero or more, with at most 12 digits and 9 decimals, or { "amount": "2.50", ${options}`,
      'bursar.json:7:30: prices[0].inputt: must not be here. Did you mean input?',
      'bursar.json:7:43: prices[0].input: must be decimal dollars such as "2.50", zero or more, with at most 12 digits and 9 decimals',
      'bursar.json:7:96: prices[2]: must not stand beside prices[1], which is for the same model',
      'bursar.json:8:16: aliases.a: must name models, and b is an alias itself',
      'bursar.json:8:28: aliases.b: must name models, and a is an alias itself',
      'bursar.json:9:29: providers.local.baseUrl: must be text',
      'bursar.json:9:52: providers.g.preset: must be "groq", "mistral", "deepseek", "xai", "openrouter", "together", "perplexity", "cerebras", "azure", "azure-deployments", "ollama" or "vllm". Did you mean groq?',
      'bursar.json:10:3: retry: must not be here. Did you mean retries?',
    ])
    // What has a mistake is not said to be missing: the model m, the provider local.
    expect(error.warnings).toEqual([
      'DAILY_SPENDING_LIMT: is no setting, and is not read. Did you mean DAILY_SPENDING_LIMIT?',
      'bursar.json:5:5: limits.key:batsch: limits nothing: BURSAR_KEYS has no batsch. Did you mean batch?',
      'bursar.json:7:66: prices[1]: makes no price of n, because none is known that it could correct: it needs both input and output',
      'bursar.json:7:96: prices[2]: makes no price of N, because none is known that it could correct: it needs both input and output',
    ])
    expect(error.message).toMatch(
      /^The configuration has 16 mistakes:\n {2}PORT: [\s\S]*\nIt has 4 warnings, too:\n {2}DAILY/,
    )
    expect(error.message).not.toMatch(/Invalid|undefined|\[object|file:/)
  })

  it('of keys leave limits on keys alone', () => {
    expect(errorOf('{"limits":{"key:x":{},"perKey":{}}}', { BURSAR_KEYS: 'x' }).warnings).toEqual([])
  })

  it('are those of .env, too', () => {
    const early = { mistakes: ['.env:3: PORT: must not stand twice. It is in line 1 already'], warnings: [] }
    expect(() => loadConfiguration({}, () => readFileText('{}', {}), NOW_MS, early)).toThrow(
      /1 mistake:\n {2}\.env:3: PORT/,
    )
  })

  it('of an object that a program hands over are its own', () => {
    const around: Record<string, unknown> = {}
    around.limits = around
    const config = {
      limits: new Map(),
      prices: [{ model: 'm', input: Number.NaN, output: 1n }],
      aliases: { a: () => 'x' },
      patterns: undefined,
    }
    expect(readFileValue(config, {}).mistakes).toEqual([
      'limits: must be plain data: an object, a list, text, a number, true, false or null',
      'prices[0].output: must be plain data: an object, a list, text, a number, true, false or null',
      'aliases.a: must be plain data: an object, a list, text, a number, true, false or null',
      expect.stringMatching(/^aliases\.a: must be a list/),
      'prices[0].input: must be decimal dollars such as "2.50", zero or more, with at most 12 digits and 9 decimals',
    ])
    expect(readFileValue(around, {}).mistakes[0]).toMatch(/^limits: must be plain data/)
    expect(readFileValue('{}', {}).mistakes).toEqual(['config: must be an object'])
    expect(readFileValue(undefined, {}).mistakes).toEqual([])
  })
})
