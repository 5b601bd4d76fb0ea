// Relay: one admitted call on its way: sent, answered, metered while it flows, settled exactly once whatever happens.

import type { Settings } from '../config/settings.ts'
import type { CircuitPass, Circuits } from '../core/circuit.ts'
import type { Clock } from '../core/clock.ts'
import type { Attempt, CallFacts, Ending, Outcome } from '../core/ledger-entry.ts'
import type { Instant } from '../core/meter.ts'
import { formatUsd } from '../core/money.ts'
import type { PermitLease, Permits } from '../core/permits.ts'
import { Problem, type ProblemCode } from '../core/problem.ts'
import type { ClientWatcher, Exchange } from '../exchange/exchange.ts'
import { truncate } from '../keys/callers.ts'
import type { AnswerListener, Provider, RequestControl, UpstreamRequest } from '../providers/provider.ts'
import type { Store } from '../stores/store.ts'
import type { Recorder } from '../telemetry/recorder.ts'
import type { Translation } from '../translate/translation.ts'
import type { ResponseContext } from '../translate/translator.ts'
import type { AnswerUsage, Dialect, HeaderList, Tap } from '../wire/dialect.ts'
import { headersForCaller, withoutHeaders } from '../wire/headers.ts'
import type { AdmittedCall } from './admission.ts'
import { type AttemptFailure, isTargetFailure, type NextAttempt, type RetryPlan } from './attempts.ts'
import type { Deadline, Deadlines, TimedCall } from './deadlines.ts'
import {
  estimatedBasis,
  exactBasis,
  freeBasis,
  type SettlementBasis,
  type SettlementCalculator,
  upperBoundBasis,
} from './settlement-amounts.ts'
import { UpstreamAnswer } from './upstream-answer.ts'

/** What every relay needs, once for all calls. */
export interface RelayParts {
  readonly settings: Settings
  readonly clock: Clock
  readonly store: Store
  readonly settlementCalculator: SettlementCalculator
  readonly circuits: Circuits
  readonly recorder: Recorder
  readonly deadlines: Deadlines
  /** Calls read on for clients that left. */
  readonly drains: Permits
  /** Calls whose reservation is just being moved: they are settled after it, whatever happens. */
  readonly moves: Permits
  /** Answers a problem in the dialect's shape, where no answer has begun. */
  readonly sendProblem: (
    exchange: Exchange,
    dialect: Dialect,
    callId: string,
    problem: Problem,
    headers: HeaderList,
  ) => void
}

/** One way to go: a target, and the request as it is put to it. */
export interface Dispatch {
  readonly provider: Provider
  readonly outgoing: UpstreamRequest
  readonly admitted: AdmittedCall
  /** How the target's circuit let it through. */
  readonly circuitPass: CircuitPass
  /** What the provider speaks. */
  readonly dialect: Dialect
  /** Where that is not what the caller speaks. */
  readonly translation: { readonly with: Translation; readonly context: ResponseContext } | undefined
  /** True where a usage chunk was asked for that the caller did not ask for. */
  readonly hidesUsage: boolean
  /** Headers every answer to this call carries. */
  readonly headers: HeaderList
}

/** The tries of a call. */
export interface PlannedAttempts {
  readonly first: Dispatch
  /** Further ones; undefined where there are none to be made. */
  readonly retryPlan: RetryPlan<Dispatch> | undefined
}

/** Error statuses that nobody bills. */
const FREE_STATUSES: ReadonlySet<number> = new Set([401, 403, 404, 413, 422, 429])
/** After the last event the client is done; the provider gets this long to close its side, for the connection's sake. */
const LINGER_MS = 1_000
const LINE_FEED = 0x0a
const EMPTY_BUFFER = Buffer.alloc(0)
const NO_HEADERS: readonly string[] = []
/** What a provider calls its model goes into the ledger; it may say anything. */
const MAX_ANSWERED_MODEL_CHARACTERS = 256

/** The connection was never made, whoever tried. */
const UNSENT_ERROR_CODES: ReadonlySet<string> = new Set([
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'UND_ERR_CONNECT_TIMEOUT',
])

