// Commands of figures: what usage, export and alerts send and print, and that no half export is left.

import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { CommandError } from '../../src/command-line/errors.ts'
import { systemFiles } from '../../src/command-line/system-files.ts'
import { run, tableResponse } from './run-command.ts'

const GATEWAY = 'http://127.0.0.1:5555'

describe('usage sends', () => {
  it.each([
    [[], '/token-usage/by-model?days=30'],
    [['--by', 'user', '--days=7', '--limit', '20'], '/token-usage/by-user?days=7&limit=20'],
    [
      ['--by=day', '--from=2026-11-01', '--to=2026-11-30', '--tz=Asia/Kathmandu'],
      '/token-usage/by-day?from=2026-11-01&to=2026-11-30&tz=Asia%2FKathmandu',
    ],
    [['--user', 'a/b?c=d'], '/token-usage/user/a%2Fb%3Fc%3Dd?days=30'],
    [['--thread=t', '--key=ci'], '/token-usage/thread/t?days=30&key=ci'],
    [['--by=agent', '--user=ann', '--thread=t'], '/token-usage/by-agent?days=30&user=ann&thread=t'],
  ])('%j', async (args, path) => {
    const { sent, stderr } = await run(['usage', ...args])
    expect({ url: sent?.url, stderr }).toEqual({ url: GATEWAY + path, stderr: '' })
  })

  it('the key of a caller, if there is no admin key', async () => {
    const { sent } = await run(['usage'], { callerKey: 'caller' })
    expect(sent?.headers.authorization).toBe('Bearer caller')
  })
})

const sum = (requests: number, cost: number, failed = 0) => ({
  total_requests: requests,
  total_input_tokens: requests * 10,
  total_output_tokens: requests,
  total_tokens: requests * 11,
  total_cost: cost,
  outcomes: { completed: requests - failed, failed },
  latency_ms: { p50: 1, p95: 812.5, p99: 3 },
})
const head = {
  period: { from: '2026-11-01T00:00:00.000Z', to: '2026-12-01T00:00:00.000Z', time_zone: 'UTC' },
  simulated: false,
}
const PERIOD = 'From 2026-11-01T00:00:00.000Z to 2026-12-01T00:00:00.000Z, in the zone UTC:'

describe('usage prints', () => {
  it('a table with the rest and the total', async () => {
    const answer = {
      ...head,
      ...sum(10, 3.5, 1),
      groups: [
        { user: 'ann\u001b[31m', ...sum(7, 2) },
        { user: null, ...sum(2, 1, 1) },
        { user: '(none)', ...sum(1, 0.1) },
      ],
      others: { count: 1, ...sum(1, 0.5) },
    }
    const { stdout } = await run(['usage', '--by=user'], { answer })
    expect(stdout.split('\n')).toEqual([
      PERIOD,
      '',
      'USER           REQUESTS  FAILED  INPUT  OUTPUT  TOKENS  COST  P95 MS',
      'ann\\u001b[31m         7       0     70       7      77    $2   812.5',
      '(none)                2       1     20       2      22    $1   812.5',
      '"(none)"              1       0     10       1      11  $0.1   812.5',
      'and 1 other           1       0     10       1      11  $0.5   812.5',
      'total                10       1    100      10     110  $3.5   812.5',
      '',
    ])
  })

  it('days, and that calls are simulated', async () => {
    const answer = { ...head, simulated: true, ...sum(1, 1), days: [{ date: '2026-11-01', ...sum(1, 1) }] }
    const { stdout } = await run(['usage', '--by=day'], { answer })
    expect(stdout).toContain('in the zone UTC, simulated calls:')
    expect(stdout).toMatch(/\n2026-11-01 +1 .*\ntotal +1 /)
  })

  it('the statistics of a user', async () => {
    const answer = {
      ...head,
      ...sum(3, 0.3),
      cost_by_model: { 'openai/gpt-4o': 0.2 },
      tokens_by_model: { 'openai/gpt-4o': 22 },
      other_models: { count: 1, cost: 0.1, tokens: 11 },
      requests_by_agent: { '': 2, coder: 1 },
      cost_trend: [
        { date: '2026-11-01', requests: 0, tokens: 0, cost: 0 },
        { date: '2026-11-02', requests: 3, tokens: 33, cost: 0.3 },
      ],
    }
    const { stdout } = await run(['usage', '--user=ann'], { answer })
    expect(stdout.split('\n')).toEqual([
      PERIOD,
      '',
      'MODEL          TOKENS  COST',
      'openai/gpt-4o      22  $0.2',
      'and 1 other        11  $0.1',
      'total              33  $0.3',
      '',
      'AGENT   REQUESTS',
      '(none)         2',
      'coder          1',
      'total          3',
      '',
      'DAY         REQUESTS  TOKENS  COST',
      '2026-11-02         3      33  $0.3',
      'total              3      33  $0.3',
      '',
    ])
  })

  it('none if there are no calls', async () => {
    const answer = { ...head, ...sum(0, 0), groups: [], others: null }
    expect((await run(['usage'], { answer })).stdout).toBe(`${PERIOD}\n\nnone\n`)
  })

  it('CSV as it comes', async () => {
    const { written, stdout, sent } = await run(['usage', '--csv'], {
      answerTo: () => tableResponse(['a,b\r', '\n1,2\r\n']),
    })
    expect({ output: written.output, stdout }).toEqual({ output: 'a,b\r\n1,2\r\n', stdout: '' })
    expect(sent?.url).toBe(`${GATEWAY}/token-usage/by-model?days=30&format=csv`)
  })
})

