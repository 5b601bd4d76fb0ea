// No overshoot: however many calls come at once, no more are sent than fit the limit. The upstream holds every answer until
// all calls are decided, and its own log is what counts.

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, describe, expect, it } from 'vitest'
import { answerWhole, HandClock, type Received, Stage, until } from '../support/gateway-fixture.ts'
import { NANO_PER_INPUT, NANO_PER_OUTPUT, PRICE, requestFor, SPOKEN } from './dialect-fixtures.ts'
import { Random, SEED } from './random.ts'
import { Campaign } from './random-calls.ts'

const folder = mkdtempSync(join(tmpdir(), 'bursar-overshoot-'))
let stage: Stage | undefined
let files = 0
afterEach(async () => {
  await stage?.close()
  stage = undefined
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const STORES = ['memory', 'sqlite'] as const
const fileFor = (store: (typeof STORES)[number]) => (store === 'memory' ? {} : { path: join(folder, `${++files}.db`) })

const CALLS = 200
const KEYS = 'alice:alice-secret-alice,bob:bob-secret-bob-bob'
const asAlice = { authorization: 'Bearer alice-secret-alice' }
const asBob = { authorization: 'Bearer bob-secret-bob-bob' }

/** What one call of these tests reserves: its size is the same each time. */
function reservedFor(): bigint {
  const { body } = requestFor('openai', { cap: 100 })
  return BigInt(body.length + 64 + 16) * NANO_PER_INPUT + 100n * NANO_PER_OUTPUT
}

const FIT = 37
const budget = (calls: number, more = 0n) => {
  const nano = reservedFor() * BigInt(calls) + more
  return `0.${nano.toString().padStart(9, '0')}`
}

describe.each(STORES)('%s: 200 calls at once', (store) => {
  it.each([
    ['money per day', { global: { costPerDay: budget(FIT) } }, FIT],
    ['money per day, a nano-dollar short', { global: { costPerDay: budget(FIT, -1n) } }, FIT - 1],
    ['money per month of one key', { perKey: { costPerMonth: budget(FIT) } }, FIT],
    ['requests per minute', { global: { requestsPerMinute: FIT } }, FIT],
    ['requests per day of a user', { perUser: { requestsPerDay: FIT } }, FIT],
    ['calls in flight', { global: { inFlight: FIT } }, FIT],
    ['calls in flight of one key', { 'key:alice': { inFlight: FIT } }, FIT],
  ])('against a limit on %s: as many are sent as fit', async (_, limits, fit) => {
    stage = await Stage.open({
      config: { prices: [PRICE], limits },
      env: { BURSAR_KEYS: KEYS },
      play: () => {},
      clock: new HandClock(),
      ...fileFor(store),
    })
    const { upstream } = stage
    const refused: Response[] = []
    const answers = Array.from({ length: CALLS }, async () => {
      const answer = await stage?.call('openai', { cap: 100 }, { headers: asAlice }, 'over sockets')
      if (answer?.status === 429) refused.push(answer)
      return answer?.text()
    })
    await until(async () => upstream.received.length + refused.length === CALLS || undefined, 20_000)
    expect(upstream.received).toHaveLength(fit)
    for (const level of await stage.levels('?key=alice&user=')) {
      expect(level.settled + level.reserved).toBeLessThanOrEqual(level.capacity)
    }
    for (const call of upstream.received) answerWhole(call, { input: 20, output: 100 })
    await Promise.all(answers)
    expect(await stage.settled(fit)).toHaveLength(fit)
    expect(refused.every((answer) => Number(answer.headers.get('retry-after')) >= 1)).toBe(true)
  })

  it('a limit on each key is each key its own', async () => {
    const config = {
      prices: [PRICE],
      limits: { perKey: { costPerDay: budget(11) }, global: { costPerDay: budget(15) } },
    }
    stage = await Stage.open({ config, env: { BURSAR_KEYS: KEYS }, play: () => {}, ...fileFor(store) })
    const { upstream } = stage
    let refused = 0
    const ask = (headers: Record<string, string>) =>
      Array.from({ length: 30 }, async () => {
        const answer = await stage?.call('openai', { cap: 100 }, { headers }, 'over sockets')
        refused += answer?.status === 429 ? 1 : 0
        await answer?.text()
      })
    const alice = ask(asAlice)
    await until(async () => upstream.received.length + refused === 30 || undefined)
    expect(upstream.received).toHaveLength(11)
    const bob = ask(asBob)
    await until(async () => upstream.received.length + refused === 60 || undefined)
    expect(upstream.received).toHaveLength(15)
    for (const call of upstream.received) answerWhole(call, { input: 20, output: 100 })
    await Promise.all([...alice, ...bob])
  })

  it('calls of all sizes: what is sent fits, and what was refused would not have', async () => {
    console.info(`SEED=${SEED}`)
    const random = new Random(SEED)
    const limitNano = 30_000_000n
    const config = { prices: [PRICE], limits: { global: { costPerDay: '0.03' } } }
    stage = await Stage.open({ config, play: () => {}, ...fileFor(store) })
    const { upstream } = stage
    const needs: number[] = []
    const answers = Array.from({ length: CALLS }, async () => {
      const wanted = {
        cap: random.between(1, 1_500),
        text: 'x'.repeat(random.between(1, 2_000)),
        stream: random.chance(0.3),
      }
      const answer = await stage?.call(random.oneOf(SPOKEN), wanted, {}, 'over sockets')
      // What is admitted may be answered in a form its dialect does not know, and then breaks off.
      const text = (await answer?.text().catch(() => '')) ?? ''
      if (answer?.status === 429) needs.push(neededIn(text))
    })
    await until(async () => upstream.received.length + needs.length === CALLS || undefined, 20_000)
    const [level] = await stage.levels()
    const free = level?.free ?? -1
    expect(level?.reserved).toBeLessThanOrEqual(Number(limitNano) / 1e9)
    expect(Math.min(...needs)).toBeGreaterThan(free)
    const most = upstream.received.map(mostCostOf).reduce((sum, cost) => sum + cost, 0n)
    expect(most).toBeLessThanOrEqual(limitNano)
    for (const call of upstream.received) answerWhole(call, { input: 1, output: 1 })
    await Promise.all(answers)
  })
})

/** Random limits, calls, faults, disconnects and window turns; the campaign's own books are compared at every step. */
describe('a campaign of random calls', () => {
  it.each(STORES.flatMap((store) => Array.from({ length: 8 }, (_, round) => [store, round] as const)))(
    '%s, round %i',
    async (store, round) => {
      const seed = SEED + round
      const campaign = await Campaign.open(new Random(seed), fileFor(store))
      stage = campaign.stage
      try {
        for (let wave = 0; wave < 6; wave++) await campaign.wave()
        await campaign.checkLedger()
      } catch (error) {
        throw new Error(`SEED=${SEED} (round ${round}): ${campaign.description}`, { cause: error })
      }
    },
  )
})

/** The most a received call can have cost, by what the upstream saw: its bytes, and its cap. */
function mostCostOf({ body }: Received): bigint {
  const cap = /"(?:max_completion_tokens|max_tokens|maxOutputTokens)":(\d+)/.exec(body)?.[1] ?? '8000'
  return BigInt(Buffer.byteLength(body)) * NANO_PER_INPUT + BigInt(cap) * NANO_PER_OUTPUT
}

/** What a refusal says the call would have needed, in any dialect. */
function neededIn(text: string): number {
  return Number(/"needed":([\d.]+)/.exec(text)?.[1] ?? Number.NaN)
}
