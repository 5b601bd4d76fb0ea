// What every store promises of meters: capacity, refusals, refunds and seeds.

import { afterEach, beforeEach, expect } from 'vitest'
import type { Charge } from '../../../src/core/meter.ts'
import { type Store, StoreUnavailable } from '../../../src/stores/store.ts'
import { at, chargeOf, everyCharge, outcomeOf, reservationOf, usedOf } from '../calls.ts'
import type { OpenedStore, StoreFactory } from './conformance.ts'
import { promise } from './promises.ts'

export function metersSuite(kind: StoreFactory): void {
  let store: Store
  let failWrites: OpenedStore['failWrites']
  beforeEach(async () => {
    ;({ store, failWrites } = await kind.open())
  })
  afterEach(() => store.close(at()))

  const reserve = async (callId: string, charges: readonly Charge[], now = at()) => {
    const [admission] = await store.reserve([reservationOf(callId, charges)], now)
    if (!admission) throw new Error('no answer')
    return admission
  }
  const settle = async (callId: string, tokens: number, cost: bigint, now = at()) => {
    const settlement = { callId, outcome: outcomeOf(tokens, cost), used: usedOf(tokens, cost) }
    return (await store.settle([settlement], now))[0]
  }
  const level = async (charge: Charge, now = at()) => {
    const [view] = await store.levels([charge], now)
    return { settled: view?.settled, reserved: view?.reserved, free: view?.free }
  }

  promise('a call is admitted up to the capacity and refused one unit above it', async () => {
    expect((await reserve('one', [chargeOf('cost/day', 60n, 100n)])).admitted).toBe(true)
    expect(await reserve('two', [chargeOf('cost/day', 41n, 100n)])).toMatchObject({
      admitted: false,
      shortfalls: [{ reason: { kind: 'inFlight' }, level: { settled: 0n, reserved: 60n, free: 40n } }],
    })
    expect((await reserve('three', [chargeOf('cost/day', 40n, 100n)])).admitted).toBe(true)
  })

  promise('an admission shows the level of each charge after it was taken, in the order of the charges', async () => {
    const charges = [chargeOf('inFlight', 1n, 5n), chargeOf('cost/call', 30n, 50n), chargeOf('cost/day', 30n, 100n)]
    expect(await reserve('one', charges)).toMatchObject({
      admitted: true,
      levels: [{ reserved: 1n, free: 4n }, { free: 50n }, { reserved: 30n, free: 70n }],
      unenforced: [],
    })
  })

  promise('a call over one of many limits takes nothing from any of them', async () => {
    await reserve('first', everyCharge(60n, 100n))
    const before = await store.levels(everyCharge(0n, 100n), at(10))
    for (const shortfalls of ['cost/day', 'cost/total', 'tokens/minute', 'cost/call'] as const) {
      const charges = everyCharge(10n, 100n).filter(({ meter }) => `${meter.what}/${meter.span}` !== shortfalls)
      expect((await reserve('refused', [...charges, chargeOf(shortfalls, 101n, 100n)], at(10))).admitted).toBe(false)
    }
    expect(await store.levels(everyCharge(0n, 100n), at(10))).toEqual(before)
    expect((await store.figures({ simulated: false })).open.calls).toBe(1)
  })

  promise('each reservation of a list is decided by itself, in order', async () => {
    const list = [60n, 60n, 40n].map((amount, index) => reservationOf(`${index}`, [chargeOf('cost/day', amount, 100n)]))
    expect((await store.reserve(list, at())).map(({ admitted }) => admitted)).toEqual([true, false, true])
  })

  promise('charges on the same meter are summed before they are checked', async () => {
    const twice = (amount: bigint) => [chargeOf('cost/day', amount, 100n), chargeOf('cost/day', amount, 100n)]
    expect((await reserve('over', twice(51n))).admitted).toBe(false)
    expect((await reserve('fits', twice(50n))).admitted).toBe(true)
    expect(await settle('fits', 10, 70n)).toBe('settled')
    expect(await level(chargeOf('cost/day', 0n, 100n))).toEqual({ settled: 70n, reserved: 0n, free: 30n })
  })

  promise('an unenforced charge is taken even if it does not fit, and its limit is named', async () => {
    const soft = chargeOf('cost/day', 150n, 100n, { enforced: false })
    expect(await reserve('over', [soft])).toMatchObject({ admitted: true, unenforced: ['daily_spending_limit'] })
    expect(await level(soft)).toEqual({ settled: 0n, reserved: 150n, free: 0n })
  })

  promise('an unenforced bucket runs into debt by one capacity at most', async () => {
    const soft = (amount: bigint) => chargeOf('tokens/minute', amount, 60n, { enforced: false })
    for (let call = 0; call < 10; call++) await reserve(`${call}`, [soft(50n)])
    expect(await level(soft(0n))).toMatchObject({ settled: 120n })
    for (let call = 0; call < 10; call++) await settle(`${call}`, 500, 0n)
    expect(await level(soft(0n))).toMatchObject({ settled: 120n })
  })

  promise('a lowered limit admits nothing until it fits; a raised limit admits at once', async () => {
    await reserve('open', [chargeOf('cost/day', 60n, 100n)])
    expect((await reserve('lowered', [chargeOf('cost/day', 1n, 50n)])).admitted).toBe(false)
    expect((await reserve('raised', [chargeOf('cost/day', 100n, 160n)])).admitted).toBe(true)
    await settle('open', 1, 5n)
    await settle('raised', 1, 5n)
    expect((await reserve('again', [chargeOf('cost/day', 40n, 50n)])).admitted).toBe(true)
  })

  promise('a refund goes to the window of the reservation, not to the window of the settlement', async () => {
    const [today, tomorrow] = [at(), at(86_400_000)]
    await reserve('late', [chargeOf('cost/day', 80n, 100n)], today)
    await settle('late', 1, 30n, tomorrow)
    expect(await level(chargeOf('cost/day', 0n, 100n, { now: today }), tomorrow)).toMatchObject({ settled: 30n })
    expect(await level(chargeOf('cost/day', 0n, 100n, { now: tomorrow }), tomorrow)).toMatchObject({ settled: 0n })
  })

  promise('more than was reserved is settled in full, and is paid before the next admission', async () => {
    await reserve('dear', [chargeOf('cost/day', 10n, 100n), chargeOf('tokens/minute', 10n, 60n)])
    await settle('dear', 90, 130n)
    expect(await level(chargeOf('cost/day', 0n, 100n))).toEqual({ settled: 130n, reserved: 0n, free: 0n })
    expect(await reserve('next', [chargeOf('tokens/minute', 1n, 60n)])).toMatchObject({
      shortfalls: [{ reason: { kind: 'time', waitMs: 31_000 } }],
    })
    expect((await reserve('next', [chargeOf('tokens/minute', 1n, 60n)], at(30_999))).admitted).toBe(false)
    expect((await reserve('next', [chargeOf('tokens/minute', 1n, 60n)], at(31_000))).admitted).toBe(true)
  })

  promise('calls in flight come back when they settle, whatever they used', async () => {
    const charge = chargeOf('inFlight', 1n, 1n)
    await reserve('first', [charge])
    expect(await reserve('second', [charge])).toMatchObject({ shortfalls: [{ reason: { kind: 'inFlight' } }] })
    await store.settle([{ callId: 'first', outcome: outcomeOf(1, 1n), used: undefined }], at())
    expect((await reserve('second', [charge])).admitted).toBe(true)
  })

  promise('levels change before the promise of a settlement resolves', async () => {
    await reserve('call', [chargeOf('cost/day', 100n, 100n)])
    const settling = settle('call', 1, 20n)
    const next = store.reserve([reservationOf('next', [chargeOf('cost/day', 80n, 100n)])], at())
    expect([await settling, (await next)[0]?.admitted]).toEqual(['settled', true])
  })

  promise('a seeded window has at least the settled sum it is given, and keeps what is reserved', async () => {
    const charge = chargeOf('cost/day', 30n, 100n)
    await reserve('open', [charge])
    await store.seed([{ meter: charge.meter, settled: 50n }], at())
    expect(await level(charge)).toEqual({ settled: 50n, reserved: 30n, free: 20n })
    await store.seed([{ meter: charge.meter, settled: 10n }], at())
    expect(await level(charge)).toEqual({ settled: 50n, reserved: 30n, free: 20n })
  })

  promise('reserving a call id that is open is rejected and takes nothing', async () => {
    await reserve('same', [chargeOf('cost/day', 10n, 100n)])
    await expect(reserve('same', [chargeOf('cost/day', 10n, 100n)])).rejects.toThrow('same')
    expect(await level(chargeOf('cost/day', 0n, 100n))).toMatchObject({ reserved: 10n })
  })

  promise(
    'a reservation that cannot be written is rejected with StoreUnavailable, and its charges are given back',
    async () => {
      if (!failWrites) return
      const charges = everyCharge(10n, 100n)
      const before = await store.levels(charges, at())
      const repair = failWrites()
      await expect(reserve('call', charges)).rejects.toThrow(StoreUnavailable)
      expect(await store.levels(charges, at())).toEqual(before)
      repair()
      expect(await store.entry('call')).toBeUndefined()
      expect((await reserve('call', charges)).admitted).toBe(true)
    },
  )

  promise('levels are shown as they will be at an instant, and reading them changes nothing', async () => {
    const charges = [chargeOf('tokens/minute', 30n, 60n), chargeOf('cost/day', 30n, 100n)]
    await reserve('call', charges)
    const now = await store.levels(charges, at())
    const later = await store.levels(charges, at(10_000))
    expect([now, later].map((views) => views.map(({ settled, reserved }) => [settled, reserved]))).toEqual([
      [
        [30n, 0n],
        [0n, 30n],
      ],
      [
        [20n, 0n],
        [0n, 30n],
      ],
    ])
    expect(await store.levels(charges, at())).toEqual(now)
  })
}
