// Meters: the arithmetic of buckets and windows, as tables and as properties over random sequences.

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  advance,
  type BucketLevel,
  type Charge,
  isIdle,
  type Level,
  type Meter,
  newLevel,
  release,
  settle,
  shortfallReason,
  take,
  viewOf,
} from '../../src/core/meter.ts'

const meter = (overrides: Partial<Meter> = {}): Meter => ({
  key: 'm',
  name: 'tokens_per_minute',
  who: 'global',
  subject: '',
  what: 'tokens',
  span: 'minute',
  refill: 'steady',
  spanMs: 60_000,
  endsAtMs: Number.POSITIVE_INFINITY,
  ...overrides,
})
const charge = (amount: bigint, capacity: bigint, overrides: Partial<Meter> = {}, enforced = true): Charge => ({
  meter: meter(overrides),
  amount,
  capacity,
  enforced,
})
const instant = (ms: number) => ({ wallMs: ms, monoMs: ms })
const bucket = (used: bigint, atMs = 0, remainder = 0n): BucketLevel => ({
  kind: 'bucket',
  used,
  remainder,
  atMs,
  taken: 0n,
  drained: 0n,
})

describe('shortfall', () => {
  const window = { refill: 'window', endsAtMs: 1000 } as const
  const total = { refill: 'window' } as const
  test.each([
    ['an empty bucket takes its capacity', bucket(0n), charge(60n, 60n), 0, undefined],
    ['one unit over it never fits', bucket(0n), charge(61n, 60n), 0, { kind: 'never' }],
    ['a full bucket drains a unit per second', bucket(60n), charge(1n, 60n), 0, { kind: 'time', waitMs: 1000 }],
    ['a millisecond before it does not fit', bucket(60n), charge(1n, 60n), 999, { kind: 'time', waitMs: 1 }],
    ['then it does', bucket(60n), charge(1n, 60n), 1000, undefined],
    ['a carried remainder counts', bucket(60n, 0, 59_940n), charge(1n, 60n), 0, { kind: 'time', waitMs: 1 }],
    ['debt is paid first', bucket(120n), charge(1n, 60n), 0, { kind: 'time', waitMs: 61_000 }],
    [
      'a clock that stepped back adds to the wait',
      bucket(60n, 500),
      charge(1n, 60n),
      0,
      { kind: 'time', waitMs: 1500 },
    ],
    ['no capacity is never, even for nothing', bucket(5n), charge(0n, 0n), 0, { kind: 'never' }],
    [
      'a window has room',
      { kind: 'window', settled: 40n, reserved: 20n, endsAtMs: 1000 },
      charge(40n, 100n, window),
      0,
      undefined,
    ],
    [
      'open calls may make room',
      { kind: 'window', settled: 40n, reserved: 20n, endsAtMs: 1000 },
      charge(41n, 100n, window),
      0,
      { kind: 'inFlight' },
    ],
    [
      'only the turn makes room',
      { kind: 'window', settled: 80n, reserved: 0n, endsAtMs: 1000 },
      charge(30n, 100n, window),
      400,
      { kind: 'time', waitMs: 600 },
    ],
    [
      'a total never turns',
      { kind: 'window', settled: 80n, reserved: 0n, endsAtMs: Number.POSITIVE_INFINITY },
      charge(30n, 100n, total),
      0,
      { kind: 'never' },
    ],
    [
      'a free call passes a spent budget',
      { kind: 'window', settled: 200n, reserved: 0n, endsAtMs: 1000 },
      charge(0n, 100n, { ...window, what: 'cost' }),
      0,
      undefined,
    ],
    ['a call of its own: over', undefined, charge(5n, 4n, { refill: 'call' }), 0, { kind: 'never' }],
    ['a call of its own: within', undefined, charge(4n, 4n, { refill: 'call' }), 0, undefined],
  ] as [string, Level | undefined, Charge, number, unknown][])('%s', (_name, level, taken, ms, expected) => {
    const before = structuredClone(level)
    expect(shortfallReason(level, taken, instant(ms))).toEqual(expected)
    expect(level).toEqual(before)
  })
})

const capacities = fc.bigInt({ min: 1n, max: 100_000n })
const spansMs = fc.constantFrom(1000, 60_000, 3_600_000)

