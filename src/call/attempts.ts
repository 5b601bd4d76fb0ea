// Attempts: how an attempt fails, and whether another one follows: when, and at which target. It sends nothing.

import type { CircuitPass, Circuits } from '../core/circuit.ts'
import type { Clock } from '../core/clock.ts'
import type { Problem } from '../core/problem.ts'
import { NO_RARE_UNITS, totalTokens } from '../core/usage.ts'
import type { Provider } from '../providers/provider.ts'
import type { AnswerUsage } from '../wire/dialect.ts'
import type { AdmissionControl } from './admission.ts'
import type { AdmittedCall, Bound } from './applicant.ts'
import type { CallCandidate } from './candidates.ts'

/** How an attempt failed, before any of its answer reached the caller. */
export interface AttemptFailure {
  /** HTTP status, or null if no answer came. */
  readonly status: number | null
  /** True: the attempt is not billed, because it was not sent or its status is a free one. */
  readonly isFree: boolean
  /** True if the same target would fail again. */
  readonly isLasting?: true
  /** What the attempt is billed at most, if its answer says what it used. Absent: its whole bound. */
  readonly bill?: Bound
  /** The wait that the provider advised, in milliseconds; null if it advised none. */
  readonly retryAfterMs: number | null
}

/** A failed attempt, and what the caller gets if no other attempt follows. */
export interface FailedAttempt extends AttemptFailure {
  /** In a word or two: an error code such as `ECONNRESET`, or `status 503`. */
  readonly error: string
  /** The provider's own error; undefined if none came. */
  readonly answer: ErrorAnswer | undefined
  /** What the caller gets if no provider's error came. */
  readonly problem?: Problem
  /** What the provider says was used, if it says so beside its error. */
  readonly usage?: AnswerUsage | undefined
  /** True if no attempt was made at all: the handler in the provider's place left the call to the gateway. */
  readonly isUnmade?: true
}

export interface ErrorAnswer {
  readonly status: number
  readonly body: Buffer
  /** The body without its encoding. */
  readonly plain: Buffer
}

/** An attempt that follows a failed one. */
export interface NextAttempt<Outgoing> {
  /** How long to wait before `prepare`. */
  readonly delayMs: number
  /** Moves the reservation. Resolves to undefined if that does not fit, or if no target is left. */
  prepare(): Promise<Outgoing | undefined>
}

/** Error statuses that no provider bills. */
const FREE_STATUSES: ReadonlySet<number> = new Set([401, 403, 404, 413, 422, 429])

/** Errors that mean that no connection was made. */
const UNSENT_ERROR_CODES: ReadonlySet<string> = new Set([
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'UND_ERR_CONNECT_TIMEOUT',
])

const FIRST_DELAY_MS = 250
const MAX_DELAY_MS = 8_000
/** If the provider advises a longer wait, the call does not wait. */
const MAX_WAIT_MS = 30_000

/** An attempt that broke off without an answer. @param error its code */
export function brokenAttempt(wasSent: boolean, error: string): FailedAttempt {
  const isFree = !wasSent || UNSENT_ERROR_CODES.has(error)
  return { status: null, isFree, retryAfterMs: null, error, answer: undefined }
}

/** An attempt that the provider answered with an error. */
export function refusedAttempt(
  { freeStatuses }: Provider,
  isBillable: boolean,
  retryAfterMs: number | null,
  answer: ErrorAnswer,
): FailedAttempt {
  const { status } = answer
  const isFree = !isBillable && (FREE_STATUSES.has(status) || freeStatuses.has(status))
  return { status, isFree, retryAfterMs, error: `status ${status}`, answer }
}

/**
 * An attempt that was refused under the status of an answer. It fails as if the error had come with a status of its own.
 * @param refused as such a refusal
 * @param usage that came with the error: if anything was used, the attempt is billed
 * @param isKnown false if the error does not tell its status: nobody says that waiting helps
 */
export function errorAnswerAttempt(
  refused: FailedAttempt,
  usage: AnswerUsage | undefined,
  isKnown: boolean,
): FailedAttempt {
  const isFree = refused.isFree && (usage === undefined || isNothing(usage))
  return { ...refused, isFree, usage, error: 'error in the answer', ...(isKnown ? {} : { isLasting: true }) }
}

function isNothing({ usage, otherUsage = [], statedCost }: AnswerUsage): boolean {
  const isCounted = totalTokens(usage) > 0 || usage.rare !== NO_RARE_UNITS || otherUsage.length > 0
  return !isCounted && (statedCost?.nanoUsd ?? 0n) === 0n
}

/** What the model itself could not finish, such as a call of a tool in words that are none. */
export const GAVE_UP_ERROR = 'model gave up'

/** What a handler in the provider's place did not attempt. It says nothing about the provider. */
export const UNMADE_ATTEMPT_ERROR = 'left to the gateway'

