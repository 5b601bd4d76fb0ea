// Booking: what a call is settled as, from how it ended and what was seen of its usage.

import type { Settings } from '../config/settings.ts'
import type { Certainty, Ending } from '../core/ledger-entry.ts'
import type { UsedAmounts } from '../core/levels.ts'
import { expiredOutcome } from '../core/open-calls.ts'
import { type Cost, costOf, costSum, NO_COST, type PriceBook } from '../core/prices.ts'
import { totalTokens, type Usage, usageOf, usageSum } from '../core/usage.ts'
import type { AnswerUsage, UsageShare } from '../wire/dialect.ts'
import type { AdmittedCall } from './admission.ts'

/** How a call is to be booked. */
export interface SettlementBasis {
  readonly ending: Ending
  readonly certainty: Certainty
  readonly metered: AnswerUsage | undefined
  /** True books the most it can have used, since what was used is not known. */
  readonly isUpperBound: boolean
}

export function exactBasis(ending: Ending, metered: AnswerUsage): SettlementBasis {
  return { ending, certainty: 'exact', metered, isUpperBound: false }
}

/** Nothing was used but the request. */
export function freeBasis(ending: Ending): SettlementBasis {
  return { ending, certainty: 'exact', metered: undefined, isUpperBound: false }
}

export function upperBoundBasis(ending: Ending): SettlementBasis {
  return { ending, certainty: 'upperBound', metered: undefined, isUpperBound: true }
}

/** What was seen of an answer nobody waits for: as many tokens as there were events. */
export function estimatedBasis(
  seen: AnswerUsage | undefined,
  events: number,
  bodyBytes: number,
  { quote }: AdmittedCall,
): SettlementBasis {
  const input = Math.min(quote.inputTokens, Math.ceil(bodyBytes / 4))
  const output = Math.min(quote.outputTokens, events)
  const usage = seen
    ? { ...seen.usage, output: Math.max(seen.usage.output, output) }
    : usageOf({ input, output, requests: 1 })
  const metered = seen ? { ...seen, usage } : { usage, reasoningTokens: 0, model: null, serviceTier: null }
  return { ending: 'canceled', certainty: 'estimated', metered, isUpperBound: false }
}

/** What a call comes to. */
export interface SettledAmounts {
  /** Of all its attempts. */
  readonly usage: Usage
  readonly cost: Cost
  /** Of the last attempt alone. */
  readonly attemptCostNanoUsd: bigint
  /** What its meters are to book; undefined is all that is reserved on them. With what attempts before it left on some. */
  readonly used: UsedAmounts | undefined
  readonly usedByMeter: ReadonlyMap<string, bigint> | undefined
}

/** Prices calls by the models that answered them. */
export class SettlementCalculator {
  readonly #prices: PriceBook
  readonly #tracksCost: boolean

  constructor(prices: PriceBook, settings: Settings) {
    this.#prices = prices
    this.#tracksCost = settings.ENABLE_COST_TRACKING
  }

  /** @param priceName what the price book calls whoever answered */
  settlementFor(booking: SettlementBasis, admitted: AdmittedCall, priceName: string, wallMs: number): SettledAmounts {
    const { usage, cost } = booking.isUpperBound
      ? this.#boundUsage(admitted, wallMs)
      : this.#meteredUsage(booking.metered, admitted, priceName)
    const attemptNanoUsd = cost.totalNanoUsd
    const isAll = booking.isUpperBound && admitted.quote.firstCandidateBound === undefined
    const tokens = BigInt(totalTokens(usage))
    const used = isAll ? undefined : { requests: 1n, tokens, cost: attemptNanoUsd, inFlight: 0n }
    const { priorBound } = admitted
    if (priorBound.costNanoUsd === 0n && priorBound.tokens === 0)
      return { usage, cost, attemptCostNanoUsd: attemptNanoUsd, used, usedByMeter: undefined }
    const before = this.#usageOfBound(admitted, priorBound, wallMs)
    return {
      usage: usageSum(before.usage, usage),
      cost: costSum(before.cost, cost),
      attemptCostNanoUsd: attemptNanoUsd,
      used,
      usedByMeter: used && sumUsedByMeter(admitted, used),
    }
  }

  #boundUsage(admitted: AdmittedCall, wallMs: number): Pick<SettledAmounts, 'usage' | 'cost'> {
    return this.#usageOfBound(admitted, admitted.bound, wallMs)
  }

  /** Tokens stand in the class in which a call that nobody settles has them. */
  #usageOfBound({ facts }: AdmittedCall, { tokens, costNanoUsd }: AdmittedCall['bound'], wallMs: number) {
    return expiredOutcome({ ...facts, reservedTokens: tokens, reservedCostNanoUsd: costNanoUsd }, wallMs)
  }

  #meteredUsage(
    metered: AnswerUsage | undefined,
    admitted: AdmittedCall,
    priceName: string,
  ): Pick<SettledAmounts, 'usage' | 'cost'> {
    if (!metered) return { usage: usageOf(), cost: NO_COST }
    let { usage } = metered
    let cost = this.#cost(metered, metered.serviceTier, admitted, priceName)
    for (const share of metered.otherUsage ?? []) {
      usage = usageSum(usage, share.usage)
      cost = costSum(cost, this.#cost(share, metered.serviceTier, admitted, priceName))
    }
    return { usage, cost }
  }

  /** By the model that answered, or, where its price is not known, the one that was asked. */
  #cost(
    { usage, model }: UsageShare,
    serviceTier: string | null,
    { facts, quote }: AdmittedCall,
    priceName: string,
  ): Cost {
    if (!this.#tracksCost) return NO_COST
    const answered = model === null ? undefined : this.#prices.find(priceName, model, facts.reservedAtMs).price
    const price = answered ?? quote.price
    return price ? costOf(price, usage, serviceTier ?? undefined) : NO_COST
  }
}

/** By meter: what the last attempt used, where it was charged, and what the attempts before it are booked as. */
function sumUsedByMeter({ charges, priorCharges }: AdmittedCall, used: UsedAmounts): ReadonlyMap<string, bigint> {
  const byMeter = new Map(charges.map(({ meter }) => [meter.key, used[meter.what]]))
  for (const { meter, amount } of priorCharges) byMeter.set(meter.key, (byMeter.get(meter.key) ?? 0n) + amount)
  return byMeter
}