test('many small steps drain what one big step does', () => {
  const steps = fc.array(fc.integer({ min: 0, max: 5000 }), { maxLength: 50 })
  const property = fc.property(capacities, spansMs, fc.bigInt(0n, 200_000n), steps, (capacity, spanMs, used, list) => {
    const [small, big] = [bucket(used), bucket(used)]
    let now = 0
    for (const step of list) advance(small, charge(0n, capacity, { spanMs }), instant((now += step)))
    advance(big, charge(0n, capacity, { spanMs }), instant(now))
    expect([small.used, small.remainder]).toEqual([big.used, big.remainder])
  })
  fc.assert(property, { numRuns: 500 })
})

test('waiting for exactly `waitMs` admits; one millisecond less refuses', () => {
  const property = fc.property(
    capacities,
    spansMs,
    fc.bigInt(0n, 300_000n),
    fc.nat(1_000_000),
    fc.integer({ min: -10_000, max: 10_000_000 }),
    fc.double({ min: 0, max: 1, noNaN: true }),
    (capacity, spanMs, used, rest, now, part) => {
      const level = bucket(used, 0, BigInt(rest % spanMs))
      const wanted = charge(1n + BigInt(Math.floor(Number(capacity - 1n) * part)), capacity, { spanMs })
      const short = shortfallReason(level, wanted, instant(now))
      if (!short) return
      if (short.kind !== 'time') throw new Error(short.kind)
      expect(shortfallReason(level, wanted, instant(now + short.waitMs - 1))).toBeDefined()
      expect(shortfallReason(level, wanted, instant(now + short.waitMs))).toBeUndefined()
      const polled = { ...level }
      for (const ms of [0.1, 0.5, 0.9]) advance(polled, wanted, instant(now + Math.floor(short.waitMs * ms)))
      expect(shortfallReason(polled, wanted, instant(now + short.waitMs - 1))).toBeDefined()
      expect(shortfallReason(polled, wanted, instant(now + short.waitMs))).toBeUndefined()
    },
  )
  fc.assert(property, { numRuns: 5000 })
})

/** A call that is taken if it fits, and settled after a while at a part of what it took. */
interface RandomCharge {
  readonly afterMs: number
  readonly part: number
  readonly openMs: number
  readonly usedPart: number
}
const randomCharge: fc.Arbitrary<RandomCharge> = fc.record({
  afterMs: fc.oneof(fc.constantFrom(0, 0, 1000, 60_000), fc.integer({ min: 0, max: 90_000 })),
  part: fc.oneof(fc.constantFrom(1, 0.5), fc.double({ min: 0, max: 1, noNaN: true })),
  openMs: fc.oneof(fc.constantFrom(0, 1000, 60_000, 61_000), fc.integer({ min: 0, max: 200_000 })),
  usedPart: fc.oneof(fc.constant(0), fc.constant(1), fc.double({ min: 0, max: 1, noNaN: true })),
})

/** What a bucket admitted: when, and what of it was used. */
function admitCalls(calls: readonly RandomCharge[], capacity: bigint, spanMs: number): { ms: number; used: bigint }[] {
  const found: { ms: number; used: bigint }[] = []
  const level = newLevel(meter({ spanMs }), instant(0))
  let open: { charge: Charge; endMs: number; used: bigint }[] = []
  let now = 0
  const end = (until: number) => {
    open.sort((a, b) => a.endMs - b.endMs)
    for (const call of open.filter(({ endMs }) => endMs <= until))
      settle(level, call.charge, call.used, instant(call.endMs))
    open = open.filter(({ endMs }) => endMs > until)
  }
  for (const { afterMs, part, openMs, usedPart } of calls) {
    now += afterMs
    end(now)
    const wanted = charge(BigInt(Math.ceil(Number(capacity) * part)) || 1n, capacity, { spanMs })
    if (shortfallReason(level, wanted, instant(now))) continue
    const taken = take(level, wanted, instant(now))
    const used = BigInt(Math.floor(Number(wanted.amount) * usedPart))
    open.push({ charge: taken, endMs: now + openMs, used })
    found.push({ ms: now, used })
  }
  return found
}

test('over any stretch of time a bucket promises no more than its capacity and what drained in it', () => {
  const property = fc.property(
    capacities,
    spansMs,
    fc.array(randomCharge, { maxLength: 40 }),
    (capacity, spanMs, calls) => {
      const list = admitCalls(calls, capacity, spanMs)
      for (let first = 0; first < list.length; first++) {
        let sum = 0n
        for (let last = first; last < list.length; last++) {
          const from = list[first]?.ms ?? 0
          const { ms, used } = list[last] ?? { ms: 0, used: 0n }
          sum += used
          // In unit × ms, so that nothing is rounded. One unit of slack: drained time is carried, not lost.
          const maxUsed = (capacity + 1n) * BigInt(spanMs) + BigInt(ms - from) * capacity
          expect(sum * BigInt(spanMs) <= maxUsed).toBe(true)
        }
      }
    },
  )
  fc.assert(property, { numRuns: 1500 })
})

