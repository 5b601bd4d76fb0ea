// Relay: one admitted call, from its first request to its last byte. A state machine that never decides what a call may cost.
//
// State      Event                                      Next       Settled as                    The caller gets
// waiting    send(), and the client is gone             over       free, canceled                nothing
// waiting    content of a stream, or a second after its
//            first bytes                                streaming  -                             status, headers and bytes
// waiting    document                                   over       usage, or upper bound         the document with its cost
// waiting    error, wrong address, or broken; a retry
//            follows                                    between    -                             -
// waiting    error with its own status                  over       free, or upper bound; failed  the provider's error
// waiting    error under the status of an answer        over       free, usage, or upper bound;  the provider's error, with
//                                                                  failed                        the status it names
// waiting    the same, beside a part of an answer       over       usage, or upper bound; failed the document as it came
// waiting    wrong address                              over       free, failed                  the gateway's error
// waiting    broken                                     over       free, or upper bound; failed  the gateway's error
// waiting    document that cannot be translated         over       usage, or upper bound; failed the gateway's error
// waiting    unreadable stream, or too large            over       upper bound, failed           the gateway's error
// waiting    no attempt of the handler; targets follow  between    -                             -
// waiting    no attempt of the handler, and no target   over       free, failed                  the gateway's error
// streaming  bytes                                      streaming  -                             the bytes
// streaming  bytes with the terminal event              ending     usage, or upper bound         the bytes
// streaming  end, after the model finished              over       usage, or upper bound         the end
// streaming  broken, after the model finished           over       upper bound                   the end
// streaming  end, after the provider's own error event  over       usage, or upper bound, or
//                                                                  free before content; failed   the end
// streaming  end, or broken, before                     over       upper bound, failed           an error event
// streaming  unreadable                                 over       upper bound, failed           an error event
// ending     bytes                                      ending     (is settled)                  the bytes
// ending     bytes with the last blank line             over       (is settled)                  the bytes and the end
// ending     end, or broken                             over       (is settled)                  the end
// between    the next attempt is ready                  waiting    -                             -
// between    no further attempt is possible             over       free, or upper bound; failed  the last attempt's error
// between    the client is gone                         over       free, or upper bound          nothing
// between    expired                                    over       free, or upper bound; failed  the gateway's error
// the rest   the client is gone, the answer is drained  the same   as the answer ends            nothing
// the rest   the client is gone, no permit for a drain  over       free, or upper bound          nothing
// the rest   the client is gone, no drain is set        over       free, or by ON_DISCONNECT     nothing
// the rest   expired                                    over       free, or upper bound; failed  the gateway's error
// over       any                                        over       (is settled)                  nothing
//
// "Free" is an attempt that the provider does not bill. In `between`, an event waits while the reservation is being moved.
// The call is settled in `ending` and `over`, and in no other state. `#retryWait` is set in `between` alone. `#drainEnding` is set
// once the client is gone and the answer is drained: such a call is not retried.

import type { CallFacts, Ending } from '../core/ledger-entry.ts'
import type { PermitLease, Permits } from '../core/permits.ts'
import { Problem, type ProblemCode } from '../core/problem.ts'
import type { ClientWatcher, Exchange } from '../exchange/exchange.ts'
import { internalFailure } from '../telemetry/call-events.ts'
import type { AnswerUsage, Dialect, Tap } from '../wire/dialect.ts'
import { EMPTY_BUFFER } from '../wire/taps/chunk-buffer.ts'
import { brokenAttempt, type FailedAttempt, type RetryPlan, unmadeAttempt } from './attempts.ts'
import type { Deadline, Deadlines, ExpiryCode, TimedCall } from './deadlines.ts'
import type { Dispatch } from './dispatch.ts'
import { readErrorAnswer } from './error-answers.ts'
import { providerFailure } from './gateway-answers.ts'
import type { PlannedAttempts } from './planned-attempts.ts'
import { Reply } from './reply.ts'
import { type RetryListener, type RetryStopReason, RetryWait, type RetryWaitParts } from './retry-wait.ts'
import { CallSettlement, type SettlementParts } from './settlement.ts'
import {
  abandonedBasis,
  documentBasis,
  failedBasis,
  freeBasis,
  type SettlementBasis,
  streamBasis,
  upperBoundBasis,
} from './settlement-basis.ts'
import { type AttemptListener, type AttemptParts, UpstreamAttempt } from './upstream-attempt.ts'

/** What all relays share. */
export interface RelayParts extends AttemptParts, SettlementParts, RetryWaitParts {
  readonly deadlines: Deadlines
  /** One permit for each answer that is drained after its client is gone. */
  readonly drains: Permits
}

type RelayState = 'waiting' | 'streaming' | 'ending' | 'between' | 'over'

/**
 * Sends an admitted call, passes its answer on while the attempt meters it, retries what may be retried, and settles exactly once,
 * however the call ends. Call `send` once, then wait for `done`. A failing provider, client or ledger makes no method throw.
 */
