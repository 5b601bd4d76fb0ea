// Quoting: the maximum that a call can use, and the output cap with which its cost stays within a budget. It reserves nothing.

import type { Settings } from '../config/settings.ts'
import type { LimitPlan } from '../core/limits.ts'
import type { Instant } from '../core/meter.ts'
import { divideUp } from '../core/money.ts'
import type { ModelFacts, Price, PriceBook } from '../core/prices.ts'
import { Problem } from '../core/problem.ts'
import {
  affordableCap,
  type CountedInput,
  type Quote,
  type QuoteRules,
  type QuoteSettings,
  quote,
  type RequestFacts,
} from '../core/quote.ts'
import type { FactoredQuote, QuoteOverruns } from '../core/quote-overruns.ts'
import { type Applicant, allCandidates, type Candidate, type RouteQuote, subjectsOf } from './applicant.ts'
import { unknownPriceProblem } from './unknown-price.ts'

export interface QuotingParts {
  readonly settings: Settings
  readonly prices: PriceBook
  /** Read anew for every call, since a reload replaces the plan. */
  readonly limits: { readonly plan: LimitPlan }
  /** How far calls to a model exceeded their quotes, in percent. */
  readonly quoteOverruns: Pick<QuoteOverruns, 'percent'>
}

/** What can limit the cost of a call beside the plan. */
type CostLimited = Pick<Applicant, 'budget' | 'key'>

/** What a call is quoted by. */
interface QuotedModel extends ModelFacts {
  /** The price at the latest end of the call, if that is another one. */
  readonly laterPrice?: Price
}

/**
 * Answers what calls can cost at most. Tokens are counts, costs are nano-dollars. A quote is an upper bound, raised if calls to the
 * model exceeded their quotes before.
 */
export class Quoting {
  readonly #parts: QuotingParts
  readonly #quoteSettings: QuoteSettings

