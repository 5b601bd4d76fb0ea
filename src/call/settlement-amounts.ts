// Settlement amounts: the usage and the cost that a call settles with. Pure: it changes no level and writes nothing.

import type { Settings } from '../config/settings.ts'
import type { ProviderCost } from '../core/ledger-entry.ts'
import type { UsedAmounts } from '../core/levels.ts'
import { divideUp } from '../core/money.ts'
import { expiredOutcome } from '../core/open-calls.ts'
import { type Cost, costOf, costSum, costWithTotal, isOperatorPrice, NO_COST, type Price } from '../core/prices.ts'
import { totalTokens, type Usage, usageOf, usageSum } from '../core/usage.ts'
import type { Provider } from '../providers/provider.ts'
import type { AnswerUsage, UsageShare } from '../wire/dialect.ts'
import type { AdmittedCall, Bound } from './applicant.ts'
import type { SettlementBasis } from './settlement-basis.ts'

/** What settling needs to know of a provider. */
type PricedProvider = Pick<Provider, 'priceName' | 'costField'>

/** What a call settles with. */
export interface SettledAmounts {
  /** The usage of all attempts. */
  readonly usage: Usage
  /** The cost of all attempts. */
  readonly cost: Cost
  /** Present if the answer states a cost. */
  readonly providerCost?: ProviderCost | undefined
  /** The cost of the last attempt. */
  readonly attemptCostNanoUsd: bigint
  /** What the last attempt used, by what limits count; undefined if that is the whole reservation. */
  readonly used: UsedAmounts | undefined
  /** Amounts by meter key, including those that earlier attempts left there; undefined if `used` holds for all meters. */
  readonly usedByMeter: ReadonlyMap<string, bigint> | undefined
}

/** Prices calls by the models that answered them. */
export class SettlementCalculator {
  readonly #tracksCost: boolean

  constructor(settings: Settings) {
    this.#tracksCost = settings.ENABLE_COST_TRACKING
  }

  settlementFor(
    basis: SettlementBasis,
    admitted: AdmittedCall,
    provider: PricedProvider,
    wallMs: number,
  ): SettledAmounts {
    const { quote, bound, priorBound } = admitted
    const { usage, cost, providerCost } = basis.isUpperBound
      ? usageOfBound(admitted, bound, wallMs)
      : this.#meteredUsage(basis.metered, admitted, provider)
    const attemptCostNanoUsd = cost.totalNanoUsd
    const isWholeReservation = basis.isUpperBound && quote.firstCandidateBound === undefined
    const tokens = BigInt(totalTokens(usage))
    const used = isWholeReservation ? undefined : { requests: 1n, tokens, cost: attemptCostNanoUsd, inFlight: 0n }
    if (priorBound.costNanoUsd === 0n && priorBound.tokens === 0)
      return { usage, cost, providerCost, attemptCostNanoUsd, used, usedByMeter: undefined }
    const prior = usageOfBound(admitted, priorBound, wallMs)
    return {
      usage: usageSum(prior.usage, usage),
      cost: costSum(prior.cost, cost),
      providerCost,
      attemptCostNanoUsd,
      used,
      usedByMeter: used && sumUsedByMeter(admitted, used),
    }
  }

  #meteredUsage(
    metered: AnswerUsage | undefined,
    admitted: AdmittedCall,
    provider: PricedProvider,
  ): Pick<SettledAmounts, 'usage' | 'cost' | 'providerCost'> {
    if (!metered) return { usage: usageOf(), cost: NO_COST }
    let { usage } = metered
    let cost = this.#ownCost(metered, admitted, provider.priceName)
    for (const share of metered.otherUsage ?? []) {
      usage = usageSum(usage, share.usage)
      cost = costSum(cost, this.#cost(share, metered.serviceTier, admitted, provider.priceName))
    }
    if (!metered.statedCost || !this.#tracksCost) return { usage, cost }
    const { nanoUsd: statedNanoUsd, field } = metered.statedCost
    const providerCost = { statedNanoUsd, computedNanoUsd: cost.totalNanoUsd }
    const isTheirs = provider.costField === field && !isOperatorPrice(admitted.quote.price) && statedNanoUsd > 0n
    const counts = isTheirs || statedNanoUsd > cost.totalNanoUsd
    return { usage, cost: counts ? costWithTotal(cost, statedNanoUsd) : cost, providerCost }
  }

  /**
   * The cost of the answer itself, by the operator's price of the requested model if there is one. Otherwise by the price of the
   * model that answered, with the fee by the request that the requested model has. A router's own price adds to the model's.
   */
  #ownCost(metered: AnswerUsage, admitted: AdmittedCall, priceName: string): Cost {
    const { usage, model, serviceTier } = metered
    const asked = admitted.quote.price
    if (!this.#tracksCost) return NO_COST
    const answered = this.#answeredPrice(model, admitted, priceName)
    if (!asked || !answered) return this.#cost(metered, serviceTier, admitted, priceName)
    if (isRouter(admitted.facts.model) && asked !== answered)
      return costSum(costOf(asked, usage, serviceTier), costOf(answered, usage, serviceTier))
    const cost = costOf(answered, usage, serviceTier)
    if (isOperatorPrice(asked)) {
      const askedCost = costOf(asked, usage, serviceTier)
      return isOperatorPrice(answered) && cost.totalNanoUsd > askedCost.totalNanoUsd ? cost : askedCost
    }
    const missingFee = asked.steps[0].rates.requests - answered.steps[0].rates.requests
    if (missingFee <= 0n) return cost
    const feeNanoUsd = divideUp(missingFee * BigInt(usage.requests), 1_000_000n)
    return { ...cost, totalNanoUsd: cost.totalNanoUsd + feeNanoUsd }
  }

  #answeredPrice(model: string | null, { facts, applicant }: AdmittedCall, priceName: string): Price | undefined {
    return model === null ? undefined : applicant.prices.find(priceName, model, facts.reservedAtMs).price
  }

  /** The price of the model that answered or, if that is unknown, of the model that was requested. */
  #cost({ usage, model }: UsageShare, serviceTier: string | null, admitted: AdmittedCall, priceName: string): Cost {
    if (!this.#tracksCost) return NO_COST
    const price = this.#answeredPrice(model, admitted, priceName) ?? admitted.quote.price
    return price ? costOf(price, usage, serviceTier) : NO_COST
  }
}

/** Models that hand each call to another one, and bill for that. */
function isRouter(model: string): boolean {
  return /(?:^|\/)(?:model-router|auto|router)(?:-|$)/.test(model.toLowerCase())
}

/** A bound does not tell token classes apart: its tokens get the class that they have in an expired call. */
function usageOfBound(
  { facts }: AdmittedCall,
  { tokens, costNanoUsd }: Bound,
  wallMs: number,
): Pick<SettledAmounts, 'usage' | 'cost' | 'providerCost'> {
  return expiredOutcome({ ...facts, reservedTokens: tokens, reservedCostNanoUsd: costNanoUsd }, wallMs)
}

/** Amounts by meter: those that the last attempt used on its own meters, and the bounds of the attempts before it. */
function sumUsedByMeter({ charges, priorCharges }: AdmittedCall, used: UsedAmounts): ReadonlyMap<string, bigint> {
  const byMeter = new Map(charges.map(({ meter }) => [meter.key, used[meter.what]]))
  for (const { meter, amount } of priorCharges) byMeter.set(meter.key, (byMeter.get(meter.key) ?? 0n) + amount)
  return byMeter
}
