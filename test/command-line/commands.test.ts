// Commands: what they send, what they print, and what they say if something is wrong, against a gateway that a test makes up.

import { describe, expect, it } from 'vitest'
import { readRequest } from '../../src/command-line/index.ts'
import { run, type Situation, tableResponse } from './run-command.ts'

const URL = 'http://127.0.0.1:5555'

describe('what is sent', () => {
  it.each<[readonly string[], string, string, unknown]>([
    [['keys', 'list'], 'GET', '/admin/keys', ''],
    [['keys', 'list', '--project', 'a b', '--limit=5'], 'GET', '/admin/keys?project=a+b&limit=5', ''],
    [['keys', 'create', 'Web shop'], 'POST', '/admin/keys', { name: 'Web shop' }],
    [
      [
        'keys',
        'create',
        'ann',
        '--id=a',
        '--user',
        'ann',
        '--model',
        'openai/*',
        '--model',
        'm',
        '--limit',
        'costPerDay=5',
        '--limit',
        'inFlight=2',
        '--require=user',
        '--expires-at',
        '2027-01-01T00:00:00Z',
        '--time-zone=Europe/Berlin',
        '--money-refusal=402',
        '--hosted-tools=drop',
        '--tag=x',
        '--metadata',
        '{"a":1}',
      ],
      'POST',
      '/admin/keys',
      {
        name: 'ann',
        id: 'a',
        user: 'ann',
        models: ['openai/*', 'm'],
        limits: { costPerDay: '5', inFlight: 2 },
        requires: ['user'],
        expires_at: '2027-01-01T00:00:00Z',
        time_zone: 'Europe/Berlin',
        money_refusal: '402',
        hosted_tools: 'drop',
        tags: ['x'],
        metadata: { a: 1 },
      },
    ],
    [['keys', 'show', 'a/b?c'], 'GET', '/admin/keys/a%2Fb%3Fc', ''],
    [
      ['keys', 'update', 'a', '--limit=costPerDay=1', '--unset=limits.inFlight', '--unset', 'expires-at'],
      'PATCH',
      '/admin/keys/a',
      { limits: { costPerDay: '1', inFlight: null }, expires_at: null },
    ],
    [['keys', 'rotate', 'a'], 'POST', '/admin/keys/a/rotate', {}],
    [['keys', 'rotate', 'a', '--grace-seconds=60'], 'POST', '/admin/keys/a/rotate', { grace_seconds: 60 }],
    [['keys', 'disable', 'a'], 'DELETE', '/admin/keys/a', ''],
    [['keys', 'enable', 'a'], 'PATCH', '/admin/keys/a', { disabled: false }],
    [['limits', 'levels'], 'GET', '/llm/limits', ''],
    [['limits', 'levels', '--key', 'ci', '--user', '7'], 'GET', '/llm/limits?key=ci&user=7', ''],
    [['limits', 'list'], 'GET', '/admin/limits', ''],
    [['limits', 'list', '--cursor=a'], 'GET', '/admin/limits?cursor=a', ''],
    [['limits', 'list', 'project:web'], 'GET', '/admin/limits/project%3Aweb', ''],
    [
      ['limits', 'set', 'perUser', 'costPerDay=0.10', 'requestsPerDay={"amount":5,"refill":"steady"}'],
      'PATCH',
      '/admin/limits/perUser',
      { costPerDay: '0.10', requestsPerDay: { amount: 5, refill: 'steady' } },
    ],
    [
      ['limits', 'set', 'perUser', 'inFlight=1', 'requestsPerDay={"amount":5}', '--shadow'],
      'PATCH',
      '/admin/limits/perUser',
      { inFlight: { amount: 1, shadow: true }, requestsPerDay: { amount: 5, shadow: true } },
    ],
    [['limits', 'end-raise', 'key:ci'], 'DELETE', '/admin/limits/key%3Aci/raise', ''],
    [['limits', 'remove', 'user:ci/7'], 'DELETE', '/admin/limits/user%3Aci%2F7', ''],
    [['limits', 'remove', 'key:ci', 'inFlight'], 'PATCH', '/admin/limits/key%3Aci', { inFlight: null }],
    [
      ['limits', 'raise', 'key:ci', 'costPerDay=20', '--for', '90m', '--reason', 'load test'],
      'POST',
      '/admin/limits/key%3Aci/raise',
      { costPerDay: '20', until: '2026-11-30T13:30:00.000Z', reason: 'load test' },
    ],
    [
      ['limits', 'raise', 'key:ci', 'costPerDay=20', '--until=2026-12-01T00:00:00Z', '--reason=x'],
      'POST',
      '/admin/limits/key%3Aci/raise',
      { costPerDay: '20', until: '2026-12-01T00:00:00Z', reason: 'x' },
    ],
    [
      ['backtest', '--set', 'perUser.costPerDay=5', '--set=key:a.b.inFlight=1', '--set', 'key:a.b.costPerDay=2'],
      'POST',
      '/admin/limits/backtest',
      { days: 7, limits: { perUser: { costPerDay: '5' }, 'key:a.b': { inFlight: 1, costPerDay: '2' } } },
    ],
    [
      ['backtest', '--limits', 'whole.json', '--set', 'perUser.inFlight=1', '--days', '30', '--simulated'],
      'POST',
      '/admin/limits/backtest',
      { days: 30, simulated: true, limits: { perUser: { costPerDay: 1, inFlight: 1 } } },
    ],
    [
      ['backtest', '--limits=plain.json', '--from=2026-11-01T00:00:00Z', '--to=2026-11-02T00:00:00Z'],
      'POST',
      '/admin/limits/backtest',
      { from: '2026-11-01T00:00:00Z', to: '2026-11-02T00:00:00Z', limits: { global: { inFlight: 2 } } },
    ],
    [['explain', 'a/../b'], 'GET', '/llm/explain/a%2F..%2Fb', ''],
    [['estimate'], 'POST', '/llm/estimate', { model: 'm' }],
    [
      ['estimate', '--file', 'call.json', '--path=/v1/messages?a=b'],
      'POST',
      '/llm/estimate?path=%2Fv1%2Fmessages%3Fa%3Db',
      { model: 'f' },
    ],
  ])('by %j', async (line, method, path, body) => {
    const files = {
      'whole.json': '{"limits":{"perUser":{"costPerDay":1}},"aliases":{}}',
      'plain.json': '{"global":{"inFlight":2}}',
      'call.json': '{"model":"f"}',
    }
    const { sent, stderr, exitCode } = await run(line, { files, input: '{"model":"m"}' })
    expect({ stderr, exitCode }).toEqual({ stderr: '', exitCode: 0 })
    expect(sent).toMatchObject({ method, url: URL + path, body })
  })

  it.each([
    [['keys', 'list'], 'Bearer admin'],
    [['explain', 'x'], 'Bearer admin'],
    [['estimate'], 'Bearer caller'],
  ])('with the key that the endpoint needs, by %j', async (line, authorization) => {
    const { sent } = await run(line, { adminKey: 'admin', callerKey: 'caller', input: '{}' })
    expect(sent?.headers).toMatchObject({ authorization })
  })

  it("with the caller's key where it sees its own figures, if there is no admin key", async () => {
    expect((await run(['limits', 'levels'], { callerKey: 'caller' })).sent?.headers.authorization).toBe('Bearer caller')
    expect((await run(['keys', 'list'], { callerKey: 'caller' })).sent?.headers.authorization).toBeUndefined()
  })

  it('to BURSAR_URL, below its path, and to nowhere else', async () => {
    expect((await run(['keys', 'list'], { url: '' })).sent?.url).toBe(`${URL}/admin/keys`)
    const { sent } = await run(['keys', 'list'], { url: 'https://example.com/llm//' })
    expect(sent).toMatchObject({ url: 'https://example.com/llm/admin/keys', redirect: 'manual' })
  })
})