/** What ends an attempt and says nothing of its target. */
const CIRCUIT_NEUTRAL_ERRORS: ReadonlySet<string> = new Set([
  'client left',
  'client too slow',
  'shutting_down',
  'internal',
  'answer too large',
  // What is wrong may be the request.
  'error event',
])
/** Of a target that refused and did not say for how long. */
const DEFAULT_COOLING_MS = 5_000

/** A call between two attempts. */
interface PendingRetry {
  /** The attempt before cost nothing. */
  readonly isFree: boolean
  /** Ends the call with that attempt's failure. */
  readonly giveUp: () => void
  /** Why it is not to go on after all. */
  stopReason: 'left' | 'upstream_timeout' | 'shutting_down' | undefined
  /** Its reservation is being moved. */
  isMoving: boolean
  timer: NodeJS.Timeout | undefined
}

export class Relay implements AnswerListener, TimedCall, ClientWatcher {
  readonly #parts: RelayParts
  readonly #exchange: Exchange
  /** What the caller speaks. */
  readonly #dialect: Dialect
  readonly #lease: PermitLease
  readonly #retryPlan: RetryPlan<Dispatch> | undefined
  readonly #sentAtMs: number
  #dispatch: Dispatch
  /** Of the attempt under way, or the last. */
  #upstreamAnswer: UpstreamAnswer
  readonly #attempts: Attempt[] = []
  #pendingRetry: PendingRetry | undefined
  #sending: RequestControl | undefined
  #deadline: Deadline | undefined
  /** `between`: an attempt has failed, and another one is about to be made. */
  #state: 'sent' | 'streaming' | 'collecting' | 'between' | 'over' = 'sent'
  #settled = false
  #clientGoneEarly = false
  #isDraining = false
  #lastByte = LINE_FEED
  #lastEvent = ''
  #linger: NodeJS.Timeout | undefined
  /** Usage that a handler reported itself, for answers that carry none. */
  #fallbackUsage: AnswerUsage | undefined
  #resolveDone: () => void = () => {}
  /** Resolves when nothing is left to do for this call. */
  readonly done: Promise<void>

  constructor(parts: RelayParts, exchange: Exchange, dialect: Dialect, holding: PermitLease, tries: PlannedAttempts) {
    this.#parts = parts
    this.#exchange = exchange
    this.#dialect = dialect
    this.#lease = holding
    this.#retryPlan = tries.retryPlan
    this.#dispatch = tries.first
    this.#sentAtMs = parts.clock.now().monoMs
    this.#upstreamAnswer = new UpstreamAnswer(this.#sentAtMs)
    this.done = new Promise((resolve) => {
      this.#resolveDone = resolve
    })
  }

  send(): void {
    const exchange = this.#exchange
    if (exchange.clientGone) {
      this.#settle(freeBasis('canceled'), 'client left')
      this.#finishCall()
      return
    }
    this.#deadline = this.#parts.deadlines.add(this, this.#sentAtMs)
    exchange.watcher = this
    this.#sendNow()
  }

