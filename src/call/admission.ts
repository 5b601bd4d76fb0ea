// Admission: from an ask to a reservation or a refusal. Quotes, sets a cap where that makes a call fit, and reserves.

import type { Settings } from '../config/settings.ts'
import { windowAt } from '../core/calendar.ts'
import type { Clock } from '../core/clock.ts'
import type { CallFacts, Reservation } from '../core/ledger-entry.ts'
import type { Shortfall } from '../core/levels.ts'
import type { Amounts, LimitPlan } from '../core/limits.ts'
import { SIMULATED_REALM } from '../core/limits.ts'
import type { Charge, Instant } from '../core/meter.ts'
import { divideUp } from '../core/money.ts'
import type { ModelFacts, PriceBook } from '../core/prices.ts'
import { Problem } from '../core/problem.ts'
import { affordableCap, type CountedInput, type Quote, type QuoteSettings, quote } from '../core/quote.ts'
import type { FactoredQuote } from '../core/quote-overruns.ts'
import { refusalOf } from '../core/refusal.ts'
import type { InputCounter } from '../counting/input-counter.ts'
import type { Store, Admission as StoreAdmission } from '../stores/store.ts'
import {
  type AdmittedCall,
  type Applicant,
  allCandidates,
  type Bound,
  type Budget,
  type Candidate,
  type RefusedCall,
  type RouteQuote,
  subjectsOf,
} from './applicant.ts'

const ZERO_BOUND: Bound = { tokens: 0, costNanoUsd: 0n }
const NO_PRIOR_CHARGES: readonly Charge[] = []

/** Between looking at what is free and taking it, another replica may take it first. */
const MAX_RESERVE_TRIES = 3
const EXPIRY_GRACE_MS = 60_000

export interface AdmissionControlParts {
  readonly settings: Settings
  readonly store: Store
  readonly prices: PriceBook
  /** Read anew for every call, since limits are reloaded. */
  readonly limits: { readonly plan: LimitPlan; readonly changing: Promise<void> | undefined }
  /** By how much calls were seen to exceed their quotes, in percent of them. */
  readonly recorder: {
    readonly quoteOverruns: { percent(provider: string, model: string, bounded: boolean): number }
  }
  readonly random: () => number
  readonly clock: Clock
  readonly inputCounter: InputCounter
}

export class AdmissionControl {
  readonly #parts: AdmissionControlParts
  readonly #quoteSettings: QuoteSettings
  readonly #isSoft: boolean

