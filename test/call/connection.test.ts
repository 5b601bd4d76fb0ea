// What only a socket can do wrong: bytes in odd order, bodies that stop, headers too long, answers that are not read.

import { connect } from 'node:net'
import { describe, expect, it } from 'vitest'
import { ManualClock } from '../support/clocks.ts'
import { answerWhole, type GatewayFixture, useGateway } from '../support/gateway.ts'
import { waitFor, withTimeout } from '../support/waiting.ts'
import { DIALECT_NAMES, type DialectName, requestFor } from './dialect-fixtures.ts'
import { expectSettled, LIMITED_CONFIG, readSettled } from './settlement-checks.ts'

const USED = { input: 20, output: 10 }
const KEYS = { BURSAR_KEYS: 'alice:alice-secret-alice' }

function open(): Promise<GatewayFixture> {
  return useGateway({
    config: LIMITED_CONFIG,
    respond: (request) => answerWhole(request, USED),
    env: { ...KEYS, MAX_BODY_BYTES: '100000' },
  })
}

interface RequestParts {
  readonly method?: string
  readonly path?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
}

/** A request as text. Its length is right unless it is given. */
function requestText(dialect: DialectName, { method = 'POST', headers = {}, ...given }: RequestParts = {}): string {
  const { path, body } = { ...requestFor(dialect, { cap: 10 }), ...given }
  const all = {
    host: 'localhost',
    'content-type': 'application/json',
    'x-api-key': 'alice-secret-alice',
    'content-length': String(Buffer.byteLength(body)),
    ...headers,
  }
  return `${method} ${path} HTTP/1.1\r\n${Object.entries(all)
    .map((pair) => pair.join(': '))
    .join('\r\n')}\r\n\r\n${body}`
}

/** Writes bytes as they are, and reads until the answers are as many as wanted, or the connection closes. */
function exchange(gateway: GatewayFixture, bytes: string | Buffer, answers = 1): Promise<string> {
  const read = new Promise<string>((resolve, reject) => {
    let seen = ''
    const socket = connect(gateway.port, '127.0.0.1').on('error', (error) =>
      seen === '' ? reject(error) : resolve(seen),
    )
    socket.on('close', () => resolve(seen))
    socket.on('data', (chunk: Buffer) => {
      seen += chunk.toString('latin1')
      const complete = seen.match(/\}\s*(?=HTTP\/1\.1 \d|$)/g)?.length ?? 0
      if (complete < answers) return
      socket.destroy()
      resolve(seen)
    })
    socket.write(typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes)
  })
  return withTimeout(5_000, read)
}

const statusesIn = (answers: string) => [...answers.matchAll(/HTTP\/1\.1 (\d{3})/g)].map(([, status]) => Number(status))

