// Levels: all or nothing over many meters, one saved state per change, and memory bounded by use.

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { Levels } from '../../src/core/levels.ts'
import type { Charge, Level, Refill, What } from '../../src/core/meter.ts'

const charge = (key: string, amount: bigint, capacity: bigint, refill: Refill = 'window', enforced = true): Charge => ({
  meter: {
    key,
    name: key,
    who: 'global',
    subject: '',
    what: refill === 'none' ? 'inFlight' : ('cost' as What),
    span: 'day',
    refill,
    spanMs: 60_000,
    endsAtMs: refill === 'window' ? 86_400_000 : Number.POSITIVE_INFINITY,
  },
  amount,
  capacity,
  enforced,
})
const instant = (ms: number) => ({ wallMs: ms, monoMs: ms })
const used = (amount: bigint) => ({ requests: amount, tokens: amount, cost: amount, inFlight: amount })
const saved = (levels: Levels) => new Map(levels.collectDirty().map(([key, level]) => [key, { ...level }]))

test('every change is saved once; a refusal and a view are not saved', () => {
  const levels = new Levels()
  levels.take([charge('a', 5n, 10n), charge('b', 5n, 10n)], instant(0))
  levels.take([charge('a', 5n, 10n)], instant(0))
  expect([...saved(levels).keys()].sort()).toEqual(['a', 'b'])
  expect(levels.take([charge('b', 1n, 10n), charge('a', 1n, 10n)], instant(0)).shortfalls).toHaveLength(1)
  levels.view([charge('a', 0n, 10n), charge('new', 0n, 10n)], instant(0))
  expect([levels.isDirty, saved(levels).size]).toEqual([false, 0])
  levels.markDirty(['a', 'unknown'])
  expect([...saved(levels).keys()]).toEqual(['a'])
})

test('a call in flight leaves its meter, whatever it used', () => {
  const levels = new Levels()
  const { charges } = levels.take([charge('open', 1n, 1n, 'none')], instant(0))
  levels.settle(charges, used(1n), instant(0))
  expect(levels.take([charge('open', 1n, 1n, 'none')], instant(0)).shortfalls).toEqual([])
})

test('a call’s own ceiling keeps no level', () => {
  const levels = new Levels()
  expect(levels.take([charge('call', 5n, 10n, 'call')], instant(0)).charges).toEqual([])
  levels.settleUnreserved([charge('call', 5n, 10n, 'call')], used(5n), instant(0))
  expect([levels.size, levels.isDirty]).toEqual([0, false])
})

test('a level that cannot be loaded fails the call before anything is taken', () => {
  const levels = new Levels((key) => {
    if (key === 'broken') throw new Error('disk')
    return undefined
  })
  expect(() => levels.take([charge('a', 5n, 10n), charge('broken', 1n, 10n)], instant(0))).toThrow('disk')
  expect([levels.size, levels.isDirty]).toEqual([0, false])
})

test('no level is loaded after something was taken', () => {
  const asked: string[] = []
  const levels = new Levels((key) => {
    asked.push(key)
    return undefined
  })
  levels.take([charge('a', 5n, 10n), charge('b', 5n, 10n), charge('call', 5n, 10n, 'call')], instant(0))
  expect(asked).toEqual(['a', 'b'])
})

describe('idle levels', () => {
  test('are loaded again', () => {
    const store = new Map<string, Level>()
    const levels = new Levels((key) => store.get(key))
    levels.take([charge('a', 5n, 10n)], instant(0))
    levels.turnGeneration(instant(0))
    levels.turnGeneration(instant(0))
    expect(levels.size).toBe(1)
    for (const [key, level] of levels.collectDirty()) store.set(key, { ...level })
    levels.turnGeneration(instant(0))
    levels.turnGeneration(instant(0))
    expect(levels.size).toBe(0)
    expect(levels.view([charge('a', 0n, 10n)], instant(0))[0]?.reserved).toBe(5n)
  })

  test('are dropped without a store only if they hold nothing, or if their window ended a day ago', () => {
    const levels = new Levels()
    const { charges } = levels.take([charge('held', 5n, 10n)], instant(0))
    levels.take([charge('empty', 0n, 10n)], instant(0))
    levels.collectDirty()
    for (let turn = 0; turn < 3; turn++) levels.turnGeneration(instant(0))
    expect(levels.size).toBe(1)
    levels.settle(charges, used(5n), instant(0))
    levels.collectDirty()
    for (let turn = 0; turn < 3; turn++) levels.turnGeneration(instant(86_400_000 + 1))
    expect(levels.view([charge('held', 0n, 10n)], instant(0))[0]?.settled).toBe(5n)
    for (let turn = 0; turn < 3; turn++) levels.turnGeneration(instant(2 * 86_400_000 + 1))
    expect(levels.size).toBe(0)
  })
})

