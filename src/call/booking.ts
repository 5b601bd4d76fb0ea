// Booking: what a call is settled as, from how it ended and what was seen of its usage.

import type { Settings } from '../config/settings.ts'
import type { Certainty, Ending } from '../core/ledger-entry.ts'
import type { Used } from '../core/levels.ts'
import { expiredOutcome } from '../core/open-calls.ts'
import { type Cost, costOf, costSum, NO_COST, type PriceBook } from '../core/prices.ts'
import { totalTokens, type Usage, usageOf, usageSum } from '../core/usage.ts'
import type { Metered, Share } from '../wire/dialect.ts'
import type { Admitted } from './admission.ts'

/** How a call is to be booked. */
export interface Booking {
  readonly ending: Ending
  readonly certainty: Certainty
  readonly metered: Metered | undefined
  /** True books the most it can have used, since what was used is not known. */
  readonly whole: boolean
}

export function exact(ending: Ending, metered: Metered): Booking {
  return { ending, certainty: 'exact', metered, whole: false }
}

/** Nothing was used but the request. */
export function free(ending: Ending): Booking {
  return { ending, certainty: 'exact', metered: undefined, whole: false }
}

export function whole(ending: Ending): Booking {
  return { ending, certainty: 'upperBound', metered: undefined, whole: true }
}

/** What was seen of an answer nobody waits for: as many tokens as there were events. */
export function estimated(seen: Metered | undefined, events: number, bodyBytes: number, { quote }: Admitted): Booking {
  const input = Math.min(quote.inputTokens, Math.ceil(bodyBytes / 4))
  const output = Math.min(quote.outputTokens, events)
  const usage = seen
    ? { ...seen.usage, output: Math.max(seen.usage.output, output) }
    : usageOf({ input, output, requests: 1 })
  const metered = seen ? { ...seen, usage } : { usage, reasoningTokens: 0, model: null, serviceTier: null }
  return { ending: 'canceled', certainty: 'estimated', metered, whole: false }
}

/** What a call comes to. */
export interface Booked {
  /** Of all its attempts. */
  readonly usage: Usage
  readonly cost: Cost
  /** Of the last attempt alone. */
  readonly attemptNanoUsd: bigint
  /** What its meters are to book; undefined is all that is reserved on them. With what attempts before it left on some. */
  readonly used: Used | undefined
  readonly usedOn: ReadonlyMap<string, bigint> | undefined
}

/** Prices calls by the models that answered them. */
export class Bookkeeping {
  readonly #prices: PriceBook
  readonly #tracksCost: boolean

  constructor(prices: PriceBook, settings: Settings) {
    this.#prices = prices
    this.#tracksCost = settings.ENABLE_COST_TRACKING
  }

  /** @param priceName what the price book calls whoever answered */
  booked(booking: Booking, admitted: Admitted, priceName: string, wallMs: number): Booked {
    const { usage, cost } = booking.whole
      ? this.#most(admitted, wallMs)
      : this.#used(booking.metered, admitted, priceName)
    const attemptNanoUsd = cost.totalNanoUsd
    const isAll = booking.whole && admitted.quote.own === undefined
    const tokens = BigInt(totalTokens(usage))
    const used = isAll ? undefined : { requests: 1n, tokens, cost: attemptNanoUsd, inFlight: 0n }
    const { spent } = admitted
    if (spent.costNanoUsd === 0n && spent.tokens === 0) return { usage, cost, attemptNanoUsd, used, usedOn: undefined }
    const before = this.#boundOf(admitted, spent, wallMs)
    return {
      usage: usageSum(before.usage, usage),
      cost: costSum(before.cost, cost),
      attemptNanoUsd,
      used,
      usedOn: used && usedOn(admitted, used),
    }
  }

  #most(admitted: Admitted, wallMs: number): Pick<Booked, 'usage' | 'cost'> {
    return this.#boundOf(admitted, admitted.bound, wallMs)
  }

  /** Tokens stand in the class in which a call that nobody settles has them. */
  #boundOf({ facts }: Admitted, { tokens, costNanoUsd }: Admitted['bound'], wallMs: number) {
    return expiredOutcome({ ...facts, reservedTokens: tokens, reservedCostNanoUsd: costNanoUsd }, wallMs)
  }

  #used(metered: Metered | undefined, admitted: Admitted, priceName: string): Pick<Booked, 'usage' | 'cost'> {
    if (!metered) return { usage: usageOf(), cost: NO_COST }
    let { usage } = metered
    let cost = this.#cost(metered, metered.serviceTier, admitted, priceName)
    for (const share of metered.also ?? []) {
      usage = usageSum(usage, share.usage)
      cost = costSum(cost, this.#cost(share, metered.serviceTier, admitted, priceName))
    }
    return { usage, cost }
  }

  /** By the model that answered, or, where its price is not known, the one that was asked. */
  #cost({ usage, model }: Share, serviceTier: string | null, { facts, quote }: Admitted, priceName: string): Cost {
    if (!this.#tracksCost) return NO_COST
    const answered = model === null ? undefined : this.#prices.find(priceName, model, facts.reservedAtMs).price
    const price = answered ?? quote.price
    return price ? costOf(price, usage, serviceTier ?? undefined) : NO_COST
  }
}

/** By meter: what the last attempt used, where it was charged, and what the attempts before it are booked as. */
function usedOn({ charges, spentOn }: Admitted, used: Used): ReadonlyMap<string, bigint> {
  const byMeter = new Map(charges.map(({ meter }) => [meter.key, used[meter.what]]))
  for (const { meter, amount } of spentOn) byMeter.set(meter.key, (byMeter.get(meter.key) ?? 0n) + amount)
  return byMeter
}
