// Settlement basis: what is known of a call's last attempt when the call is settled. It prices nothing.

import type { Settings } from '../config/settings.ts'
import type { Certainty, Ending } from '../core/ledger-entry.ts'
import { usageOf } from '../core/usage.ts'
import type { AnswerUsage, Tap } from '../wire/dialect.ts'
import { GAVE_UP_ERROR } from './attempts.ts'
import type { UpstreamAttempt } from './upstream-attempt.ts'

/** How a call is settled. */
export interface SettlementBasis {
  readonly ending: Ending
  readonly certainty: Certainty
  /** The usage; undefined if nothing was used, or if the usage is not known. */
  readonly metered: AnswerUsage | undefined
  /** True if the usage is not known: the call is settled with its upper bound. */
  readonly isUpperBound: boolean
  /** Why the last attempt failed, in a word or two; null if it did not. */
  readonly error: string | null
}

/** The usage is known. */
function exactBasis(ending: Ending, metered: AnswerUsage, error: string | null): SettlementBasis {
  return { ending, certainty: 'exact', metered, isUpperBound: false, error }
}

/** Nothing was used. */
export function freeBasis(ending: Ending, error: string): SettlementBasis {
  return { ending, certainty: 'exact', metered: undefined, isUpperBound: false, error }
}

/** The usage is not known. */
export function upperBoundBasis(ending: Ending, error: string | null): SettlementBasis {
  return { ending, certainty: 'upperBound', metered: undefined, isUpperBound: true, error }
}

/** A failed attempt. @param attempt its usage is present if the provider says what was used */
export function failedBasis(
  { isFree, usage }: { readonly isFree: boolean; readonly usage?: AnswerUsage | undefined },
  error: string,
  ending: Ending = 'failed',
): SettlementBasis {
  if (isFree) return freeBasis(ending, error)
  return usage ? exactBasis(ending, usage, error) : upperBoundBasis(ending, error)
}

/** A stream that has ended, by its terminal event or by its body. @param fallback counts if the stream carried no usage */
export function streamBasis(tap: Tap | undefined, fallback: AnswerUsage | undefined, ending: Ending): SettlementBasis {
  if (tap?.failed && !tap.finished) {
    const usage = tap.isUsageFinal ? tap.answerUsage() : undefined
    return usage ? exactBasis('failed', usage, 'error event') : upperBoundBasis('failed', 'error event')
  }
  const usage = tap?.answerUsage() ?? fallback
  return usage ? exactBasis(ending, usage, null) : upperBoundBasis(ending, null)
}

/**
 * A whole answer.
 * @param fallback counts if the answer carried no usage
 * @param isUnreadable the caller cannot get the answer
 */
export function documentBasis(
  tap: Tap | undefined,
  fallback: AnswerUsage | undefined,
  ending: Ending,
  isUnreadable: boolean,
): SettlementBasis {
  const usage = tap?.answerUsage() ?? fallback
  const endingForCaller = isUnreadable ? 'failed' : ending
  const error = tap?.failureMessage === undefined ? 'unreadable' : GAVE_UP_ERROR
  if (usage) return exactBasis(endingForCaller, usage, isUnreadable ? error : null)
  return upperBoundBasis(tap?.finished ? endingForCaller : 'failed', 'no usage')
}

/**
 * An answer that is not read on after its client left: `charge`, `cancel`, or `drain` without a permit.
 * @param isFree nothing of it can be billed
 */
export function abandonedBasis(
  attempt: UpstreamAttempt,
  ending: Ending,
  isFree: boolean,
  onDisconnect: Settings['ON_DISCONNECT'],
): SettlementBasis {
  if (isFree) return freeBasis('canceled', 'client left')
  return onDisconnect === 'cancel' ? estimatedBasis(attempt) : upperBoundBasis(ending, 'client left')
}

/**
 * Usage as far as the answer has come: one output token for each event, and one input token for every four bytes of the
 * request, neither above the quote. If the answer has reported usage, that counts instead, with the larger one of both
 * outputs.
 */
function estimatedBasis({ dispatch, tap }: UpstreamAttempt): SettlementBasis {
  const { quote } = dispatch.admitted
  const input = Math.min(quote.inputTokens, Math.ceil(dispatch.outgoing.body.length / 4))
  const output = Math.min(quote.outputTokens, tap?.eventCount ?? 0)
  const seen = tap?.answerUsage()
  const metered = seen
    ? { ...seen, usage: { ...seen.usage, output: Math.max(seen.usage.output, output) } }
    : { usage: usageOf({ input, output, requests: 1 }), reasoningTokens: 0, model: null, serviceTier: null }
  return { ending: 'canceled', certainty: 'estimated', metered, isUpperBound: false, error: 'client left' }
}