test('levels are forgotten a few at a time, but none that a call holds or whose window is not over', () => {
  const levels = new Levels()
  const [held] = levels.take([charge('held', 5n, 10n)], instant(0)).charges
  for (let index = 0; index < 20; index++) {
    const { charges } = levels.take([charge(`over ${index}`, 5n, 10n)], instant(0))
    levels.settle(charges, used(5n), instant(1))
  }
  const size = levels.size
  levels.forgetSome(100, 86_400_000)
  expect(levels.size).toBe(size)
  levels.forgetSome(4, 86_400_001)
  expect(levels.size).toBeGreaterThanOrEqual(size - 4)
  for (let turn = 0; turn < 10; turn++) levels.forgetSome(4, 86_400_001)
  expect(levels.size).toBe(1)
  expect(levels.view([charge('held', 0n, 10n)], instant(0))[0]?.reserved).toBe(held?.amount)
})

test('a call in flight is remembered, however long ago its window ended', () => {
  const levels = new Levels()
  levels.take([charge('held', 5n, 10n)], instant(0))
  levels.collectDirty()
  const muchLater = instant(9 * 86_400_000)
  for (let turn = 0; turn < 3; turn++) levels.turnGeneration(muchLater)
  expect(levels.view([charge('held', 0n, 10n)], muchLater)[0]?.reserved).toBe(5n)
})

test('a charge that is not raised takes the limit as it is now', () => {
  const levels = new Levels()
  const { charges } = levels.take([charge('a', 5n, 10n, 'steady')], instant(0))
  const { held } = levels.raise(charges, [charge('a', 3n, 20n, 'steady', false)], instant(0))
  expect(held).toMatchObject([{ amount: 5n, capacity: 20n, enforced: false }])
})

test('settled and reserved never exceed the capacity, and levels have what was settled', () => {
  const operation = fc.record({
    meters: fc.array(fc.nat(3), { minLength: 1, maxLength: 5 }),
    amount: fc.bigInt(0n, 60n),
    settles: fc.nat(5),
    amends: fc.boolean(),
    lowers: fc.boolean(),
    part: fc.nat(100),
  })
  const property = fc.property(fc.array(operation, { maxLength: 60 }), (list) => {
    const levels = new Levels()
    const settledSums = [0n, 0n, 0n, 0n]
    let open: { charges: readonly Charge[]; amount: bigint; meters: Set<number> }[] = []
    for (const { meters, amount, settles, amends, lowers, part } of list) {
      const wanted = meters.map((meter) => charge(`${meter}`, amount, 100n))
      const call = amends ? open.pop() : undefined
      if (call) {
        const raised = levels.raise(call.charges, wanted, instant(0))
        const fits = raised.shortfalls.length === 0
        levels.lower(raised.held, fits && lowers ? raised.charges : call.charges, instant(0))
        open.push(fits && lowers ? { charges: raised.charges, amount, meters: new Set(meters) } : call)
      } else {
        const { charges, shortfalls } = levels.take(wanted, instant(0))
        if (shortfalls.length === 0) open.push({ charges, amount, meters: new Set(meters) })
      }
      for (const call of open.slice(0, settles)) {
        const cost = (call.amount * BigInt(part)) / 100n
        levels.settle(call.charges, used(cost), instant(0))
        for (const meter of call.meters) settledSums[meter] = (settledSums[meter] ?? 0n) + cost
      }
      open = open.slice(settles)
      for (const [meter, sum] of settledSums.entries()) {
        const [view] = levels.view([charge(`${meter}`, 0n, 100n)], instant(0))
        const held = open.flatMap((call) => call.charges).filter((call) => call.meter.key === `${meter}`)
        expect(view?.settled).toBe(sum)
        expect(view?.reserved).toBe(held.reduce((all, charge) => all + charge.amount, 0n))
        expect((view?.settled ?? 0n) + (view?.reserved ?? 0n) <= 100n).toBe(true)
      }
    }
  })
  fc.assert(property, { numRuns: 400 })
})