describe('what is printed', () => {
  const keys = [
    {
      id: 'web',
      name: 'Web\n\u001b[31m',
      prefix: 'bsr_12',
      status: 'active',
      project: 'p',
      user: null,
      limits: { costPerDay: 5, inFlight: { amount: 2 } },
      expires_at: null,
    },
    {
      id: 'a-long-id',
      name: 'a',
      prefix: 'bsr_34',
      status: 'disabled',
      project: null,
      user: 'ann',
      limits: null,
      expires_at: '2027-01-01T00:00:00Z',
    },
  ]

  it('is a table for people, in which names move no cursor', async () => {
    const { stdout } = await run(['keys', 'list'], { answer: { keys, next_cursor: 'a-long-id' } })
    expect(stdout.split('\n')).toEqual([
      'ID         NAME             PREFIX  STATUS    PROJECT  USER  LIMITS                               EXPIRES AT',
      'web        Web\\n\\u001b[31m  bsr_12  active    p        -     costPerDay=5, inFlight={"amount":2}  -',
      'a-long-id  a                bsr_34  disabled  -        ann   -                                    2027-01-01T00:00:00Z',
      'There are more: --cursor=a-long-id',
      '',
    ])
  })

  it('is what is in force, and what is raised', async () => {
    const scope = {
      subject: 'key:ci',
      in_force: [
        { limit: 'costPerDay', amount: 20, shadow: false, source: '"costPerDay" of "key:ci" in bursar.json' },
        { limit: 'inFlight', amount: 4, shadow: true, source: null },
      ],
      raises: [{ limits: { costPerDay: 20 }, until: '2026-12-01T00:00:00Z', reason: 'release' }],
    }
    const { stdout } = await run(['limits', 'list', 'key:ci'], { answer: scope })
    expect(stdout.split('\n')).toEqual([
      'SUBJECT  LIMIT       AMOUNT  SHADOW  SET BY',
      'key:ci   costPerDay     $20  no      "costPerDay" of "key:ci" in bursar.json',
      'key:ci   inFlight         4  yes     -',
      '',
      'SUBJECT  RAISED TO      UNTIL                 REASON',
      'key:ci   costPerDay=20  2026-12-01T00:00:00Z  release',
      '',
    ])
    // A list has a subject once for each place that limits it.
    const configured = { ...scope, source: 'settings', raises: [] }
    const list = await run(['limits', 'list'], { answer: { limits: [configured, scope], next_cursor: null } })
    expect(list.stdout).toBe(stdout)
    expect((await run(['limits', 'list'], { answer: { limits: [], next_cursor: null } })).stdout).toBe('none\n')
  })

  it.each([
    ['limits', 'set', 'key:nosuch', 'inFlight=1'],
    ['keys', 'update', 'ci', '--model=openai/nosuch'],
  ])('has the warnings of %s %s', async (...args) => {
    const warned = await run(args, { answer: { warnings: ['key:nosuch limits nothing'] } })
    expect(warned).toMatchObject({ exitCode: 0, stdout: expect.stringContaining('key:nosuch limits nothing') })
  })

  it('is how a list goes on, as a shell takes it', async () => {
    const { stdout } = await run(['limits', 'list'], { answer: { limits: [], next_cursor: "user:o'hara 7" } })
    expect(stdout).toContain(`--cursor='user:o'\\''hara 7'\n`)
  })

  it('is what is used and free of limits', async () => {
    const level = {
      subject: 'global',
      limit: 'daily_spending_limit',
      unit: 'usd',
      enforced: true,
      capacity: 10,
      settled: 0.0000005,
      reserved: 0,
      free: 9,
      resets_in_ms: 3_660_000,
      source: 'DAILY_SPENDING_LIMIT',
    }
    const { stdout } = await run(['limits', 'levels'], { answer: { limits: [level] } })
    expect(stdout.split('\n')).toEqual([
      'SUBJECT  LIMIT                 UNIT        USED  RESERVED  FREE   OF  RESETS IN  SET BY',
      'global   daily_spending_limit  usd   $0.0000005        $0    $9  $10  1 h 1 min  DAILY_SPENDING_LIMIT',
      '',
    ])
  })

  it('is the answer itself for programs, with every digit', async () => {
    const answer = '{"cost_usd":9007199254.740993001}'
    expect((await run(['explain', 'x', '--json'], { answer })).stdout).toBe(`${answer}\n`)
  })

  it('is the secret of a new key, once', async () => {
    const { stdout } = await run(['keys', 'create', 'x'], { status: 201, answer: { id: 'x', key: 'bsr_secret' } })
    expect(stdout).toBe('id  x\n\nIts secret, which is not shown again:\n\n  bsr_secret\n')
  })
})

