// Settlement amounts: the usage and the cost that a call settles with. Pure: it changes no level and writes nothing.

import type { Settings } from '../config/settings.ts'
import type { UsedAmounts } from '../core/levels.ts'
import { expiredOutcome } from '../core/open-calls.ts'
import { type Cost, costOf, costSum, NO_COST, type PriceBook } from '../core/prices.ts'
import { totalTokens, type Usage, usageOf, usageSum } from '../core/usage.ts'
import type { AnswerUsage, UsageShare } from '../wire/dialect.ts'
import type { AdmittedCall, Bound } from './applicant.ts'
import type { SettlementBasis } from './settlement-basis.ts'

/** What a call settles with. */
export interface SettledAmounts {
  /** The usage of all attempts. */
  readonly usage: Usage
  /** The cost of all attempts. */
  readonly cost: Cost
  /** The cost of the last attempt. */
  readonly attemptCostNanoUsd: bigint
  /** What the last attempt used, by what limits count; undefined if that is the whole reservation. */
  readonly used: UsedAmounts | undefined
  /** Amounts by meter key, including those that earlier attempts left there; undefined if `used` holds for all meters. */
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

  /** @param priceName the name that the price book has for the provider */
  settlementFor(basis: SettlementBasis, admitted: AdmittedCall, priceName: string, wallMs: number): SettledAmounts {
    const { quote, bound, priorBound } = admitted
    const { usage, cost } = basis.isUpperBound
      ? usageOfBound(admitted, bound, wallMs)
      : this.#meteredUsage(basis.metered, admitted, priceName)
    const attemptCostNanoUsd = cost.totalNanoUsd
    const isWholeReservation = basis.isUpperBound && quote.firstCandidateBound === undefined
    const tokens = BigInt(totalTokens(usage))
    const used = isWholeReservation ? undefined : { requests: 1n, tokens, cost: attemptCostNanoUsd, inFlight: 0n }
    if (priorBound.costNanoUsd === 0n && priorBound.tokens === 0)
      return { usage, cost, attemptCostNanoUsd, used, usedByMeter: undefined }
    const prior = usageOfBound(admitted, priorBound, wallMs)
    return {
      usage: usageSum(prior.usage, usage),
      cost: costSum(prior.cost, cost),
      attemptCostNanoUsd,
      used,
      usedByMeter: used && sumUsedByMeter(admitted, used),
    }
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

  /** The price of the model that answered or, if that is unknown, of the model that was requested. */
  #cost(
    { usage, model }: UsageShare,
    serviceTier: string | null,
    { facts, quote }: AdmittedCall,
    priceName: string,
  ): Cost {
    if (!this.#tracksCost) return NO_COST
    const answered = model === null ? undefined : this.#prices.find(priceName, model, facts.reservedAtMs).price
    const price = answered ?? quote.price
    return price ? costOf(price, usage, serviceTier) : NO_COST
  }
}

/** A bound does not tell token classes apart: its tokens get the class that they have in an expired call. */
function usageOfBound(
  { facts }: AdmittedCall,
  { tokens, costNanoUsd }: Bound,
  wallMs: number,
): Pick<SettledAmounts, 'usage' | 'cost'> {
  return expiredOutcome({ ...facts, reservedTokens: tokens, reservedCostNanoUsd: costNanoUsd }, wallMs)
}

/** Amounts by meter: those that the last attempt used on its own meters, and the bounds of the attempts before it. */
function sumUsedByMeter({ charges, priorCharges }: AdmittedCall, used: UsedAmounts): ReadonlyMap<string, bigint> {
  const byMeter = new Map(charges.map(({ meter }) => [meter.key, used[meter.what]]))
  for (const { meter, amount } of priorCharges) byMeter.set(meter.key, (byMeter.get(meter.key) ?? 0n) + amount)
  return byMeter
}
