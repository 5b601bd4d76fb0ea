// Focus charges: settled calls summed by hour or day, key, model, class of units and list price. It keeps a bounded number of sums.

import type { Caller, Entry } from '../core/ledger-entry.ts'
import type { PriceBook } from '../core/prices.ts'
import { type Rates, ratesFor } from '../core/prices.ts'
import { inputTokens, type UsageClass } from '../core/usage.ts'
import { costShares } from './cost-shares.ts'

/** One row of an export. */
export interface FocusCharge {
  /** Epoch milliseconds, `startsAtMs ≤ t < endsAtMs`. */
  readonly startsAtMs: number
  readonly endsAtMs: number
  readonly key: Caller['key']
  readonly organisation: Caller['organisation']
  readonly project: Caller['project']
  readonly provider: string
  readonly model: string
  /** Null for the correction of a cost, which has no units. */
  readonly unitClass: UsageClass | null
  /** Nano-dollars per million units, by the price book. Undefined if no price is known. */
  readonly listRate: bigint | undefined
  units: bigint
  nanoUsd: bigint
  /** Calls that have a part in this row, or corrections. */
  count: number
}

const GRANULARITIES = { hour: 3_600_000, day: 86_400_000 } as const
export type Granularity = keyof typeof GRANULARITIES

/** Rows that are kept at the same time. If there are more, all are handed out, and later calls make further rows of the same names. */
const MAX_CHARGES = 20_000

/** The name by which the price book knows a provider. */
type PriceNameOf = (provider: string) => string

/**
 * Sums entries to rows. Rows add up to the entries, whatever their order.
 *
 * @example
 * const charges = new FocusCharges('day', prices, (provider) => provider)
 * for (const entry of entries) yield charges.add(entry)
 * yield charges.takeAll()
 */
export class FocusCharges {
  readonly #granularityMs: number
  readonly #prices: PriceBook
  readonly #priceNameOf: PriceNameOf
  readonly #charges = new Map<string, FocusCharge>()

  constructor(granularity: Granularity, prices: PriceBook, priceNameOf: PriceNameOf) {
    this.#granularityMs = GRANULARITIES[granularity]
    this.#prices = prices
    this.#priceNameOf = priceNameOf
  }

  /** Whether rows have to be taken before more entries are added. */
  get isFull(): boolean {
    return this.#charges.size >= MAX_CHARGES
  }

  /** Adds a settled call, or a correction. An entry in flight adds nothing. */
  add({ facts, outcome, adjustment }: Entry): void {
    if (!outcome) return
    const { usage, cost } = outcome
    if (adjustment) {
      this.#chargeOf(facts, null, undefined, 0n, cost.totalNanoUsd)
      return
    }
    const price = this.#prices.find(this.#priceNameOf(facts.provider), facts.model, facts.reservedAtMs).price
    const rates: Rates | undefined = price && ratesFor(price, inputTokens(usage))
    for (const { unitClass, units, nanoUsd } of costShares(usage, cost, rates))
      this.#chargeOf(facts, unitClass, rates?.[unitClass], BigInt(units), nanoUsd)
  }

  /** Hands out all rows, the newest period first, and forgets them. */
  takeAll(): readonly FocusCharge[] {
    const charges = [...this.#charges].toSorted(([leftName, left], [rightName, right]) =>
      left.startsAtMs === right.startsAtMs ? (leftName < rightName ? -1 : 1) : right.startsAtMs - left.startsAtMs,
    )
    this.#charges.clear()
    return charges.map(([, charge]) => charge)
  }

  #chargeOf(
    { caller, provider, model, reservedAtMs }: Entry['facts'],
    unitClass: UsageClass | null,
    listRate: bigint | undefined,
    units: bigint,
    nanoUsd: bigint,
  ): void {
    const startsAtMs = Math.floor(reservedAtMs / this.#granularityMs) * this.#granularityMs
    const { key, organisation, project } = caller
    const name = JSON.stringify([startsAtMs, key, organisation, project, provider, model, unitClass, `${listRate}`])
    let charge = this.#charges.get(name)
    if (!charge) {
      const endsAtMs = startsAtMs + this.#granularityMs
      const who = { key, organisation, project, provider, model, unitClass, listRate }
      charge = { startsAtMs, endsAtMs, ...who, units: 0n, nanoUsd: 0n, count: 0 }
      this.#charges.set(name, charge)
    }
    charge.units += units
    charge.nanoUsd += nanoUsd
    charge.count += 1
  }
}