  #sendNow(): void {
    const { provider, outgoing, translation } = this.#dispatch
    this.#sending =
      translation && provider.sendTranslated ? provider.sendTranslated(outgoing, this) : provider.send(outgoing, this)
  }

  get #facts(): CallFacts {
    return this.#dispatch.admitted.facts
  }

  started(): void {
    this.#upstreamAnswer.requestSent = true
  }

  /** Something was used, whatever the answer's status says. */
  markBillable(): void {
    this.#upstreamAnswer.isBillable = true
  }

  /** Usage for an answer that carries none. The answer's own wins. */
  setFallbackUsage(metered: AnswerUsage): void {
    this.#fallbackUsage = metered
  }

  head(status: number, headers: HeaderList): void {
    if (this.#state === 'over') return
    const arrival = this.#upstreamAnswer
    arrival.head(status, headers, this.#parts.clock.now().wallMs)
    if (status >= 300) {
      this.#state = 'collecting'
      return
    }
    this.#markTargetHealthy()
    const tap = this.#tapFor(arrival.contentType, arrival.isEncoded)
    arrival.readWith(tap)
    this.#state = tap.isDocument ? 'collecting' : 'streaming'
    // It was asked for without an encoding: one that comes all the same cannot be translated piece by piece.
    if (arrival.decoder && this.#dispatch.translation) this.#unreadable()
    else if (!tap.isDocument) this.#exchange.writeHead(status, this.#answerHeaders(false), true)
  }

  /** A target that was let through to see is well: others need not wait for the end of a long answer. */
  #markTargetHealthy(): void {
    if (this.#dispatch.circuitPass.kind !== 'probe') return
    const { provider, model } = this.#facts
    this.#parts.circuits.recordResult(
      provider,
      model,
      false,
      this.#dispatch.circuitPass,
      this.#parts.clock.now().monoMs,
    )
    this.#dispatch = { ...this.#dispatch, circuitPass: { kind: 'closed' } }
  }

  #tapFor(contentType: string, encoded: boolean): Tap {
    const { dialect, hidesUsage, translation } = this.#dispatch
    const tap = dialect.createTap(this.#facts.streaming, contentType, hidesUsage && !encoded)
    return translation ? translation.with.createTap(tap, translation.context) : tap
  }

  /** The provider's headers as they go on, and ours. */
  #answerHeaders(isError: boolean): HeaderList {
    const { headers, translation } = this.#dispatch
    const more = isError ? this.#noMoreRetries() : NO_HEADERS
    let passed = headersForCaller(this.#upstreamAnswer.headers, isError)
    if (more.length > 0) passed = withoutHeaders(passed, 'x-should-retry')
    if (translation) {
      const type = translation.with.contentType(
        isError || this.#upstreamAnswer.tap?.isDocument !== false,
        translation.context,
      )
      passed = withoutHeaders(passed, 'content-type', 'content-encoding')
      passed.push('content-type', type)
    }
    passed.push(...headers, ...more)
    return passed
  }

  data(chunk: Buffer): void {
    if (this.#state === 'over') return
    this.#upstreamAnswer.firstByteAtMs ??= this.#parts.clock.now().monoMs
    if (this.#state === 'collecting') this.#collect(chunk)
    else if (this.#upstreamAnswer.decoder) this.#upstreamAnswer.decoder.push(chunk, () => this.#pass(chunk))
    else this.#passRead(chunk)
  }

  end(): void {
    clearTimeout(this.#linger)
    if (this.#state === 'over') return
    if (this.#state === 'streaming') {
      if (this.#upstreamAnswer.decoder) this.#upstreamAnswer.decoder.end(() => this.#streamEnded())
      else this.#streamEnded()
    } else this.#collectedAll()
  }

  failed(error: Error): void {
    clearTimeout(this.#linger)
    if (this.#state === 'over') return
    const code = codeOf(error)
    // What the client has is whole all the same when the model had said why it stopped.
    if (this.#state === 'streaming' && this.#upstreamAnswer.tap?.finished) {
      this.#settle(upperBoundBasis('completed'), code)
      this.#close(EMPTY_BUFFER)
      return
    }
    const unsent = !this.#upstreamAnswer.requestSent || UNSENT_ERROR_CODES.has(code)
    this.#attemptFailed({ status: null, isFree: unsent, retryAfterMs: null }, code, () => {
      this.#settle(unsent ? freeBasis('failed') : upperBoundBasis('failed'), code)
      this.#abandon(this.#problem(unsent ? 'upstream_unreachable' : 'upstream_failed'))
    })
  }

  /** The deadline has come, or the server stops. Whatever was used, no more than the whole reservation can have been. */
  expire(code: 'upstream_timeout' | 'shutting_down'): void {
    if (this.#state === 'over') return
    if (this.#state === 'between') {
      this.#stopWaiting(code)
      return
    }
    // Whoever does not read what comes keeps the provider waiting, and not the other way round.
    const why = code === 'upstream_timeout' && this.#exchange.blocked ? 'client too slow' : code
    this.#settle(this.#upstreamAnswer.requestSent ? upperBoundBasis('failed') : freeBasis('failed'), why)
    // First the client is told why: aborting reports a failure of its own at once.
    this.#abandon(this.#problem(code))
    this.#sending?.abort()
  }

  /**
   * An attempt has ended without an answer for the caller: another one is made, or `giveUp` says so.
   * @param error in a word or two
   */
  #attemptFailed(failure: AttemptFailure, error: string, giveUp: () => void): void {
    const unanswered = !this.#exchange.headersSent && !this.#clientGoneEarly
    const next = unanswered ? this.#retryPlan?.next(failure) : undefined
    if (!next) {
      giveUp()
      return
    }
    const costNanoUsd = failure.isFree ? 0n : this.#dispatch.admitted.bound.costNanoUsd
    this.#recordAttempt(error, costNanoUsd, this.#parts.clock.now())
    this.#state = 'between'
    this.#pendingRetry = { isFree: failure.isFree, giveUp, stopReason: undefined, isMoving: false, timer: undefined }
    this.#pendingRetry.timer = setTimeout(() => {
      this.#startNextAttempt(next).catch((broken: unknown) => this.#failInternally(broken))
    }, next.delayMs)
  }

  async #startNextAttempt(next: NextAttempt<Dispatch>): Promise<void> {
    const waiting = this.#pendingRetry
    if (!waiting) return
    waiting.isMoving = true
    this.#parts.moves.acquire(1)
    const dispatch = await next.prepare().finally(() => this.#parts.moves.release(1))
    waiting.isMoving = false
    if (dispatch) this.#dispatch = dispatch
    if (waiting.stopReason) {
      if (dispatch) this.#parts.circuits.release(this.#facts.provider, this.#facts.model, dispatch.circuitPass)
      // Another reservation may stand that nothing was sent for.
      this.#pendingRetry = { ...waiting, isFree: waiting.isFree || dispatch !== undefined }
      this.#stopWaiting(waiting.stopReason)
    } else if (dispatch) this.#startAgain()
    else {
      this.#state = 'sent'
      waiting.giveUp()
    }
  }

  #startAgain(): void {
    this.#pendingRetry = undefined
    this.#state = 'sent'
    this.#upstreamAnswer = new UpstreamAnswer(this.#parts.clock.now().monoMs)
    this.#sendNow()
  }

  /** Nothing is under way, and nothing more will be. While a reservation is being moved that has to wait for its end. */
  #stopWaiting(why: 'left' | 'upstream_timeout' | 'shutting_down'): void {
    const waiting = this.#pendingRetry
    if (!waiting) return
    if (waiting.isMoving) {
      waiting.stopReason = why
      return
    }
    clearTimeout(waiting.timer)
    const ending = why === 'left' ? 'canceled' : 'failed'
    this.#settle(waiting.isFree ? freeBasis(ending) : upperBoundBasis(ending), why === 'left' ? 'client left' : why)
    if (why === 'left') this.#finishCall()
    else this.#abandon(this.#problem(why))
  }

  /** Of an answer in another dialect more may be wrong than its bytes. */
  #passRead(chunk: Buffer): void {
    let bytes: Buffer
    try {
      bytes = this.#upstreamAnswer.tap?.push(chunk) ?? chunk
    } catch {
      this.#unreadable()
      return
    }
    this.#pass(bytes)
  }

  #unreadable(): void {
    this.#settle(upperBoundBasis('failed'), 'unreadable')
    this.#abandon(this.#problem('upstream_failed'))
    this.#sending?.abort()
  }

  /** Passes bytes of a stream on. The call is settled before its last event leaves: clients hang up on seeing it. */
  #pass(bytes: Buffer): void {
    if (this.#state === 'over') return
    if (this.#upstreamAnswer.tap?.terminated) {
      this.#settleStream()
      this.#linger ??= setTimeout(() => this.#sending?.abort(), LINGER_MS)
      // An encoding has an end of its own, that may come after the last event.
      if (this.#upstreamAnswer.decoder || !this.#endsLastEvent(bytes)) this.#write(bytes)
      else this.#close(bytes)
      return
    }
    this.#write(bytes)
  }

  /** True once the blank line has come that ends the last event: nobody waits for the provider to close. */
  #endsLastEvent(bytes: Buffer): boolean {
    this.#lastEvent = (this.#lastEvent + bytes.toString('latin1', Math.max(0, bytes.length - 3))).slice(-3)
    return this.#lastEvent.endsWith('\n\n') || this.#lastEvent === '\n\r\n'
  }

  #write(bytes: Buffer): void {
    if (bytes.length === 0) return
    this.#lastByte = bytes[bytes.length - 1] ?? 0
    if (!this.#exchange.write(bytes)) this.#sending?.pause()
  }

  #streamEnded(): void {
    if (this.#state === 'over') return
    const rest = this.#upstreamAnswer.tap?.end() ?? EMPTY_BUFFER
    if (this.#upstreamAnswer.tap?.finished || this.#upstreamAnswer.tap?.failed) {
      this.#settleStream()
      this.#close(rest)
      return
    }
    this.#settle(upperBoundBasis('failed'), 'ended early')
    this.#abandon(this.#problem('upstream_failed'), rest)
  }

  #settleStream(): void {
    const metered = this.#upstreamAnswer.tap?.answerUsage() ?? this.#fallbackUsage
    const failed = this.#upstreamAnswer.tap?.failed === true && !this.#upstreamAnswer.tap.finished
    if (metered && !failed) this.#settle(exactBasis(this.#ending(), metered), null)
    else this.#settle(upperBoundBasis(failed ? 'failed' : this.#ending()), failed ? 'error event' : null)
  }

  #collect(chunk: Buffer): void {
    if (this.#upstreamAnswer.collect(chunk) <= this.#parts.settings.MAX_BODY_BYTES && this.#lease.acquire(chunk.length))
      return
    this.#settle(upperBoundBasis('failed'), 'answer too large')
    this.#abandon(new Problem('upstream_failed', 'The answer is too large to be passed on.'))
    this.#sending?.abort()
  }

  #collectedAll(): void {
    const body = this.#upstreamAnswer.takeBody()
    if (!this.#upstreamAnswer.isEncoded) {
      this.#ended(body, body)
      return
    }
    const plain = this.#upstreamAnswer.decodeBody(body, this.#parts.settings.MAX_BODY_BYTES)
    plain.then((decoded) => this.#ended(body, decoded)).catch((error: unknown) => this.#failInternally(error))
  }

  /** @param plain without its encoding; undefined where it could not be decoded */
  #ended(body: Buffer, plain: Buffer | undefined): void {
    try {
      if (this.#upstreamAnswer.tap) this.#wholeAnswer(this.#upstreamAnswer.tap, body, plain)
      else this.#errorAnswer(this.#upstreamAnswer.status ?? 0, body, plain ?? EMPTY_BUFFER)
    } catch (error) {
      this.#failInternally(error)
    }
  }

  /** Settled before it is passed on, so that its cost can be in its headers. */
  #wholeAnswer(tap: Tap, body: Buffer, plain: Buffer | undefined): void {
    const { translation } = this.#dispatch
    // Unreadable: no usage, and the whole reservation is booked.
    const passed = plain && readWholeAnswer(tap, plain)
    const metered = tap.answerUsage() ?? this.#fallbackUsage
    const unreadable = translation && !passed
    if (metered)
      this.#settle(exactBasis(unreadable ? 'failed' : this.#ending(), metered), unreadable ? 'unreadable' : null)
    else this.#settle(upperBoundBasis(tap.finished && !unreadable ? this.#ending() : 'failed'), 'no usage')
    if (unreadable) this.#abandon(this.#problem('upstream_failed'))
    else this.#answer(passed && translation ? passed : body)
  }

  #errorAnswer(status: number, body: Buffer, plain: Buffer): void {
    const { provider, translation } = this.#dispatch
    const { wallMs, monoMs } = this.#parts.clock.now()
    if (status === 429) {
      this.#upstreamAnswer.readRefusal(plain, wallMs)
      this.#cool(monoMs)
    }
    const isFree = !this.#upstreamAnswer.isBillable && (FREE_STATUSES.has(status) || provider.freeStatuses.has(status))
    const failure = { status, isFree, retryAfterMs: this.#upstreamAnswer.limits?.retryAfterMs ?? null }
    this.#attemptFailed(failure, `status ${status}`, () => {
      this.#settle(isFree ? freeBasis('failed') : upperBoundBasis('failed'), `status ${status}`)
      const context = { callId: this.#facts.callId, nowMs: wallMs }
      this.#answer(translation ? Buffer.from(translation.with.errorBody(status, plain, context)) : body)
    })
  }

  /** While there are others, a target that refuses is asked last. */
  #cool(monoMs: number): void {
    const { provider, outgoing, admitted } = this.#dispatch
    if (provider.simulated || outgoing.callerKey) return
    const forMs = this.#upstreamAnswer.limits?.retryAfterMs ?? DEFAULT_COOLING_MS
    this.#parts.circuits.startCooling(provider.name, admitted.facts.model, forMs, monoMs)
  }

  #answer(body: Buffer): void {
    if (this.#state === 'over') return
    const headers = this.#answerHeaders((this.#upstreamAnswer.status ?? 0) >= 300)
    headers.push('x-bursar-cost-usd', formatUsd(this.#costNanoUsd), 'content-length', String(body.length))
    this.#exchange.writeHead(this.#upstreamAnswer.status ?? 502, headers)
    this.#close(body)
  }

  /** Where we have retried, its SDK need not. */
  #noMoreRetries(): readonly string[] {
    return this.#attempts.length > 1 ? ['x-should-retry', 'false'] : NO_HEADERS
  }

  onClientDrain(): void {
    this.#sending?.resume()
  }

  onClientGone(): void {
    if (this.#state === 'over') return
    if (this.#state === 'between') {
      this.#stopWaiting('left')
      return
    }
    const policy = this.#parts.settings.ON_DISCONNECT
    this.#clientGoneEarly = this.#upstreamAnswer.tap?.finished !== true
    // A stream for which nothing was reserved has nothing to say at its end.
    const isFree = this.#facts.streaming && this.#facts.reservedTokens === 0
    if (this.#upstreamAnswer.requestSent && !isFree && policy === 'drain' && this.#parts.drains.acquire(1)) {
      this.#isDraining = true
      this.#sending?.resume()
      return
    }
    const { outgoing, admitted } = this.#dispatch
    if (!this.#upstreamAnswer.requestSent || isFree) this.#settle(freeBasis('canceled'), 'client left')
    else if (policy === 'cancel') {
      const { eventCount = 0 } = this.#upstreamAnswer.tap ?? {}
      this.#settle(
        estimatedBasis(this.#upstreamAnswer.tap?.answerUsage(), eventCount, outgoing.body.length, admitted),
        'client left',
      )
    } else this.#settle(upperBoundBasis(this.#ending()), 'client left')
    this.#sending?.abort()
    this.#finishCall()
  }

  #ending(): Ending {
    return this.#clientGoneEarly ? 'canceled' : 'completed'
  }

  #problem(code: ProblemCode): Problem {
    return new Problem(code, `The provider ${this.#dispatch.provider.name} ${FAILURE_MESSAGES[code] ?? 'failed'}.`)
  }

  /** Ends the client's answer as complete. */
  #close(bytes: Buffer): void {
    // Some SDK takes a translated error event for one more answer.
    const broken = this.#upstreamAnswer.tap?.failed && this.#dispatch.translation && this.#dialect.breaksAfterError
    if (broken) this.#exchange.cut(bytes.toString())
    else this.#exchange.end(bytes)
    this.#finishCall()
  }

  /** Ends the client's answer as failed, in a way it cannot take for complete. */
  #abandon(problem: Problem, rest: Buffer = EMPTY_BUFFER): void {
    const exchange = this.#exchange
    const dialect = this.#dialect
    const { callId } = this.#facts
    const cost = ['x-bursar-cost-usd', formatUsd(this.#costNanoUsd)]
    if (!exchange.headersSent)
      this.#parts.sendProblem(exchange, dialect, callId, problem, [...this.#noMoreRetries(), ...cost])
    else if (this.#upstreamAnswer.decoder || exchange.blocked) exchange.cut()
    else {
      const event = dialect.streamError(problem, { callId, nowMs: this.#parts.clock.now().wallMs }, this.#contentType())
      if (rest.length > 0) {
        exchange.write(rest)
        this.#lastByte = rest[rest.length - 1] ?? 0
      }
      const text = this.#lastByte === LINE_FEED ? event : `\n\n${event}`
      if (dialect.breaksAfterError) exchange.cut(text)
      else exchange.end(text)
    }
    this.#finishCall()
  }

  /** Of the stream that goes to the caller. */
  #contentType(): string {
    const { translation } = this.#dispatch
    return translation ? translation.with.contentType(false, translation.context) : this.#upstreamAnswer.contentType
  }

  #finishCall(): void {
    this.#state = 'over'
    if (this.#deadline) this.#parts.deadlines.remove(this.#deadline)
    if (this.#isDraining) this.#parts.drains.release(1)
    this.#isDraining = false
    this.#exchange.watcher = undefined
    this.#resolveDone()
  }

  #failInternally(error: unknown): void {
    this.#parts.recorder.failedUnexpectedly(this.#facts.callId, error)
    this.#settle(upperBoundBasis('failed'), 'internal')
    this.#abandon(new Problem('internal', 'The gateway failed.'))
  }

  /** Notes an attempt, once, and tells its target's circuit how it went. */
  #recordAttempt(error: string | null, costNanoUsd: bigint, { monoMs }: Instant): void {
    const arrival = this.#upstreamAnswer
    if (arrival.isRecorded) return
    arrival.isRecorded = true
    const { provider, model } = this.#facts
    const { status } = arrival
    const durationMs = monoMs - arrival.sentAtMs
    this.#attempts.push({ provider, model, status, durationMs, error, costNanoUsd })
    if (this.#dispatch.provider.simulated) return
    const { circuits } = this.#parts
    const { circuitPass } = this.#dispatch
    if (error !== null && CIRCUIT_NEUTRAL_ERRORS.has(error)) circuits.release(provider, model, circuitPass)
    else circuits.recordResult(provider, model, isTargetFailure(status, error), circuitPass, monoMs)
  }

  #costNanoUsd = 0n

  #settle(booking: SettlementBasis, error: string | null): void {
    if (this.#settled) return
    this.#settled = true
    const now = this.#parts.clock.now()
    const { admitted, provider, outgoing } = this.#dispatch
    const booked = this.#parts.settlementCalculator.settlementFor(booking, admitted, provider.priceName, now.wallMs)
    const { usage, cost, used, usedByMeter } = booked
    this.#costNanoUsd = cost.totalNanoUsd
    this.#recordAttempt(error, booked.attemptCostNanoUsd, now)
    const { metered } = booking
    const outcome: Outcome = {
      ending: booking.ending,
      certainty:
        admitted.priorBound.costNanoUsd > 0n || admitted.priorBound.tokens > 0 ? 'upperBound' : booking.certainty,
      usage,
      reasoningTokens: metered?.reasoningTokens ?? 0,
      cost,
      answeredModel: metered?.model ? truncate(MAX_ANSWERED_MODEL_CHARACTERS, metered.model) : null,
      settledAtMs: now.wallMs,
      latencyMs: Math.max(0, now.wallMs - this.#facts.reservedAtMs),
      timeToFirstTokenMs:
        this.#upstreamAnswer.firstByteAtMs === null ? null : this.#upstreamAnswer.firstByteAtMs - this.#sentAtMs,
      attempts: this.#attempts,
      upstreamLimits: this.#upstreamAnswer.limits,
    }
    // Levels change now; the row is written within milliseconds, and until then the open row counts in full.
    this.#parts.store
      .settle([{ callId: this.#facts.callId, outcome, used, usedByMeter }], now)
      .catch((failure: unknown) => {
        this.#parts.recorder.failedUnexpectedly(this.#facts.callId, failure)
      })
    this.#parts.recorder.settled(this.#facts, outcome, admitted, outgoing.callerKey === undefined)
  }
}

/** What a tap makes of a whole answer; undefined where it cannot be read. */
function readWholeAnswer(tap: Tap, body: Buffer): Buffer | undefined {
  try {
    const passed = tap.push(body)
    tap.end()
    return passed
  } catch {
    return undefined
  }
}

const FAILURE_MESSAGES: Partial<Record<ProblemCode, string>> = {
  upstream_unreachable: 'could not be reached',
  upstream_failed: 'broke off its answer',
  upstream_timeout: 'did not finish its answer in time',
  shutting_down: 'was still answering when the gateway stopped',
}

/** The error's code, never its message: that may hold addresses. */
function codeOf(error: Error): string {
  const code: unknown = 'code' in error ? error.code : undefined
  return typeof code === 'string' ? code : error.name
}
