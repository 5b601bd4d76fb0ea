// GET /llm/live and /llm/limits/levels through a whole gateway: what is in them, who sees what, and how events follow calls.

import { describe, expect, it } from 'vitest'
import type { CallsEvent, LiveAnswer } from '../../src/dashboard/data/live-state.ts'
import { ADMIN_KEY } from '../support/client-and-ledger.ts'
import { ManualClock } from '../support/clocks.ts'
import { type GatewayFixture, useGateway } from '../support/gateway.ts'
import { KeyOperator } from '../support/keys.ts'
import { turns, waitFor } from '../support/waiting.ts'

const AS_ADMIN = { authorization: `Bearer ${ADMIN_KEY}` }
/** Answers and events: each has some of these. */
type Json = LiveAnswer & CallsEvent & Pick<LiveAnswer['limits'], 'count'>

async function open(env: Readonly<Record<string, string>> = {}) {
  const clock = new ManualClock()
  const gateway = await useGateway({ clock, timers: clock, env })
  return { gateway, clock, operator: new KeyOperator(gateway) }
}

async function read(gateway: GatewayFixture, path: string, headers: HeadersInit = AS_ADMIN): Promise<Json> {
  const answer = await gateway.client.fetch('in process', path, { headers })
  expect(answer.status, await answer.clone().text()).toBe(200)
  return answer.json() as Promise<Json>
}

async function levelsOf(gateway: GatewayFixture, search: string, headers: HeadersInit = AS_ADMIN) {
  const answer = await gateway.client.fetch('in process', `/llm/limits/levels?search=${search}`, { headers })
  const { limits, count } = (await answer.json()) as { limits: LiveAnswer['limits']['fullest']; count: number }
  expect(limits).toHaveLength(count)
  return limits
}

interface SentEvent {
  readonly id: string
  readonly name: string
  readonly data: Json
}

/** A reader of the stream, who takes what there is when asked. */
class Reader {
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>
  readonly #text = new TextDecoder()
  readonly events: SentEvent[] = []
  comments = 0
  isEnded = false

  constructor(response: Response) {
    if (!response.body) throw new Error('There is no body.')
    this.#reader = response.body.getReader()
  }

  static async open(gateway: GatewayFixture, headers: Record<string, string> = AS_ADMIN, query = ''): Promise<Reader> {
    const response = await gateway.client.fetch('in process', `/llm/live?stream=true${query}`, { headers })
    expect(response.status).toBe(200)
    expect(response.headers.get('content-type')).toBe('text/event-stream; charset=utf-8')
    expect(response.headers.get('cache-control')).toBe('no-store')
    const reader = new Reader(response)
    await reader.take()
    return reader
  }

  /** Takes one piece. */
  async take(): Promise<readonly SentEvent[]> {
    const { done, value } = await this.#reader.read()
    if (done) this.isEnded = true
    const before = this.events.length
    for (const part of this.#text.decode(value).split('\n\n')) {
      if (part.startsWith(':')) this.comments += 1
      const [, id = '', name = '', data] = /^id: (.*)\nevent: (.*)\ndata: (.*)$/s.exec(part) ?? []
      if (data !== undefined) this.events.push({ id, name, data: JSON.parse(data) as Json })
    }
    return this.events.slice(before)
  }

  leave(): Promise<void> {
    return this.#reader.cancel()
  }
}

/** A second passes, and what follows from that. */
async function second(clock: ManualClock, seconds = 1): Promise<void> {
  for (let count = 0; count < seconds; count++) {
    clock.advance(1_000)
    await turns(40)
  }
}