describe('export', () => {
  it.each([
    [[], '/token-usage/export?format=csv&days=30'],
    [
      ['--format=focus', '--granularity=hour', '--from=2026-11-01', '--to=2026-11-02', '--tz=UTC', '--key=ci'],
      '/token-usage/export?format=focus&from=2026-11-01&to=2026-11-02&tz=UTC&key=ci&granularity=hour',
    ],
  ])('sends %j', async (args, path) => {
    const { sent, exitCode } = await run(['export', ...args], { answerTo: () => tableResponse('a\r\n') })
    expect({ url: sent?.url, exitCode }).toEqual({ url: GATEWAY + path, exitCode: 0 })
  })

  it('writes rows as they come, and counts them and their bytes', async () => {
    const table = ['id,text\r\n1,"a\n', 'b"\r\n2,"a""\n"\r\n3,\r\n']
    const { written, stdout, stderr, progress } = await run(['export', '--out=calls.csv'], {
      answerTo: () => tableResponse(table),
    })
    expect(written.files).toEqual({ 'calls.csv': table.join('') })
    expect({ stdout, stderr }).toEqual({ stdout: '', stderr: 'calls.csv: 3 rows, 32 bytes\n' })
    expect(progress).toEqual(['0 rows, 1 kB …', '3 rows, 1 kB …', ''])
  })

  it('keeps standard output for the rows', async () => {
    const { written, stdout, stderr } = await run(['export'], { answerTo: () => tableResponse('a\r\n1\r\n') })
    expect({ output: written.output, stdout, stderr }).toEqual({
      output: 'a\r\n1\r\n',
      stdout: '',
      stderr: '1 rows, 6 bytes\n',
    })
  })

  it('has an object on each line, with every digit, and all pages of the period of the first', async () => {
    const pages = [
      `{"period":{"from":"F","to":"T"},"records":[{"id":"1","total_cost":9007199254.740993001},{"id":"2"}],"next_cursor":"c"}`,
      `{"period":{"from":"F","to":"T"},"records":[{"id":"3","a":[1.50]}],"next_cursor":null}`,
    ]
    const { written, received, stderr } = await run(['export', '--format=json', '--days=2'], {
      answerTo: () => new Response(pages.shift()),
    })
    expect(written.output).toBe('{"id":"1","total_cost":9007199254.740993001}\n{"id":"2"}\n{"id":"3","a":[1.50]}\n')
    expect(stderr).toBe('3 rows, 78 bytes\n')
    expect(received.map(({ url }) => url)).toEqual([
      `${GATEWAY}/token-usage/all?days=2&limit=1000`,
      `${GATEWAY}/token-usage/all?limit=1000&from=F&to=T&cursor=c`,
    ])
  })

  it.each([
    ['an answer that breaks off', () => tableResponse('a\r\n1', new Error('terminated')), /broke off \(terminated\)/],
    ['an answer that ends in a row', () => tableResponse('a\r\n1'), /ended in the middle of a row/],
    ['an answer that ends in a cell', () => tableResponse('a\r\n"1\r\n'), /ended in the middle of a row/],
    ['an empty answer', () => tableResponse(''), /ended in the middle of a row/],
    ['no table', () => new Response('{"a":1}'), /answered 200, and not as Bursar does/],
    [
      'sums that are not ready',
      () => Response.json({ error: { message: 'Being built.' } }, { status: 503 }),
      /^Being b/,
    ],
  ])('is an error without a file for %s', async (_what, answerTo, message) => {
    const { written, stderr, exitCode } = await run(['export', '--out=calls.csv'], { answerTo })
    expect(written.files).toEqual({})
    expect(written.discarded).toEqual(['calls.csv'])
    expect({ exitCode, stderr }).toEqual({ exitCode: 1, stderr: expect.stringMatching(message) })
  })

  it('is an error without a file if a later page fails, or comes twice', async () => {
    const page = { period: { from: 'F', to: 'T' }, records: [{ id: 1 }], next_cursor: 'c' }
    const answers = [Response.json(page), Response.json({}, { status: 500 })]
    const failed = await run(['export', '--format=json', '--out=x'], { answerTo: () => answers.shift() })
    expect(failed).toMatchObject({ exitCode: 1, written: { files: {}, discarded: ['x'] } })
    const twice = await run(['export', '--format=json'], { answer: page })
    expect(twice).toMatchObject({ exitCode: 1, stderr: 'The gateway answered the same page twice.\n' })
  })

  it('is an error without a file if the disk is full', async () => {
    const situation = { answerTo: () => tableResponse('a\r\n'), writeFailure: new CommandError('x is full.') }
    const { written, exitCode, stderr } = await run(['export', '--out=x'], situation)
    expect({ exitCode, stderr, files: written.files }).toEqual({ exitCode: 1, stderr: 'x is full.\n', files: {} })
    expect(written.discarded).toEqual(['x'])
  })
})

