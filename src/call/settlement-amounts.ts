// Settlement amounts: the usage and the cost that a call settles with. Pure: it changes no level and writes nothing.

import type { Settings } from '../config/settings.ts'
import type { ProviderCost } from '../core/ledger-entry.ts'
import type { UsedAmounts } from '../core/levels.ts'
import { expiredOutcome } from '../core/open-calls.ts'
import { type Cost, costOf, costSum, costWithTotal, isOperatorPrice, NO_COST, type PriceBook } from '../core/prices.ts'
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
  readonly #prices: PriceBook
  readonly #tracksCost: boolean

  constructor(prices: PriceBook, settings: Settings) {
    this.#prices = prices
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
    let cost = this.#cost(metered, metered.serviceTier, admitted, provider.priceName)
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
): Pick<SettledAmounts, 'usage' | 'cost' | 'providerCost'> {
  return expiredOutcome({ ...facts, reservedTokens: tokens, reservedCostNanoUsd: costNanoUsd }, wallMs)
}

/** Amounts by meter: those that the last attempt used on its own meters, and the bounds of the attempts before it. */
function sumUsedByMeter({ charges, priorCharges }: AdmittedCall, used: UsedAmounts): ReadonlyMap<string, bigint> {
  const byMeter = new Map(charges.map(({ meter }) => [meter.key, used[meter.what]]))
  for (const { meter, amount } of priorCharges) byMeter.set(meter.key, (byMeter.get(meter.key) ?? 0n) + amount)
  return byMeter
}