/** @param problem what the caller gets if no target can answer either */
export function unmadeAttempt(problem: Problem): FailedAttempt {
  const failure = { status: null, isFree: true, isLasting: true, isUnmade: true, retryAfterMs: null } as const
  return { ...failure, error: UNMADE_ATTEMPT_ERROR, answer: undefined, problem }
}

/** The code of an error and never its message, which may hold addresses. */
export function errorCodeOf(error: Error): string {
  const code: unknown = 'code' in error ? error.code : undefined
  return typeof code === 'string' ? code : error.name
}

/** What a retry plan needs. */
export interface RetryPlanParts<Outgoing> {
  readonly admissionControl: AdmissionControl
  readonly circuits: Circuits
  readonly clock: Clock
  readonly random: () => number
  /** How often each target is tried again. */
  readonly retries: number
  /** Monotonic milliseconds: the call is ended then. */
  readonly deadlineMs: number
  dispatchOf(admitted: AdmittedCall, candidate: CallCandidate, circuitPass: CircuitPass): Outgoing
}

/**
 * The attempts that may follow the first one of a call. Each target is tried again up to `retries` times, with exponential
 * back-off and jitter; then comes the next target, at once.
 */
export class RetryPlan<Outgoing> {
  readonly #parts: RetryPlanParts<Outgoing>
  #admitted: AdmittedCall
  #current: CallCandidate
  #remaining: readonly CallCandidate[]
  #retryCount = 0

  constructor(
    parts: RetryPlanParts<Outgoing>,
    admitted: AdmittedCall,
    current: CallCandidate,
    remaining: readonly CallCandidate[],
  ) {
    this.#parts = parts
    this.#admitted = admitted
    this.#current = current
    this.#remaining = remaining
  }

  /** The attempt that follows a failed one; undefined if the failure is final. */
  next(failure: AttemptFailure): NextAttempt<Outgoing> | undefined {
    if (!isTransient(failure.status)) return undefined
    const elsewhere = { delayMs: 0, prepare: () => this.#tryNextTarget(failure) }
    if (failure.isLasting) return this.#remaining.length > 0 ? elsewhere : undefined
    // While there is another target, a provider that refuses for its own limits is left alone.
    if (failure.status === 429 && this.#remaining.length > 0) return elsewhere
    const delayMs = this.#delayMs(failure)
    const isInTime = this.#parts.clock.now().monoMs + delayMs < this.#parts.deadlineMs
    if (this.#retryCount < this.#parts.retries && isInTime && delayMs <= MAX_WAIT_MS)
      return { delayMs, prepare: () => this.#retrySameTarget(failure) }
    return this.#remaining.length > 0 ? elsewhere : undefined
  }

  /** Doubles with each retry, by chance somewhere in the upper half. The provider's own wait counts if it is longer. */
  #delayMs({ retryAfterMs }: AttemptFailure): number {
    const maxMs = Math.min(FIRST_DELAY_MS * 2 ** this.#retryCount, MAX_DELAY_MS)
    return Math.max(Math.ceil(maxMs * (0.5 + this.#parts.random() / 2)), retryAfterMs ?? 0)
  }

  async #retrySameTarget(failure: AttemptFailure): Promise<Outgoing | undefined> {
    this.#retryCount += 1
    return (await this.#prepareAt(this.#current, failure)) ?? this.#tryNextTarget(failure)
  }

  async #tryNextTarget(failure: AttemptFailure): Promise<Outgoing | undefined> {
    for (let next = this.#remaining[0]; next; next = this.#remaining[0]) {
      this.#remaining = this.#remaining.slice(1)
      this.#retryCount = 0
      const outgoing = await this.#prepareAt(next, failure)
      if (outgoing) return outgoing
    }
    return undefined
  }

  async #prepareAt(candidate: CallCandidate, failure: AttemptFailure): Promise<Outgoing | undefined> {
    const { circuits, clock } = this.#parts
    const { provider, model } = candidate
    const now = clock.now()
    const circuitPass = circuits.acquire(provider.name, model, now.monoMs)
    if (circuitPass.kind === 'open') return undefined
    const isSame = candidate === this.#current
    const to = isSame ? this.#admitted.applicant.first : candidate
    const from = failure.bill ? { ...this.#admitted, bound: failure.bill } : this.#admitted
    const move = () => this.#parts.admissionControl.move(from, to, !failure.isFree, now)
    // If the ledger cannot be written, or the price is gone, this target cannot be used.
    const admitted = isSame && failure.isFree ? this.#admitted : await move().catch(() => undefined)
    if (!admitted) {
      circuits.release(provider.name, model, circuitPass)
      return undefined
    }
    this.#admitted = admitted
    this.#current = candidate
    return this.#parts.dispatchOf(admitted, candidate, circuitPass)
  }
}

/** True for failures that the next attempt may not meet. */
function isTransient(status: number | null): boolean {
  return status === null || status === 408 || status === 429 || status >= 500
}
