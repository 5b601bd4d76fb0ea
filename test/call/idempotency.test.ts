// Idempotency-Key: the same request is made once. A repeated request is answered with what became of the first, and may be made anew if that was free.

import { afterAll, describe, expect, it } from 'vitest'
import { TRANSPORTS } from '../support/client-and-ledger.ts'
import { ManualClock } from '../support/clocks.ts'
import type { ProviderScript } from '../support/provider.ts'
import { waitFor } from '../support/waiting.ts'
import { type DialectName, errorIn, type RequestOptions } from './dialect-fixtures.ts'
import {
  COST_NANO_USD,
  fails,
  hangs,
  inTurn,
  LedgerFolder,
  type RoutingFixture,
  type RoutingFixtureOptions,
  STORES,
  succeeds,
  useRouting,
} from './routing-fixture.ts'

const ledgers = new LedgerFolder()
afterAll(() => ledgers.remove())

const KEYS = 'alice:alice-secret-0123456789,bob:bob-secret-0123456789'
const headersOf = (name: string) => ({ authorization: `Bearer ${name}-secret-0123456789` })
const DAY_MS = 86_400_000

describe.each(STORES)('%s:', (store) => {
  const open = (options: RoutingFixtureOptions = {}) => useRouting({ ...ledgers.pathFor(store), ...options })

  interface More extends RequestOptions {
    readonly key?: string
    readonly headers?: Readonly<Record<string, string>>
    readonly dialect?: DialectName
  }

  function send(
    routing: RoutingFixture,
    { key = 'the key', headers, dialect = 'openai', ...wanted }: More = {},
  ): Promise<Response> {
    return routing.send({ model: 'first/m', ...wanted }, { headers: { ...headers, 'idempotency-key': key } }, dialect)
  }

  /** Asks, and lets the answer come to its end. */
  async function statusOf(routing: RoutingFixture, wanted: More = {}): Promise<number> {
    const answer = await send(routing, wanted)
    await answer.text()
    return answer.status
  }

  const sent = (routing: RoutingFixture) => routing.first.received.length

  it('a call in flight is not made twice: 409, and when to come back', async () => {
    const routing = await open({ first: hangs })
    const asking = statusOf(routing)
    const call = await waitFor(async () => routing.first.received[0])
    const again = await send(routing)
    expect([again.status, again.headers.get('retry-after'), again.headers.has('x-should-retry')]).toEqual([
      409,
      '1',
      false,
    ])
    expect(errorIn('openai', await again.json()).code).toBe('idempotency_in_flight')
    succeeds(call)
    expect(await asking).toBe(200)
    expect(sent(routing)).toBe(1)
  })

  it.each([false, true])('a call that was made is not made again, stream: %s', async (stream) => {
    const routing = await open()
    const answer = await send(routing, { stream })
    await answer.text()
    const again = await send(routing, { stream })
    expect(again.status).toBe(409)
    expect(Object.fromEntries(again.headers)).toMatchObject({
      'x-should-retry': 'false',
      'x-bursar-original-call-id': answer.headers.get('x-bursar-call-id'),
    })
    // Whoever adds up this header counts the call once.
    expect(again.headers.has('x-bursar-cost-usd')).toBe(false)
    const { message, code } = errorIn('openai', await again.json())
    expect(code).toBe('idempotency_done')
    expect(message).toContain(`${answer.headers.get('x-bursar-call-id')}, which ended completed and cost $0.00004`)
    expect((await routing.settledEntry()).outcome?.cost.totalNanoUsd).toBe(COST_NANO_USD)
    expect(sent(routing)).toBe(1)
  })

  it.each(['openai', 'anthropic', 'gemini'] as const)('is answered in the dialect of %s', async (dialect) => {
    const routing = await open()
    expect(await statusOf(routing, { dialect })).toBe(200)
    const again = await send(routing, { dialect })
    expect(again.status).toBe(409)
    expect(errorIn(dialect, await again.json()).message).toMatch(/was made before/)
  })

  it.each([
    ['an answer that says it costs nothing', fails(503), 503],
    ['an answer that is never billed', fails(401), 401],
  ])('a call that failed with %s may be made again', async (_, script, failed) => {
    const routing = await open({ first: inTurn(script, script, succeeds) })
    expect([
      await statusOf(routing),
      await statusOf(routing),
      await statusOf(routing),
      await statusOf(routing),
    ]).toEqual([failed, failed, 200, 409])
    expect(sent(routing)).toBe(3)
  })

  it('a call that could not be sent may be made again', async () => {
    const routing = await open()
    expect([await statusOf(routing, { model: 'nowhere/m' }), await statusOf(routing, { model: 'nowhere/m' })]).toEqual([
      502, 502,
    ])
  })

  it('a call that failed and may have been billed is not made again', async () => {
    const routing = await open({ first: inTurn(fails(500), succeeds) })
    expect(await statusOf(routing)).toBe(500)
    const again = await send(routing)
    expect([again.status, sent(routing)]).toEqual([409, 1])
    const { message } = errorIn('openai', await again.json())
    expect(message).toMatch(/ended failed and cost \$0\.000\d+\. /)
  })

  it('a call whose client left is made all the same, and not again', async () => {
    const routing = await open({ first: hangs, env: { ON_DISCONNECT: 'drain' } })
    const leaving = new AbortController()
    const left = routing
      .send({ model: 'first/m' }, { headers: { 'idempotency-key': 'the key' }, signal: leaving.signal })
      .catch(() => 'left')
    const call = await waitFor(async () => routing.first.received[0])
    leaving.abort()
    await left
    expect(await statusOf(routing)).toBe(409)
    succeeds(call)
    await routing.gateway.ledger.holds(1)
    const again = await send(routing)
    expect(errorIn('openai', await again.json()).message).toMatch(/ended canceled and cost \$0\.00004\./)
    expect(sent(routing)).toBe(1)
  })

  it.each([
    ['another body', { text: 'something else' }],
    ['another model', { model: 'second/m' }],
    ['another form of answer', { stream: true }],
  ] as const)('the key of %s is refused for good: 422', async (_, difference) => {
    const routing = await open({ first: inTurn(hangs, succeeds) })
    const asking = statusOf(routing)
    const call = await waitFor(async () => routing.first.received[0])
    const during = await send(routing, difference)
    succeeds(call)
    expect(await asking).toBe(200)
    const after = await send(routing, difference)
    for (const answer of [during, after]) {
      expect([answer.status, answer.headers.get('x-should-retry')]).toEqual([422, 'false'])
    }
    expect(routing.requestCounts).toEqual([1, 0])
  })

  it('the same body at another path is another request', async () => {
    const routing = await open()
    const uncapped = async (dialect: DialectName) => {
      const init = { headers: { 'idempotency-key': 'the key' } }
      return (await routing.gateway.client.asks(dialect, { model: 'first/m' }, init, 'over sockets')).status
    }
    expect([await uncapped('openai'), await uncapped('anthropic'), await uncapped('openai')]).toEqual([200, 422, 409])
  })

  it('a key is its caller’s own', async () => {
    const routing = await open({ env: { BURSAR_KEYS: KEYS } })
    const statuses = []
    for (const name of ['alice', 'bob', 'alice', 'bob'])
      statuses.push(await statusOf(routing, { headers: headersOf(name) }))
    expect(statuses).toEqual([200, 200, 409, 409])
    expect(await statusOf(routing, { headers: headersOf('alice'), key: 'another' })).toBe(200)
  })

  it('is remembered for a day', async () => {
    const clock = new ManualClock()
    const routing = await open({ clock })
    expect(await statusOf(routing)).toBe(200)
    clock.advance(DAY_MS)
    expect(await statusOf(routing)).toBe(409)
    clock.advance(1)
    expect(await statusOf(routing)).toBe(200)
    expect(await statusOf(routing)).toBe(409)
    expect(sent(routing)).toBe(2)
  })

  it.each(TRANSPORTS.flatMap((transport) => [false, true].map((stream) => [transport, stream] as const)))(
    '%s, of 200 at once with one key exactly one is sent, stream: %s',
    async (transport, stream) => {
      const routing = await open()
      const wanted = { model: 'first/m', cap: 50, stream }
      const statuses = await Promise.all(
        Array.from({ length: 200 }, async () => {
          const answer = await routing.gateway.client.asks(
            'openai',
            wanted,
            { headers: { 'idempotency-key': 'the key' } },
            transport,
          )
          await answer.text()
          return answer.status
        }),
      )
      expect(statuses.filter((code) => code === 200)).toHaveLength(1)
      expect(statuses.filter((code) => code === 409)).toHaveLength(199)
      expect(sent(routing)).toBe(1)
      expect((await routing.settledEntry()).outcome?.cost.totalNanoUsd).toBe(COST_NANO_USD)
    },
  )

  it('200 at once with keys of their own are all sent', async () => {
    const routing = await open()
    const statuses = await Promise.all(
      Array.from({ length: 200 }, (_, index) => statusOf(routing, { key: `key ${index}` })),
    )
    expect(new Set(statuses)).toEqual(new Set([200]))
    expect(sent(routing)).toBe(200)
  })

  it('a call that was refused by a limit may come again', async () => {
    const clock = new ManualClock()
    const routing = await open({ clock, file: { limits: { global: { requestsPerMinute: 1 } } } })
    expect(await statusOf(routing, { key: 'one' })).toBe(200)
    expect([await statusOf(routing), await statusOf(routing)]).toEqual([429, 429])
    clock.advance(60_000)
    expect([await statusOf(routing), await statusOf(routing)]).toEqual([200, 409])
  })

  it('a call that could not go on for another reason may come again', async () => {
    const clock = new ManualClock()
    const routing = await open({ clock, first: inTurn(...Array<ProviderScript>(10).fill(fails(503)), succeeds) })
    for (let call = 0; call < 10; call++) await statusOf(routing, { key: `key ${call}` })
    const refused = await send(routing)
    expect(errorIn('openai', await refused.json()).code).toBe('circuit_open')
    clock.advance(5_000)
    expect([await statusOf(routing), await statusOf(routing)]).toEqual([200, 409])
  })

  it('a call that was answered by its second target is done, attempts and all', async () => {
    const routing = await open({ first: fails(503) })
    expect([await statusOf(routing, { model: 'both' }), await statusOf(routing, { model: 'both' })]).toEqual([200, 409])
    expect(routing.requestCounts).toEqual([1, 1])
  })

  it.each([
    ['empty', ''],
    ['longer than any', 'k'.repeat(256)],
    ['10 kB long', 'k'.repeat(10_000)],
  ])('a key that is %s is refused', async (_, key) => {
    const routing = await open()
    const answer = await send(routing, { key })
    expect(answer.status).toBe(400)
    expect(errorIn('openai', await answer.json()).message).toContain('Idempotency-Key')
    expect(sent(routing)).toBe(0)
  })

  it.each([
    ['one character', 'k'],
    ['255 characters', 'k'.repeat(255)],
    ['characters outside ASCII', 'sch\u00fcssel'],
    ['what looks like a scope', 'alice\u00a0\u00ff/{}"\'%'],
  ])('a key of %s is one', async (_, key) => {
    const routing = await open()
    expect([
      await statusOf(routing, { key }),
      await statusOf(routing, { key }),
      await statusOf(routing, { key: 'z' }),
    ]).toEqual([200, 409, 200])
  })

  it('calls without a key are made as often as they come', async () => {
    const routing = await open()
    for (let call = 0; call < 3; call++) expect((await routing.send({ model: 'first/m' })).status).toBe(200)
    expect(sent(routing)).toBe(3)
  })

  it('keys and requests are kept as digests', async () => {
    const routing = await open()
    await statusOf(routing, { key: 'the secret key' })
    const { facts } = await routing.settledEntry()
    expect(facts.idempotency).toEqual({
      keyHash: expect.stringMatching(/^[\w-]{43}$/),
      bodyHash: expect.stringMatching(/^[\w-]{43}$/),
    })
    expect(routing.gateway.log.join('')).not.toContain('the secret key')
  })

  const survives = store === 'sqlite' ? it : undefined
  survives?.('is remembered when the gateway starts again', async () => {
    const clock = new ManualClock()
    const path = ledgers.pathFor(store)
    let routing = await useRouting({ ...path, clock, first: inTurn(succeeds, fails(503), hangs) })
    expect(await statusOf(routing, { key: 'done' })).toBe(200)
    expect(await statusOf(routing, { key: 'free' })).toBe(503)
    const cut = statusOf(routing, { key: 'cut' })
    await waitFor(async () => sent(routing) === 3 || undefined)
    await routing.close()
    await cut.catch(() => 0)
    routing = await useRouting({ ...path, clock })
    const keys = ['done', 'free', 'cut', 'new']
    const statuses = []
    for (const key of keys) statuses.push(await statusOf(routing, { key }))
    expect(statuses).toEqual([409, 200, 409, 200])
    expect(sent(routing)).toBe(2)
  })
})