describe('alerts', () => {
  it.each<[readonly string[], string, string, unknown]>([
    [['list'], 'GET', '/admin/alerts', ''],
    [['test', 'a/b'], 'POST', '/admin/alerts/test', { name: 'a/b' }],
    [['remove', 'a/b'], 'DELETE', '/admin/alerts/a%2Fb', ''],
    [
      [
        'set',
        'ops',
        '--file=alert.json',
        '--on=limit',
        '--limit=perUser.costPerDay',
        '--at=80',
        '--at=100',
        '--floor=0.10',
      ],
      'PUT',
      '/admin/alerts/ops',
      {
        send: 'webhook',
        secret: 'whsec_x',
        on: ['limit'],
        limits: ['perUser.costPerDay'],
        at: [80, 100],
        floor: '0.10',
      },
    ],
    [
      ['set', 'ops', '--file=-', '--send=mail', '--to=a@b.example', '--to=c@d.example', '--factor=2.5'],
      'PUT',
      '/admin/alerts/ops',
      { send: 'mail', password: 'p', to: ['a@b.example', 'c@d.example'], factor: 2.5 },
    ],
  ])('send %j', async (args, method, path, body) => {
    const files = { 'alert.json': '{"send":"webhook","secret":"whsec_x"}' }
    const { sent, stderr } = await run(['alerts', ...args], {
      answer: { ok: true },
      files,
      input: '{"send":"slack","password":"p"}',
    })
    expect({ method: sent?.method, url: sent?.url, body: sent?.body, stderr }).toEqual({
      method,
      url: GATEWAY + path,
      body,
      stderr: '',
    })
  })

  it('list who hears of what', async () => {
    const state = {
      name: 'ops',
      source: 'registry',
      alert: { name: 'ops', send: 'slack', on: ['limit', 'prices_old'] },
      pending: 2,
      last_sent_at: null,
      last_error: 'status 500\u001b',
      gone: false,
      not_in_force: null,
    }
    const alerts = [state, { ...state, gone: true }, { ...state, alert: {}, not_in_force: 'It cannot be decrypted' }]
    const { stdout } = await run(['alerts', 'list'], { answer: { alerts } })
    const [, sent, gone, unread] = stdout.split('\n')
    expect(sent).toMatch(/^ops +slack +limit, prices_old +registry +2 +- +status 500\\u001b$/)
    expect(gone).toMatch(/ wants no more: status 500\\u001b$/)
    expect(unread).toMatch(/^ops +- +all +registry +2 +- +It cannot be decrypted$/)
  })

  it.each([[[]], [['--json']]])('a test that failed is an error, with %j', async (options) => {
    const answer = { name: 'ops', ok: false, message: 'answered with status 500' }
    const { stdout, stderr, exitCode } = await run(['alerts', 'test', 'ops', ...options], { answer })
    const json = options.length === 0 ? '' : `${JSON.stringify(answer)}\n`
    expect({ stdout, stderr, exitCode }).toEqual({
      stdout: json,
      stderr: 'ops: answered with status 500\n',
      exitCode: 1,
    })
  })
})

