// AdmissionControl: turns an applicant into a reservation or a refusal, with the store. It sends no call.

import type { Settings } from '../config/settings.ts'
import { windowAt } from '../core/calendar.ts'
import type { Clock } from '../core/clock.ts'
import type { CallFacts, Reservation } from '../core/ledger-entry.ts'
import type { Shortfall } from '../core/levels.ts'
import { type Amounts, type LimitPlan, type LimitSubjects, SIMULATED_REALM } from '../core/limits.ts'
import type { Charge, Instant } from '../core/meter.ts'
import { Problem } from '../core/problem.ts'
import type { Quote } from '../core/quote.ts'
import { refusalOf, type WindowReason } from '../core/refusal.ts'
import type { InputCounter } from '../counting/input-counter.ts'
import type { Admission, Store } from '../stores/store.ts'
import {
  type AdmittedCall,
  type Applicant,
  allCandidates,
  type Candidate,
  type RefusedCall,
  type RouteQuote,
  subjectsOf,
} from './applicant.ts'
import { InputCounting, isCostShortfall } from './input-counting.ts'
import { Quoting, type QuotingParts } from './quoting.ts'
import { amendmentFor, ZERO_BOUND } from './reservation-move.ts'

/** Limits that change while calls run. */
export interface ChangingLimits {
  readonly plan: LimitPlan
  /** Set while limits of a call change. It never rejects. */
  changeOf(call: LimitSubjects): Promise<void> | undefined
}

interface AdmissionControlParts extends QuotingParts {
  readonly settings: Settings
  readonly store: Store
  /**
   * Read anew for every call, since a reload replaces the plan. While limits of a call change, the call waits before it is quoted, so
   * that new limits count what the call spends.
   */
  readonly limits: ChangingLimits
  readonly random: () => number
  readonly clock: Clock
  readonly inputCounter: InputCounter
}

/** The key of a call has changed since the call was identified: the call has to be planned anew, by all of the key as it is now. */
export class KeyChanged extends Problem {
  constructor() {
    super('conflict', 'The API key of this call changes all the time. Please try again.')
  }
}

/** A call tries smaller caps this often: between reading a level and reserving, another replica may reserve first. */
const MAX_RESERVE_TRIES = 3
/** A reservation outlives the deadline of its call by this much, so that the call can still settle. */
const EXPIRY_GRACE_MS = 60_000
const MIN_IN_FLIGHT_WAIT_MS = 1_000
const IN_FLIGHT_WAIT_SPREAD_MS = 2_000

const NO_PRIOR_CHARGES: readonly Charge[] = []

/**
 * Reserves what calls can use at most, or refuses them. The files of a call are counted first. A call that does not fit is tried
 * again with an output cap, then with its input counted, then without its most expensive candidates. Costs are nano-dollars.
 *
 * @example
 * const admission = await admissionControl.admit(applicant, clock.now())
 * if (admission.admitted) send(admission.facts, admission.quote.injectedCap)
 * else refuse(admission.refusal)
 */
export class AdmissionControl {
  readonly #parts: AdmissionControlParts
  readonly #quoting: Quoting
  readonly #inputCounting: InputCounting
  #countedCalls = 0

