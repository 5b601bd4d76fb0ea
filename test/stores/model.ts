// A simple model of windows and ledger, to check stores against. It shares no code with them.

import { expect } from 'vitest'
import type { Reservation } from '../../src/core/ledger-entry.ts'
import type { Shortfall } from '../../src/core/levels.ts'
import type { Charge, Instant } from '../../src/core/meter.ts'
import { NO_COST } from '../../src/core/prices.ts'
import type { Admission, Store } from '../../src/stores/store.ts'

interface WindowLevel {
  settled: bigint
  reserved: bigint
  readonly charge: Charge
}

interface MeterSum {
  readonly charge: Charge
  amount: bigint
}

export class StoreModel {
  readonly windows = new Map<string, WindowLevel>()
  readonly open = new Map<string, Reservation>()
  /** Cost of every settled call. */
  readonly settledCosts = new Map<string, bigint>()

  /** Checks an answer against what the windows held before it, and takes what the call took. */
  admit(reservation: Reservation, admission: Admission): void {
    const sums = sumByMeter(reservation.charges)
    const over = sums.filter(({ charge, amount }) => {
      const { settled, reserved } = this.#windowOf(charge)
      return charge.enforced && settled + reserved + amount > charge.capacity && amount > 0n
    })
    if (admission.admitted) {
      expect(over.map(({ charge }) => charge.meter.key)).toEqual([])
      for (const { charge, amount } of sums) this.#windowOf(charge).reserved += amount
      this.open.set(reservation.facts.callId, reservation)
      return
    }
    this.#checkRefusal(admission.shortfalls, over)
  }

  /** The same for a list of amendments. Only increases have to fit, and what they free is free after the whole list. */
  amend(amendments: readonly Reservation[], admissions: readonly Admission[]): void {
    const raised = new Map<string, { held: Map<string, bigint>; to: Reservation }>()
    for (const [index, amendment] of amendments.entries()) {
      const { callId, caller, reservedAtMs, day } = amendment.facts
      const before = this.open.get(callId)
      const admission = admissions[index]
      if (!before) expect(admission).toEqual({ admitted: false, shortfalls: [] })
      if (!before || !admission) continue
      const held = raised.get(callId)?.held ?? amountByMeter(before.charges)
      const sums = sumByMeter(amendment.charges)
      const increaseOf = ({ charge, amount }: MeterSum) => amount - (held.get(charge.meter.key) ?? 0n)
      const over = sums.filter((sum) => {
        const { settled, reserved } = this.#windowOf(sum.charge)
        return sum.charge.enforced && increaseOf(sum) > 0n && settled + reserved + increaseOf(sum) > sum.charge.capacity
      })
      if (!admission.admitted) {
        this.#checkRefusal(admission.shortfalls, over)
        continue
      }
      expect(over.map(({ charge }) => charge.meter.key)).toEqual([])
      for (const sum of sums.filter((each) => increaseOf(each) > 0n)) {
        this.#windowOf(sum.charge).reserved += increaseOf(sum)
        held.set(sum.charge.meter.key, sum.amount)
      }
      const facts = { ...amendment.facts, callId, caller, reservedAtMs, day }
      raised.set(callId, { held, to: { ...amendment, facts } })
    }
    for (const [callId, { held, to }] of raised) {
      const left = amountByMeter(to.charges)
      for (const [key, amount] of held) {
        const window = this.windows.get(key)
        if (window) window.reserved -= amount - (left.get(key) ?? 0n)
      }
      this.open.set(callId, to)
    }
  }

  #checkRefusal(answer: readonly Shortfall[], over: readonly { readonly charge: Charge }[]): void {
    const shortfalls = answer.map(({ charge }) => charge.meter.key)
    expect(shortfalls.length).toBeGreaterThan(0)
    expect(shortfalls.filter((key) => this.windows.has(key)).sort()).toEqual(
      over.map(({ charge }) => charge.meter.key).sort(),
    )
  }

  /** Without `cost` the whole reservation is settled. */
  settle(callId: string, cost: bigint | undefined): void {
    const reservation = this.open.get(callId)
    if (!reservation) throw new Error(`${callId} is not open`)
    this.open.delete(callId)
    for (const { charge, amount } of sumByMeter(reservation.charges)) {
      const held = this.#windowOf(charge)
      held.reserved -= amount
      if (charge.meter.refill === 'window') held.settled += cost ?? amount
    }
    this.settledCosts.set(callId, cost ?? reservation.facts.reservedCostNanoUsd)
  }

  append(callId: string, charges: readonly Charge[], cost: bigint): void {
    for (const { charge } of sumByMeter(charges))
      if (charge.meter.refill === 'window') this.#windowOf(charge).settled += cost
    this.settledCosts.set(callId, cost)
  }

  async checkLevels(store: Store, now: Instant): Promise<void> {
    // Windows that ended a day ago may be forgotten.
    const all = [...this.windows.values()].filter(({ charge }) => charge.meter.endsAtMs > now.wallMs - 86_400_000)
    const views = await store.levels(
      all.map(({ charge }) => charge),
      now,
    )
    const shown = views.map(({ meter, settled, reserved }) => [meter.key, settled, reserved])
    expect(shown).toEqual(all.map(({ charge, settled, reserved }) => [charge.meter.key, settled, reserved]))
    const held = [...this.open.values()].reduce((sum, { facts }) => sum + facts.reservedCostNanoUsd, 0n)
    expect((await store.figures({ simulated: false })).open).toMatchObject({ calls: this.open.size, costNanoUsd: held })
  }

  async checkLedger(store: Store): Promise<void> {
    const entries = await store.entries({ limit: 1_000_000 })
    const found = entries.map(({ facts, outcome }) => [facts.callId, (outcome?.cost ?? NO_COST).totalNanoUsd] as const)
    expect(new Map(found)).toEqual(this.settledCosts)
    expect(found.length).toBe(this.settledCosts.size)
    expect(new Set(entries.map(({ settledSeq }) => settledSeq)).size).toBe(found.length)
    const total = (await store.figures({ simulated: false })).report.total()
    const sum = [...this.settledCosts.values()].reduce((before, cost) => before + cost, 0n)
    expect([total.requests, total.costNanoUsd]).toEqual([found.length, sum])
  }

  #windowOf(charge: Charge): WindowLevel {
    let held = this.windows.get(charge.meter.key)
    if (!held) this.windows.set(charge.meter.key, (held = { settled: 0n, reserved: 0n, charge }))
    return held
  }
}

/** What windows and counts keep of a list of charges, summed by meter. */
function sumByMeter(charges: readonly Charge[]): MeterSum[] {
  const sums = new Map<string, MeterSum>()
  for (const charge of charges) {
    if (charge.meter.refill === 'steady' || charge.meter.refill === 'call') continue
    const sum = sums.get(charge.meter.key)
    if (sum) sum.amount += charge.amount
    else sums.set(charge.meter.key, { charge, amount: charge.amount })
  }
  return [...sums.values()]
}

function amountByMeter(charges: readonly Charge[]): Map<string, bigint> {
  return new Map(sumByMeter(charges).map(({ charge, amount }) => [charge.meter.key, amount]))
}
