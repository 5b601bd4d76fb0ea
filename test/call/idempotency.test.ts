// Idempotency-Key: the same request is made once. Whoever asks again is told what became of it, and may try anew where it was free.

import { afterAll, afterEach, describe, expect, it } from 'vitest'
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
  RoutingFixture,
  type RoutingFixtureOptions,
  STORES,
  succeeds,
} from './routing-fixture.ts'

const ledgers = new LedgerFolder()
afterAll(() => ledgers.remove())

let fixture: RoutingFixture
afterEach(() => fixture?.close())

const KEYS = 'alice:alice-secret-0123456789,bob:bob-secret-0123456789'
const headersOf = (name: string) => ({ authorization: `Bearer ${name}-secret-0123456789` })
const DAY_MS = 86_400_000

describe.each(STORES)('%s:', (store) => {
  let path: { readonly path?: string } = {}

  async function open(options: RoutingFixtureOptions = {}): Promise<RoutingFixture> {
    path = ledgers.pathFor(store)
    fixture = await RoutingFixture.open({ ...path, ...options })
    return fixture
  }

  interface More extends RequestOptions {
    readonly key?: string
    readonly headers?: Readonly<Record<string, string>>
    readonly spoken?: DialectName
  }

  function ask({ key = 'the key', headers, spoken = 'openai', ...wanted }: More = {}): Promise<Response> {
    return fixture.send({ model: 'first/m', ...wanted }, { headers: { ...headers, 'idempotency-key': key } }, spoken)
  }

  /** Asks, and lets the answer come to its end. */
  async function status(more: More = {}): Promise<number> {
    const answer = await ask(more)
    await answer.text()
    return answer.status
  }

  const sent = () => fixture.first.received.length

  it('a call in flight is not made twice: 409, and when to come back', async () => {
    await open({ first: hangs })
    const asking = status()
    const call = await waitFor(async () => fixture.first.received[0])
    const again = await ask()
    expect([again.status, again.headers.get('retry-after'), again.headers.has('x-should-retry')]).toEqual([
      409,
      '1',
      false,
    ])
    expect(errorIn('openai', await again.json()).code).toBe('idempotency_in_flight')
    succeeds(call)
    expect(await asking).toBe(200)
    expect(sent()).toBe(1)
  })

  it.each([false, true])('a call that was made is not made again, stream: %s', async (stream) => {
    await open()
    const answer = await ask({ stream })
    await answer.text()
    const again = await ask({ stream })
    expect(again.status).toBe(409)
    expect(Object.fromEntries(again.headers)).toMatchObject({
      'x-should-retry': 'false',
      'x-bursar-original-call-id': answer.headers.get('x-bursar-call-id'),
      'x-bursar-cost-usd': '0.00004',
    })
    const { message, code } = errorIn('openai', await again.json())
    expect(code).toBe('idempotency_done')
    expect(message).toContain(`${answer.headers.get('x-bursar-call-id')}, which ended completed and cost $0.00004`)
    expect((await fixture.settledEntry()).outcome?.cost.totalNanoUsd).toBe(COST_NANO_USD)
    expect(sent()).toBe(1)
  })

  it.each(['openai', 'anthropic', 'gemini'] as const)('is said in the words of %s', async (spoken) => {
    await open()
    expect(await status({ spoken })).toBe(200)
    const again = await ask({ spoken })
    expect(again.status).toBe(409)
    expect(errorIn(spoken, await again.json()).message).toMatch(/was made before/)
  })

  it.each([
    ['an answer that says it costs nothing', fails(503), 503],
    ['an answer that nobody bills', fails(401), 401],
  ])('a call that failed with %s may be made again', async (_, play, failed) => {
    await open({ first: inTurn(play, play, succeeds) })
    expect([await status(), await status(), await status(), await status()]).toEqual([failed, failed, 200, 409])
    expect(sent()).toBe(3)
  })

  it('a call that could not be sent may be made again', async () => {
    await open()
    expect([await status({ model: 'nowhere/m' }), await status({ model: 'nowhere/m' })]).toEqual([502, 502])
  })

  it('a call that failed and may have been billed is not made again', async () => {
    await open({ first: inTurn(fails(500), succeeds) })
    expect(await status()).toBe(500)
    const again = await ask()
    expect([again.status, sent()]).toEqual([409, 1])
    const { message } = errorIn('openai', await again.json())
    expect(message).toMatch(/ended failed and cost \$0\.000\d+\. /)
    expect(again.headers.get('x-bursar-cost-usd')).not.toBe('0')
  })

  it('a call whose client left is made all the same, and not again', async () => {
    await open({ first: hangs, env: { ON_DISCONNECT: 'drain' } })
    const leaving = new AbortController()
    const left = fixture
      .send({ model: 'first/m' }, { headers: { 'idempotency-key': 'the key' }, signal: leaving.signal })
      .catch(() => 'left')
    const call = await waitFor(async () => fixture.first.received[0])
    leaving.abort()
    await left
    expect(await status()).toBe(409)
    succeeds(call)
    await fixture.gateway.ledger.holds(1)
    const again = await ask()
    expect(errorIn('openai', await again.json()).message).toMatch(/ended canceled and cost \$0\.00004\./)
    expect(sent()).toBe(1)
  })

  it.each([
    ['another body', { text: 'something else' }],
    ['another model', { model: 'second/m' }],
    ['another form of answer', { stream: true }],
  ] as const)('the key of %s is refused for good: 422', async (_, other) => {
    await open({ first: inTurn(hangs, succeeds) })
    const asking = status()
    const call = await waitFor(async () => fixture.first.received[0])
    const during = await ask(other)
    succeeds(call)
    expect(await asking).toBe(200)
    const after = await ask(other)
    for (const answer of [during, after]) {
      expect([answer.status, answer.headers.get('x-should-retry')]).toEqual([422, 'false'])
    }
    expect(fixture.requestCounts).toEqual([1, 0])
  })

  it('the same body at another path is another request', async () => {
    await open()
    const uncapped = async (spoken: DialectName) => {
      const init = { headers: { 'idempotency-key': 'the key' } }
      return (await fixture.gateway.client.asks(spoken, { model: 'first/m' }, init, 'over sockets')).status
    }
    expect([await uncapped('openai'), await uncapped('anthropic'), await uncapped('openai')]).toEqual([200, 422, 409])
  })

  it('a key is its caller’s own', async () => {
    await open({ env: { BURSAR_KEYS: KEYS } })
    const statuses = []
    for (const name of ['alice', 'bob', 'alice', 'bob']) statuses.push(await status({ headers: headersOf(name) }))
    expect(statuses).toEqual([200, 200, 409, 409])
    expect(await status({ headers: headersOf('alice'), key: 'another' })).toBe(200)
  })

  it('is remembered for a day', async () => {
    const clock = new ManualClock()
    await open({ clock })
    expect(await status()).toBe(200)
    clock.advance(DAY_MS)
    expect(await status()).toBe(409)
    clock.advance(1)
    expect(await status()).toBe(200)
    expect(await status()).toBe(409)
    expect(sent()).toBe(2)
  })

  it.each(TRANSPORTS.flatMap((door) => [false, true].map((stream) => [door, stream] as const)))(
    '%s, of 200 at once with one key exactly one is sent, stream: %s',
    async (door, stream) => {
      await open()
      const wanted = { model: 'first/m', cap: 50, stream }
      const statuses = await Promise.all(
        Array.from({ length: 200 }, async () => {
          const answer = await fixture.gateway.client.asks(
            'openai',
            wanted,
            { headers: { 'idempotency-key': 'the key' } },
            door,
          )
          await answer.text()
          return answer.status
        }),
      )
      expect(statuses.filter((code) => code === 200)).toHaveLength(1)
      expect(statuses.filter((code) => code === 409)).toHaveLength(199)
      expect(sent()).toBe(1)
      expect((await fixture.settledEntry()).outcome?.cost.totalNanoUsd).toBe(COST_NANO_USD)
    },
  )

  it('200 at once with keys of their own are all sent', async () => {
    await open()
    const statuses = await Promise.all(Array.from({ length: 200 }, (_, at) => status({ key: `key ${at}` })))
    expect(new Set(statuses)).toEqual(new Set([200]))
    expect(sent()).toBe(200)
  })

  it('a call that was refused by a limit may come again', async () => {
    const clock = new ManualClock()
    await open({ clock, file: { limits: { global: { requestsPerMinute: 1 } } } })
    expect(await status({ key: 'one' })).toBe(200)
    expect([await status(), await status()]).toEqual([429, 429])
    clock.advance(60_000)
    expect([await status(), await status()]).toEqual([200, 409])
  })

  it('a call that could not go on for another reason may come again', async () => {
    const clock = new ManualClock()
    await open({ clock, first: inTurn(...Array<ProviderScript>(10).fill(fails(503)), succeeds) })
    for (let call = 0; call < 10; call++) await status({ key: `key ${call}` })
    const refused = await ask()
    expect(errorIn('openai', await refused.json()).code).toBe('circuit_open')
    clock.advance(5_000)
    expect([await status(), await status()]).toEqual([200, 409])
  })

  it('a call that was answered by its second target is done, attempts and all', async () => {
    await open({ first: fails(503) })
    expect([await status({ model: 'both' }), await status({ model: 'both' })]).toEqual([200, 409])
    expect(fixture.requestCounts).toEqual([1, 1])
  })

  it.each([
    ['empty', ''],
    ['longer than any', 'k'.repeat(256)],
    ['10 kB long', 'k'.repeat(10_000)],
  ])('a key that is %s is refused', async (_, key) => {
    await open()
    const answer = await ask({ key })
    expect(answer.status).toBe(400)
    expect(errorIn('openai', await answer.json()).message).toContain('Idempotency-Key')
    expect(sent()).toBe(0)
  })

  it.each([
    ['one character', 'k'],
    ['255 characters', 'k'.repeat(255)],
    ['characters outside ASCII', 'sch\u00fcssel'],
    ['what looks like a scope', 'alice\u00a0\u00ff/{}"\'%'],
  ])('a key of %s is one', async (_, key) => {
    await open()
    expect([await status({ key }), await status({ key }), await status({ key: 'z' })]).toEqual([200, 409, 200])
  })

  it('calls without a key are made as often as they come', async () => {
    await open()
    for (let call = 0; call < 3; call++) expect((await fixture.send({ model: 'first/m' })).status).toBe(200)
    expect(sent()).toBe(3)
  })

  it('keys and requests are kept as digests', async () => {
    await open()
    await status({ key: 'the secret key' })
    const { facts } = await fixture.settledEntry()
    expect(facts.idempotency).toEqual({
      keyHash: expect.stringMatching(/^[\w-]{43}$/),
      bodyHash: expect.stringMatching(/^[\w-]{43}$/),
    })
    expect(fixture.gateway.log.join('')).not.toContain('the secret key')
  })

  const survives = store === 'sqlite' ? it : undefined
  survives?.('is remembered when the gateway starts again', async () => {
    const clock = new ManualClock()
    await open({ clock, first: inTurn(succeeds, fails(503), hangs) })
    expect(await status({ key: 'done' })).toBe(200)
    expect(await status({ key: 'free' })).toBe(503)
    const cut = status({ key: 'cut' })
    await waitFor(async () => sent() === 3 || undefined)
    await fixture.close()
    await cut.catch(() => 0)
    fixture = await RoutingFixture.open({ ...path, clock })
    const keys = ['done', 'free', 'cut', 'new']
    const statuses = []
    for (const key of keys) statuses.push(await status({ key }))
    expect(statuses).toEqual([409, 200, 409, 200])
    expect(sent()).toBe(2)
  })
})
