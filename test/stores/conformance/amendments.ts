// What every store promises of reservations that change while their call is under way.

import { afterEach, beforeEach, expect } from 'vitest'
import type { Reservation } from '../../../src/core/ledger-entry.ts'
import type { Charge } from '../../../src/core/meter.ts'
import { type Store, StoreUnavailable } from '../../../src/stores/store.ts'
import { at, chargeOf, outcomeOf, reservationOf, usedOf } from '../calls.ts'
import type { OpenedStore, StoreFactory } from './conformance.ts'
import { promise, promiseOfEach } from './promises.ts'

export function amendmentsSuite(kind: StoreFactory): void {
  let store: Store
  let reopen: OpenedStore['reopen']
  let failWrites: OpenedStore['failWrites']
  beforeEach(async () => {
    ;({ store, reopen, failWrites } = await kind.open())
  })
  afterEach(() => store.close(at()))

  const reserve = async (callId: string, charges: readonly Charge[], now = at()) =>
    (await store.reserve([reservationOf(callId, charges)], now))[0]?.admitted
  const amend = async (callId: string, charges: readonly Charge[], now = at(), overrides: FactsOverrides = {}) =>
    (await store.amend([reservationOf(callId, charges, overrides)], now))[0]
  const settle = (callId: string, tokens: number, cost: bigint, now = at()) =>
    store.settle([{ callId, outcome: outcomeOf(tokens, cost), used: usedOf(tokens, cost) }], now)
  const levels = async (charges: readonly Charge[], now = at()) =>
    (await store.levels(charges, now)).map(({ settled, reserved }) => [settled, reserved])

  /** What one attempt at a target may take: a meter of everybody’s, and some of the target’s own. */
  const attempt = (target: string, cost: bigint): Charge[] => [
    chargeOf('requests/minute', 1n, 60n),
    chargeOf('tokens/minute', cost, 600n),
    chargeOf('cost/day', cost, 100n),
    chargeOf('inFlight', 1n, 5n),
    chargeOf('cost/call', cost, 90n),
    chargeOf('cost/day', cost, 50n, { subject: target }),
    chargeOf('inFlight', 1n, 2n, { subject: target }),
  ]

  const changes = [
    { how: 'to more', cost: 40n },
    { how: 'to less', cost: 20n },
    { how: 'to the same', cost: 30n },
    { how: 'to nothing', cost: 0n },
  ]
  promiseOfEach('a meter that is held already moves by the difference', changes, async ({ cost }) => {
    await reserve('call', attempt('one', 30n))
    const views = await store.levels(attempt('one', 0n), at())
    expect(await amend('call', attempt('one', cost))).toEqual({
      admitted: true,
      unenforced: [],
      levels: views.map((view, index) => {
        const by = [0n, cost - 30n, cost - 30n, 0n, 0n, cost - 30n, 0n][index] ?? 0n
        const bucket = view.meter.refill === 'steady'
        const settled = view.settled + (bucket ? by : 0n)
        const resetMs = index === 1 ? Number(settled) * 100 : view.resetMs
        return { ...view, settled, reserved: view.reserved + (bucket ? 0n : by), free: view.free - by, resetMs }
      }),
    })
  })

  promise('a fallback gives back the meters of the first target and takes the meters of the second', async () => {
    await reserve('call', attempt('one', 30n))
    expect((await amend('call', attempt('two', 40n)))?.admitted).toBe(true)
    expect(await levels(attempt('one', 0n))).toEqual(pairs([1, 0], [40, 0], [0, 40], [0, 1], [0, 0], [0, 0], [0, 0]))
    expect(await levels(attempt('two', 0n))).toEqual(pairs([1, 0], [40, 0], [0, 40], [0, 1], [0, 0], [0, 40], [0, 1]))
    await settle('call', 25, 25n)
    expect(await levels(attempt('one', 0n))).toEqual(pairs([1, 0], [25, 0], [25, 0], [0, 0], [0, 0], [0, 0], [0, 0]))
    expect(await levels(attempt('two', 0n))).toEqual(pairs([1, 0], [25, 0], [25, 0], [0, 0], [0, 0], [25, 0], [0, 0]))
  })

  const unfitting = [
    { how: 'a meter it holds', wanted: [chargeOf('cost/day', 61n, 100n), chargeOf('inFlight', 1n, 5n)] },
    { how: 'a meter it does not hold', wanted: [chargeOf('cost/day', 1n, 100n), chargeOf('cost/total', 1n, 0n)] },
    // 5 of its 30 have drained by then.
    { how: 'a bucket it holds', wanted: [chargeOf('tokens/minute', 606n, 600n)] },
    { how: 'the ceiling of one call', wanted: [chargeOf('cost/day', 30n, 100n), chargeOf('cost/call', 30n, 29n)] },
    { how: 'a meter named twice', wanted: [chargeOf('cost/day', 31n, 100n), chargeOf('cost/day', 30n, 100n)] },
  ]
  promiseOfEach('an amendment that does not fit changes nothing', unfitting, async ({ wanted }) => {
    await reserve('call', attempt('one', 30n))
    await reserve('other', [chargeOf('cost/day', 40n, 100n)])
    const all = [...attempt('one', 0n), ...wanted]
    const before = await store.levels(all, at(500))
    const entry = await store.entry('call')
    expect(await amend('call', wanted, at(500), { model: 'other' })).toMatchObject({
      admitted: false,
      shortfalls: [{}],
    })
    expect(await store.levels(all, at(500))).toEqual(before)
    expect(await store.entry('call')).toEqual(entry)
    await settle('call', 30, 30n)
    expect(await levels([chargeOf('cost/day', 0n, 100n)])).toEqual([[30n, 40n]])
  })

  promise('a shortfall has the whole new amount, and a level without what the call itself holds', async () => {
    await reserve('call', [chargeOf('cost/day', 30n, 100n)])
    await reserve('other', [chargeOf('cost/day', 40n, 100n)])
    expect(await amend('call', [chargeOf('cost/day', 61n, 100n)])).toMatchObject({
      shortfalls: [{ charge: { amount: 61n }, level: { reserved: 40n, free: 60n }, reason: { kind: 'inFlight' } }],
    })
    expect(await amend('call', [chargeOf('cost/day', 101n, 100n)])).toMatchObject({
      shortfalls: [{ reason: { kind: 'never' } }],
    })
    expect((await amend('call', [chargeOf('cost/day', 60n, 100n)]))?.admitted).toBe(true)
  })

  promise('a lowered limit refuses only a charge that grows', async () => {
    await reserve('call', [chargeOf('cost/day', 60n, 100n)])
    for (const [amount, admitted] of [
      [60n, true],
      [61n, false],
      [55n, true],
      [56n, false],
    ] as const) {
      expect((await amend('call', [chargeOf('cost/day', amount, 50n)]))?.admitted).toBe(admitted)
    }
  })

  promise('an unenforced charge grows even if it does not fit, and its limit is named', async () => {
    const soft = (amount: bigint) => [chargeOf('cost/day', amount, 100n, { enforced: false })]
    await reserve('call', soft(90n))
    expect(await amend('call', soft(150n))).toMatchObject({ admitted: true, unenforced: ['daily_spending_limit'] })
    expect(await levels(soft(0n))).toEqual([[0n, 150n]])
  })

  promise('a lowered charge gives back no more than its bucket still holds of it', async () => {
    const bucket = (amount: bigint) => [chargeOf('tokens/minute', amount, 60n)]
    await reserve('call', bucket(30n))
    await reserve('other', bucket(20n), at(20_000))
    // 20 of the call’s 30 have drained; all of the other’s are there.
    expect((await amend('call', bucket(0n), at(20_000)))?.admitted).toBe(true)
    expect(await levels(bucket(0n), at(20_000))).toEqual([[20n, 0n]])
  })

  promise('a grown charge gives back only its own tokens, never those of other calls', async () => {
    const bucket = (amount: bigint) => [chargeOf('tokens/minute', amount, 60n)]
    await reserve('call', bucket(30n))
    await reserve('other', bucket(20n), at(30_000))
    await amend('call', bucket(40n), at(30_000))
    expect(await levels(bucket(0n), at(30_000))).toEqual([[30n, 0n]])
    await settle('call', 0, 0n, at(30_000))
    expect(await levels(bucket(0n), at(30_000))).toEqual([[20n, 0n]])
  })

  promise('a call that outlived its window is amended in that window', async () => {
    const [then, later] = [at(), at(86_400_000)]
    const today = (amount: bigint) => [chargeOf('cost/day', amount, 100n, { now: then })]
    const tomorrow = [chargeOf('cost/day', 0n, 100n, { now: later })]
    await reserve('call', today(30n), then)
    expect((await amend('call', today(50n), later))?.admitted).toBe(true)
    expect(await levels([...today(0n), ...tomorrow], later)).toEqual(pairs([0, 50], [0, 0]))
    await settle('call', 45, 45n, later)
    expect(await levels([...today(0n), ...tomorrow], later)).toEqual(pairs([45, 0], [0, 0]))
  })

  promise('a call that is not open cannot be amended, and nothing is short', async () => {
    for (const callId of ['settled', 'swept']) await reserve(callId, attempt('one', 10n))
    await settle('settled', 5, 5n)
    await store.sweep(at(60_000))
    const before = await store.levels(attempt('one', 0n), at(60_000))
    for (const callId of ['settled', 'swept', 'ghost']) {
      expect(await amend(callId, attempt('one', 20n), at(60_000))).toEqual({ admitted: false, shortfalls: [] })
    }
    expect(await store.levels(attempt('one', 0n), at(60_000))).toEqual(before)
  })

  promise('the facts are replaced but for caller, instant and day; so are open totals and the deadline', async () => {
    const caller = { key: 'k' }
    const first = reservationOf('call', [], { caller, reservedCostNanoUsd: 10n, reservedTokens: 1 })
    const second = reservationOf('call', [], {
      caller: { key: 'other' },
      reservedAtMs: at(5000).wallMs,
      day: '2030-01-01',
      provider: 'anthropic',
      model: 'claude',
      requestedModel: 'smart',
      dialect: 'anthropic',
      operation: 'plan',
      priceVersion: 'new@2',
      costKnown: false,
      streaming: true,
      capAsked: 7,
      capInjected: 8,
      metadata: '{}',
      idempotency: { keyHash: 'key', bodyHash: 'body' },
      reservedCostNanoUsd: 70n,
      reservedTokens: 9,
      simulated: true,
      expiresAfterMs: 90_000,
    })
    await store.reserve([first], at())
    await store.amend([second], at(5000))
    const { reservedAtMs, day } = first.facts
    const facts = { ...second.facts, caller: first.facts.caller, reservedAtMs, day }
    expect(await store.entry('call')).toEqual({ facts, outcome: null, settledSeq: null })
    expect((await store.figures({ simulated: false })).open).toEqual({ calls: 0, tokens: 0, costNanoUsd: 0n })
    expect((await store.figures({ simulated: true })).open).toEqual({ calls: 1, tokens: 9, costNanoUsd: 70n })
    expect(await store.sweep(at(94_999))).toEqual([])
    const [swept] = await store.sweep(at(95_000))
    expect(swept).toMatchObject({ facts, outcome: { ending: 'expired', cost: { totalNanoUsd: 70n } } })
    expect((await store.figures({ simulated: true })).open).toEqual({ calls: 0, tokens: 0, costNanoUsd: 0n })
    expect(await store.entry('call')).toEqual(swept)
  })

  const growing = (): [Reservation, Reservation] => [
    reservationOf('call', attempt('one', 30n), { reservedCostNanoUsd: 30n }),
    reservationOf('call', attempt('two', 45n), { reservedCostNanoUsd: 45n, provider: 'second' }),
  ]

  promise('a settlement without used amounts settles the amended whole', async () => {
    const [first, second] = growing()
    await store.reserve([first], at())
    await store.amend([second], at())
    await store.settle([{ callId: 'call', outcome: outcomeOf(45, 45n), used: undefined }], at())
    expect(await levels(attempt('one', 0n))).toEqual(pairs([1, 0], [45, 0], [45, 0], [0, 0], [0, 0], [0, 0], [0, 0]))
    expect(await levels(attempt('two', 0n))).toEqual(pairs([1, 0], [45, 0], [45, 0], [0, 0], [0, 0], [45, 0], [0, 0]))
    expect(await store.entry('call')).toMatchObject({ facts: { provider: 'second' }, settledSeq: 1 })
  })

  promise('each amendment of a list is decided by itself, in order, and the last one of a call stays', async () => {
    await reserve('a', [chargeOf('cost/day', 10n, 100n)])
    await reserve('b', [chargeOf('cost/day', 10n, 100n)])
    const list = [
      ['a', 60n],
      ['b', 41n],
      ['b', 40n],
      ['a', 20n],
    ] as const
    const answers = await store.amend(
      list.map(([callId, amount]) => reservationOf(callId, [chargeOf('cost/day', amount, 100n)])),
      at(),
    )
    expect(answers.map(({ admitted }) => admitted)).toEqual([true, false, true, true])
    expect(await levels([chargeOf('cost/day', 0n, 100n)])).toEqual([[0n, 60n]])
  })

  promise(
    'capacity that an amendment frees is available once it is written, and not to other items of its list',
    async () => {
      await reserve('a', [chargeOf('cost/day', 60n, 100n)])
      await reserve('b', [chargeOf('cost/day', 40n, 100n)])
      const list = [reservationOf('a', []), reservationOf('b', [chargeOf('cost/day', 41n, 100n)])]
      expect((await store.amend(list, at())).map(({ admitted }) => admitted)).toEqual([true, false])
      expect((await amend('b', [chargeOf('cost/day', 100n, 100n)]))?.admitted).toBe(true)
    },
  )

  promise("promises of a call's reservation, amendments and settlement may overtake each other", async () => {
    const [first, second] = growing()
    const smaller = reservationOf('call', attempt('two', 40n), { reservedCostNanoUsd: 40n, provider: 'third' })
    const steps = [store.reserve([first], at()), store.amend([second], at()), store.amend([smaller], at())]
    const settling = store.settle([{ callId: 'call', outcome: outcomeOf(40, 40n), used: undefined }], at())
    for (const answers of await Promise.all(steps)) expect(answers).toMatchObject([{ admitted: true }])
    expect(await settling).toEqual(['settled'])
    expect(await levels(attempt('one', 0n))).toEqual(pairs([1, 0], [40, 0], [40, 0], [0, 0], [0, 0], [0, 0], [0, 0]))
    expect(await levels(attempt('two', 0n))).toEqual(pairs([1, 0], [40, 0], [40, 0], [0, 0], [0, 0], [40, 0], [0, 0]))
    expect(await store.entry('call')).toMatchObject({ facts: { provider: 'third' }, settledSeq: 1 })
    expect((await store.figures({ simulated: false })).open).toEqual({ calls: 0, tokens: 0, costNanoUsd: 0n })
  })

  promise('an amendment that is settled in the same turn is in the ledger', async () => {
    const [first, second] = growing()
    await store.reserve([first], at())
    const amending = store.amend([second], at())
    await settle('call', 20, 20n)
    expect(await amending).toMatchObject([{ admitted: true }])
    expect(await levels(attempt('two', 0n))).toEqual(pairs([1, 0], [20, 0], [20, 0], [0, 0], [0, 0], [20, 0], [0, 0]))
    const facts = { provider: 'second', reservedCostNanoUsd: 45n }
    expect(await store.entry('call')).toMatchObject({ facts, outcome: { cost: { totalNanoUsd: 20n } } })
    expect(await store.entries({ limit: 9 })).toMatchObject([{ facts }])
  })

  promise('a sweep that overtakes an amendment settles the amended whole', async () => {
    const [first, second] = growing()
    await store.reserve([first], at())
    const amending = store.amend([second], at(59_999))
    const cost = { totalNanoUsd: 45n }
    expect(await store.sweep(at(60_000))).toMatchObject([{ facts: { provider: 'second' }, outcome: { cost } }])
    expect(await amending).toMatchObject([{ admitted: true }])
    expect(await store.entry('call')).toMatchObject({ facts: { provider: 'second' }, outcome: { cost } })
    const [, , today, inFlight] = await levels(attempt('two', 0n))
    expect([today, inFlight]).toEqual(pairs([45, 0], [0, 0]))
  })

  promise('a restart settles in full what was amended and left open', async () => {
    if (!reopen) return
    const [first, second] = growing()
    await store.reserve([first], at())
    await store.amend([second], at())
    await store.close(at())
    store = await reopen(at())
    expect(await levels(attempt('one', 0n))).toEqual(pairs([1, 0], [45, 0], [45, 0], [0, 0], [0, 0], [0, 0], [0, 0]))
    expect(await levels(attempt('two', 0n))).toEqual(pairs([1, 0], [45, 0], [45, 0], [0, 0], [0, 0], [45, 0], [0, 0]))
    expect(await store.sweep(at())).toMatchObject([
      { facts: { provider: 'second' }, outcome: { ending: 'expired', cost: { totalNanoUsd: 45n } } },
    ])
  })

  promise(
    'an amendment that cannot be written is rejected with StoreUnavailable, and the reservation stands as before',
    async () => {
      if (!failWrites) return
      const [first, second] = growing()
      const both = [...first.charges, ...second.charges]
      await store.reserve([first], at())
      const before = await levels(both)
      const repair = failWrites()
      await expect(store.amend([second], at())).rejects.toThrow(StoreUnavailable)
      expect(await levels(both)).toEqual(before)
      expect(await store.entry('call')).toMatchObject({ facts: first.facts })
      repair()
      expect(await store.amend([second], at())).toMatchObject([{ admitted: true }])
    },
  )
}

type FactsOverrides = Parameters<typeof reservationOf>[2]

const pairs = (...list: readonly (readonly [number, number])[]) =>
  list.map(([settled, reserved]) => [BigInt(settled), BigInt(reserved)])