export class Relay implements AttemptListener, RetryListener, TimedCall, ClientWatcher {
  readonly #parts: RelayParts
  readonly #exchange: Exchange
  readonly #lease: PermitLease
  #retryPlan: RetryPlan<Dispatch> | undefined
  readonly #settlement: CallSettlement
  readonly #reply: Reply
  #state: RelayState = 'waiting'
  /** The attempt under way, or the last one. */
  #attempt: UpstreamAttempt
  #retryWait: RetryWait | undefined
  #deadline: Deadline | undefined
  /** Set once the client is gone and the answer is read on: the ending if the answer comes whole. */
  #drainEnding: Ending | undefined
  #fallbackUsage: AnswerUsage | undefined
  #resolveDone: () => void = () => {}
  /** Resolves when nothing is left to do for this call. Never rejects. */
  readonly done: Promise<void>
  /** @param lease takes the size of every chunk that is kept */
  constructor(parts: RelayParts, exchange: Exchange, dialect: Dialect, lease: PermitLease, attempts: PlannedAttempts) {
    this.#parts = parts
    this.#exchange = exchange
    this.#lease = lease
    this.#retryPlan = attempts.retryPlan
    this.#attempt = new UpstreamAttempt(parts, this, lease, attempts.first)
    this.#settlement = new CallSettlement(parts, this.#attempt.sentAtMs)
    this.#reply = new Reply(parts.clock, exchange, dialect, this.#settlement)
    this.done = new Promise((resolve) => {
      this.#resolveDone = resolve
    })
  }

  send(): void {
    if (this.#exchange.clientGone) {
      this.#settle(freeBasis('canceled', 'client left'))
      return this.#finish()
    }
    this.#deadline = this.#parts.deadlines.add(this, this.#attempt.sentAtMs)
    this.#exchange.watcher = this
    this.#attempt.send()
  }

  /** The attempt counts as used: the handler that answers in the provider's place (http/middleware.ts) has failed. */
  markBillable(): void {
    this.#attempt.request.markBillable()
  }

  /** Sets the usage of an answer that carries none. The answer's own usage wins. */
  setFallbackUsage(usage: AnswerUsage): void {
    this.#fallbackUsage = usage
  }

