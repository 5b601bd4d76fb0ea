// Attempts: the tries of one call. Whether a failed one is followed by another, when, and at which target.

import type { Circuits, Passage } from '../core/circuit.ts'
import type { Clock } from '../core/clock.ts'
import type { Admission, Admitted } from './admission.ts'
import type { CallCandidate } from './candidates.ts'

/** How an attempt failed, before anything of it reached the caller. */
export interface Failure {
  /** HTTP status, or null where no answer came. */
  readonly status: number | null
  /** Nobody bills for it: nothing was sent, or the provider says so. */
  readonly free: boolean
  /** When the provider wants to be asked again, where it said so. */
  readonly retryAfterMs: number | null
}

/** Another attempt, to be made. */
export interface Next<Dispatch> {
  readonly delayMs: number
  /** Moves the reservation. Undefined where nothing fits, or nobody can be asked after all. */
  dispatch(): Promise<Dispatch | undefined>
}

export interface AttemptsParts<Dispatch> {
  readonly admission: Admission
  readonly circuits: Circuits
  readonly clock: Clock
  readonly random: () => number
  readonly retries: number
  /** Monotonic milliseconds: the call is cut then. */
  readonly deadlineMs: number
  dispatchOf(admitted: Admitted, candidate: CallCandidate, passage: Passage): Dispatch
}

const FIRST_DELAY_MS = 250
const LONGEST_DELAY_MS = 8_000
/** Who says to come back later than this is not waited for. */
const LONGEST_WAIT_MS = 30_000

export class Attempts<Dispatch> {
  readonly #parts: AttemptsParts<Dispatch>
  #admitted: Admitted
  #current: CallCandidate
  #rest: readonly CallCandidate[]
  #retried = 0

  constructor(
    parts: AttemptsParts<Dispatch>,
    admitted: Admitted,
    candidate: CallCandidate,
    rest: readonly CallCandidate[],
  ) {
    this.#parts = parts
    this.#admitted = admitted
    this.#current = candidate
    this.#rest = rest
  }

  /** What follows a failed attempt; undefined where its failure is the call's. */
  next(failure: Failure): Next<Dispatch> | undefined {
    if (!isTransient(failure.status)) return undefined
    const elsewhere = { delayMs: 0, dispatch: () => this.#elsewhere(failure) }
    // A provider that refuses for its own limits is left alone while there is another one.
    if (failure.status === 429 && this.#rest.length > 0) return elsewhere
    const delayMs = this.#delayMs(failure)
    const inTime = this.#parts.clock.now().monoMs + delayMs < this.#parts.deadlineMs
    if (this.#retried < this.#parts.retries && inTime && delayMs <= LONGEST_WAIT_MS)
      return { delayMs, dispatch: () => this.#again(failure) }
    return this.#rest.length > 0 ? elsewhere : undefined
  }

  /** Doubles each time, somewhere in its upper half; the provider's own word goes for more. */
  #delayMs({ retryAfterMs }: Failure): number {
    const most = Math.min(FIRST_DELAY_MS * 2 ** this.#retried, LONGEST_DELAY_MS)
    return Math.max(Math.ceil(most * (0.5 + this.#parts.random() / 2)), retryAfterMs ?? 0)
  }

  async #again(failure: Failure): Promise<Dispatch | undefined> {
    this.#retried += 1
    return (await this.#at(this.#current, failure)) ?? this.#elsewhere(failure)
  }

  async #elsewhere(failure: Failure): Promise<Dispatch | undefined> {
    for (let next = this.#rest[0]; next; next = this.#rest[0]) {
      this.#rest = this.#rest.slice(1)
      this.#retried = 0
      const found = await this.#at(next, failure)
      if (found) return found
    }
    return undefined
  }

  async #at(candidate: CallCandidate, failure: Failure): Promise<Dispatch | undefined> {
    const { admission, circuits, clock } = this.#parts
    const now = clock.now()
    const { provider, model } = candidate
    const passage = circuits.enter(provider.name, model, now.monoMs)
    if (passage.kind === 'open') return undefined
    const asBefore = candidate === this.#current && failure.free
    const to = candidate === this.#current ? this.#admitted.applicant.first : candidate
    const move = () => admission.move(this.#admitted, to, !failure.free, now)
    // A ledger that cannot be written, or a price that is gone, ends the tries.
    const admitted = asBefore ? this.#admitted : await move().catch(() => undefined)
    if (!admitted) {
      circuits.leave(provider.name, model, passage)
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
export function isTrouble(status: number | null, error: string | null): boolean {
  if (error === null || error === 'no usage') return false
  return status === null || status >= 500 || status < 300
}
