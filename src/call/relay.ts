// Relay: one admitted call on its way: sent, answered, metered while it flows, settled exactly once whatever happens.

import type { Settings } from '../config/settings.ts'
import type { Circuits, Passage } from '../core/circuit.ts'
import type { Clock } from '../core/clock.ts'
import type { Attempt, CallFacts, Ending, Outcome } from '../core/ledger-entry.ts'
import type { Instant } from '../core/meter.ts'
import { formatUsd } from '../core/money.ts'
import type { Allowance, Holding } from '../core/permits.ts'
import { Problem, type ProblemCode } from '../core/problem.ts'
import type { ClientWatcher, Exchange } from '../exchange/exchange.ts'
import { cutTo } from '../keys/callers.ts'
import type { Listener, Outgoing, Provider, Sending } from '../providers/provider.ts'
import type { Store } from '../stores/store.ts'
import type { Recorder } from '../telemetry/recorder.ts'
import type { Translation } from '../translate/translation.ts'
import type { AnswerContext } from '../translate/translator.ts'
import type { Dialect, HeaderList, Metered, Tap } from '../wire/dialect.ts'
import { passedOn, without } from '../wire/headers.ts'
import type { Admitted } from './admission.ts'
import { type Attempts, type Failure, isTrouble, type Next } from './attempts.ts'
import { type Booking, type Bookkeeping, estimated, exact, free, whole } from './booking.ts'
import type { Deadline, Deadlines, Expiring } from './deadlines.ts'
import { Arrival } from './upstream-answer.ts'

/** What every relay needs, once for all calls. */
export interface RelayParts {
  readonly settings: Settings
  readonly clock: Clock
  readonly store: Store
  readonly bookkeeping: Bookkeeping
  readonly circuits: Circuits
  readonly recorder: Recorder
  readonly deadlines: Deadlines
  /** Calls read on for clients that left. */
  readonly drains: Allowance
  /** Calls whose reservation is just being moved: they are settled after it, whatever happens. */
  readonly moves: Allowance
  /** Answers a problem in the dialect's shape, where no answer has begun. */
  readonly reject: (exchange: Exchange, dialect: Dialect, callId: string, problem: Problem, headers: HeaderList) => void
}

/** One way to go: a target, and the request as it is put to it. */
export interface Dispatch {
  readonly provider: Provider
  readonly outgoing: Outgoing
  readonly admitted: Admitted
  /** How the target's circuit let it through. */
  readonly passage: Passage
  /** What the provider speaks. */
  readonly dialect: Dialect
  /** Where that is not what the caller speaks. */
  readonly translation: { readonly with: Translation; readonly context: AnswerContext } | undefined
  /** True where a usage chunk was asked for that the caller did not ask for. */
  readonly hidesUsage: boolean
  /** Headers every answer to this call carries. */
  readonly headers: HeaderList
}

/** The tries of a call. */
export interface Tries {
  readonly first: Dispatch
  /** Further ones; undefined where there are none to be made. */
  readonly attempts: Attempts<Dispatch> | undefined
}

/** Error statuses that nobody bills. */
const FREE_STATUSES: ReadonlySet<number> = new Set([401, 403, 404, 413, 422, 429])
/** After the last event the client is done; the provider gets this long to close its side, for the connection's sake. */
const LINGER_MS = 1_000
const LINE_FEED = 0x0a
const NOTHING = Buffer.alloc(0)
const NO_HEADERS: readonly string[] = []
/** What a provider calls its model goes into the ledger; it may say anything. */
const MOST_ANSWERED_CHARACTERS = 256

/** The connection was never made, whoever tried. */
const NEVER_SENT: ReadonlySet<string> = new Set([
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'UND_ERR_CONNECT_TIMEOUT',
])

/** What ends an attempt and says nothing of its target. */
const NOT_ITS_FAULT: ReadonlySet<string> = new Set([
  'client left',
  'client too slow',
  'shutting_down',
  'internal',
  'answer too large',
  // What is wrong may be the request.
  'error event',
])
/** Of a target that refused and did not say for how long. */
const UNSAID_COOLING_MS = 5_000