  /** The plan's targets answer in place of the handler; without a plan, the problem. Returns false once an answer has begun. */
  replaceHandler(plan: RetryPlan<Dispatch> | undefined, problem: Problem): boolean {
    if (this.#state !== 'waiting' || this.#attempt.status !== null) return false
    this.#attempt.close()
    this.#retryPlan = plan
    this.onFailed(unmadeAttempt(problem))
    return true
  }

  onStreamHead(): void {
    this.#state = 'streaming'
    this.#reply.startStream(this.#attempt)
  }

  /** The call is settled before its last event leaves: clients hang up when they see that event. */
  onStreamBytes(bytes: Buffer): void {
    if (this.#attempt.tap?.terminated) {
      this.#settle(this.#streamBasis(this.#attempt.tap))
      this.#state = 'ending'
      this.#attempt.request.abortSoon()
      // An encoded stream has an end of its own, which may come after the last event.
      if (!this.#attempt.isEncodedStream && this.#reply.endsLastEvent(bytes)) {
        this.#complete(bytes)
        return
      }
    }
    if (!this.#reply.write(bytes)) this.#attempt.request.pause()
  }

  onStreamEnd(rest: Buffer): void {
    const { tap } = this.#attempt
    if (tap?.finished || tap?.failed) {
      this.#settle(this.#streamBasis(tap))
      this.#complete(rest)
    } else {
      this.#settle(upperBoundBasis('failed', 'ended early'))
      this.#fail('upstream_failed', rest)
    }
  }

  /** The call is settled before its answer leaves, so that the headers can carry the cost. */
  onDocument(body: Buffer, passed: Buffer | undefined): void {
    const { dispatch, tap } = this.#attempt
    const isUnreadable = dispatch.translation !== undefined && !passed
    this.#settle(documentBasis(tap, this.#fallbackUsage, this.#ending, isUnreadable))
    if (isUnreadable) this.#fail('upstream_failed')
    else {
      this.#reply.sendWhole(this.#attempt, passed && dispatch.translation ? passed : body)
      this.#finish()
    }
  }

  onBroken(code: string): void {
    // A stream that has carried its stop reason is complete. A document was not passed on yet.
    if (this.#state !== 'waiting' && this.#attempt.tap?.finished) {
      this.#settle(upperBoundBasis('completed', code))
      this.#complete(EMPTY_BUFFER)
    } else this.onFailed(brokenAttempt(this.#attempt.request.isSent, code))
  }

  onTooLarge(): void {
    this.#settle(upperBoundBasis('failed', 'answer too large'))
    this.#failWith(new Problem('upstream_failed', 'The answer is too large to be passed on.'))
    this.#attempt.request.abort()
  }

  onUnreadable(): void {
    this.#settle(upperBoundBasis('failed', 'unreadable'))
    this.#fail('upstream_failed')
    this.#attempt.request.abort()
  }

  failInternally(error: unknown): void {
    this.#parts.telemetry.notify(internalFailure(this.#attempt.dispatch.admitted.facts.callId, error))
    if (this.#state === 'over') return
    this.#settle(upperBoundBasis('failed', 'internal'))
    this.#failWith(new Problem('internal', 'The gateway failed.'))
  }

  /** An attempt has ended without an answer for the caller. */
  onFailed(failed: FailedAttempt): void {
    const canRetry = this.#state === 'waiting' && this.#drainEnding === undefined
    const bill = canRetry ? this.#settlement.billOf(this.#attempt, failed) : undefined
    const next = bill && this.#retryPlan?.next({ ...failed, bill })
    if (!next) return this.giveUp(failed)
    if (!failed.isUnmade)
      this.#settlement.recordAttempt(this.#attempt, failed.error, bill.costNanoUsd, this.#parts.clock.now())
    this.#state = 'between'
    this.#retryWait = new RetryWait(this.#parts, this, failed, next)
  }

  onRetryReady(dispatch: Dispatch): void {
    this.#retryWait = undefined
    this.#state = 'waiting'
    this.#attempt = new UpstreamAttempt(this.#parts, this, this.#lease, dispatch)
    this.#attempt.send()
  }

  /** A failed attempt was the last one. */
  giveUp(failed: FailedAttempt): void {
    const { isFree, error, answer, problem } = failed
    this.#settle(failedBasis(failed, error))
    if (answer) {
      this.#reply.sendError(this.#attempt, answer)
      this.#finish()
    } else if (problem) this.#failWith(problem)
    else this.#fail(isFree ? 'upstream_unreachable' : 'upstream_failed')
  }

  onRetryStopped(
    reason: RetryStopReason,
    failed: Pick<FailedAttempt, 'isFree' | 'usage'>,
    moved: Dispatch | undefined,
  ): void {
    if (moved) this.#attempt.dispatch = moved
    this.#settle(failedBasis(failed, reason, reason === 'client left' ? 'canceled' : 'failed'))
    if (reason === 'client left') this.#finish()
    else {
      this.#fail(reason)
    }
  }

  expire(code: ExpiryCode): void {
    if (this.#state === 'over') return
    if (this.#retryWait) return this.#retryWait.stop(code)
    // If the client does not read, the provider cannot finish, and is not to blame.
    const error = code === 'upstream_timeout' && this.#exchange.blocked ? 'client too slow' : code
    this.#settle(failedBasis({ isFree: !this.#attempt.request.isSent }, error))
    this.#fail(code)
    this.#attempt.request.abort()
  }

  onClientDrain(): void {
    this.#attempt.request.resume()
  }

  onClientGone(): void {
    if (this.#state === 'over') return
    if (this.#retryWait) return this.#retryWait.stop('client left')
    const { facts } = this.#attempt.dispatch.admitted
    const ending = this.#attempt.tap?.finished ? 'completed' : 'canceled'
    const isFree = !this.#attempt.request.isSent || isFreeStream(facts)
    const { drains, settings } = this.#parts
    if (!isFree && settings.ON_DISCONNECT === 'drain' && drains.acquire(1)) {
      this.#drainEnding = ending
      this.#attempt.request.resume()
      return
    }
    this.#settle(abandonedBasis(this.#attempt, ending, isFree, settings.ON_DISCONNECT))
    this.#finish()
    this.#attempt.request.abort()
  }

  /** An error before any content is booked alike, be it before the headers or after them. */
  #streamBasis(tap: Tap): SettlementBasis {
    if (tap.hasContent || tap.finished || !tap.failed) return streamBasis(tap, this.#fallbackUsage, this.#ending)
    return failedBasis(readErrorAnswer(this.#parts, this.#attempt, tap).failed, 'error event')
  }

  get #ending(): Ending {
    return this.#drainEnding ?? 'completed'
  }

  // The ways to end. `#settle` comes first: what is written can carry the cost. `#complete`, `#fail` and `#failWith` write the end of
  // the answer, then finish. `onFailed` ends only an attempt: another one follows, or `giveUp` settles, writes and finishes.

  #settle(basis: SettlementBasis): void {
    this.#settlement.settle(this.#attempt, basis)
  }

  #complete(bytes: Buffer): void {
    this.#reply.complete(this.#attempt, bytes)
    this.#finish()
  }

  #fail(code: ProblemCode, rest?: Buffer): void {
    this.#failWith(providerFailure(this.#attempt.dispatch.provider, code), rest)
  }

  #failWith(problem: Problem, rest?: Buffer): void {
    this.#reply.fail(this.#attempt, problem, rest)
    this.#finish()
  }

  #finish(): void {
    this.#state = 'over'
    this.#attempt.close()
    this.#retryWait = undefined
    if (this.#deadline) this.#parts.deadlines.remove(this.#deadline)
    if (this.#drainEnding) this.#parts.drains.release(1)
    this.#exchange.watcher = undefined
    this.#resolveDone()
  }
}

/** A stream that reserves no tokens, such as a stored response fetched again, costs nothing. */
function isFreeStream({ streaming, reservedTokens }: CallFacts): boolean {
  return streaming && reservedTokens === 0
}