describe('what is wrong', () => {
  const refused = Object.assign(new TypeError('fetch failed'), {
    cause: Object.assign(new Error(), { code: 'ECONNREFUSED' }),
  })

  it.each<[string, readonly string[], Situation, RegExp]>([
    [
      'no gateway',
      ['keys', 'list'],
      { failure: refused },
      /^No gateway answers at http:\/\/127\.0\.0\.1:5555 \(ECONNREFUSED\)\. Start one with: npx bursar\./,
    ],
    ['no admin key', ['keys', 'list'], { status: 401 }, /needs its admin key: set BURSAR_ADMIN_KEY/],
    [
      'a wrong admin key',
      ['keys', 'list'],
      { status: 401, adminKey: 'secret-of-mine' },
      /does not accept the key in BURSAR_ADMIN_KEY/,
    ],
    [
      'a key that may not see it',
      ['usage', '--by=user'],
      { status: 403, callerKey: 'x', answer: { error: { message: 'An API key sees its own calls alone.' } } },
      /^An API key sees its own calls alone\.\n$/,
    ],
    ['no key of a caller', ['estimate'], { status: 401, input: '{}', adminKey: 'x' }, /set BURSAR_CALLER_KEY/],
    [
      'a wrong key of a caller',
      ['estimate'],
      { status: 401, input: '{}', callerKey: 'x' },
      /does not accept the key in BURSAR_CALLER_KEY/,
    ],
    [
      'what the gateway says',
      ['explain', 'x'],
      { status: 404, answer: { error: { message: 'There is no such call.' } } },
      /^There is no such call\.\n$/,
    ],
    ['another server', ['keys', 'list'], { answer: '<html>' }, /answered 200, and not as Bursar does\. Is BURSAR_URL/],
    ['a redirect', ['keys', 'list'], { status: 302 }, /answered 302, and not as Bursar does/],
    ['no address', ['keys', 'list'], { url: 'localhost:5555' }, /BURSAR_URL must be an address such as/],
    ...['http://me:secret-of-mine@127.0.0.1:5555', 'http://127.0.0.1:5555/?a=b', 'http://127.0.0.1:5555/#a'].map(
      (url): [string, readonly string[], Situation, RegExp] => [
        url,
        ['keys', 'list'],
        { url },
        /BURSAR_URL must be an address such as \S+, without a user, a query and a #/,
      ],
    ),
    [
      'a key with a line break',
      ['keys', 'list'],
      { adminKey: 'secret-of-mine\n' },
      /BURSAR_ADMIN_KEY has a character that no key has/,
    ],
    ['a key of a caller with a blank', ['estimate'], { callerKey: 'a b', input: '{}' }, /BURSAR_CALLER_KEY has a char/],
    [
      'a port that fetch refuses',
      ['keys', 'list'],
      { failure: new TypeError('fetch failed', { cause: new Error('bad port') }) },
      /^No gateway answers at \S+ \(bad port\)/,
    ],
  ])('with the gateway is told, with what to do: %s', async (_what, line, situation, message) => {
    const { stdout, stderr, exitCode } = await run(line, situation)
    expect({ stdout, exitCode }).toEqual({ stdout: '', exitCode: 1 })
    expect(stderr).toMatch(message)
    expect(stderr).not.toContain('secret-of-mine')
  })

  it.each<[readonly string[], RegExp]>([
    [['keys', 'create'], /keys create needs NAME\. See: bursar keys create --help/],
    [['keys', 'show', 'a', 'b'], /keys show takes no argument b\./],
    [['keys', 'list', '--projct=a'], /There is no option --projct\. Did you mean --project\?/],
    [['keys', 'list', '-x'], /There is no option -x\./],
    [['keys', 'list', '--json=1'], /--json takes no value/],
    [['keys', 'list', '--project'], /--project needs a value: --project=NAME/],
    [['keys', 'list', '--project', '--json'], /--project needs a value/],
    [['keys', 'list', '--project=a', '--project=b'], /--project must not stand twice/],
    [['keys', 'update', 'a'], /needs something to change/],
    [['keys', 'create', 'a', '--limit', 'costPerDay'], /costPerDay must be a limit such as costPerDay=5/],
    [['keys', 'create', 'a', '--metadata', '[1]'], /--metadata must be a JSON object/],
    [['keys', 'rotate', 'a', '--grace-seconds=soon'], /--grace-seconds must be a whole number/],
    [['limits', 'list', 'a', 'b'], /limits list takes no argument b/],
    [['limits', 'set', 'key:a'], /limits set needs LIMIT=AMOUNT/],
    [['limits', 'set', 'key:a', 'inFlight=1', 'inFlight=2'], /inFlight must not stand twice/],
    [
      ['backtest', '--set', 'perUser.inFlight=1', '--set', 'perUser.inFlight=2'],
      /perUser\.inFlight must not stand twice/,
    ],
    [['limits', 'raise', 'key:a', 'costPerDay=1', '--for=1h'], /needs --reason/],
    [['limits', 'raise', 'key:a', 'costPerDay=1', '--reason=x'], /needs --until or --for/],
    [['limits', 'raise', 'key:a', 'costPerDay=1', '--reason=x', '--for=soon'], /--for must be minutes, hours or days/],
    [['backtest'], /backtest needs limits: --limits proposed\.json, or --set/],
    [['backtest', '--set', 'costPerDay=5'], /costPerDay: whose limit it is must stand in front/],
    [['backtest', '--set', 'perUser.inFlight=1', '--days=1', '--from=x'], /--days must not stand beside --from/],
    [['backtest', '--set', 'perUser.inFlight=1', '--to=x'], /--to needs --from/],
    [['backtest', '--limits', 'broken.json'], /broken\.json must hold a JSON object/],
    [['estimate'], /estimate needs the body of a call/],
    [['explain'], /explain needs CALL_ID/],
  ])('in %j is told, and nothing is sent', async (line, message) => {
    const { stdout, stderr, exitCode, received } = await run(line, { files: { 'broken.json': '[' } })
    expect({ stdout, exitCode, received }).toEqual({ stdout: '', exitCode: 2, received: [] })
    expect(stderr).toMatch(message)
  })

  it.each<[readonly string[], RegExp]>([
    [['kyes'], /There is no command kyes\. Did you mean keys\?/],
    [['keys', 'lits'], /There is no command keys lits\. Did you mean list\?/],
    [['--chekc'], /There is no option --chekc\. Did you mean --check\?/],
    [['check', 'x'], /check takes no argument x/],
  ])('in %j is told before anything runs', (line, message) => {
    const request = readRequest(line)
    expect(request).toMatchObject({ kind: 'mistake', message: expect.stringMatching(message) })
  })
})

