// A simple model of what windows hold and what the ledger says, to check stores against. Knows nothing of how they do it.

import { expect } from 'vitest'
import type { Reservation } from '../../src/core/ledger-entry.ts'
import type { Short } from '../../src/core/levels.ts'
import type { Charge, Instant } from '../../src/core/meter.ts'
import { NO_COST } from '../../src/core/prices.ts'
import type { Admission, Store } from '../../src/stores/store.ts'

interface Held {
  settled: bigint
  reserved: bigint
  readonly charge: Charge
}

interface Sum {
  readonly charge: Charge
  amount: bigint
}

export class Model {
  readonly windows = new Map<string, Held>()
  readonly open = new Map<string, Reservation>()
  /** Cost of every settled call. */
  readonly booked = new Map<string, bigint>()

  /** Checks an answer against what the windows held before it, and takes what it took. */
  admit(reservation: Reservation, admission: Admission): void {
    const sums = kept(reservation.charges)
    const over = sums.filter(({ charge, amount }) => {
      const { settled, reserved } = this.#held(charge)
      return charge.enforced && settled + reserved + amount > charge.capacity && amount > 0n
    })
    if (admission.admitted) {
      expect(over.map(({ charge }) => charge.meter.key)).toEqual([])
      for (const { charge, amount } of sums) this.#held(charge).reserved += amount
      this.open.set(reservation.facts.callId, reservation)
      return
    }
    this.#refused(admission.short, over)
  }

  /** The same of a list of amendments. They count beyond what calls hold, and what they make free is free after them all. */
  amend(amendments: readonly Reservation[], admissions: readonly Admission[]): void {
    const raised = new Map<string, { held: Map<string, bigint>; to: Reservation }>()
    for (const [index, amendment] of amendments.entries()) {
      const { callId, caller, reservedAtMs, day } = amendment.facts
      const before = this.open.get(callId)
      const admission = admissions[index]
      if (!before) expect(admission).toEqual({ admitted: false, short: [] })
      if (!before || !admission) continue
      const held = raised.get(callId)?.held ?? amounts(before.charges)
      const sums = kept(amendment.charges)
      const more = ({ charge, amount }: Sum) => amount - (held.get(charge.meter.key) ?? 0n)
      const over = sums.filter((sum) => {
        const { settled, reserved } = this.#held(sum.charge)
        return sum.charge.enforced && more(sum) > 0n && settled + reserved + more(sum) > sum.charge.capacity
      })
      if (!admission.admitted) {
        this.#refused(admission.short, over)
        continue
      }
      expect(over.map(({ charge }) => charge.meter.key)).toEqual([])
      for (const sum of sums.filter((one) => more(one) > 0n)) {
        this.#held(sum.charge).reserved += more(sum)
        held.set(sum.charge.meter.key, sum.amount)
      }
      const facts = { ...amendment.facts, callId, caller, reservedAtMs, day }
      raised.set(callId, { held, to: { ...amendment, facts } })
    }
    for (const [callId, { held, to }] of raised) {
      const left = amounts(to.charges)
      for (const [key, amount] of held) {
        const window = this.windows.get(key)
        if (window) window.reserved -= amount - (left.get(key) ?? 0n)
      }
      this.open.set(callId, to)
    }
  }

  #refused(answer: readonly Short[], over: readonly { readonly charge: Charge }[]): void {
    const short = answer.map(({ charge }) => charge.meter.key)
    expect(short.length).toBeGreaterThan(0)
    expect(short.filter((key) => this.windows.has(key)).sort()).toEqual(
      over.map(({ charge }) => charge.meter.key).sort(),
    )
  }

  /** Without `cost` the whole reservation is booked. */
  settle(callId: string, cost: bigint | undefined): void {
    const reservation = this.open.get(callId)
    if (!reservation) throw new Error(`${callId} is not open`)
    this.open.delete(callId)
    for (const { charge, amount } of kept(reservation.charges)) {
      const held = this.#held(charge)
      held.reserved -= amount
      if (charge.meter.refill === 'window') held.settled += cost ?? amount
    }
    this.booked.set(callId, cost ?? reservation.facts.reservedCostNanoUsd)
  }

  append(callId: string, charges: readonly Charge[], cost: bigint): void {
    for (const { charge } of kept(charges)) if (charge.meter.refill === 'window') this.#held(charge).settled += cost
    this.booked.set(callId, cost)
  }

  async checkLevels(store: Store, now: Instant): Promise<void> {
    // What ended a day ago may be forgotten.
    const all = [...this.windows.values()].filter(({ charge }) => charge.meter.endsAtMs > now.wallMs - 86_400_000)
    const views = await store.levels(
      all.map(({ charge }) => charge),
      now,
    )
    const shown = views.map(({ meter, settled, reserved }) => [meter.key, settled, reserved])
    expect(shown).toEqual(all.map(({ charge, settled, reserved }) => [charge.meter.key, settled, reserved]))
    const held = [...this.open.values()].reduce((sum, { facts }) => sum + facts.reservedCostNanoUsd, 0n)
    expect(store.open(false)).toMatchObject({ calls: this.open.size, costNanoUsd: held })
  }

  async checkLedger(store: Store): Promise<void> {
    const entries = await store.entries({ limit: 1_000_000 })
    const found = entries.map(({ facts, outcome }) => [facts.callId, (outcome?.cost ?? NO_COST).totalNanoUsd] as const)
    expect(new Map(found)).toEqual(this.booked)
    expect(found.length).toBe(this.booked.size)
    expect(new Set(entries.map(({ settledSeq }) => settledSeq)).size).toBe(found.length)
    const total = (await store.report({ simulated: false })).total()
    const sum = [...this.booked.values()].reduce((before, cost) => before + cost, 0n)
    expect([total.requests, total.costNanoUsd]).toEqual([found.length, sum])
  }

  #held(charge: Charge): Held {
    let held = this.windows.get(charge.meter.key)
    if (!held) this.windows.set(charge.meter.key, (held = { settled: 0n, reserved: 0n, charge }))
    return held
  }
}

/** What windows and counts keep of a list of charges, summed by meter. */
function kept(charges: readonly Charge[]): Sum[] {
  const sums = new Map<string, Sum>()
  for (const charge of charges) {
    if (charge.meter.refill === 'steady' || charge.meter.refill === 'call') continue
    const sum = sums.get(charge.meter.key)
    if (sum) sum.amount += charge.amount
    else sums.set(charge.meter.key, { charge, amount: charge.amount })
  }
  return [...sums.values()]
}

function amounts(charges: readonly Charge[]): Map<string, bigint> {
  return new Map(kept(charges).map(({ charge, amount }) => [charge.meter.key, amount]))
}
