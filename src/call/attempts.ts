// Attempts: the tries of one call. Whether a failed one is followed by another, when, and at which target.

import type { CircuitPass, Circuits } from '../core/circuit.ts'
import type { Clock } from '../core/clock.ts'
import type { AdmissionControl, AdmittedCall } from './admission.ts'
import type { CallCandidate } from './candidates.ts'

/** How an attempt failed, before anything of it reached the caller. */
export interface AttemptFailure {
  /** HTTP status, or null where no answer came. */
  readonly status: number | null
  /** Nobody bills for it: nothing was sent, or the provider says so. */
  readonly isFree: boolean
  /** When the provider wants to be asked again, where it said so. */
  readonly retryAfterMs: number | null
}

/** Another attempt, to be made. */
export interface NextAttempt<Dispatch> {
  readonly delayMs: number
  /** Moves the reservation. Undefined where nothing fits, or nobody can be asked after all. */
  prepare(): Promise<Dispatch | undefined>
}

export interface RetryPlanParts<Dispatch> {
  readonly admissionControl: AdmissionControl
  readonly circuits: Circuits
  readonly clock: Clock
  readonly random: () => number
  readonly retries: number
  /** Monotonic milliseconds: the call is cut then. */
  readonly deadlineMs: number
  dispatchOf(admitted: AdmittedCall, candidate: CallCandidate, passage: CircuitPass): Dispatch
}

const FIRST_DELAY_MS = 250
const MAX_DELAY_MS = 8_000
/** Who says to come back later than this is not waited for. */
const MAX_WAIT_MS = 30_000

export class RetryPlan<Dispatch> {
  readonly #parts: RetryPlanParts<Dispatch>
  #admitted: AdmittedCall
  #current: CallCandidate
  #remaining: readonly CallCandidate[]
  #retryCount = 0

  constructor(
    parts: RetryPlanParts<Dispatch>,
    admitted: AdmittedCall,
    candidate: CallCandidate,
    rest: readonly CallCandidate[],
  ) {
    this.#parts = parts
    this.#admitted = admitted
    this.#current = candidate
    this.#remaining = rest
  }

  /** What follows a failed attempt; undefined where its failure is the call's. */
  next(failure: AttemptFailure): NextAttempt<Dispatch> | undefined {
    if (!isTransient(failure.status)) return undefined
    const elsewhere = { delayMs: 0, prepare: () => this.#tryNextTarget(failure) }
    // A provider that refuses for its own limits is left alone while there is another one.
    if (failure.status === 429 && this.#remaining.length > 0) return elsewhere
    const delayMs = this.#delayMs(failure)
    const inTime = this.#parts.clock.now().monoMs + delayMs < this.#parts.deadlineMs
    if (this.#retryCount < this.#parts.retries && inTime && delayMs <= MAX_WAIT_MS)
      return { delayMs, prepare: () => this.#retrySameTarget(failure) }
    return this.#remaining.length > 0 ? elsewhere : undefined
  }

  /** Doubles each time, somewhere in its upper half; the provider's own word goes for more. */
  #delayMs({ retryAfterMs }: AttemptFailure): number {
    const most = Math.min(FIRST_DELAY_MS * 2 ** this.#retryCount, MAX_DELAY_MS)
    return Math.max(Math.ceil(most * (0.5 + this.#parts.random() / 2)), retryAfterMs ?? 0)
  }

  async #retrySameTarget(failure: AttemptFailure): Promise<Dispatch | undefined> {
    this.#retryCount += 1
    return (await this.#prepareAt(this.#current, failure)) ?? this.#tryNextTarget(failure)
  }

  async #tryNextTarget(failure: AttemptFailure): Promise<Dispatch | undefined> {
    for (let next = this.#remaining[0]; next; next = this.#remaining[0]) {
      this.#remaining = this.#remaining.slice(1)
      this.#retryCount = 0
      const found = await this.#prepareAt(next, failure)
      if (found) return found
    }
    return undefined
  }

  async #prepareAt(candidate: CallCandidate, failure: AttemptFailure): Promise<Dispatch | undefined> {
    const { admissionControl, circuits, clock } = this.#parts
    const now = clock.now()
    const { provider, model } = candidate
    const passage = circuits.acquire(provider.name, model, now.monoMs)
    if (passage.kind === 'open') return undefined
    const asBefore = candidate === this.#current && failure.isFree
    const to = candidate === this.#current ? this.#admitted.applicant.first : candidate
    const move = () => admissionControl.move(this.#admitted, to, !failure.isFree, now)
    // A ledger that cannot be written, or a price that is gone, ends the tries.
    const admitted = asBefore ? this.#admitted : await move().catch(() => undefined)
    if (!admitted) {
      circuits.release(provider.name, model, passage)
      return undefined
    }
    this.#admitted = admitted
    this.#current = candidate
    return this.#parts.dispatchOf(admitted, candidate, passage)
  }
}

/** What may end otherwise the next time. */
function isTransient(status: number | null): boolean {
  return status === null || status === 408 || status === 429 || status >= 500
}

/** A target that is in trouble, and not only unwilling: it could not be reached, broke off, or said so. */
export function isTargetFailure(status: number | null, error: string | null): boolean {
  if (error === null || error === 'no usage') return false
  return status === null || status >= 500 || status < 300
}
