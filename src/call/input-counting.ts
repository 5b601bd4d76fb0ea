// Input counting: which calls have their input counted, and when. Text is counted if nothing but its bound refuses the call. Files
// are counted before anything is reserved, since their bytes bound nothing. It reserves nothing.

import { fitsIn } from '../core/charges.ts'
import type { Shortfall } from '../core/levels.ts'
import type { LimitPlan } from '../core/limits.ts'
import type { Charge, Instant } from '../core/meter.ts'
import type { CountedInput, Quote } from '../core/quote.ts'
import type { InputCounter } from '../counting/input-counter.ts'
import type { Store } from '../stores/store.ts'
import { type Applicant, allCandidates, type Candidate } from './applicant.ts'
import type { Quoting } from './quoting.ts'

interface InputCountingParts {
  readonly inputCounter: Pick<InputCounter, 'count'>
  readonly store: Pick<Store, 'levels'>
  /** Read anew for every call, since a reload replaces the plan. */
  readonly limits: { readonly plan: LimitPlan }
  readonly quoting: Quoting
  readonly chargesOf: (applicant: Applicant, quoted: Quote, now: Instant) => readonly Charge[]
}

/** A candidate, and the keys of the meters that have no room for it even without its files. */
interface CheckedCandidate {
  readonly candidate: Candidate
  readonly fullMeters: readonly string[]
}

const NO_INPUT: CountedInput = { all: 0, reported: 0 }

/**
 * Counts the input of calls if the count can make a difference.
 *
 * @example
 * if (inputCounting.countsFilesOf(applicant)) applicant = await inputCounting.countFiles(applicant, now)
 * const counted = await inputCounting.countText(applicant, shortfalls, now) // after a refusal
 */
export class InputCounting {
  readonly #parts: InputCountingParts

  constructor(parts: InputCountingParts) {
    this.#parts = parts
  }

  /**
   * The call with its text counted. Undefined if it cannot be counted, or if the call would not fit without any input.
   * @param shortfalls why the call does not fit
   */
  async countText(
    applicant: Applicant,
    shortfalls: readonly Shortfall[],
    now: Instant,
  ): Promise<Applicant | undefined> {
    const { inputCounter, quoting } = this.#parts
    const { first, others } = applicant
    const { request, countableInput } = first
    if (!countableInput || first.countedInput || others.length > 0) return undefined
    if (!isCountable(first) || request.unsizedInput || !shortfalls.every(isCostShortfall)) return undefined
    const cap = request.outputCap === null ? quoting.minCap : undefined
    const { costNanoUsd } = quoting.quoteFor({ ...first, countedInput: NO_INPUT }, applicant, now, cap)
    if (shortfalls.some(({ level }) => level.free < costNanoUsd)) return undefined
    const countedInput = await inputCounter.count(countableInput)
    return typeof countedInput === 'string' ? undefined : { ...applicant, first: { ...first, countedInput } }
  }

  /**
   * Whether files of the call are counted, which have no size otherwise: if a provider can count them, and a limit counts money or
   * tokens. False for nearly every call.
   */
  countsFilesOf({ first, others, budget, key }: Applicant): boolean {
    if (!hasFilesToCount(first) && !others.some(hasFilesToCount)) return false
    return this.#parts.limits.plan.countsSize(key?.limits) || budget !== undefined
  }

  /**
   * The call with the files of each candidate counted, as far as that can make the call fit. A call for which a limit has no room
   * even without files is not counted, so that callers over their limits cause no requests.
   * Rejects with Problem for a call that cannot be quoted, and with StoreUnavailable.
   */
  async countFiles(applicant: Applicant, now: Instant): Promise<Applicant> {
    const checked = await Promise.all(allCandidates(applicant).map((each) => this.#check(applicant, each, now)))
    const fullMeters = checked.flatMap((each) => each.fullMeters)
    const isRefused = applicant.dropsExpensive
      ? checked.every((each) => each.fullMeters.length > 0)
      : fullMeters.length > 0
    if (isRefused) return { ...applicant, fullMeters: new Set(fullMeters) }
    const [first, ...others] = await Promise.all(checked.map((each) => this.#count(each)))
    return first ? { ...applicant, first, others } : applicant
  }

  /** Whether the call fits if this candidate alone answers it. Files that can be counted are left out. */
  async #check(applicant: Applicant, candidate: Candidate, now: Instant): Promise<CheckedCandidate> {
    const { store, quoting, chargesOf } = this.#parts
    const isFallback = candidate !== applicant.first
    // A fallback that cannot be quoted gets no request either.
    if (isFallback && quoting.costOf(candidate, applicant, now) === undefined) return { candidate, fullMeters: [] }
    const first = hasFilesToCount(candidate) ? { ...candidate, countedInput: NO_INPUT } : candidate
    const alone: Applicant = { ...applicant, first, others: [] }
    const quoted = quoting.mayCap(alone)
      ? quoting.quoteWithCap(quoting.minCap, alone, now)
      : quoting.quoteForRoute(alone, now)
    const charges = chargesOf(alone, quoted, now)
    const levels = await store.levels(charges, now)
    const full = charges.filter((charge, index) => {
      const level = levels[index]
      return charge.enforced && level !== undefined && !fitsIn(charge, level)
    })
    return { candidate, fullMeters: full.map(({ meter }) => meter.key) }
  }

  async #count({ candidate, fullMeters }: CheckedCandidate): Promise<Candidate> {
    const { countableInput } = candidate
    if (!countableInput || fullMeters.length > 0 || !hasFilesToCount(candidate)) return candidate
    const count = await this.#parts.inputCounter.count(countableInput)
    return typeof count === 'string' ? { ...candidate, countFailure: count } : { ...candidate, countedInput: count }
  }
}

export function isCostShortfall({ charge }: Shortfall): boolean {
  return charge.meter.what === 'cost'
}

function hasFilesToCount(candidate: Candidate): boolean {
  const { request, provider, countableInput, countedInput } = candidate
  if (!request.unsizedInput || countedInput || !countableInput) return false
  return provider.countingMethod === 'endpoint' && isCountable(candidate)
}

/** Whether a count would be one of the whole call. */
function isCountable({ request }: Candidate): boolean {
  return request.kind === 'generate' && !request.uncountableInput && request.unbounded.length === 0
}