test('a released charge leaves the level as if it had never been taken, at once and after a while', () => {
  const property = fc.property(
    capacities,
    fc.bigInt(0n, 50_000n),
    fc.nat(59_999),
    fc.bigInt(1n, 50_000n),
    fc.nat(100_000),
    fc.nat(100_000),
    (capacity, used, rest, amount, before, after) => {
      const start = bucket(used, 0, used === 0n ? 0n : BigInt(rest))
      const large = charge(amount, capacity)
      const level = { ...start }
      const taken = take(level, large, instant(before))
      advance(level, large, instant(before + after))
      release(level, taken)
      const copy = { ...start }
      advance(copy, large, instant(before + after))
      expect({ ...level, taken: 0n, drained: 0n }).toEqual({ ...copy, drained: 0n })
    },
  )
  fc.assert(property, { numRuns: 1000 })
})

test('what is given back to a bucket never leaves it emptier than if the call had only taken what it used', () => {
  // One call among others, against the same others without it: what the bucket owes afterwards must not be less.
  const others = fc.array(fc.record({ afterMs: fc.nat(5000), amount: fc.bigInt(0n, 40n) }), { maxLength: 12 })
  const property = fc.property(others, fc.nat(12), fc.nat(5000), fc.bigInt(0n, 60n), (list, place, afterMs, used) => {
    const [withIt, without] = [bucket(0n), bucket(0n)]
    const chargeOf = (amount: bigint) => charge(amount, 60n, {}, true)
    let now = 0
    let taken: Charge | undefined
    for (const [index, held] of list.entries()) {
      now += held.afterMs
      if (index === place) {
        taken = take(withIt, chargeOf(60n), instant(now))
        take(without, chargeOf(used), instant(now))
      }
      for (const level of [withIt, without]) take(level, chargeOf(held.amount), instant(now))
    }
    now += afterMs
    if (!taken) return
    settle(withIt, taken, used, instant(now))
    advance(without, chargeOf(0n), instant(now))
    expect(withIt.used).toBeGreaterThanOrEqual(without.used)
  })
  fc.assert(property, { numRuns: 2000 })
})

/** A call of a bucket of 60 a minute: when it comes after the call before, what it takes, and how much of it it uses when it settles. */
interface SettledCall {
  readonly afterMs: number
  readonly amount: bigint
  readonly usedPercent: number
  readonly openMs: number
}

/** What two buckets hold at the end: one took each call's amount and settled, the other took what each call used. */
function usedAfter(calls: readonly SettledCall[]): { readonly settled: bigint; readonly usedOnly: bigint } {
  const [settled, usedOnly] = [bucket(0n), bucket(0n)]
  let now = 0
  const open: { settlesAtMs: number; taken: Charge; used: bigint }[] = []
  const settleUntil = (untilMs: number) => {
    open.sort((left, right) => left.settlesAtMs - right.settlesAtMs)
    while (open[0] && open[0].settlesAtMs <= untilMs) {
      const [{ settlesAtMs, taken, used }] = open.splice(0, 1) as [(typeof open)[0]]
      settle(settled, taken, used, instant(settlesAtMs))
    }
  }
  for (const { afterMs, amount, usedPercent, openMs } of calls) {
    now += afterMs
    settleUntil(now)
    const used = (amount * BigInt(usedPercent)) / 100n
    open.push({ settlesAtMs: now + openMs, taken: take(settled, charge(amount, 60n), instant(now)), used })
    take(usedOnly, charge(used, 60n), instant(now))
  }
  settleUntil(Number.POSITIVE_INFINITY)
  for (const level of [settled, usedOnly]) advance(level, charge(0n, 60n), instant(now + 20_000))
  return { settled: settled.used, usedOnly: usedOnly.used }
}

test('calls that settle in any order never leave a bucket emptier than if they had only taken what they used', () => {
  const calls = fc.array(
    fc.record({
      afterMs: fc.nat(5000),
      amount: fc.bigInt(0n, 60n),
      usedPercent: fc.nat(100),
      openMs: fc.nat(20_000),
    }),
    { minLength: 1, maxLength: 12 },
  )
  const property = fc.property(calls, (list) => {
    const { settled, usedOnly } = usedAfter(list)
    expect(settled).toBeGreaterThanOrEqual(usedOnly)
  })
  fc.assert(property, { numRuns: 5000 })
})

