// Backtests: figures worked out by hand.

import { describe, expect, it } from 'vitest'
import { limitText, readLimits } from '../../src/config/limits.ts'
import type { Caller } from '../../src/core/ledger-entry.ts'
import { LimitPlan } from '../../src/core/limits.ts'
import { type BacktestQuery, Backtests, runBacktest } from '../../src/limits/backtest.ts'
import { Replay } from '../../src/limits/replay.ts'
import { MemoryStore } from '../../src/stores/memory/store.ts'
import { at, factsOf, outcomeOf, reservationOf, START_MS, usedOf } from '../stores/calls.ts'

const MINUTE_MS = 60_000
const HOUR_MS = 60 * MINUTE_MS
const DAY_MS = 24 * HOUR_MS

/** A call: when it came and ended, and what it reserved and used. Costs are nano-dollars. */
interface PastCall {
  readonly atMs: number
  readonly forMs?: number
  /** Reserved and used. */
  readonly cost?: readonly [reserved: bigint, used: bigint]
  readonly tokens?: readonly [reserved: number, used: number]
  readonly caller?: Partial<Caller>
  readonly model?: string
  readonly simulated?: boolean
  /** It never settles. */
  readonly isOpen?: boolean
}

/** A ledger of calls that no limit refused. Their ids are their places in the list. */
async function ledgerOf(calls: readonly PastCall[]): Promise<MemoryStore> {
  const store = new MemoryStore()
  for (const [index, call] of calls.entries()) {
    const {
      atMs,
      forMs = 1,
      cost = [10n, 10n],
      tokens = [10, 10],
      caller = {},
      model = 'gpt-4o',
      simulated = false,
    } = call
    const callId = `${index}`.padStart(3, '0')
    const reserved = { reservedTokens: tokens[0], reservedCostNanoUsd: cost[0], reservedAtMs: START_MS + atMs }
    await store.reserve([reservationOf(callId, [], { ...reserved, caller, model, simulated })], at(atMs))
    if (call.isOpen) continue
    const outcome = outcomeOf(tokens[1], cost[1], { settledAtMs: START_MS + atMs + forMs })
    await store.settle([{ callId, outcome, used: usedOf(tokens[1], cost[1]) }], at(atMs + forMs))
  }
  return store
}

async function correct(store: MemoryStore, callId: string, differenceNanoUsd: bigint, atMs: number): Promise<void> {
  const call = await store.entry(callId)
  if (!call) throw new Error(`There is no call ${callId}.`)
  const facts = { ...call.facts, callId: `${callId}-corrected`, reservedTokens: 0, reservedCostNanoUsd: 0n }
  const outcome = outcomeOf(0, differenceNanoUsd, { ending: 'adjusted', settledAtMs: START_MS + atMs })
  const adjustment = { callId, reason: 'the invoice' }
  await store.append([{ kind: 'adjustment', facts, outcome, adjustment, charges: [] }], at(atMs))
}

async function backtest(store: MemoryStore, limits: unknown, span: Partial<BacktestQuery> = {}) {
  const mistakes: never[] = []
  const read = readLimits(limits, mistakes).limits.map((limit) => ({ ...limit, source: limitText(limit) }))
  expect(mistakes).toEqual([])
  const query = { limits: read, timeZone: 'UTC', fromMs: START_MS, untilMs: START_MS + 30 * DAY_MS, simulated: false }
  const tally = await runBacktest(store, { ...query, ...span }, () => false)
  if (!tally) throw new Error('The backtest ended early.')
  return {
    tally,
    refused: tally.firstCalls.map(({ call }) => call.callId),
    reasons: tally.firstCalls.map(({ limits: names }) => names.join(' ')),
  }
}