describe('help', () => {
  it.each<[readonly string[], string]>([
    [[], 'serve'],
    [['check'], 'check'],
    [['--check'], 'check'],
  ])('%j is the process itself', (line, kind) => {
    expect(readRequest(line)).toEqual({ kind })
  })

  it('lists every command, and each has an example that runs', async () => {
    const request = readRequest(['--help'])
    const text = request.kind === 'print' ? request.text : ''
    const names = [...text.matchAll(/^ {2}bursar (\S+(?: \S+)?) {2,}\S/gm)].map(([, name = '']) => name)
    expect(names.length).toBeGreaterThan(12)
    for (const name of names.filter((other) => other !== 'check')) {
      const { stdout } = await run([...name.split(' '), '--help'])
      expect(stdout).toContain(`Usage: bursar ${name}`)
      const examples = stdout.slice(stdout.indexOf('Examples:')).match(/bursar [^<|\n]+/g) ?? []
      expect(examples.length).toBeGreaterThan(0)
      for (const example of examples) {
        const words = [...example.matchAll(/"[^"]*"|'[^']*'|\S+/g)].map(([word]) => word.replace(/^["']|["']$/g, ''))
        const { stderr, exitCode } = await run(words.slice(1), {
          files: { 'proposed.json': '{}', 'request.json': '{}', 'alert.json': '{"send":"slack"}' },
          input: '{}',
          answerTo: ({ url }) => (/[?&]format=/.test(url) ? tableResponse('id\r\n') : undefined),
          answer: { records: [], ok: true },
        })
        expect({ exitCode, stderr: exitCode === 0 ? '' : stderr }, example).toEqual({ exitCode: 0, stderr: '' })
      }
    }
  })

  it.each([
    [['help'], /bursar backtest/],
    [['-h'], /bursar backtest/],
    [['keys'], /bursar keys create/],
    [['keys', '--help'], /bursar keys create/],
    [['check', '--help'], /Usage: bursar check/],
    [['help', 'check'], /Usage: bursar check/],
  ])('%j prints a text', (line, text) => {
    expect(readRequest(line)).toMatchObject({ kind: 'print', text: expect.stringMatching(text) })
  })

  it('of a command is the same behind help', () => {
    expect(readRequest(['help', 'keys', 'create'])).toMatchObject({ kind: 'command', args: ['--help'] })
  })
})