/** Found by the property above for arithmetic that was wrong, which it finds in some runs only. */
const FOUND: readonly (readonly [string, readonly (readonly [number, bigint, number, number])[]])[] = [
  [
    'a part of a unit that drained counts as a whole one',
    // after ms, amount, used percent, open for ms
    [
      [0, 2n, 0, 1009],
      [1008, 3n, 34, 0],
      [206, 6n, 84, 0],
      [4832, 3n, 67, 0],
      [1967, 3n, 34, 0],
      [1031, 12n, 92, 0],
      [3777, 8n, 13, 0],
      [3313, 30n, 64, 0],
      [4866, 0n, 0, 0],
    ],
  ],
]

test.each(FOUND)('a refund leaves others what they hold: %s', (_name, rows) => {
  const calls = rows.map(([afterMs, amount, usedPercent, openMs]) => ({ afterMs, amount, usedPercent, openMs }))
  const { settled, usedOnly } = usedAfter(calls)
  expect(settled).toBeGreaterThanOrEqual(usedOnly)
})

test('calls that settle in another order than they came give back what they did not use', () => {
  const level = bucket(0n)
  const first = take(level, charge(1_000n, 10_000n), instant(0))
  const second = take(level, charge(1_000n, 10_000n), instant(0))
  settle(level, second, 100n, instant(0))
  settle(level, first, 100n, instant(0))
  expect(level.used).toBe(200n)
})

test('a call that others overtake loses no more of its refund than drained while it was open', () => {
  const level = bucket(0n)
  const first = take(level, charge(1_000n, 6_000n), instant(0))
  const second = take(level, charge(1_000n, 6_000n), instant(0))
  settle(level, second, 100n, instant(1000))
  settle(level, first, 100n, instant(2000))
  // 200 drained in these two seconds: of the 200 used nothing is left, and at most as much again is lost.
  expect(level.used).toBeLessThanOrEqual(201n)
})

test('what drained while a call was open is not given back a second time', () => {
  const level = bucket(0n)
  const first = take(level, charge(60n, 60n), instant(0))
  take(level, charge(60n, 60n), instant(60_000))
  settle(level, first, 0n, instant(60_000))
  expect(shortfallReason(level, charge(1n, 60n), instant(60_000))).toEqual({ kind: 'time', waitMs: 1000 })
})

test('a clock that steps back mints nothing, and one that stepped forward goes on from there', () => {
  const level = bucket(60n)
  const small = charge(1n, 60n)
  advance(level, small, instant(10_000))
  for (const ms of [9000, 0, -5, 9999]) advance(level, small, instant(ms))
  expect(level).toEqual({ ...bucket(50n, 10_000), drained: 10n })
  advance(level, small, instant(11_000))
  expect(level.used).toBe(49n)
})

test('a changed capacity needs no conversion', () => {
  const level = bucket(50n)
  expect(shortfallReason(level, charge(1n, 40n), instant(0))).toEqual({ kind: 'time', waitMs: 16_500 })
  expect(shortfallReason(level, charge(30n, 80n), instant(0))).toBeUndefined()
})

test('views show what is free, never less than 0, and when a level is empty again', () => {
  expect(viewOf(bucket(90n), charge(0n, 60n), instant(0))).toMatchObject({ settled: 90n, free: 0n, resetMs: 90_000 })
  expect(viewOf(bucket(90n), charge(0n, 60n), instant(90_000))).toMatchObject({ settled: 0n, free: 60n, resetMs: 0 })
  expect(viewOf(bucket(9n), charge(0n, 0n), instant(0))).toMatchObject({ free: 0n, resetMs: 0 })
  const turning = charge(0n, 10n, { refill: 'window', endsAtMs: 700 })
  expect(viewOf(undefined, turning, instant(100))).toMatchObject({ settled: 0n, reserved: 0n, free: 10n, resetMs: 600 })
  const held: Level = { kind: 'window', settled: 4n, reserved: 9n, endsAtMs: 700 }
  expect(viewOf(held, turning, instant(900))).toMatchObject({ settled: 4n, reserved: 9n, free: 0n, resetMs: 0 })
})

test('idle levels need not be kept', () => {
  expect([isIdle(bucket(0n)), isIdle(bucket(1n))]).toEqual([true, false])
  expect(isIdle({ kind: 'window', settled: 0n, reserved: 1n, endsAtMs: 0 })).toBe(false)
})