describe.each(DIALECT_NAMES)('%s:', (dialect) => {
  it('requests that come all at once on one connection are answered in order', async () => {
    const gateway = await open()
    const requests = [
      requestText(dialect),
      requestText(dialect, { body: '{' }),
      requestText(dialect),
      requestText(dialect, { headers: { 'x-api-key': 'wrong' } }),
      requestText(dialect),
    ]
    expect(statusesIn(await exchange(gateway, requests.join(''), 5))).toEqual([200, 400, 200, 401, 200])
    expect(await gateway.ledger.holds(3)).toHaveLength(3)
  })

  it('a client that expects 100-continue gets it, and its answer', async () => {
    const gateway = await open()
    expect(
      statusesIn(await exchange(gateway, requestText(dialect, { headers: { expect: '100-continue' } }), 1)),
    ).toEqual([100, 200])
    expect(gateway.provider.received[0]?.headers.expect).toBeUndefined()
  })

  it('after a body that is too large the connection is usable or closed, and the answer has arrived', async () => {
    const gateway = await open()
    const large = requestText(dialect, { body: ' '.repeat(3_000_000) })
    const answers = await exchange(gateway, large + requestText(dialect), 2)
    expect(statusesIn(answers)[0]).toBe(413)
    if (statusesIn(answers).length > 1) expect(statusesIn(answers)).toEqual([413, 200])
    else expect(answers).toMatch(/connection: close/i)
  })

  it('a body in chunks that grows too large is 413, and the answer has arrived', async () => {
    const gateway = await open()
    const headers = { 'transfer-encoding': 'chunked', 'content-length': '' }
    const chunk = `${(65_536).toString(16)}\r\n${' '.repeat(65_536)}\r\n`
    const head = requestText(dialect, { headers, body: '' }).replace('content-length: \r\n', '')
    expect(statusesIn(await exchange(gateway, `${head}${chunk.repeat(100)}0\r\n\r\n`))[0]).toBe(413)
  })

  it('a client that leaves in the middle of its body consumes nothing', async () => {
    const gateway = await open()
    const before = await readSettled(gateway)
    const socket = connect(gateway.port, '127.0.0.1').on('error', () => {})
    const lastAnswer = gateway.latestAnswer
    socket.write(requestText(dialect, { headers: { 'content-length': '5000' } }))
    await waitFor(async () => gateway.latestAnswer !== lastAnswer || undefined)
    await gateway.untilClientGone('over sockets', () => socket.destroy())
    expect(await readSettled(gateway)).toEqual(before)
    expect(statusesIn(await exchange(gateway, requestText(dialect)))).toEqual([200])
  })

  it.each([
    ['a length that is no number', { 'content-length': 'many' }],
    ['a negative length', { 'content-length': '-5' }],
    ['a length and chunks', { 'transfer-encoding': 'chunked' }],
  ])('%s is 400', async (_, headers) => {
    const gateway = await open()
    const before = await readSettled(gateway)
    expect(statusesIn(await exchange(gateway, requestText(dialect, { headers }))).at(0)).toBe(400)
    expect(await readSettled(gateway)).toEqual(before)
  })

  it('headers of 100 kB are 431, and the next connection is served', async () => {
    const gateway = await open()
    expect(
      statusesIn(await exchange(gateway, requestText(dialect, { headers: { 'x-bursar-user': 'u'.repeat(100_000) } }))),
    ).toEqual([431])
    expect(statusesIn(await exchange(gateway, requestText(dialect)))).toEqual([200])
  })

  it('header values beyond ASCII are taken as they are, and stay within 256 characters', async () => {
    const gateway = await open()
    const user = `j\xf6rg ${'\xe9'.repeat(5_000)}`
    expect(statusesIn(await exchange(gateway, requestText(dialect, { headers: { 'x-bursar-user': user } })))).toEqual([
      200,
    ])
    const [entry] = await gateway.ledger.holds(1)
    expect(entry?.facts.caller.user?.startsWith('j\xf6rg \xe9')).toBe(true)
    expect(entry?.facts.caller.user?.length).toBe(256)
  })

  it.each([
    ['wrong', 'wrong-secret-wrong'],
    ['empty', ''],
    ['right but for its case', 'ALICE-secret-alice'],
    ['right and more', 'alice-secret-alicex'],
    ['beyond ASCII', 'alic\xe9-secret-alice'],
  ])('a key that is %s is 401', async (_, key) => {
    const gateway = await open()
    const before = await readSettled(gateway)
    expect(statusesIn(await exchange(gateway, requestText(dialect, { headers: { 'x-api-key': key } })))).toEqual([401])
    expect(await readSettled(gateway)).toEqual(before)
    expect(gateway.log.join('')).not.toContain(key === '' ? 'no such key' : key)
  })

  it('a key with a line break in a query is 401', async () => {
    const gateway = await open()
    const { path } = requestFor(dialect)
    const asked = requestText(dialect, {
      path: `${path}${path.includes('?') ? '&' : '?'}key=alice-secret-alice%0d%0ax-api-key:%20y`,
      headers: { 'x-api-key': '' },
    })
    expect(statusesIn(await exchange(gateway, asked.replace('x-api-key: \r\n', '')))).toEqual([401])
  })

  it('a key is taken wherever an SDK puts it', async () => {
    const gateway = await open()
    const { path } = requestFor(dialect)
    const ways: RequestParts[] = [
      { headers: { authorization: 'Bearer alice-secret-alice' } },
      { headers: { authorization: 'bearer   alice-secret-alice' } },
      { headers: { 'x-goog-api-key': 'alice-secret-alice' } },
      { headers: { 'api-key': 'alice-secret-alice' } },
      { path: `${path}${path.includes('?') ? '&' : '?'}key=alice-secret-alice` },
    ]
    for (const way of ways) {
      const asked = requestText(dialect, way).replace('x-api-key: alice-secret-alice\r\n', '')
      expect(statusesIn(await exchange(gateway, asked)), JSON.stringify(way)).toEqual([200])
    }
  })

  it('a client that stops reading is given up at the deadline, without an end it could take for the whole', async () => {
    const clock = new ManualClock()
    const gateway = await useGateway({
      config: LIMITED_CONFIG,
      clock,
      timers: clock,
      env: { UPSTREAM_TIMEOUT_MS: '400' },
      respond: ({ response }) => {
        response.writeHead(200, { 'content-type': 'text/event-stream' })
        const flood = () => {
          while (!response.destroyed && response.write(`data: {"choices":[]}\n\n${': x\n'.repeat(10_000)}`));
        }
        response.on('drain', flood)
        flood()
      },
    })
    const socket = connect(gateway.port, '127.0.0.1').on('error', () => {})
    const { path, body } = requestFor(dialect, { cap: 10, stream: true })
    socket.pause().write(requestText(dialect, { path, body }))
    const call = await waitFor(async () => gateway.provider.received[0])
    await waitFor(async () => gateway.latestAnswer?.writableNeedDrain || undefined)
    clock.advance(400)
    expect(await withTimeout(25_000, call.cut)).toBe(true)
    await expectSettled(gateway, { ending: 'failed', certainty: 'upperBound', cost: 'whole' })
    let seen = ''
    socket.on('data', (chunk: Buffer) => (seen = (seen + chunk.toString('latin1')).slice(-1_000)))
    await new Promise((resolve) => socket.on('close', resolve).resume())
    // Where it had room left, the room was for an error event.
    if (seen.endsWith('0\r\n\r\n')) expect(seen).toMatch(/"error":\{/)
  })
})