describe('an amendment', () => {
  const states = (levels: Levels) =>
    levels.view(
      ['a', 'b', 'c'].map((key) => charge(key, 0n, 10n)),
      instant(0),
    )

  test('that does not fit changes nothing, saves nothing and leaves what was held', () => {
    const levels = new Levels()
    const { charges } = levels.take([charge('a', 5n, 10n), charge('b', 5n, 10n)], instant(0))
    levels.collectDirty()
    const before = states(levels)
    const raised = levels.raise(charges, [charge('a', 6n, 10n), charge('c', 11n, 10n)], instant(0))
    expect([raised.held, raised.charges, raised.shortfalls.length]).toEqual([charges, [], 1])
    expect([states(levels), levels.isDirty]).toEqual([before, false])
  })

  test('holds the larger one of both charges until it is lowered, and each level is saved once', () => {
    const levels = new Levels()
    const { charges } = levels.take([charge('a', 5n, 10n), charge('b', 5n, 10n)], instant(0))
    levels.collectDirty()
    const raised = levels.raise(charges, [charge('b', 2n, 10n), charge('c', 7n, 10n)], instant(0))
    expect(states(levels).map(({ reserved }) => reserved)).toEqual([5n, 5n, 7n])
    levels.lower(raised.held, raised.charges, instant(0))
    expect(states(levels).map(({ reserved }) => reserved)).toEqual([0n, 2n, 7n])
    expect([...saved(levels).keys()].sort()).toEqual(['a', 'b', 'c'])
  })

  test('that was lowered can be taken back', () => {
    const levels = new Levels()
    const wanted = [charge('a', 5n, 10n), charge('bucket', 5n, 10n, 'steady')]
    const { charges } = levels.take(wanted, instant(0))
    const bytes = () => [...saved(levels)]
    const before = bytes()
    levels.lower(charges, [], instant(1000)).undo()
    expect(bytes()).toEqual(before)
  })

  test('that cannot load a level fails before anything is taken', () => {
    const levels = new Levels((key) => {
      if (key === 'broken') throw new Error('disk')
      return undefined
    })
    const { charges } = levels.take([charge('a', 5n, 10n)], instant(0))
    levels.collectDirty()
    expect(() => levels.raise(charges, [charge('a', 9n, 10n), charge('broken', 1n, 10n)], instant(0))).toThrow('disk')
    expect([states(levels)[0]?.reserved, levels.isDirty]).toEqual([5n, false])
    const broken = charge('broken', 1n, 10n)
    expect(() => levels.raise([...charges, broken], [charge('a', 9n, 10n)], instant(0))).toThrow('disk')
    expect([states(levels)[0]?.reserved, levels.isDirty]).toEqual([5n, false])
  })
})

test('what calls use of a bucket, amended or not, is never more than a capacity and what drains', () => {
  const CAPACITY = 60n
  const bucket = (amount: bigint) => [charge('bucket', amount, CAPACITY, 'steady')]
  interface Call {
    charges: readonly Charge[]
    /** What it took, and when. */
    pieces: { readonly ms: number; readonly amount: bigint }[]
  }
  const sumOf = (pieces: Call['pieces']) => pieces.reduce((sum, { amount }) => sum + amount, 0n)
  /** The first pieces up to an amount. */
  const cut = (pieces: Call['pieces'], limit: bigint) => {
    let left = limit
    return pieces.map(({ ms, amount }) => {
      const part = amount < left ? amount : left
      left -= part
      return { ms, amount: part }
    })
  }
  const operation = fc.record({
    kind: fc.constantFrom('take', 'amend', 'settle'),
    which: fc.nat(3),
    amount: fc.bigInt(0n, 60n),
    afterMs: fc.nat(20_000),
  })
  const property = fc.property(fc.array(operation, { maxLength: 40 }), (list) => {
    const levels = new Levels()
    const open: Call[] = []
    const spent: Call['pieces'] = []
    let ms = 0
    for (const { kind, which, amount, afterMs } of list) {
      ms += afterMs
      const call = open[which % Math.max(1, open.length)]
      if (kind === 'take' || !call) {
        const { charges, shortfalls } = levels.take(bucket(amount), instant(ms))
        if (shortfalls.length === 0) open.push({ charges, pieces: [{ ms, amount }] })
      } else if (kind === 'amend') {
        const raised = levels.raise(call.charges, bucket(amount), instant(ms))
        if (raised.shortfalls.length > 0) continue
        levels.lower(raised.held, raised.charges, instant(ms))
        const increase = amount - sumOf(call.pieces)
        call.charges = raised.charges
        call.pieces = increase > 0n ? [...call.pieces, { ms, amount: increase }] : cut(call.pieces, amount)
      } else {
        const pieces = cut(call.pieces, amount)
        levels.settle(call.charges, used(sumOf(pieces)), instant(ms))
        spent.push(...pieces)
        open.splice(open.indexOf(call), 1)
      }
    }
    for (const call of open) spent.push(...call.pieces)
    for (const from of spent) {
      for (const to of spent) {
        const within = spent.filter((piece) => piece.ms >= from.ms && piece.ms <= to.ms)
        if (to.ms < from.ms) continue
        expect(sumOf(within) * 60_000n <= CAPACITY * BigInt(60_000 + to.ms - from.ms)).toBe(true)
      }
    }
  })
  fc.assert(property, { numRuns: 2000 })
})