describe('what makes no sense is told, and nothing is sent', () => {
  it.each([
    [['usage', '--by=users'], /--by must be one of model, .* Did you mean user\?/],
    [['usage', '--user=a', '--thread=b'], /--user must not stand beside --thread/],
    [['usage', '--user='], /--user needs a name/],
    [['usage', '--user=a', '--limit=1'], /--limit needs --by/],
    [['usage', '--by=day', '--limit=1'], /--limit needs --by/],
    [['usage', '--csv', '--json'], /--csv must not stand beside --json/],
    [['usage', '--days=1', '--from=2026-11-01'], /--days must not stand beside --from and --to/],
    [['usage', '--days=soon'], /--days must be a whole number/],
    [['export', '--to=2026-11-01'], /--to needs --from/],
    [['export', '--format=xml'], /--format must be one of csv, focus, json/],
    [['export', '--granularity=hour'], /--granularity needs --format focus/],
    [['export', '--json'], /--format json in place of --json/],
    [['export', '--out='], /--out needs a name/],
    [['alerts', 'set', 'a'], /alerts set needs a receiver/],
    [['alerts', 'set', 'a', '--at=high'], /--at must be a number/],
    [['alerts', 'set', 'a', '--file=broken.json'], /broken\.json must hold a JSON object/],
  ])('in %j', async (line, message) => {
    const { stderr, exitCode, received, written } = await run(line, { files: { 'broken.json': '[' } })
    expect({ exitCode, received, files: written.files }).toEqual({ exitCode: 2, received: [], files: {} })
    expect(stderr).toMatch(message)
  })
})

describe('a file', () => {
  function newFolder(): string {
    const folder = mkdtempSync(join(tmpdir(), 'bursar-export-'))
    onTestFinished(() => rmSync(folder, { recursive: true }))
    return folder
  }

  it('gets its name once it is whole, and only its owner can read it', async () => {
    const folder = newFolder()
    const path = join(folder, 'calls.csv')
    writeFileSync(path, 'before', { mode: 0o644 })
    const draft = await systemFiles.create(path)
    await draft.write(Buffer.from('a'))
    await draft.write(Buffer.from('b'))
    expect(readFileSync(path, 'utf8')).toBe('before')
    await draft.keep()
    expect(readFileSync(path, 'utf8')).toBe('ab')
    expect(statSync(path).mode & 0o777).toBe(0o600)
    expect(readdirSync(folder)).toEqual(['calls.csv'])
  })

  it('leaves nothing if it is discarded', async () => {
    const folder = newFolder()
    const draft = await systemFiles.create(join(folder, 'calls.csv'))
    await draft.write(Buffer.from('a'))
    await draft.discard()
    expect(readdirSync(folder)).toEqual([])
  })

  it('replaces no device, folder or link, and needs its folder', async () => {
    const folder = newFolder()
    symlinkSync('elsewhere', join(folder, 'link'))
    for (const path of ['/dev/zero', folder, join(folder, 'link')])
      await expect(systemFiles.create(path)).rejects.toThrow(`${path} cannot be written: it is no regular file.`)
    await expect(systemFiles.create(join(folder, 'none', 'x'))).rejects.toThrow('there is no such folder')
  })
})