  constructor(parts: QuotingParts) {
    this.#parts = parts
    this.#quoteSettings = {
      defaultMaxOutputTokens: parts.settings.DEFAULT_MAX_OUTPUT_TOKENS,
      tokenReservation: parts.settings.TOKEN_RESERVATION,
    }
  }

  /**
   * The quote of a whole route: whichever candidate answers, the call uses no more. A call that may be capped, and costs more than
   * the ceiling per call, is quoted with the largest cap under it.
   * Throws Problem `unbounded_call` or `unknown_price` for a call that cannot be quoted.
   */
  quoteForRoute(applicant: Applicant, now: Instant): RouteQuote {
    this.#refuseUnbounded(applicant)
    const quoted = this.#quoteAll(applicant, now)
    if (!this.mayCap(applicant)) return quoted
    const ceiling = this.#parts.limits.plan.ceiling(subjectsOf(applicant), 'cost', now.wallMs)
    if (ceiling === undefined || quoted.costNanoUsd <= ceiling) return quoted
    const cap = this.largestCapWithin(ceiling, applicant, now)
    return cap < this.minCap ? quoted : this.quoteWithCap(cap, applicant, now)
  }

  /** The quote of a whole route with an output cap, in tokens. */
  quoteWithCap(cap: number, applicant: Applicant, now: Instant): RouteQuote {
    return this.#quoteAll(applicant, now, cap)
  }

  /** The quote of one candidate. Throws Problem `unknown_price`. */
  quoteFor(candidate: Candidate, limited: CostLimited, now: Instant, cap?: number): FactoredQuote {
    return this.#quoteAt(candidate, this.#modelFacts(candidate, limited, now), cap)
  }

  /** The cost of one candidate in nano-dollars; undefined if it cannot be quoted. */
  costOf(candidate: Candidate, limited: CostLimited, now: Instant): bigint | undefined {
    const facts = this.#modelFactsOrNone(candidate, limited, now)
    return facts && this.#quoteAt(candidate, facts).costNanoUsd
  }

  /**
   * The largest output cap, in tokens, with which every candidate costs at most `nanoUsd`. It may be below 1, if none does, and is
   * MAX_SAFE_INTEGER if no candidate costs anything.
   */
  largestCapWithin(nanoUsd: bigint, applicant: Applicant, now: Instant): number {
    const caps = allCandidates(applicant).map((candidate) => {
      const facts = this.#modelFactsOrNone(candidate, applicant, now)
      if (!facts) return Number.MAX_SAFE_INTEGER
      const quoted = this.#quoteAt(candidate, facts)
      const plainNanoUsd = (nanoUsd * 100n) / BigInt(this.#overrunPercent(candidate))
      return affordableCap(candidate.request, quoted, rulesOf(candidate), plainNanoUsd)
    })
    return Math.min(...caps)
  }

  /** Whether the gateway may cap the output of a call: the caller did not, and limits are enforced. */
  mayCap({ first: { request } }: Applicant): boolean {
    return this.#parts.settings.ENFORCEMENT !== 'soft' && request.outputCap === null && request.kind === 'generate'
  }

  /** The smallest output cap that the gateway sets, in tokens. */
  get minCap(): number {
    return this.#parts.settings.MIN_INJECTED_OUTPUT_TOKENS
  }

  /** Throws Problem `unbounded_call` for a call whose cost must have an upper bound, and has none. */
  #refuseUnbounded(applicant: Applicant): void {
    if (this.#parts.settings.UNBOUNDED_CALLS !== 'refuse') return
    const reasons = allCandidates(applicant).flatMap(({ request: { unbounded, hostedTools } }) =>
      applicant.hostedTools === 'estimate' ? unbounded.filter((name) => !hostedTools.includes(name)) : unbounded,
    )
    if (reasons.length > 0) throw unboundedProblem([...new Set(reasons)])
  }

  #quoteAll(applicant: Applicant, now: Instant, cap?: number): RouteQuote {
    const { first, others } = applicant
    const quoted = this.quoteFor(first, applicant, now, cap)
    if (others.length === 0) return quoted
    let { tokens, costNanoUsd } = quoted
    for (const candidate of others) {
      const facts = this.#modelFactsOrNone(candidate, applicant, now)
      // A fallback that cannot be quoted gets no request either: moving the reservation to it fails.
      if (!facts) continue
      const fallback = this.#quoteAt(candidate, facts, cap ?? quoted.injectedCap ?? undefined)
      tokens = Math.max(tokens, fallback.tokens)
      if (fallback.costNanoUsd > costNanoUsd) costNanoUsd = fallback.costNanoUsd
    }
    const plainCostNanoUsd = quoted.plainCostNanoUsd ?? quoted.costNanoUsd
    const firstCandidateBound = { tokens: quoted.tokens, costNanoUsd: quoted.costNanoUsd }
    return { ...quoted, tokens, costNanoUsd, plainCostNanoUsd, firstCandidateBound }
  }

  /** If calls to the model were seen to exceed their quotes, the quote is raised by as much: up to the model's whole window. */
  #quoteAt(candidate: Candidate, facts: QuotedModel, cap?: number): FactoredQuote {
    const { request, defaultCap, countedInput } = candidate
    const setCap = cap === undefined ? (defaultCap ?? undefined) : Math.min(cap, defaultCap ?? cap)
    const plain = this.#dearerQuote(candidate, request, facts, setCap, countedInput)
    const percent = this.#overrunPercent(candidate)
    if (percent === 100 || plain.costNanoUsd === 0n) return plain
    const raisedNanoUsd = divideUp(plain.costNanoUsd * BigInt(percent), 100n)
    const maxNanoUsd = this.#maxCost(candidate, facts, cap)
    const cappedNanoUsd = raisedNanoUsd < maxNanoUsd ? raisedNanoUsd : maxNanoUsd
    const costNanoUsd = cappedNanoUsd > plain.costNanoUsd ? cappedNanoUsd : plain.costNanoUsd
    return { ...plain, costNanoUsd, plainCostNanoUsd: plain.costNanoUsd }
  }

  /** The cost of the most expensive call to a model: all of its window, and its longest answer. */
  #maxCost(candidate: Candidate, facts: QuotedModel, cap: number | undefined): bigint {
    const { request } = candidate
    const largest = { ...request, unsizedInput: true, outputCap: facts.limits ? null : request.outputCap }
    return this.#dearerQuote(candidate, largest, facts, facts.limits ? undefined : cap).costNanoUsd
  }

  /** If the price can change before the call ends, by the date or the hour, the dearer price counts. */
  #dearerQuote(
    candidate: Candidate,
    request: RequestFacts,
    facts: QuotedModel,
    cap: number | undefined,
    counted?: CountedInput,
  ): Quote {
    const rules = rulesOf(candidate)
    const quoted = quote(request, facts, rules, this.#quoteSettings, cap, counted)
    if (!facts.laterPrice) return quoted
    const later = quote(request, { ...facts, price: facts.laterPrice }, rules, this.#quoteSettings, cap, counted)
    return later.costNanoUsd > quoted.costNanoUsd ? later : quoted
  }

  #overrunPercent({ request, provider, model }: Candidate): number {
    return this.#parts.quoteOverruns.percent(provider.name, model, request.unbounded.length === 0)
  }

  #modelFacts(candidate: Candidate, limited: CostLimited, now: Instant): QuotedModel {
    const facts = this.#modelFactsOrNone(candidate, limited, now)
    if (facts) return facts
    throw unknownPriceProblem(this.#parts.prices, candidate.provider.priceName, candidate.model, now.wallMs)
  }

  /** Undefined if the price must be known and is not. */
  #modelFactsOrNone(
    { provider, model, request }: Candidate,
    { budget, key }: CostLimited,
    now: Instant,
  ): QuotedModel | undefined {
    const { limits, prices, settings } = this.#parts
    const listed = prices.find(provider.priceName, model, now.wallMs)
    if (!settings.ENABLE_COST_TRACKING) return { price: undefined, limits: listed.limits }
    if (listed.price) {
      const { price: laterPrice } = prices.find(provider.priceName, model, now.wallMs + settings.UPSTREAM_TIMEOUT_MS)
      return laterPrice && laterPrice !== listed.price ? { ...listed, laterPrice } : listed
    }
    const price = provider.unlistedPrice
    const needsPrice = request.kind !== 'count' && settings.UNKNOWN_PRICE === 'refuse'
    if (!price && needsPrice && (limits.plan.counts('cost', key?.limits) || budget)) return undefined
    return { price, limits: listed.limits }
  }
}

function rulesOf({ provider, model }: Candidate): QuoteRules {
  return provider.rulesFor?.(model) ?? provider.rules
}

function unboundedProblem(reasons: readonly string[]): Problem {
  const message = `The cost of this call has no upper bound, because it uses: ${reasons.join(', ')}. Leave that out, or set UNBOUNDED_CALLS=estimate.`
  return new Problem('unbounded_call', message)
}