describe('/llm/live', () => {
  it('has today, the last minute, the levels, the providers and the newest calls', async () => {
    const { gateway, clock } = await open({ DAILY_SPENDING_LIMIT: '1', MAX_REQUESTS_PER_MINUTE: '2' })
    await gateway.client.asks('openai')
    await gateway.client.asks('openai')
    expect((await gateway.client.asks('openai')).status).toBe(429)
    await waitFor(async () => (await read(gateway, '/llm/live')).last_minute.calls === 2)
    const live = await read(gateway, '/llm/live')
    // 20 tokens in and 10 out cost 40 µ$.
    expect(live.today).toMatchObject({ day: '2026-11-22', ends_at: '2026-11-23T00:00:00.000Z', calls: 2, tokens: 60 })
    expect(live.last_minute).toEqual({ calls: 2, tokens: 60, cost_usd: 0.00008, refused: 1 })
    expect(live.minutes).toHaveLength(60)
    expect(live.minutes.at(-1)).toMatchObject({ at: '2026-11-22T12:00:00.000Z', calls: 2, refused: 1 })
    expect(live.open).toEqual({ calls: 0, tokens: 0, cost_usd: 0 })
    expect(live.limits.fullest[0]).toMatchObject({ limit: 'requests_per_minute', subject: 'global', fullness: 1 })
    expect(live.limits.fullest[1]).toMatchObject({ limit: 'daily_spending_limit', settled: 0.00008, capacity: 1 })
    expect(live.calls.map(({ status }) => status).toSorted()).toEqual(['completed', 'completed', 'refused'])
    expect(live.providers.find(({ name }) => name === 'openai')).toMatchObject({
      configured: true,
      calls: 2,
      errors: 0,
    })
    await second(clock, 61)
    expect((await read(gateway, '/llm/live')).last_minute).toEqual({ calls: 0, tokens: 0, cost_usd: 0, refused: 0 })
  })

  it('filters the newest calls', async () => {
    const { gateway } = await open({ MAX_REQUESTS_PER_MINUTE: '1' })
    await gateway.client.asks('openai')
    await gateway.client.asks('openai')
    const outcomes = async (query: string) =>
      (await read(gateway, `/llm/live?${query}`)).calls.map(({ status }) => status)
    expect(await outcomes('outcome=refused')).toEqual(['refused'])
    expect(await outcomes('outcome=completed')).toEqual(['completed'])
    expect(await outcomes('model=nothing')).toEqual([])
    expect(await outcomes('provider=openai')).toHaveLength(2)
  })

  it("of a key's holder is of that key alone, whatever is asked", async () => {
    const { gateway, operator } = await open({ DAILY_SPENDING_LIMIT: '1' })
    const mine = await operator.makes({ name: 'mine', limits: { requestsPerDay: 5 } })
    const theirs = await operator.makes({ name: 'theirs', limits: { requestsPerDay: 7 } })
    for (const { key } of [mine, theirs])
      await gateway.client.asks(
        'openai',
        {},
        { headers: { 'x-bursar-key': key, 'x-bursar-user': `of-${key.slice(4, 8)}` } },
      )
    const asMine = { authorization: `Bearer ${mine.key}` }
    await waitFor(async () => (await read(gateway, '/llm/live', asMine)).calls.length === 1)
    const live = await read(gateway, '/llm/live', asMine)
    expect(JSON.stringify(live)).not.toContain('theirs')
    expect([live.today.calls, live.last_minute.calls, live.providers]).toEqual([1, 1, []])
    expect(live.limits.fullest.map(({ subject }) => subject).toSorted()).toEqual(['global', 'key:mine'])
    expect(await levelsOf(gateway, 'theirs', asMine)).toEqual([])
    const other = await gateway.client.fetch('in process', '/llm/live?key=theirs', { headers: asMine })
    expect(other.status).toBe(403)
    expect(await levelsOf(gateway, 'theirs')).toMatchObject([{ subject: 'key:theirs', capacity: 7 }])
  })

  it('shows a limit that was changed as it is now', async () => {
    const { gateway, operator } = await open()
    await operator.makes({ name: 'web', limits: { requestsPerDay: 5 } })
    const capacity = async () => (await levelsOf(gateway, 'web'))[0]?.capacity
    expect(await capacity()).toBe(5)
    await operator.changes('web', { limits: { requestsPerDay: 9 } })
    expect(await capacity()).toBe(9)
  })

  it('is refused without a key while there is one, and with parameters that are none', async () => {
    const { gateway } = await open()
    const status = async (path: string, headers: HeadersInit = {}) =>
      (await gateway.client.fetch('in process', path, { headers })).status
    expect(await status('/llm/live')).toBe(401)
    expect(await status('/llm/live?outcome=odd', AS_ADMIN)).toBe(400)
    expect(await status('/llm/limits/levels?limit=0', AS_ADMIN)).toBe(400)
  })
})

