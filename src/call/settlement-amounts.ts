// Settlement amounts: the usage and the cost that a call settles with. Pure: it changes no level and writes nothing.

import type { Settings } from '../config/settings.ts'
import type { ProviderCost } from '../core/ledger-entry.ts'
import type { UsedAmounts } from '../core/levels.ts'
import { divideUp } from '../core/money.ts'
import { expiredOutcome } from '../core/open-calls.ts'
import {
  type Cost,
  costOf,
  costSum,
  costWithTotal,
  isFree,
  isOperatorPrice,
  NO_COST,
  type Price,
} from '../core/prices.ts'
import { isStandardTier } from '../core/service-tier.ts'
import {
  FEE_CLASSES,
  type FeeClass,
  NO_RARE_UNITS,
  totalTokens,
  type Usage,
  unitsOf,
  usageOf,
  usageSum,
} from '../core/usage.ts'
import type { Provider } from '../providers/provider.ts'
import type { AnswerUsage, UsageShare } from '../wire/dialect.ts'
import { coversAll } from '../wire/stated-cost.ts'
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
  /** The version of the prices that counted; undefined if no price did, or the call is booked at its bound. */
  readonly priceVersion?: string | undefined
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

  /**
   * True if a part of the usage has no known price, so that its cost would be too low. A cost that the provider states covers all
   * parts, and a model without any price costs nothing (`UNKNOWN_PRICE=allow`).
   */
  hasUnpricedParts(
    metered: AnswerUsage,
    admitted: AdmittedCall,
    { priceName }: PricedProvider,
    wallMs: number,
  ): boolean {
    const { usage, otherUsage = [], model, statedCost } = metered
    if (usage.rare === NO_RARE_UNITS && otherUsage.length === 0) return false
    if (!this.#tracksCost || coversAll(statedCost)) return false
    const prices = [admitted.quote.price, this.#answeredPrice(model, admitted, priceName, wallMs)].filter(
      (price) => price !== undefined,
    )
    if (prices.length === 0 || prices.some(isFree)) return false
    const isPriced = (name: FeeClass) => prices.some((price) => knowsFee(price, name))
    if (UNIT_FEES.some((name) => unitsOf(usage, name) > 0 && !isPriced(name))) return true
    return otherUsage.some((share) => share.isTool && !this.#answeredPrice(share.model, admitted, priceName, wallMs))
  }

  /**
   * The basis at the dearer price, if the request asked for a tier with a price of its own and the answer does not tell at which
   * tier it ran. A cost that the provider states covers that.
   */
  withDearestTier(
    basis: SettlementBasis,
    admitted: AdmittedCall,
    provider: PricedProvider,
    wallMs: number,
  ): SettlementBasis {
    const { metered } = basis
    const asked = admitted.applicant.first.request.serviceTier
    if (!metered || asked === null || metered.serviceTier === asked || coversAll(metered.statedCost)) return basis
    const served = metered.serviceTier
    const isTold = served !== null && !asked.split('+').includes(served)
    if (isTold && this.#knowsTier(metered, served, admitted, provider, wallMs)) return basis
    const cheap = { ...basis, metered: { ...metered, serviceTier: served } }
    const dear = { ...basis, metered: { ...metered, serviceTier: asked } }
    const costOfBasis = ({ metered: each }: SettlementBasis) =>
      this.#meteredUsage(each, admitted, provider, wallMs).cost.totalNanoUsd
    const [cheapCost, dearCost] = [costOfBasis(cheap), costOfBasis(dear)]
    if (cheapCost === dearCost) return basis
    const dearest = dearCost > cheapCost ? dear : cheap
    return basis.certainty === 'exact' ? { ...dearest, certainty: 'upperBound' } : dearest
  }

  /** True for tiers whose price is known. */
  #knowsTier(
    { model }: AnswerUsage,
    tier: string,
    admitted: AdmittedCall,
    { priceName }: PricedProvider,
    wallMs: number,
  ): boolean {
    if (isStandardTier(tier)) return true
    const prices = [admitted.quote.price, this.#answeredPrice(model, admitted, priceName, wallMs)]
    return prices.some((price) => price?.tiers.has(tier))
  }

  settlementFor(
    basis: SettlementBasis,
    admitted: AdmittedCall,
    provider: PricedProvider,
    wallMs: number,
  ): SettledAmounts {
    const { quote, bound, priorBound } = admitted
    const { usage, cost, providerCost, priceVersion }: MeteredAmounts = basis.isUpperBound
      ? usageOfBound(admitted, bound, wallMs)
      : this.#meteredUsage(basis.metered, admitted, provider, wallMs)
    const attemptCostNanoUsd = cost.totalNanoUsd
    const isWholeReservation = basis.isUpperBound && quote.firstCandidateBound === undefined
    const tokens = BigInt(totalTokens(usage))
    const used = isWholeReservation ? undefined : { requests: 1n, tokens, cost: attemptCostNanoUsd, inFlight: 0n }
    if (priorBound.costNanoUsd === 0n && priorBound.tokens === 0)
      return { usage, cost, priceVersion, providerCost, attemptCostNanoUsd, used, usedByMeter: undefined }
    const prior = usageOfBound(admitted, priorBound, wallMs)
    return {
      usage: usageSum(prior.usage, usage),
      cost: costSum(prior.cost, cost),
      priceVersion,
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
    wallMs: number,
  ): MeteredAmounts {
    if (!metered) return { usage: usageOf(), cost: NO_COST }
    let { usage } = metered
    const own = this.#ownCost(metered, admitted, provider.priceName, wallMs)
    const { priceVersion } = own
    let { cost } = own
    for (const share of metered.otherUsage ?? []) {
      usage = usageSum(usage, share.usage)
      cost = costSum(cost, this.#cost(share, metered.serviceTier, admitted, provider.priceName, wallMs).cost)
    }
    if (!metered.statedCost || !this.#tracksCost) return { usage, cost, priceVersion }
    const { nanoUsd: statedNanoUsd, field, isFeeAlone } = metered.statedCost
    const computedNanoUsd = cost.totalNanoUsd
    const providerCost = { statedNanoUsd, computedNanoUsd }
    if (isFeeAlone)
      return { usage, cost: costWithTotal(cost, computedNanoUsd + statedNanoUsd), priceVersion, providerCost }
    const isTheirs = provider.costField === field && !isOperatorPrice(admitted.quote.price) && statedNanoUsd > 0n
    const counts = isTheirs || statedNanoUsd > computedNanoUsd
    return { usage, cost: counts ? costWithTotal(cost, statedNanoUsd) : cost, priceVersion, providerCost }
  }

  /**
   * The cost of the answer itself, by the operator's price of the requested model if there is one. Otherwise by the price of the
   * model that answered, with the fee by the request that the requested model has. A router's own price adds to the model's.
   */
  #ownCost(metered: AnswerUsage, admitted: AdmittedCall, priceName: string, wallMs: number): PricedCost {
    const { usage, model, serviceTier } = metered
    const asked = admitted.quote.price
    if (!this.#tracksCost) return UNPRICED
    const answered = this.#answeredPrice(model, admitted, priceName, wallMs)
    if (!asked || !answered) return this.#cost(metered, serviceTier, admitted, priceName, wallMs)
    if (isRouter(admitted.facts.model) && asked !== answered) {
      const cost = costSum(costOf(asked, usage, serviceTier), costOf(answered, usage, serviceTier))
      return { cost, priceVersion: bothVersions(asked, answered) }
    }
    const cost = withFees(costOf(answered, usage, serviceTier), usage, answered, asked)
    if (isOperatorPrice(asked)) {
      const askedCost = withFees(costOf(asked, usage, serviceTier), usage, asked, answered)
      const isAnswered = isOperatorPrice(answered) && cost.totalNanoUsd > askedCost.totalNanoUsd
      return isAnswered ? priced(cost, answered) : priced(askedCost, asked)
    }
    const missingFee = asked.steps[0].rates.requests - answered.steps[0].rates.requests
    return priced(missingFee > 0n ? addFee(cost, missingFee * BigInt(usage.requests)) : cost, answered)
  }

  /** The price when the answer ends: where the hour makes a price, providers bill by that time. */
  #answeredPrice(
    model: string | null,
    { applicant }: AdmittedCall,
    priceName: string,
    wallMs: number,
  ): Price | undefined {
    return model === null ? undefined : applicant.prices.find(priceName, model, wallMs).price
  }

  /** The price of the model that answered or, if that is unknown, of the model that was requested. */
  #cost(
    { usage, model }: UsageShare,
    serviceTier: string | null,
    admitted: AdmittedCall,
    priceName: string,
    wallMs: number,
  ): PricedCost {
    if (!this.#tracksCost) return UNPRICED
    const price =
      this.#answeredPrice(model, admitted, priceName, wallMs) ?? this.#askedPrice(admitted, priceName, wallMs)
    return price ? priced(costOf(price, usage, serviceTier), price) : UNPRICED
  }

  /** The price of the requested model when the answer ends. */
  #askedPrice(
    { quote: { price }, facts, applicant }: AdmittedCall,
    priceName: string,
    wallMs: number,
  ): Price | undefined {
    if (!price || isOperatorPrice(price)) return price
    return applicant.prices.find(priceName, facts.model, wallMs).price ?? price
  }
}

/** What the last attempt used and cost. */
type MeteredAmounts = Pick<SettledAmounts, 'usage' | 'cost' | 'priceVersion' | 'providerCost'>

/** A cost, and the version of the prices that it comes from: undefined if there is no price. */
interface PricedCost {
  readonly cost: Cost
  readonly priceVersion: string | undefined
}

const UNPRICED: PricedCost = { cost: NO_COST, priceVersion: undefined }

function priced(cost: Cost, { version }: Price): PricedCost {
  return { cost, priceVersion: version }
}

function bothVersions(one: Price, other: Price): string {
  return one.version === other.version ? one.version : `${one.version} + ${other.version}`
}

/** Fees for units that not every call has. */
const UNIT_FEES = FEE_CLASSES.filter((name) => name !== 'requests')

function knowsFee({ steps, freeFees }: Price, name: FeeClass): boolean {
  return steps[0].rates[name] > 0n || freeFees?.has(name) === true
}

/** The cost by `price`, with the fees that only the other price knows. */
function withFees(cost: Cost, usage: Usage, price: Price, other: Price): Cost {
  if (usage.rare === NO_RARE_UNITS || isFree(price)) return cost
  let missing = 0n
  for (const name of UNIT_FEES)
    if (!knowsFee(price, name)) missing += other.steps[0].rates[name] * BigInt(unitsOf(usage, name))
  return missing > 0n ? addFee(cost, missing) : cost
}

/** @param fee in nano-dollars × million, like rate × units */
function addFee(cost: Cost, fee: bigint): Cost {
  return { ...cost, totalNanoUsd: cost.totalNanoUsd + divideUp(fee, 1_000_000n) }
}

/** Models that hand each call to another one, and bill for that: Azure's, also by its date, and OpenRouter's. */
function isRouter(model: string): boolean {
  return /^(?:model-router(?:-\d{4}-\d{2}-\d{2})?|(?:openrouter\/)?auto)$/.test(model)
}

/** A bound does not tell token classes apart: its tokens get the class that they have in an expired call. */
function usageOfBound({ facts }: AdmittedCall, { tokens, costNanoUsd }: Bound, wallMs: number): MeteredAmounts {
  return expiredOutcome({ ...facts, reservedTokens: tokens, reservedCostNanoUsd: costNanoUsd }, wallMs)
}

/** Amounts by meter: those that the last attempt used on its own meters, and the bounds of the attempts before it. */
function sumUsedByMeter({ charges, priorCharges }: AdmittedCall, used: UsedAmounts): ReadonlyMap<string, bigint> {
  const byMeter = new Map(charges.map(({ meter }) => [meter.key, used[meter.what]]))
  for (const { meter, amount } of priorCharges) byMeter.set(meter.key, (byMeter.get(meter.key) ?? 0n) + amount)
  return byMeter
}