  constructor(parts: AdmissionControlParts) {
    this.#parts = parts
    this.#quoting = new Quoting(parts)
    this.#inputCounting = new InputCounting({
      ...parts,
      quoting: this.#quoting,
      chargesOf: (applicant, quoted, now) => this.charges(applicant, quoted, now),
    })
  }

  /** How many calls wait for a count of their files, or for their admission after it. */
  get countedCalls(): number {
    return this.#countedCalls
  }

  /** The maximum that a call can use with any of its candidates. Throws Problem for a call that cannot be quoted. */
  quote(applicant: Applicant, now: Instant): RouteQuote {
    return this.#quoting.quoteForRoute(applicant, now)
  }

  /** Whether files of the call are counted before anything is reserved. */
  countsFilesOf(applicant: Applicant): boolean {
    return this.#inputCounting.countsFilesOf(applicant)
  }

  /** The charges for a quote: one for each limit that counts the call, and one for its budget. */
  charges(applicant: Applicant, quoted: Quote, now: Instant): Charge[] {
    const { limits, settings } = this.#parts
    const amounts: Amounts = { requests: 1n, tokens: BigInt(quoted.tokens), cost: quoted.costNanoUsd, inFlight: 1n }
    const realm = applicant.first.provider.simulated ? SIMULATED_REALM : ''
    const isSoft = settings.ENFORCEMENT === 'soft'
    const charges = limits.plan.chargesFor(subjectsOf(applicant), amounts, now.wallMs, realm, isSoft)
    const { budget } = applicant
    if (budget)
      charges.push({ meter: budget.meter, amount: quoted.costNanoUsd, capacity: budget.nanoUsd, enforced: true })
    return charges
  }

  /**
   * Reserves the maximum that a call can use, or refuses the call. A refused call changes no level.
   * Rejects with KeyChanged, with Problem for a call that cannot be quoted, and with StoreUnavailable if the ledger cannot be written.
   */
  admit(applicant: Applicant, now: Instant): Promise<AdmittedCall | RefusedCall> {
    return this.countsFilesOf(applicant) ? this.#admitCounted(applicant, now) : this.#admitQuoted(applicant, now)
  }

  async #admitCounted(applicant: Applicant, now: Instant): Promise<AdmittedCall | RefusedCall> {
    this.#countedCalls += 1
    try {
      const counted = await this.#inputCounting.countFiles(applicant, now)
      return await this.#admitQuoted(counted, this.#parts.clock.now())
    } finally {
      this.#countedCalls -= 1
    }
  }

  async #admitQuoted(applicant: Applicant, now: Instant): Promise<AdmittedCall | RefusedCall> {
    const { limits, store } = this.#parts
    const subjects = subjectsOf(applicant)
    let quoted: RouteQuote | undefined
    for (let tries = 1; ; tries++) {
      for (let change = limits.changeOf(subjects); change; change = limits.changeOf(subjects)) {
        await change
        quoted = undefined
      }
      // From here to the reservation nothing waits, so the call is admitted by the key that it was permitted by.
      if (applicant.key?.limits?.isReplaced) throw new KeyChanged()
      quoted ??= this.quote(applicant, now)
      const reservation = this.#reservation(applicant, quoted, now)
      const answer = (await store.reserve([reservation], now))[0]
      if (answer?.admitted) return toAdmittedCall(applicant, quoted, reservation, answer)
      const shortfalls = answer?.shortfalls ?? []
      const smaller = tries < MAX_RESERVE_TRIES ? this.#cappedQuote(applicant, quoted, shortfalls, now) : undefined
      if (!smaller) return this.#admitSmaller(applicant, quoted, shortfalls, now)
      quoted = smaller
    }
  }

  /**
   * Moves the reservation of a call under way to another of its candidates, or to the same candidate once more. Resolves to undefined
   * if the move does not fit; the reservation is unchanged then. Rejects with Problem for a candidate that cannot be quoted, and with
   * StoreUnavailable.
   * @param isBilled true if the attempt before can have been billed: its bound stays reserved
   */
  async move(
    from: AdmittedCall,
    candidate: Candidate,
    isBilled: boolean,
    now: Instant,
  ): Promise<AdmittedCall | undefined> {
    const applicant: Applicant = { ...from.applicant, first: candidate, others: [] }
    const cap = from.quote.injectedCap ?? undefined
    const quoted = this.#quoting.quoteFor(candidate, applicant, now, cap)
    // The reservation stays in the windows it was made in.
    const reservedAt = { wallMs: from.facts.reservedAtMs, monoMs: now.monoMs }
    const facts = this.#callFacts(applicant, quoted, reservedAt)
    const charges = this.charges(applicant, quoted, reservedAt)
    const { amendment, admitted } = amendmentFor(from, { applicant, quote: quoted, facts, charges }, isBilled)
    const [answer] = await this.#parts.store.amend([amendment], now)
    return answer?.admitted ? admitted : undefined
  }

  /** Tries what is left for a call that no cap makes fit, and refuses the call if nothing is left. */
  async #admitSmaller(
    applicant: Applicant,
    quoted: Quote,
    shortfalls: readonly Shortfall[],
    now: Instant,
  ): Promise<AdmittedCall | RefusedCall> {
    const counted = await this.#inputCounting.countText(applicant, shortfalls, now)
    if (counted) return this.#admitQuoted(counted, this.#parts.clock.now())
    const cheaper = this.#withoutMostExpensive(applicant, shortfalls, now)
    return cheaper ? this.#admitQuoted(cheaper, now) : this.#refused(applicant, quoted, shortfalls, now)
  }

  /**
   * A smaller quote for the money left, with half of what is free, so that the next call finds some too. If not even the smallest
   * cap fits, the quote has that cap, so that the refusal says when it will.
   * Undefined if the call may not be capped, if it is not money that is short, and if no cap makes the call cheaper.
   */
  #cappedQuote(
    applicant: Applicant,
    quoted: Quote,
    shortfalls: readonly Shortfall[],
    now: Instant,
  ): RouteQuote | undefined {
    const costShortfalls = shortfalls.filter(isCostShortfall)
    if (!this.#quoting.mayCap(applicant) || costShortfalls.length === 0) return undefined
    const freeNanoUsd = costShortfalls.map(({ level }) => level.free).reduce((a, b) => (b < a ? b : a))
    const cap = Math.max(this.#quoting.largestCapWithin(freeNanoUsd / 2n, applicant, now), this.#quoting.minCap)
    const smaller = this.#quoting.quoteWithCap(cap, applicant, now)
    return smaller.costNanoUsd < quoted.costNanoUsd ? smaller : undefined
  }

  /** The call without the most expensive of its candidates; undefined if it must keep them, or if none is left. */
  #withoutMostExpensive(applicant: Applicant, shortfalls: readonly Shortfall[], now: Instant): Applicant | undefined {
    if (!applicant.dropsExpensive || !shortfalls.some(isCostShortfall)) return undefined
    const priced = allCandidates(applicant).flatMap((candidate) => {
      const costNanoUsd = this.#quoting.costOf(candidate, applicant, now)
      return costNanoUsd === undefined ? [] : [{ candidate, costNanoUsd }]
    })
    const maxNanoUsd = priced.reduce((max, { costNanoUsd }) => (costNanoUsd > max ? costNanoUsd : max), 0n)
    const cheaper = priced.filter(({ costNanoUsd }) => costNanoUsd < maxNanoUsd)
    const [first, ...others] = cheaper.map(({ candidate }) => candidate)
    return first && { ...applicant, first, others }
  }

  #refused(applicant: Applicant, quoted: Quote, allShortfalls: readonly Shortfall[], now: Instant): RefusedCall {
    const { random } = this.#parts
    // A call that was not counted may need less than its window: limits that refuse it without its files decide.
    const { fullMeters } = applicant
    const certain = fullMeters ? allShortfalls.filter(({ charge }) => fullMeters.has(charge.meter.key)) : []
    const shortfalls = certain.length > 0 ? certain : allShortfalls
    const refusal = refusalOf(shortfalls, {
      inFlightMs: MIN_IN_FLIGHT_WAIT_MS + Math.floor(random() * IN_FLIGHT_WAIT_SPREAD_MS),
      fittingCap: this.#fittingCap(applicant, shortfalls, now),
      window: windowReasonOf(applicant),
      unbounded: applicant.first.request.unbounded,
    })
    return { admitted: false, refusal, quote: quoted, levels: shortfalls.map(({ level }) => level) }
  }

  /** The cap that would have fitted every limit that refused; null if none would, or if a limit counts no money. */
  #fittingCap(applicant: Applicant, shortfalls: readonly Shortfall[], now: Instant): number | null {
    if (applicant.first.request.kind !== 'generate' || !shortfalls.every(isCostShortfall)) return null
    const caps = shortfalls.map(({ level }) => this.#quoting.largestCapWithin(level.free, applicant, now))
    const cap = Math.min(...caps)
    return cap >= 1 && cap < Number.MAX_SAFE_INTEGER ? cap : null
  }

  #reservation(applicant: Applicant, quoted: Quote, now: Instant): Reservation {
    return {
      facts: this.#callFacts(applicant, quoted, now),
      charges: this.charges(applicant, quoted, now),
      expiresAtMs: now.monoMs + this.#parts.settings.UPSTREAM_TIMEOUT_MS + EXPIRY_GRACE_MS,
    }
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
      // A window's id is `day:2026-11-22`.
      day: windowAt('day', this.#parts.limits.plan.timeZone, now.wallMs).id.slice(4),
      reservedTokens: quoted.tokens,
      reservedCostNanoUsd: quoted.costNanoUsd,
      priceVersion: quoted.price?.version ?? null,
      costKnown: quoted.price !== undefined || request.kind === 'count',
      streaming: request.stream,
      capAsked: request.outputCap,
      capInjected: quoted.injectedCap,
      simulated: provider.simulated,
      items: applicant.items,
      metadata: applicant.metadata,
      idempotency: applicant.idempotency,
    }
  }
}

/** Why the call needs a whole context window; undefined if it does not, or if that is not why it is refused. */
function windowReasonOf({ first, fullMeters }: Applicant): WindowReason | undefined {
  const { request, provider, countedInput, countFailure } = first
  if (!request.unsizedInput || request.unbounded.length > 0 || countedInput || fullMeters) return undefined
  if (countFailure) return countFailure === 'later' ? 'countedLater' : 'notCounted'
  return provider.countingMethod === 'endpoint' && request.kind === 'generate' ? 'changeable' : 'noSize'
}

function toAdmittedCall(
  applicant: Applicant,
  quoted: RouteQuote,
  { facts, charges, expiresAtMs }: Reservation,
  { levels, unenforced }: Extract<Admission, { admitted: true }>,
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
