// What every store promises of the ways in which a call ends.

import { afterEach, beforeEach, expect } from 'vitest'
import type { Store } from '../../../src/stores/store.ts'
import { at, everyCharge, outcomeOf, reservationOf, usedOf } from '../calls.ts'
import type { OpenedStore, StoreFactory } from './conformance.ts'
import { promise, promiseOfEach } from './promises.ts'

/** How a call ended, what `settle` is given, and what the meters hold afterwards. One row per row of the design. */
const ENDINGS = [
  { how: 'usage arrived', ending: 'completed', certainty: 'exact', used: usedOf(40, 25n), tokens: 40n, cost: 25n },
  {
    how: 'client left, drained',
    ending: 'canceled',
    certainty: 'exact',
    used: usedOf(70, 44n),
    tokens: 70n,
    cost: 44n,
  },
  { how: 'client left, charged', ending: 'canceled', certainty: 'upperBound', used: undefined, tokens: 90n, cost: 90n },
  { how: 'client left, cut', ending: 'canceled', certainty: 'estimated', used: usedOf(9, 7n), tokens: 9n, cost: 7n },
  { how: 'upstream died', ending: 'failed', certainty: 'upperBound', used: undefined, tokens: 90n, cost: 90n },
  { how: 'not a byte written', ending: 'failed', certainty: 'exact', used: usedOf(0, 0n), tokens: 0n, cost: 0n },
  {
    how: 'bound of one attempt',
    ending: 'failed',
    certainty: 'upperBound',
    used: usedOf(60, 50n),
    tokens: 60n,
    cost: 50n,
  },
] as const

export function endingsSuite(kind: StoreFactory): void {
  let store: Store
  let failWrites: OpenedStore['failWrites']
  beforeEach(async () => {
    ;({ store, failWrites } = await kind.open())
  })
  afterEach(() => store.close(at()))

  const charges = [...everyCharge(90n, 1000n)]
  const held = () => store.levels(charges, at())

  const settlements = 'a settlement replaces the reservation by what was used, or by the whole of it if that is unknown'
  promiseOfEach(settlements, ENDINGS, async ({ ending, certainty, used, tokens, cost }) => {
    await store.reserve([reservationOf('call', charges, { reservedCostNanoUsd: 90n, reservedTokens: 90 })], at())
    const outcome = outcomeOf(Number(tokens), cost, { ending, certainty })
    expect(await store.settle([{ callId: 'call', outcome, used }], at())).toEqual(['settled'])
    const [requests, perMinute, today, total, inFlight] = await held()
    expect(requests).toMatchObject({ settled: 1n })
    expect(perMinute).toMatchObject({ settled: tokens })
    expect(today).toMatchObject({ settled: cost, reserved: 0n })
    expect(total).toMatchObject({ settled: cost, reserved: 0n })
    expect(inFlight).toMatchObject({ settled: 0n, reserved: 0n })
    expect((await store.figures({ simulated: false })).open).toEqual({ calls: 0, tokens: 0, costNanoUsd: 0n })
    expect(await store.entry('call')).toMatchObject({ outcome, settledSeq: 1 })
  })

  promise('an expired call is settled in full by the sweep, and a settlement after that is late', async () => {
    await store.reserve([reservationOf('lost', charges, { reservedCostNanoUsd: 90n, reservedTokens: 90 })], at())
    expect(await store.sweep(at(59_999))).toEqual([])
    const [swept] = await store.sweep(at(60_000))
    expect(swept).toMatchObject({
      facts: { callId: 'lost' },
      outcome: { ending: 'expired', certainty: 'upperBound', usage: { output: 90 }, cost: { totalNanoUsd: 90n } },
    })
    const [, , today, , inFlight] = await held()
    expect([today?.settled, today?.reserved, inFlight?.reserved]).toEqual([90n, 0n, 0n])
    const before = await held()
    const late = { callId: 'lost', outcome: outcomeOf(5, 5n), used: usedOf(5, 5n) }
    expect(await store.settle([late], at(60_001))).toEqual(['late'])
    expect((await store.figures({ simulated: false })).lateSettlements).toBe(1)
    expect(await held()).toEqual(before)
    expect(await store.entry('lost')).toEqual(swept)
    expect(await store.sweep(at(70_000))).toEqual([])
  })

  promise('settling twice changes nothing but the count of late settlements', async () => {
    await store.reserve([reservationOf('call', charges)], at())
    const settlement = { callId: 'call', outcome: outcomeOf(5, 5n), used: usedOf(5, 5n) }
    expect(await store.settle([settlement, settlement], at())).toEqual(['settled', 'late'])
    const [levels, entry] = [await held(), await store.entry('call')]
    const second = { callId: 'call', outcome: outcomeOf(80, 80n), used: undefined }
    expect(await store.settle([second], at())).toEqual(['late'])
    expect(await held()).toEqual(levels)
    expect(await store.entry('call')).toEqual(entry)
    expect((await store.figures({ simulated: false })).lateSettlements).toBe(2)
  })

  promise('a call that was never reserved cannot be settled', async () => {
    expect(await store.settle([{ callId: 'ghost', outcome: outcomeOf(1, 1n), used: undefined }], at())).toEqual([
      'late',
    ])
    expect((await store.figures({ simulated: false })).report.total().requests).toBe(0)
  })

  promise('a settlement that cannot be written is retried, and until then counts as open', async () => {
    await store.reserve([reservationOf('call', charges, { reservedCostNanoUsd: 90n, reservedTokens: 90 })], at())
    const repair = failWrites?.()
    const settling = store.settle([{ callId: 'call', outcome: outcomeOf(5, 5n), used: usedOf(5, 5n) }], at())
    if (repair) {
      const { open, report } = await store.figures({ simulated: false })
      expect(open).toEqual({ calls: 1, tokens: 90, costNanoUsd: 90n })
      expect(report.total().requests).toBe(0)
      repair()
    }
    expect(await settling).toEqual(['settled'])
    const { open, report } = await store.figures({ simulated: false })
    expect([open.calls, report.total().costNanoUsd]).toEqual([0, 5n])
  })
}