describe('the events of /llm/live', () => {
  it('begin with the whole state and the newest calls, and go on with what changes', async () => {
    const { gateway, clock } = await open({ DAILY_SPENDING_LIMIT: '1' })
    const reader = await Reader.open(gateway)
    expect(reader.events.map(({ name }) => name)).toEqual(['state', 'calls'])
    expect(reader.events[0]?.data.minutes).toHaveLength(60)
    await gateway.client.asks('openai')
    await second(clock)
    const events = await reader.take()
    expect(events.map(({ name }) => name)).toEqual(['state', 'calls'])
    expect(events[0]?.data).toMatchObject({ last_minute: { calls: 1 }, today: { calls: 1 } })
    expect(events[0]?.data.minutes.length).toBeLessThan(10)
    expect(events[1]?.data.calls).toMatchObject([{ status: 'completed' }])
    await reader.leave()
  })

  it('say nothing while nothing happens, but for a comment every fifteen seconds', async () => {
    const { gateway, clock } = await open()
    const reader = await Reader.open(gateway)
    await second(clock, 16)
    await reader.take()
    expect([reader.events.length, reader.comments]).toEqual([2, 1])
    await reader.leave()
  })

  it('go on after the last one that a reader has', async () => {
    const { gateway, clock } = await open()
    const reader = await Reader.open(gateway)
    await gateway.client.asks('openai')
    await second(clock)
    await reader.take()
    const lastId = reader.events.at(-1)?.id ?? ''
    await reader.leave()
    await gateway.client.asks('openai')
    const again = await Reader.open(gateway, { ...AS_ADMIN, 'last-event-id': lastId })
    expect(again.events.map(({ name }) => name)).toEqual(['state'])
    await second(clock)
    const [calls] = (await again.take()).filter(({ name }) => name === 'calls')
    expect(calls?.data.calls).toHaveLength(1)
    await again.leave()
    const other = await Reader.open(gateway, { ...AS_ADMIN, 'last-event-id': 'another-process/1' })
    expect(other.events.map(({ name }) => name)).toEqual(['state', 'calls'])
    await other.leave()
  })

  it('begin anew for a reader that comes back after nobody had read for half a minute', async () => {
    const { gateway, clock } = await open()
    const reader = await Reader.open(gateway)
    const lastId = reader.events.at(-1)?.id ?? ''
    await reader.leave()
    await second(clock, 31)
    await gateway.client.asks('openai')
    const again = await Reader.open(gateway, { ...AS_ADMIN, 'last-event-id': lastId })
    expect(again.events.map(({ name }) => name)).toEqual(['state', 'calls'])
    expect(again.events[1]?.data.calls).toHaveLength(1)
    await again.leave()
  })

  it('have all minutes again once an older one changed, so that a slow reader misses none', async () => {
    const { gateway, clock } = await open()
    const reader = await Reader.open(gateway)
    for (let minute = 0; minute < 8; minute++) {
      await gateway.client.asks('openai')
      await second(clock, 60)
    }
    await reader.take()
    await second(clock)
    const [state] = (await reader.take()).filter(({ name }) => name === 'state')
    expect(state?.data.minutes).toHaveLength(60)
    expect(state?.data.minutes.filter(({ calls }) => calls === 1)).toHaveLength(8)
    await reader.leave()
  })

  it('skip what a slow reader does not take, and then send the newest', async () => {
    const { gateway, clock } = await open()
    const reader = await Reader.open(gateway)
    for (let count = 0; count < 5; count++) {
      await gateway.client.asks('openai')
      await second(clock)
    }
    const first = await reader.take()
    expect(first[0]?.data.last_minute.calls).toBe(1)
    await second(clock)
    const next = await reader.take()
    expect(next[0]?.data.last_minute.calls).toBe(5)
    expect(next[1]?.data.calls).toHaveLength(4)
    await reader.leave()
  })

  it("end once the reader's key is disabled, and when the gateway stops", async () => {
    const { gateway, clock, operator } = await open()
    const { key } = await operator.makes({ name: 'mine' })
    const [own, all] = [await Reader.open(gateway, { authorization: `Bearer ${key}` }), await Reader.open(gateway)]
    await operator.disables('mine')
    await second(clock, 15)
    while (!own.isEnded) await own.take()
    expect(own.isEnded).toBe(true)
    await gateway.close()
    while (!all.isEnded) await all.take()
    expect(all.isEnded).toBe(true)
  })

  it('are for so many readers, and for others again once those have left', async () => {
    const { gateway } = await open()
    const readers = []
    for (let count = 0; count < 200; count++) readers.push(await Reader.open(gateway))
    const refused = await gateway.client.fetch('in process', '/llm/live?stream=true', { headers: AS_ADMIN })
    expect([refused.status, refused.headers.get('retry-after')]).toEqual([503, '5'])
    await Promise.all(readers.map((reader) => reader.leave()))
    await (await Reader.open(gateway)).leave()
  })
})