/** A call between two attempts. */
interface Waiting {
  /** The attempt before cost nothing. */
  readonly free: boolean
  /** Ends the call with that attempt's failure. */
  readonly giveUp: () => void
  /** Why it is not to go on after all. */
  stopped: 'left' | 'upstream_timeout' | 'shutting_down' | undefined
  /** Its reservation is being moved. */
  moving: boolean
  timer: NodeJS.Timeout | undefined
}

export class Relay implements Listener, Expiring, ClientWatcher {
  readonly #parts: RelayParts
  readonly #exchange: Exchange
  /** What the caller speaks. */
  readonly #dialect: Dialect
  readonly #holding: Holding
  readonly #tries: Attempts<Dispatch> | undefined
  readonly #sentAtMs: number
  #dispatch: Dispatch
  /** Of the attempt under way, or the last. */
  #arrival: Arrival
  readonly #attempts: Attempt[] = []
  #waiting: Waiting | undefined
  #sending: Sending | undefined
  #deadline: Deadline | undefined
  /** `between`: an attempt has failed, and another one is about to be made. */
  #state: 'sent' | 'streaming' | 'collecting' | 'between' | 'over' = 'sent'
  #settled = false
  #leftEarly = false
  #drains = false
  #lastByte = LINE_FEED
  #lastEvent = ''
  #linger: NodeJS.Timeout | undefined
  /** Usage that a handler reported itself, for answers that carry none. */
  #reported: Metered | undefined
  #finish: () => void = () => {}
  /** Resolves when nothing is left to do for this call. */
  readonly done: Promise<void>

  constructor(parts: RelayParts, exchange: Exchange, dialect: Dialect, holding: Holding, tries: Tries) {
    this.#parts = parts
    this.#exchange = exchange
    this.#dialect = dialect
    this.#holding = holding
    this.#tries = tries.attempts
    this.#dispatch = tries.first
    this.#sentAtMs = parts.clock.now().monoMs
    this.#arrival = new Arrival(this.#sentAtMs)
    this.done = new Promise((resolve) => {
      this.#finish = resolve
    })
  }