  constructor(parts: AdmissionControlParts) {
    this.#parts = parts
    this.#isSoft = parts.settings.ENFORCEMENT === 'soft'
    this.#quoteSettings = {
      defaultMaxOutputTokens: parts.settings.DEFAULT_MAX_OUTPUT_TOKENS,
      tokenReservation: parts.settings.TOKEN_RESERVATION,
    }
  }

  /** The most a call can cost, as it would be quoted now. Throws Problem where it cannot be. */
  quote(applicant: Applicant, now: Instant): RouteQuote {
    const { unbounded } = applicant.first.request
    if (unbounded.length > 0 && this.#parts.settings.UNBOUNDED_CALLS === 'refuse') {
      throw new Problem('unbounded_call', `Nobody can bound what this call costs, because of: ${unbounded.join(', ')}.`)
    }
    return this.#quoteUnderCeiling(applicant, this.#mostExpensiveQuote(applicant, now), now)
  }

  /** The charges a quote makes. */
  charges(applicant: Applicant, quoted: Quote, now: Instant): Charge[] {
    const amounts: Amounts = { requests: 1n, tokens: BigInt(quoted.tokens), cost: quoted.costNanoUsd, inFlight: 1n }
    const realm = applicant.first.provider.simulated ? SIMULATED_REALM : ''
    const { plan } = this.#parts.limits
    const charges = plan.chargesFor(subjectsOf(applicant), amounts, now.wallMs, realm, this.#isSoft)
    const { budget } = applicant
    if (budget)
      charges.push({ meter: budget.meter, amount: quoted.costNanoUsd, capacity: budget.nanoUsd, enforced: true })
    return charges
  }

  /**
   * Reserves the most the call can use, whichever of its candidates answers. A call without a cap that does not fit the money
   * left gets one, and another try; one that would be refused for the size of its input has that counted, and another try;
   * one that may do without its dearest candidates is tried without them.
   * Throws Problem for calls that cannot be quoted, StoreUnavailable when the ledger cannot be written.
   */
  async admit(applicant: Applicant, now: Instant): Promise<AdmittedCall | RefusedCall> {
    if (this.#parts.limits.changing) await this.#parts.limits.changing
    let quoted = this.quote(applicant, now)
    for (let tries = 1; ; tries++) {
      const reservation = this.#reservation(applicant, quoted, now)
      const answer = (await this.#parts.store.reserve([reservation], now))[0]
      if (answer?.admitted) return toAdmittedCall(applicant, quoted, reservation, answer)
      const short = answer?.shortfalls ?? []
      const smaller = tries < MAX_RESERVE_TRIES ? this.#cappedQuote(applicant, quoted, short, now) : undefined
      if (!smaller) return this.#admitOther(applicant, quoted, short, now)
      quoted = smaller
    }
  }

  #reservation(applicant: Applicant, quoted: Quote, now: Instant): Reservation {
    return {
      facts: this.#callFacts(applicant, quoted, now),
      charges: this.charges(applicant, quoted, now),
      expiresAtMs: now.monoMs + this.#parts.settings.UPSTREAM_TIMEOUT_MS + EXPIRY_GRACE_MS,
    }
  }

  /** What is left to try for a call that no cap makes fit; its refusal where nothing is. */
  async #admitOther(
    applicant: Applicant,
    quoted: Quote,
    short: readonly Shortfall[],
    now: Instant,
  ): Promise<AdmittedCall | RefusedCall> {
    const counted = await this.#countInput(applicant, short, now)
    if (counted)
      return this.admit({ ...applicant, first: { ...applicant.first, countedInput: counted } }, this.#parts.clock.now())
    const cheaper = this.#withoutMostExpensive(applicant, short, now)
    return cheaper ? this.admit(cheaper, now) : this.#refused(applicant, quoted, short, now)
  }

  /**
   * Moves the reservation of a call under way to another of its candidates, or to the same one once more.
   * @param billed the attempt before may have been: it is booked as the most it can have used
   * Undefined where that does not fit: the reservation is as it was.
   */
  async move(
    from: AdmittedCall,
    candidate: Candidate,
    billed: boolean,
    now: Instant,
  ): Promise<AdmittedCall | undefined> {
    const applicant: Applicant = { ...from.applicant, first: candidate, others: [] }
    const cap = from.quote.injectedCap ?? undefined
    const quoted = this.#quoteCandidate(candidate, this.#modelFacts(candidate, now, applicant.budget), cap)
    const then = { wallMs: from.facts.reservedAtMs, monoMs: now.monoMs }
    const facts = this.#callFacts(applicant, quoted, then)
    const booked = billed ? from.bound : ZERO_BOUND
    const spent = {
      tokens: from.priorBound.tokens + booked.tokens,
      costNanoUsd: from.priorBound.costNanoUsd + booked.costNanoUsd,
    }
    const charges = this.charges(applicant, quoted, then)
    const spentOn = billed ? [...from.priorCharges, ...billedCharges(from, charges)] : from.priorCharges
    const amendment = {
      facts: {
        ...facts,
        reservedTokens: facts.reservedTokens + spent.tokens,
        reservedCostNanoUsd: facts.reservedCostNanoUsd + spent.costNanoUsd,
      },
      charges: [...charges.map((charge) => withPriorBound(charge, spent)), ...spentOn],
      expiresAtMs: from.expiresAtMs,
    }
    const [answer] = await this.#parts.store.amend([amendment], now)
    if (!answer?.admitted) return undefined
    const bounded = candidate.request.unbounded.length === 0
    return {
      ...from,
      applicant,
      facts: amendment.facts,
      quote: quoted,
      bound: quoted,
      charges,
      priorBound: spent,
      priorCharges: spentOn,
      bounded,
    }
  }

  /** The input of a call that may fit once it is counted; undefined where it could not fit without any input at all. */
  async #countInput(
    { first, others }: Applicant,
    short: readonly Shortfall[],
    now: Instant,
  ): Promise<CountedInput | undefined> {
    const { request, countableInput } = first
    if (!countableInput || first.countedInput || others.length > 0) return undefined
    const boundless = request.kind !== 'generate' || request.unsizedInput || request.unbounded.length > 0
    if (boundless || !short.every((one) => one.charge.meter.what === 'cost')) return undefined
    const cap = request.outputCap === null ? this.#minCap : undefined
    const least = this.#quoteCandidate({ ...first, countedInput: { all: 0 } }, this.#modelFacts(first, now), cap)
    if (short.some((one) => one.level.free < least.costNanoUsd)) return undefined
    return this.#parts.inputCounter.count(countableInput)
  }

  /** The same call without the candidates that are as dear as the dearest; undefined where that leaves none, or is not wanted. */
  #withoutMostExpensive(applicant: Applicant, short: readonly Shortfall[], now: Instant): Applicant | undefined {
    if (!applicant.dropsExpensive || !short.some((one) => one.charge.meter.what === 'cost')) return undefined
    const priced = allCandidates(applicant).flatMap((candidate) => {
      const facts = this.#modelFactsOrNone(candidate, now, applicant.budget)
      return facts ? [{ candidate, costNanoUsd: this.#quoteCandidate(candidate, facts).costNanoUsd }] : []
    })
    const most = priced.reduce((dearest, one) => (one.costNanoUsd > dearest ? one.costNanoUsd : dearest), 0n)
    const [first, ...others] = priced.filter((one) => one.costNanoUsd < most).map((one) => one.candidate)
    return first && { ...applicant, first, others }
  }

  #modelFacts({ provider, model, request }: Candidate, now: Instant, budget?: Budget): ModelFacts {
    const listed = this.#parts.prices.find(provider.priceName, model, now.wallMs)
    if (!this.#parts.settings.ENABLE_COST_TRACKING) return { price: undefined, limits: listed.limits }
    if (listed.price) return listed
    const found = { price: provider.unlistedPrice, limits: listed.limits }
    if (
      !found.price &&
      request.kind !== 'count' &&
      this.#parts.settings.UNKNOWN_PRICE === 'refuse' &&
      (this.#parts.limits.plan.hasCostLimit || budget)
    ) {
      throw new Problem('unknown_price', unknownPriceMessage(provider.priceName, model), 'model')
    }
    return found
  }

  #modelFactsOrNone(candidate: Candidate, now: Instant, budget?: Budget): ModelFacts | undefined {
    try {
      return this.#modelFacts(candidate, now, budget)
    } catch {
      return undefined
    }
  }

  /** The quote of the first candidate, raised to the dearest of all: whichever of them answers, it is reserved. */
  #mostExpensiveQuote({ first, others, budget }: Applicant, now: Instant, cap?: number): RouteQuote {
    const quoted = this.#quoteCandidate(first, this.#modelFacts(first, now, budget), cap)
    if (others.length === 0) return quoted
    let { tokens, costNanoUsd } = quoted
    for (const other of others) {
      // It is asked without a price only where that is allowed.
      const facts = this.#modelFactsOrNone(other, now, budget)
      if (!facts) continue
      const also = this.#quoteCandidate(other, facts, cap ?? quoted.injectedCap ?? undefined)
      tokens = Math.max(tokens, also.tokens)
      if (also.costNanoUsd > costNanoUsd) costNanoUsd = also.costNanoUsd
    }
    const plainCostNanoUsd = quoted.plainCostNanoUsd ?? quoted.costNanoUsd
    const own = { tokens: quoted.tokens, costNanoUsd: quoted.costNanoUsd }
    return { ...quoted, tokens, costNanoUsd, plainCostNanoUsd, firstCandidateBound: own }
  }

  /**
   * A quote. Where calls to the model were seen to cost more than theirs, it is raised by as much, up to the dearest that a
   * call to it can be: all of its window, and its longest answers.
   */
  #quoteCandidate(candidate: Candidate, facts: ModelFacts, cap?: number): FactoredQuote {
    const { request, provider } = candidate
    const usual = candidate.defaultCap ?? undefined
    const set = cap === undefined ? usual : Math.min(cap, usual ?? cap)
    const plain = quote(request, facts, provider.rules, this.#quoteSettings, set, candidate.countedInput)
    const percent = this.#overrunPercent(candidate)
    if (percent === 100 || plain.costNanoUsd === 0n) return plain
    const raised = divideUp(plain.costNanoUsd * BigInt(percent), 100n)
    const most = { ...request, unsizedInput: true, outputCap: facts.limits ? null : request.outputCap }
    const dearest = quote(most, facts, provider.rules, this.#quoteSettings, facts.limits ? undefined : cap).costNanoUsd
    const least = raised < dearest ? raised : dearest
    const costNanoUsd = least > plain.costNanoUsd ? least : plain.costNanoUsd
    return { ...plain, costNanoUsd, plainCostNanoUsd: plain.costNanoUsd }
  }

  /** The largest cap with which each of the candidates costs at most as much. */
  #affordableCap(applicant: Applicant, budgetNanoUsd: bigint, now: Instant): number {
    const caps = allCandidates(applicant).map((candidate) => {
      const facts = this.#modelFactsOrNone(candidate, now, applicant.budget)
      if (!facts) return Number.MAX_SAFE_INTEGER
      const quoted = this.#quoteCandidate(candidate, facts)
      const budget = (budgetNanoUsd * 100n) / BigInt(this.#overrunPercent(candidate))
      return affordableCap(candidate.request, quoted, candidate.provider.rules, budget)
    })
    return Math.min(...caps)
  }

  #overrunPercent({ request, provider, model }: Candidate): number {
    return this.#parts.recorder.quoteOverruns.percent(provider.name, model, request.unbounded.length === 0)
  }

  /** Without a cap of its own, a call over the ceiling per call gets the largest cap that keeps it under. */
  #quoteUnderCeiling(applicant: Applicant, quoted: RouteQuote, now: Instant): RouteQuote {
    const { request } = applicant.first
    if (this.#isSoft || request.outputCap !== null || request.kind !== 'generate') return quoted
    const ceiling = this.#parts.limits.plan.ceiling(subjectsOf(applicant), 'cost')
    if (ceiling === undefined || quoted.costNanoUsd <= ceiling) return quoted
    const cap = this.#affordableCap(applicant, ceiling, now)
    return cap < this.#minCap ? quoted : this.#mostExpensiveQuote(applicant, now, cap)
  }

  /**
   * A smaller quote for the money left: half of what is free goes to one call, so that the next one finds some too. Where not
   * even the least cap fits, the quote with that one, so that the refusal says when it will.
   * Undefined where a cap is none of our business, or money is not lacking, or no cap makes the call cheaper.
   */
  #cappedQuote(applicant: Applicant, quoted: Quote, short: readonly Shortfall[], now: Instant): RouteQuote | undefined {
    const { request } = applicant.first
    const money = short.filter((one) => one.charge.meter.what === 'cost')
    if (this.#isSoft || request.outputCap !== null || request.kind !== 'generate' || money.length === 0)
      return undefined
    const free = money.map((one) => one.level.free).reduce((least, one) => (one < least ? one : least))
    const cap = Math.max(this.#affordableCap(applicant, free / 2n, now), this.#minCap)
    const smaller = this.#mostExpensiveQuote(applicant, now, cap)
    return smaller.costNanoUsd < quoted.costNanoUsd ? smaller : undefined
  }

  #refused(applicant: Applicant, quoted: Quote, short: readonly Shortfall[], now: Instant): RefusedCall {
    const zone = this.#parts.limits.plan.timeZone
    const waits = {
      inFlightMs: 1000 + Math.floor(this.#parts.random() * 2000),
      neverMs: Math.max(1, windowAt('day', zone, now.wallMs).endsAtMs - now.wallMs),
    }
    const refusal = refusalOf(short, waits, this.#fittingCap(applicant, short, now))
    return { admitted: false, refusal, quote: quoted, levels: short.map((one) => one.level) }
  }

  /** The cap that would have fitted every money limit that refused; null where none would, or money was not it. */
  #fittingCap(applicant: Applicant, short: readonly Shortfall[], now: Instant): number | null {
    if (applicant.first.request.kind !== 'generate' || !short.every((one) => one.charge.meter.what === 'cost'))
      return null
    const caps = short.map((one) => this.#affordableCap(applicant, one.level.free, now))
    const cap = Math.min(...caps)
    return cap >= 1 && cap < Number.MAX_SAFE_INTEGER ? cap : null
  }

  #callFacts(applicant: Applicant, quoted: Quote, now: Instant): CallFacts {
    const { request, provider, model } = applicant.first
    return {
      callId: applicant.callId,
      caller: applicant.caller,
      operation: applicant.operation,
      dialect: applicant.dialect,
      provider: provider.name,
      requestedModel: applicant.requestedModel,
      model,
      reservedAtMs: now.wallMs,
      day: windowAt('day', this.#parts.limits.plan.timeZone, now.wallMs).id.slice(4),
      reservedTokens: quoted.tokens,
      reservedCostNanoUsd: quoted.costNanoUsd,
      priceVersion: quoted.price?.version ?? null,
      costKnown: quoted.price !== undefined || request.kind === 'count',
      streaming: request.stream,
      capAsked: request.outputCap,
      capInjected: quoted.injectedCap,
      simulated: provider.simulated,
      metadata: null,
      idempotency: applicant.idempotency,
    }
  }

  get #minCap(): number {
    return this.#parts.settings.MIN_INJECTED_OUTPUT_TOKENS
  }
}

function toAdmittedCall(
  applicant: Applicant,
  quoted: RouteQuote,
  { facts, charges, expiresAtMs }: Reservation,
  { levels, unenforced }: Extract<StoreAdmission, { admitted: true }>,
): AdmittedCall {
  return {
    admitted: true,
    applicant,
    facts,
    quote: quoted,
    bound: quoted.firstCandidateBound ?? quoted,
    charges,
    priorBound: ZERO_BOUND,
    priorCharges: NO_PRIOR_CHARGES,
    expiresAtMs,
    bounded: applicant.first.request.unbounded.length === 0,
    levels,
    unenforced,
  }
}

/** What one call may cost at most goes for all its attempts together. */
function withPriorBound(charge: Charge, { tokens, costNanoUsd }: Bound): Charge {
  const { refill, what } = charge.meter
  if (refill !== 'call' || (what !== 'cost' && what !== 'tokens')) return charge
  return { ...charge, amount: charge.amount + (what === 'cost' ? costNanoUsd : BigInt(tokens)) }
}

/** What an attempt that may have been billed leaves on its meters. A call is one request on each meter it touches. */
function billedCharges({ charges, bound }: AdmittedCall, next: readonly Charge[]): Charge[] {
  const amounts = { requests: 1n, tokens: BigInt(bound.tokens), cost: bound.costNanoUsd, inFlight: 0n }
  const isNext = ({ meter }: Charge) => next.some((one) => one.meter.key === meter.key)
  return charges
    .filter(({ meter }) => meter.refill !== 'call' && meter.what !== 'inFlight')
    .filter((charge) => charge.meter.what !== 'requests' || !isNext(charge))
    .map((charge) => ({ ...charge, amount: amounts[charge.meter.what] }))
}

/** The message carries the very line to paste. */
function unknownPriceMessage(provider: string, model: string): string {
  const name = model.slice(0, 128)
  const line = JSON.stringify({ prices: [{ provider, model: name, input: '1.00', output: '2.00' }] })
  const [prefix] = name.split('/')
  const meant = name.includes('/') ? ` If ${prefix} is meant as a provider, it needs a row in bursar.json.` : ''
  return `The price of ${name} is not known, so its cost cannot be limited. Put its dollars per million tokens into bursar.json, for example ${line}, or set UNKNOWN_PRICE=allow.${meant}`
}