describe('a backtest refuses', () => {
  it('what does not fit beside what earlier calls hold until they settle, and use from then on', async () => {
    const store = await ledgerOf([
      // Holds 30 until 100 ms, and has used 5 from then on.
      { atMs: 0, forMs: 100, cost: [30n, 5n] },
      // 30 + 20 fits into 50.
      { atMs: 10, forMs: 10, cost: [20n, 20n] },
      // 30 + 20 + 1 does not.
      { atMs: 50, cost: [1n, 1n] },
      // 5 + 20 + 25 fits exactly, and 26 does not.
      { atMs: 100, forMs: 10, cost: [26n, 1n] },
      { atMs: 101, forMs: 10, cost: [25n, 25n] },
      // The next day's window is new.
      { atMs: 12 * HOUR_MS, cost: [50n, 50n] },
      { atMs: 12 * HOUR_MS + 5, cost: [1n, 1n] },
      // A call that costs nothing passes a limit on cost that is used up.
      { atMs: 12 * HOUR_MS + 6, cost: [0n, 0n] },
    ])
    const { tally, refused } = await backtest(store, { global: { costPerDay: '0.00000005' } })
    expect(refused).toEqual(['002', '003', '006'])
    expect(tally.all).toEqual({ calls: 8, tokens: 80, costNanoUsd: 5n + 20n + 1n + 1n + 25n + 50n + 1n })
    expect(tally.refused).toEqual({ calls: 3, tokens: 30, costNanoUsd: 3n })
  })

  it('by a bucket what has not drained yet, and by a limit on calls in flight', async () => {
    const store = await ledgerOf([
      { atMs: 0, forMs: 5_000 },
      { atMs: 0, forMs: 1_000 },
      // Two in flight: refused. The bucket would have been full as well.
      { atMs: 500 },
      // One in flight since a second; two of two requests a minute are used until half a minute has passed.
      { atMs: 1_000 },
      { atMs: 29_999 },
      { atMs: 30_000 },
      { atMs: 30_001 },
    ])
    const { refused, reasons } = await backtest(store, { perKey: { requestsPerMinute: 2, inFlight: 2 } })
    expect(refused).toEqual(['002', '003', '004', '006'])
    expect(reasons).toEqual([
      'perKey.requestsPerMinute perKey.inFlight',
      'perKey.requestsPerMinute',
      'perKey.requestsPerMinute',
      'perKey.requestsPerMinute',
    ])
  })

  it('for each subject by itself, and says whose calls, by which limit, when the first, and what they used', async () => {
    const ann = { key: 'web', user: 'ann' }
    const bob = { key: 'web', user: 'bob' }
    const store = await ledgerOf([
      { atMs: 0, caller: ann, tokens: [60, 60] },
      { atMs: 10, caller: bob, tokens: [60, 60], cost: [7n, 7n] },
      { atMs: 20, caller: ann, tokens: [60, 50], cost: [9n, 8n] },
      { atMs: 30, caller: ann, tokens: [60, 50], cost: [9n, 8n], isOpen: true },
      { atMs: 40, caller: { key: 'ci' }, tokens: [101, 1] },
    ])
    const limits = {
      perUser: { tokensPerDay: 100 },
      'user:web/bob': { tokensPerDay: 1_000 },
      'key:ci': { costPerDay: 0 },
    }
    const { tally, refused } = await backtest(store, limits)
    expect(refused).toEqual(['002', '003', '004'])
    const [first, last] = [
      { callId: '002', reservedAtMs: START_MS + 20 },
      { callId: '004', reservedAtMs: START_MS + 40 },
    ]
    // An open call counts with what it reserved.
    expect([...tally.subjects.byName]).toEqual([
      ['user:web/ann', { calls: 2, tokens: 110, costNanoUsd: 17n, first }],
      ['user:ci/(none)', { calls: 1, tokens: 1, costNanoUsd: 10n, first: last }],
      ['key:ci', { calls: 1, tokens: 1, costNanoUsd: 10n, first: last }],
    ])
    expect([...tally.keys.byName]).toEqual([
      ['web', { calls: 2, tokens: 110, costNanoUsd: 17n, first }],
      ['ci', { calls: 1, tokens: 1, costNanoUsd: 10n, first: last }],
    ])
    expect([...tally.limits.byName]).toEqual([
      ['perUser.tokensPerDay', { calls: 3, tokens: 111, costNanoUsd: 27n, first }],
      ['key:ci.costPerDay', { calls: 1, tokens: 1, costNanoUsd: 10n, first: last }],
    ])
  })

  it('nothing by a limit that is not enforced', async () => {
    const store = await ledgerOf([{ atMs: 0 }, { atMs: 10 }])
    const { tally } = await backtest(store, { global: { requestsPerDay: { amount: 1, enforce: false } } })
    expect(tally.refused.calls).toBe(0)
  })
})