  send(): void {
    const exchange = this.#exchange
    if (exchange.left) {
      this.#settle(free('canceled'), 'client left')
      this.#over()
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
    this.#arrival.started = true
  }

  /** Something was used, whatever the answer's status says. */
  notFree(): void {
    this.#arrival.notFree = true
  }

  /** Usage for an answer that carries none. The answer's own wins. */
  report(metered: Metered): void {
    this.#reported = metered
  }

  head(status: number, headers: HeaderList): void {
    if (this.#state === 'over') return
    const arrival = this.#arrival
    arrival.head(status, headers, this.#parts.clock.now().wallMs)
    if (status >= 300) {
      this.#state = 'collecting'
      return
    }
    this.#answers()
    const tap = this.#tapFor(arrival.contentType, arrival.isEncoded)
    arrival.readWith(tap)
    this.#state = tap.whole ? 'collecting' : 'streaming'
    // It was asked for without an encoding: one that comes all the same cannot be translated piece by piece.
    if (arrival.decoder && this.#dispatch.translation) this.#unreadable()
    else if (!tap.whole) this.#exchange.begin(status, this.#answerHeaders(false), true)
  }

  /** A target that was let through to see is well: others need not wait for the end of a long answer. */
  #answers(): void {
    if (this.#dispatch.passage.kind !== 'probe') return
    const { provider, model } = this.#facts
    this.#parts.circuits.ended(provider, model, false, this.#dispatch.passage, this.#parts.clock.now().monoMs)
    this.#dispatch = { ...this.#dispatch, passage: { kind: 'closed' } }
  }

  #tapFor(contentType: string, encoded: boolean): Tap {
    const { dialect, hidesUsage, translation } = this.#dispatch
    const tap = dialect.tap(this.#facts.streaming, contentType, hidesUsage && !encoded)
    return translation ? translation.with.tap(tap, translation.context) : tap
  }

  /** The provider's headers as they go on, and ours. */
  #answerHeaders(isError: boolean): HeaderList {
    const { headers, translation } = this.#dispatch
    const more = isError ? this.#noMoreRetries() : NO_HEADERS
    let passed = passedOn(this.#arrival.headers, isError)
    if (more.length > 0) passed = without(passed, 'x-should-retry')
    if (translation) {
      const type = translation.with.contentType(isError || this.#arrival.tap?.whole !== false, translation.context)
      passed = without(passed, 'content-type', 'content-encoding')
      passed.push('content-type', type)
    }
    passed.push(...headers, ...more)
    return passed
  }

  data(chunk: Buffer): void {
    if (this.#state === 'over') return
    this.#arrival.firstAtMs ??= this.#parts.clock.now().monoMs
    if (this.#state === 'collecting') this.#collect(chunk)
    else if (this.#arrival.decoder) this.#arrival.decoder.push(chunk, () => this.#pass(chunk))
    else this.#passRead(chunk)
  }

  end(): void {
    clearTimeout(this.#linger)
    if (this.#state === 'over') return
    if (this.#state === 'streaming') {
      if (this.#arrival.decoder) this.#arrival.decoder.end(() => this.#streamEnded())
      else this.#streamEnded()
    } else this.#collectedAll()
  }

  failed(error: Error): void {
    clearTimeout(this.#linger)
    if (this.#state === 'over') return
    const code = codeOf(error)
    // What the client has is whole all the same when the model had said why it stopped.
    if (this.#state === 'streaming' && this.#arrival.tap?.finished) {
      this.#settle(whole('completed'), code)
      this.#close(NOTHING)
      return
    }
    const unsent = !this.#arrival.started || NEVER_SENT.has(code)
    this.#attemptFailed({ status: null, free: unsent, retryAfterMs: null }, code, () => {
      this.#settle(unsent ? free('failed') : whole('failed'), code)
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
    this.#settle(this.#arrival.started ? whole('failed') : free('failed'), why)
    // First the client is told why: aborting reports a failure of its own at once.
    this.#abandon(this.#problem(code))
    this.#sending?.abort()
  }

  /**
   * An attempt has ended without an answer for the caller: another one is made, or `giveUp` says so.
   * @param error in a word or two
   */
  #attemptFailed(failure: Failure, error: string, giveUp: () => void): void {
    const unanswered = !this.#exchange.begun && !this.#leftEarly
    const next = unanswered ? this.#tries?.next(failure) : undefined
    if (!next) {
      giveUp()
      return
    }
    const costNanoUsd = failure.free ? 0n : this.#dispatch.admitted.bound.costNanoUsd
    this.#attemptOver(error, costNanoUsd, this.#parts.clock.now())
    this.#state = 'between'
    this.#waiting = { free: failure.free, giveUp, stopped: undefined, moving: false, timer: undefined }
    this.#waiting.timer = setTimeout(() => {
      this.#goOn(next).catch((broken: unknown) => this.#broke(broken))
    }, next.delayMs)
  }

  async #goOn(next: Next<Dispatch>): Promise<void> {
    const waiting = this.#waiting
    if (!waiting) return
    waiting.moving = true
    this.#parts.moves.take(1)
    const dispatch = await next.dispatch().finally(() => this.#parts.moves.give(1))
    waiting.moving = false
    if (dispatch) this.#dispatch = dispatch
    if (waiting.stopped) {
      if (dispatch) this.#parts.circuits.leave(this.#facts.provider, this.#facts.model, dispatch.passage)
      // Another reservation may stand that nothing was sent for.
      this.#waiting = { ...waiting, free: waiting.free || dispatch !== undefined }
      this.#stopWaiting(waiting.stopped)
    } else if (dispatch) this.#startAgain()
    else {
      this.#state = 'sent'
      waiting.giveUp()
    }
  }

  #startAgain(): void {
    this.#waiting = undefined
    this.#state = 'sent'
    this.#arrival = new Arrival(this.#parts.clock.now().monoMs)
    this.#sendNow()
  }

  /** Nothing is under way, and nothing more will be. While a reservation is being moved that has to wait for its end. */
  #stopWaiting(why: 'left' | 'upstream_timeout' | 'shutting_down'): void {
    const waiting = this.#waiting
    if (!waiting) return
    if (waiting.moving) {
      waiting.stopped = why
      return
    }
    clearTimeout(waiting.timer)
    const ending = why === 'left' ? 'canceled' : 'failed'
    this.#settle(waiting.free ? free(ending) : whole(ending), why === 'left' ? 'client left' : why)
    if (why === 'left') this.#over()
    else this.#abandon(this.#problem(why))
  }

  /** Of an answer in another dialect more may be wrong than its bytes. */
  #passRead(chunk: Buffer): void {
    let bytes: Buffer
    try {
      bytes = this.#arrival.tap?.push(chunk) ?? chunk
    } catch {
      this.#unreadable()
      return
    }
    this.#pass(bytes)
  }

  #unreadable(): void {
    this.#settle(whole('failed'), 'unreadable')
    this.#abandon(this.#problem('upstream_failed'))
    this.#sending?.abort()
  }

  /** Passes bytes of a stream on. The call is settled before its last event leaves: clients hang up on seeing it. */
  #pass(bytes: Buffer): void {
    if (this.#state === 'over') return
    if (this.#arrival.tap?.terminated) {
      this.#settleStream()
      this.#linger ??= setTimeout(() => this.#sending?.abort(), LINGER_MS)
      // An encoding has an end of its own, that may come after the last event.
      if (this.#arrival.decoder || !this.#endsLastEvent(bytes)) this.#write(bytes)
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
    const rest = this.#arrival.tap?.end() ?? NOTHING
    if (this.#arrival.tap?.finished || this.#arrival.tap?.failed) {
      this.#settleStream()
      this.#close(rest)
      return
    }
    this.#settle(whole('failed'), 'ended early')
    this.#abandon(this.#problem('upstream_failed'), rest)
  }

  #settleStream(): void {
    const metered = this.#arrival.tap?.metered() ?? this.#reported
    const failed = this.#arrival.tap?.failed === true && !this.#arrival.tap.finished
    if (metered && !failed) this.#settle(exact(this.#ending(), metered), null)
    else this.#settle(whole(failed ? 'failed' : this.#ending()), failed ? 'error event' : null)
  }

  #collect(chunk: Buffer): void {
    if (this.#arrival.collect(chunk) <= this.#parts.settings.MAX_BODY_BYTES && this.#holding.take(chunk.length)) return
    this.#settle(whole('failed'), 'answer too large')
    this.#abandon(new Problem('upstream_failed', 'The answer is too large to be passed on.'))
    this.#sending?.abort()
  }

  #collectedAll(): void {
    const body = this.#arrival.takeBody()
    if (!this.#arrival.isEncoded) {
      this.#ended(body, body)
      return
    }
    const plain = this.#arrival.plain(body, this.#parts.settings.MAX_BODY_BYTES)
    plain.then((decoded) => this.#ended(body, decoded)).catch((error: unknown) => this.#broke(error))
  }

  /** @param plain without its encoding; undefined where it could not be decoded */
  #ended(body: Buffer, plain: Buffer | undefined): void {
    try {
      if (this.#arrival.tap) this.#wholeAnswer(this.#arrival.tap, body, plain)
      else this.#errorAnswer(this.#arrival.status ?? 0, body, plain ?? NOTHING)
    } catch (error) {
      this.#broke(error)
    }
  }

  /** Settled before it is passed on, so that its cost can be in its headers. */
  #wholeAnswer(tap: Tap, body: Buffer, plain: Buffer | undefined): void {
    const { translation } = this.#dispatch
    // Unreadable: no usage, and the whole reservation is booked.
    const passed = plain && read(tap, plain)
    const metered = tap.metered() ?? this.#reported
    const unreadable = translation && !passed
    if (metered) this.#settle(exact(unreadable ? 'failed' : this.#ending(), metered), unreadable ? 'unreadable' : null)
    else this.#settle(whole(tap.finished && !unreadable ? this.#ending() : 'failed'), 'no usage')
    if (unreadable) this.#abandon(this.#problem('upstream_failed'))
    else this.#answer(passed && translation ? passed : body)
  }

  #errorAnswer(status: number, body: Buffer, plain: Buffer): void {
    const { provider, translation } = this.#dispatch
    const { wallMs, monoMs } = this.#parts.clock.now()
    if (status === 429) {
      this.#arrival.readRefusal(plain, wallMs)
      this.#cool(monoMs)
    }
    const isFree = !this.#arrival.notFree && (FREE_STATUSES.has(status) || provider.freeStatuses.has(status))
    const failure = { status, free: isFree, retryAfterMs: this.#arrival.limits?.retryAfterMs ?? null }
    this.#attemptFailed(failure, `status ${status}`, () => {
      this.#settle(isFree ? free('failed') : whole('failed'), `status ${status}`)
      const context = { callId: this.#facts.callId, nowMs: wallMs }
      this.#answer(translation ? Buffer.from(translation.with.errorBody(status, plain, context)) : body)
    })
  }

  /** While there are others, a target that refuses is asked last. */
  #cool(monoMs: number): void {
    const { provider, outgoing, admitted } = this.#dispatch
    if (provider.simulated || outgoing.callerKey) return
    const forMs = this.#arrival.limits?.retryAfterMs ?? UNSAID_COOLING_MS
    this.#parts.circuits.cool(provider.name, admitted.facts.model, forMs, monoMs)
  }

  #answer(body: Buffer): void {
    if (this.#state === 'over') return
    const headers = this.#answerHeaders((this.#arrival.status ?? 0) >= 300)
    headers.push('x-bursar-cost-usd', formatUsd(this.#costNanoUsd), 'content-length', String(body.length))
    this.#exchange.begin(this.#arrival.status ?? 502, headers)
    this.#close(body)
  }

  /** Where we have retried, its SDK need not. */
  #noMoreRetries(): readonly string[] {
    return this.#attempts.length > 1 ? ['x-should-retry', 'false'] : NO_HEADERS
  }

  clientDrained(): void {
    this.#sending?.resume()
  }

  clientLeft(): void {
    if (this.#state === 'over') return
    if (this.#state === 'between') {
      this.#stopWaiting('left')
      return
    }
    const policy = this.#parts.settings.ON_DISCONNECT
    this.#leftEarly = this.#arrival.tap?.finished !== true
    // A stream for which nothing was reserved has nothing to say at its end.
    const isFree = this.#facts.streaming && this.#facts.reservedTokens === 0
    if (this.#arrival.started && !isFree && policy === 'drain' && this.#parts.drains.take(1)) {
      this.#drains = true
      this.#sending?.resume()
      return
    }
    const { outgoing, admitted } = this.#dispatch
    if (!this.#arrival.started || isFree) this.#settle(free('canceled'), 'client left')
    else if (policy === 'cancel') {
      const { events = 0 } = this.#arrival.tap ?? {}
      this.#settle(estimated(this.#arrival.tap?.metered(), events, outgoing.body.length, admitted), 'client left')
    } else this.#settle(whole(this.#ending()), 'client left')
    this.#sending?.abort()
    this.#over()
  }

  #ending(): Ending {
    return this.#leftEarly ? 'canceled' : 'completed'
  }

  #problem(code: ProblemCode): Problem {
    return new Problem(code, `The provider ${this.#dispatch.provider.name} ${MESSAGES[code] ?? 'failed'}.`)
  }

  /** Ends the client's answer as complete. */
  #close(bytes: Buffer): void {
    // Some SDK takes a translated error event for one more answer.
    const broken = this.#arrival.tap?.failed && this.#dispatch.translation && this.#dialect.breaksAfterError
    if (broken) this.#exchange.cut(bytes.toString())
    else this.#exchange.end(bytes)
    this.#over()
  }

  /** Ends the client's answer as failed, in a way it cannot take for complete. */
  #abandon(problem: Problem, rest: Buffer = NOTHING): void {
    const exchange = this.#exchange
    const dialect = this.#dialect
    const { callId } = this.#facts
    const cost = ['x-bursar-cost-usd', formatUsd(this.#costNanoUsd)]
    if (!exchange.begun) this.#parts.reject(exchange, dialect, callId, problem, [...this.#noMoreRetries(), ...cost])
    else if (this.#arrival.decoder || exchange.blocked) exchange.cut()
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
    this.#over()
  }

  /** Of the stream that goes to the caller. */
  #contentType(): string {
    const { translation } = this.#dispatch
    return translation ? translation.with.contentType(false, translation.context) : this.#arrival.contentType
  }

  #over(): void {
    this.#state = 'over'
    if (this.#deadline) this.#parts.deadlines.remove(this.#deadline)
    if (this.#drains) this.#parts.drains.give(1)
    this.#drains = false
    this.#exchange.watcher = undefined
    this.#finish()
  }

  #broke(error: unknown): void {
    this.#parts.recorder.failedUnexpectedly(this.#facts.callId, error)
    this.#settle(whole('failed'), 'internal')
    this.#abandon(new Problem('internal', 'The gateway failed.'))
  }

  /** Notes an attempt, once, and tells its target's circuit how it went. */
  #attemptOver(error: string | null, costNanoUsd: bigint, { monoMs }: Instant): void {
    const arrival = this.#arrival
    if (arrival.noted) return
    arrival.noted = true
    const { provider, model } = this.#facts
    const { status } = arrival
    const durationMs = monoMs - arrival.sentAtMs
    this.#attempts.push({ provider, model, status, durationMs, error, costNanoUsd })
    if (this.#dispatch.provider.simulated) return
    const { circuits } = this.#parts
    const { passage } = this.#dispatch
    if (error !== null && NOT_ITS_FAULT.has(error)) circuits.leave(provider, model, passage)
    else circuits.ended(provider, model, isTrouble(status, error), passage, monoMs)
  }

  #costNanoUsd = 0n

  #settle(booking: Booking, error: string | null): void {
    if (this.#settled) return
    this.#settled = true
    const now = this.#parts.clock.now()
    const { admitted, provider, outgoing } = this.#dispatch
    const booked = this.#parts.bookkeeping.booked(booking, admitted, provider.priceName, now.wallMs)
    const { usage, cost, used, usedOn } = booked
    this.#costNanoUsd = cost.totalNanoUsd
    this.#attemptOver(error, booked.attemptNanoUsd, now)
    const { metered } = booking
    const outcome: Outcome = {
      ending: booking.ending,
      certainty: admitted.spent.costNanoUsd > 0n || admitted.spent.tokens > 0 ? 'upperBound' : booking.certainty,
      usage,
      reasoningTokens: metered?.reasoningTokens ?? 0,
      cost,
      answeredModel: metered?.model ? cutTo(MOST_ANSWERED_CHARACTERS, metered.model) : null,
      settledAtMs: now.wallMs,
      latencyMs: Math.max(0, now.wallMs - this.#facts.reservedAtMs),
      timeToFirstTokenMs: this.#arrival.firstAtMs === null ? null : this.#arrival.firstAtMs - this.#sentAtMs,
      attempts: this.#attempts,
      upstreamLimits: this.#arrival.limits,
    }
    // Levels change now; the row is written within milliseconds, and until then the open row counts in full.
    this.#parts.store.settle([{ callId: this.#facts.callId, outcome, used, usedOn }], now).catch((failure: unknown) => {
      this.#parts.recorder.failedUnexpectedly(this.#facts.callId, failure)
    })
    this.#parts.recorder.settled(this.#facts, outcome, admitted, outgoing.callerKey === undefined)
  }
}

/** What a tap makes of a whole answer; undefined where it cannot be read. */
function read(tap: Tap, body: Buffer): Buffer | undefined {
  try {
    const passed = tap.push(body)
    tap.end()
    return passed
  } catch {
    return undefined
  }
}

const MESSAGES: Partial<Record<ProblemCode, string>> = {
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
