// Error answers: a provider's errors as failed attempts, be it that they come with the status of an error or with that of an answer.

import type { Circuits } from '../core/circuit.ts'
import type { Clock } from '../core/clock.ts'
import type { UpstreamLimits } from '../core/ledger-entry.ts'
import { readAnswerError } from '../wire/answer-errors.ts'
import type { HeaderList, Tap } from '../wire/dialect.ts'
import { withoutHeaders } from '../wire/headers.ts'
import { EMPTY_BUFFER } from '../wire/taps/chunk-buffer.ts'
import { readRefusalLimits } from '../wire/upstream-limits.ts'
import { type ErrorAnswer, errorAnswerAttempt, type FailedAttempt, refusedAttempt } from './attempts.ts'
import type { Dispatch } from './dispatch.ts'
import { coolTarget } from './target-health.ts'

interface ErrorParts {
  readonly clock: Clock
  readonly circuits: Circuits
}

/** The attempt that was answered. */
interface AnsweredAttempt {
  readonly dispatch: Dispatch
  readonly headers: HeaderList
  readonly limits: UpstreamLimits | null
  /** True if something was used, so that the status does not matter. */
  readonly request: { readonly isBillable: boolean }
}

/** What is known of an error once its body is read. */
interface ReadError {
  readonly failed: FailedAttempt
  readonly limits: UpstreamLimits | null
}

/** The status of an error that tells none. */
const UNKNOWN_ERROR_STATUS = 502

/** An error with a status of its own. A target that answers 429 cools. */
export function readRefusal(parts: ErrorParts, attempt: AnsweredAttempt, answer: ErrorAnswer): ReadError {
  const limits = answer.status === 429 ? readLimits(parts, attempt, answer) : attempt.limits
  const retryAfterMs = limits?.retryAfterMs ?? null
  return { failed: refusedAttempt(attempt.dispatch.provider, attempt.request.isBillable, retryAfterMs, answer), limits }
}

/**
 * An error with the status of an answer, as if the error had come with a status of its own.
 * @param kept what the caller gets in place of the error
 */
export function readErrorAnswer(parts: ErrorParts, attempt: AnsweredAttempt, tap: Tap, kept?: Buffer): ReadError {
  const { status, body: plain } = readAnswerError(tap.errorJson ?? EMPTY_BUFFER)
  const answer = { status: status ?? UNKNOWN_ERROR_STATUS, body: kept ?? plain, plain }
  const limits = readLimits(parts, attempt, answer)
  const isBillable = attempt.request.isBillable || tap.hasContent
  const refused = refusedAttempt(attempt.dispatch.provider, isBillable, limits?.retryAfterMs ?? null, answer)
  const usage = tap.isUsageFinal ? tap.answerUsage() : undefined
  return { failed: errorAnswerAttempt(refused, usage, status !== null), limits }
}

/** Many providers write how long to wait into the message alone. */
function readLimits(
  { clock, circuits }: ErrorParts,
  { dispatch, headers }: AnsweredAttempt,
  { status, plain }: ErrorAnswer,
): UpstreamLimits | null {
  const { wallMs, monoMs } = clock.now()
  const limits = readRefusalLimits(headers, plain, wallMs)
  if (status === 429) coolTarget(circuits, dispatch, limits, monoMs)
  return limits
}

/** The headers of an answer whose body became JSON. */
export function headersOfJson(headers: HeaderList): HeaderList {
  return [...withoutHeaders(headers, 'content-type', 'content-encoding'), 'content-type', 'application/json']
}