describe('a backtest counts', () => {
  it('a correction in the window of its call from the instant on at which it was made, if the call was admitted', async () => {
    const calls = [0, 10, 20, 30].map((atMs) => ({ atMs, cost: [10n, 10n] as const }))
    const store = await ledgerOf(calls)
    // 10 + 10 + 10 + 10 would fit into 40; from 15 ms on, the first call cost 5 more.
    await correct(store, '000', 5n, 15)
    expect((await backtest(store, { global: { costPerDay: '0.00000004' } })).refused).toEqual(['003'])
    const { tally, refused } = await backtest(store, { global: { costPerDay: '0.00000004', inFlight: 0 } })
    expect(refused).toHaveLength(4)
    expect(tally.refused.costNanoUsd).toBe(45n)
    // The corrected call is refused, so its correction is gone with it.
    const dear = await ledgerOf([
      { atMs: 0, cost: [50n, 10n] },
      ...calls.map((call) => ({ ...call, atMs: call.atMs + 1 })),
    ])
    await correct(dear, '000', 5n, 5)
    expect((await backtest(dear, { global: { costPerDay: '0.00000004' } })).refused).toEqual(['000'])
  })

  it('costs of failed attempts with the targets that they were made at', async () => {
    const store = new MemoryStore()
    const attempt = { status: 500, durationMs: 1, error: 'overloaded', provider: 'openai' }
    const facts = factsOf('000', { reservedCostNanoUsd: 40n })
    const attempts = [
      { ...attempt, model: 'gpt-4.1', costNanoUsd: 30n },
      { ...attempt, model: 'gpt-4o', costNanoUsd: 10n },
    ]
    await store.reserve([{ facts, charges: [], expiresAtMs: at(1000).monoMs }], at())
    const outcome = outcomeOf(10, 40n, { attempts, settledAtMs: START_MS + 1 })
    await store.settle([{ callId: '000', outcome, used: undefined }], at(1))
    for (const [index, model] of ['gpt-4o', 'gpt-4.1'].entries()) {
      const reserved = { model, reservedCostNanoUsd: 11n, reservedAtMs: START_MS + 10 + index }
      await store.reserve([reservationOf(`00${index + 1}`, [], reserved)], at(10 + index))
    }
    // gpt-4o has used 10 of 40 and takes 11; gpt-4.1 has used 30 and has no room for 11.
    expect((await backtest(store, { perModel: { costPerDay: '0.00000004' } })).refused).toEqual(['002'])
    // The provider has all 40.
    expect((await backtest(store, { perProvider: { costPerDay: '0.00000004' } })).refused).toEqual(['001', '002'])
  })

  it('dated names of a model together', async () => {
    const models = ['gpt-4o', 'gpt-4o-2024-08-06', 'openai/gpt-4o', 'gpt-4.1']
    const store = await ledgerOf(models.map((model, index) => ({ atMs: 10 * index, model })))
    const { refused } = await backtest(store, { 'model:openai/gpt-4o': { requestsPerDay: 2 } })
    expect(refused).toEqual(['002'])
  })

  it('in windows that began before the span what the ledger has of them, and starts with buckets that are full', async () => {
    const store = await ledgerOf([
      { atMs: -13 * HOUR_MS, cost: [10n, 10n] },
      { atMs: -30_000, cost: [10n, 10n] },
      { atMs: -1, cost: [99n, 10n], caller: { key: 'other' } },
      { atMs: 0, cost: [20n, 20n] },
      { atMs: 10, cost: [1n, 1n] },
      { atMs: 30_000, cost: [1n, 1n] },
    ])
    const refusedBy = async (limits: unknown) => (await backtest(store, limits)).refused
    expect(await refusedBy({ 'key:(none)': { costPerDay: '0.00000003' } })).toEqual(['004', '005'])
    expect(await refusedBy({ 'key:(none)': { costPerMonth: '0.00000004' } })).toEqual(['004', '005'])
    expect(await refusedBy({ perKey: { costPerTotal: '0.00000004' } })).toEqual(['004', '005'])
    expect(await refusedBy({ perKey: { costPerTotal: '0.000000041' } })).toEqual(['005'])
    expect(await refusedBy({ global: { costPerDay: '0.00000004' } })).toEqual(['004', '005'])
    expect(await refusedBy({ perKey: { costPerMinute: '0.0000001', requestsPerMinute: 2 } })).toEqual([])
  })

  it('with no more levels in memory than windows that have not been over for long', async () => {
    const mistakes: never[] = []
    const { limits } = readLimits({ perUser: { requestsPerMinute: { amount: 1, refill: 'window' } } }, mistakes)
    const replay = new Replay(new LimitPlan(limits, 'UTC'), false)
    for (let index = 0; index < 3_000; index++) {
      const reservedAtMs = START_MS + index * MINUTE_MS
      const { caller, provider, model, callId } = factsOf(`${index}`, { caller: { user: `u${index}` } })
      const used = { reservedTokens: 1, reservedCostNanoUsd: 1n, corrections: [] }
      const settled = { atMs: reservedAtMs + 1, tokens: 1, costNanoUsd: 1n, targets: [] }
      expect(replay.decide({ callId, caller, provider, model, reservedAtMs, ...used, settled })).toEqual([])
    }
    expect(replay.levelCount).toBeLessThan(50)
  })

  it('real calls alone, or simulated calls alone, of the span', async () => {
    const store = await ledgerOf([
      { atMs: 0 },
      { atMs: 10, simulated: true },
      { atMs: 20 },
      { atMs: 30, simulated: true },
    ])
    const limits = { global: { requestsPerDay: 1 } }
    expect((await backtest(store, limits)).refused).toEqual(['002'])
    expect((await backtest(store, limits, { simulated: true })).refused).toEqual(['003'])
    const { tally } = await backtest(store, limits, { fromMs: START_MS + 1, untilMs: START_MS + 20 })
    expect(tally.all.calls).toBe(0)
  })
})

describe('backtests', () => {
  const query = { limits: [], timeZone: 'UTC', fromMs: START_MS, untilMs: START_MS + DAY_MS, simulated: false }

  it('run one at a time', async () => {
    const backtests = new Backtests(await ledgerOf([{ atMs: 0 }]))
    const first = backtests.run(query, () => false)
    await expect(backtests.run(query, () => false)).rejects.toMatchObject({ code: 'backtest_running', status: 409 })
    await first
    expect((await backtests.run(query, () => false))?.all.calls).toBe(1)
  })

  it('end between two pages once nobody waits, and let other work in between', async () => {
    const store = await ledgerOf(Array.from({ length: 600 }, (_, index) => ({ atMs: index })))
    let turns = 0
    let asked = 0
    const count = () => {
      turns += 1
      if (asked < 3) setImmediate(count)
    }
    setImmediate(count)
    expect(await new Backtests(store).run(query, () => ++asked >= 3)).toBeUndefined()
    expect(asked).toBe(3)
    expect(turns).toBeGreaterThanOrEqual(2)
  })
})
