// No overshoot: however many calls come at once, no more are sent than fit the limit. The provider holds every answer until
// all calls are decided, and its own log is what counts.

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { ManualClock } from '../support/clocks.ts'
import { answerWhole, useGateway } from '../support/gateway.ts'
import type { ProviderRequest } from '../support/provider.ts'
import { waitFor } from '../support/waiting.ts'
import {
  DIALECT_NAMES,
  NANO_USD_PER_INPUT_TOKEN,
  NANO_USD_PER_OUTPUT_TOKEN,
  PRICE,
  requestFor,
} from './dialect-fixtures.ts'
import { Random, SEED } from './random.ts'
import { RandomCalls } from './random-calls.ts'

const folder = mkdtempSync(join(tmpdir(), 'bursar-overshoot-'))
let fileCount = 0
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const STORES = ['memory', 'sqlite'] as const
const fileFor = (store: (typeof STORES)[number]) =>
  store === 'memory' ? {} : { path: join(folder, `${++fileCount}.db`) }

const CALLS = 200
const KEYS = 'alice:alice-secret-alice,bob:bob-secret-bob-bob'
const asAlice = { authorization: 'Bearer alice-secret-alice' }
const asBob = { authorization: 'Bearer bob-secret-bob-bob' }

/** What one call of these tests reserves: its size is the same each time. */
function reservationNanoUsd(): bigint {
  const { body } = requestFor('openai', { cap: 100 })
  return BigInt(body.length + 64 + 16) * NANO_USD_PER_INPUT_TOKEN + 100n * NANO_USD_PER_OUTPUT_TOKEN
}

const CALLS_THAT_FIT = 37
const budgetUsd = (calls: number, extraNanoUsd = 0n) => {
  const nano = reservationNanoUsd() * BigInt(calls) + extraNanoUsd
  return `0.${nano.toString().padStart(9, '0')}`
}

describe.each(STORES)('%s: 200 calls at once', (store) => {
  it.each([
    ['money per day', { global: { costPerDay: budgetUsd(CALLS_THAT_FIT) } }, CALLS_THAT_FIT],
    [
      'money per day, a nano-dollar short',
      { global: { costPerDay: budgetUsd(CALLS_THAT_FIT, -1n) } },
      CALLS_THAT_FIT - 1,
    ],
    ['money per month of one key', { perKey: { costPerMonth: budgetUsd(CALLS_THAT_FIT) } }, CALLS_THAT_FIT],
    ['requests per minute', { global: { requestsPerMinute: CALLS_THAT_FIT } }, CALLS_THAT_FIT],
    ['requests per day of a user', { perUser: { requestsPerDay: CALLS_THAT_FIT } }, CALLS_THAT_FIT],
    ['calls in flight', { global: { inFlight: CALLS_THAT_FIT } }, CALLS_THAT_FIT],
    ['calls in flight of one key', { 'key:alice': { inFlight: CALLS_THAT_FIT } }, CALLS_THAT_FIT],
  ])('against a limit on %s: as many are sent as fit', async (_, limits, fit) => {
    const gateway = await useGateway({
      config: { prices: [PRICE], limits },
      env: { BURSAR_KEYS: KEYS },
      respond: () => {},
      clock: new ManualClock(),
      ...fileFor(store),
    })
    const { provider } = gateway
    const refused: Response[] = []
    const answers = Array.from({ length: CALLS }, async () => {
      const answer = await gateway.client.asks('openai', { cap: 100 }, { headers: asAlice }, 'over sockets')
      if (answer.status === 429) refused.push(answer)
      return answer.text()
    })
    await waitFor(async () => provider.received.length + refused.length === CALLS || undefined, 20_000)
    expect(provider.received).toHaveLength(fit)
    for (const level of await gateway.ledger.levels('?key=alice')) {
      expect(level.settled + level.reserved).toBeLessThanOrEqual(level.capacity)
    }
    for (const call of provider.received) answerWhole(call, { input: 20, output: 100 })
    await Promise.all(answers)
    expect(await gateway.ledger.holds(fit)).toHaveLength(fit)
    expect(refused.every((answer) => Number(answer.headers.get('retry-after')) >= 1)).toBe(true)
  })

  it('with fees: what the provider bills, fees included, fits, and calls whose fees nobody knows before are refused', async () => {
    const feeNanoUsd = 25_000_000n
    const price = { ...PRICE, requests: '25', webSearches: '10' }
    const gateway = await useGateway({
      config: { prices: [price], limits: { global: { costPerDay: '0.20' } } },
      env: { UNBOUNDED_CALLS: 'refuse' },
      respond: () => {},
      clock: new ManualClock(),
      ...fileFor(store),
    })
    const { provider } = gateway
    const statuses: number[] = []
    const { path } = requestFor('openai', { cap: 100 })
    const answers = Array.from({ length: CALLS }, async (_, index) => {
      const { body } = requestFor('openai', { cap: 100 })
      const searching = { ...JSON.parse(body), web_search_options: {} }
      const answer = await gateway.client.fetch('over sockets', path, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: index % 4 === 0 ? JSON.stringify(searching) : body,
      })
      statuses.push(answer.status)
      return answer.text()
    })
    await waitFor(async () => provider.received.length + statuses.length === CALLS || undefined, 20_000)
    expect(provider.received.some(({ body }) => body.includes('web_search_options'))).toBe(false)
    for (const call of provider.received) answerWhole(call, { input: 20, output: 100 })
    await Promise.all(answers)
    const billedNanoUsd =
      BigInt(provider.received.length) *
      (feeNanoUsd + 20n * NANO_USD_PER_INPUT_TOKEN + 100n * NANO_USD_PER_OUTPUT_TOKEN)
    expect(provider.received.length).toBe(7)
    expect(billedNanoUsd).toBeLessThanOrEqual(200_000_000n)
    const [level] = await gateway.ledger.levels()
    expect(level?.settled).toBe(Number(billedNanoUsd) / 1e9)
    expect(statuses.filter((status) => status === 400)).toHaveLength(CALLS / 4)
    expect(statuses.filter((status) => status === 429)).toHaveLength((CALLS * 3) / 4 - 7)
  })

  it('a limit on each key is each key its own', async () => {
    const config = {
      prices: [PRICE],
      limits: { perKey: { costPerDay: budgetUsd(11) }, global: { costPerDay: budgetUsd(15) } },
    }
    const gateway = await useGateway({ config, env: { BURSAR_KEYS: KEYS }, respond: () => {}, ...fileFor(store) })
    const { provider } = gateway
    let refused = 0
    const ask = (headers: Record<string, string>) =>
      Array.from({ length: 30 }, async () => {
        const answer = await gateway.client.asks('openai', { cap: 100 }, { headers }, 'over sockets')
        refused += answer.status === 429 ? 1 : 0
        await answer.text()
      })
    const alice = ask(asAlice)
    await waitFor(async () => provider.received.length + refused === 30 || undefined)
    expect(provider.received).toHaveLength(11)
    const bob = ask(asBob)
    await waitFor(async () => provider.received.length + refused === 60 || undefined)
    expect(provider.received).toHaveLength(15)
    for (const call of provider.received) answerWhole(call, { input: 20, output: 100 })
    await Promise.all([...alice, ...bob])
  })

  it('calls of all sizes: what is sent fits, and what was refused would not have', async () => {
    console.info(`SEED=${SEED}`)
    const random = new Random(SEED)
    const limitNano = 30_000_000n
    const config = { prices: [PRICE], limits: { global: { costPerDay: '0.03' } } }
    const gateway = await useGateway({ config, respond: () => {}, ...fileFor(store) })
    const { provider } = gateway
    const needs: number[] = []
    const answers = Array.from({ length: CALLS }, async () => {
      const wanted = {
        cap: random.between(1, 1_500),
        text: 'x'.repeat(random.between(1, 2_000)),
        stream: random.chance(0.3),
      }
      const answer = await gateway.client.asks(random.oneOf(DIALECT_NAMES), wanted, {}, 'over sockets')
      // What is admitted may be answered in a form its dialect does not know, and then breaks off.
      const text = (await answer.text().catch(() => '')) ?? ''
      if (answer.status === 429) needs.push(neededIn(text))
    })
    await waitFor(async () => provider.received.length + needs.length === CALLS || undefined, 20_000)
    const [level] = await gateway.ledger.levels()
    const free = level?.free ?? -1
    expect(level?.reserved).toBeLessThanOrEqual(Number(limitNano) / 1e9)
    expect(Math.min(...needs)).toBeGreaterThan(free)
    const maxCost = provider.received.map(maxCostOf).reduce((sum, cost) => sum + cost, 0n)
    expect(maxCost).toBeLessThanOrEqual(limitNano)
    for (const call of provider.received) answerWhole(call, { input: 1, output: 1 })
    await Promise.all(answers)
  })
})

/** Random limits, calls, faults, disconnects and window turns; the test's own record is compared at every step. */
describe('random calls', () => {
  it.each(STORES.flatMap((store) => Array.from({ length: 8 }, (_, round) => [store, round] as const)))(
    '%s, round %i',
    async (store, round) => {
      const seed = SEED + round
      const randomCalls = await RandomCalls.open(new Random(seed), fileFor(store))
      try {
        for (let wave = 0; wave < 6; wave++) await randomCalls.runWave()
        await randomCalls.checkLedger()
      } catch (error) {
        throw new Error(`SEED=${SEED} (round ${round}): ${randomCalls.description}`, { cause: error })
      }
    },
  )
})

/** The most a received call can have cost, by what the provider saw: its bytes, and its cap. */
function maxCostOf({ body }: ProviderRequest): bigint {
  const cap = /"(?:max_completion_tokens|max_tokens|maxOutputTokens)":(\d+)/.exec(body)?.[1] ?? '8000'
  return BigInt(Buffer.byteLength(body)) * NANO_USD_PER_INPUT_TOKEN + BigInt(cap) * NANO_USD_PER_OUTPUT_TOKEN
}

/** What a refusal says the call would have needed, in any dialect. */
function neededIn(text: string): number {
  return Number(/"needed":([\d.]+)/.exec(text)?.[1] ?? Number.NaN)
}
