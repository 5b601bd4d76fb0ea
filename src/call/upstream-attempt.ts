// UpstreamAttempt: one attempt of a call as its provider sees it: the request is sent, the answer is metered, decoded for metering,
// and collected if it is no stream. It neither settles nor answers: it notifies its listener.

import type { Settings } from '../config/settings.ts'
import type { Circuits } from '../core/circuit.ts'
import type { Clock, Timer, Timers } from '../core/clock.ts'
import type { UpstreamLimits } from '../core/ledger-entry.ts'
import type { PermitLease } from '../core/permits.ts'
import type { AnswerListener, RequestControl } from '../providers/provider.ts'
import { misdirection, type Telemetry } from '../telemetry/call-events.ts'
import { decompressBody, isEncoded, StreamDecoder } from '../wire/content-encoding.ts'
import type { HeaderList, Tap } from '../wire/dialect.ts'
import { findHeader, withoutHeaders } from '../wire/headers.ts'
import { EMPTY_BUFFER } from '../wire/taps/chunk-buffer.ts'
import { readRefusalLimits, readUpstreamLimits } from '../wire/upstream-limits.ts'
import { beginsEvents, isPage, misdirectionIn } from './answer-body.ts'
import {
  errorCodeOf,
  errorDocumentAttempt,
  type FailedAttempt,
  misdirectedAttempt,
  refusedAttempt,
  wrongAddress,
} from './attempts.ts'
import { type Dispatch, tapFor } from './dispatch.ts'
import { coolTarget, reportProbeAnswered } from './target-health.ts'

/** Is notified of an answer as it is read. Every notification but `onStreamHead` and `onStreamBytes` is the last one. */
export interface AttemptListener {
  onStreamHead(): void
  /** @param bytes metered, and translated if need be */
  onStreamBytes(bytes: Buffer): void
  /** @param rest bytes that were held back until the end */
  onStreamEnd(rest: Buffer): void
  /**
   * A whole answer that is no error.
   * @param body as the provider sent it
   * @param passed decoded, and translated if need be; undefined if it cannot be read
   */
  onDocument(body: Buffer, passed: Buffer | undefined): void
  /** The provider answered with an error, or what answered is no API. */
  onFailed(failed: FailedAttempt): void
  /** The answer is larger than is permitted. */
  onTooLarge(): void
  /** The answer cannot be translated. */
  onUnreadable(): void
  /** No answer, or no more of it, will come. @param code of the error, such as `ECONNRESET` */
  onBroken(code: string): void
  /** Ends the call after an error that is a bug. */
  failInternally(error: unknown): void
}

export interface AttemptParts {
  readonly settings: Settings
  readonly clock: Clock
  readonly timers: Timers
  readonly circuits: Circuits
  readonly telemetry: Telemetry
}

/**
 * Whether the provider can bill an attempt. The value only moves to the right.
 * `unsent`: nothing left the gateway. `sent`: the provider may have read the request, and its status decides.
 * `billable`: something was used; the status does not matter.
 */
type Billing = 'unsent' | 'sent' | 'billable'

/** After so many bytes it is known whether a body is a stream of events. */
const BEGINNING_BYTES = 16
const EVENT_STREAM = 'text/event-stream'

/** After its last event, a provider gets this long to end its answer, so that its connection can be used again. */
const LINGER_MS = 1_000

/**
 * One attempt of a call. Call `send` once; the listener is notified of the answer, and last of its end. `abort` ends the request, and
 * `close` ends the notifications.
 */
export class UpstreamAttempt implements AnswerListener {
  readonly #parts: AttemptParts
  readonly #listener: AttemptListener
  readonly #lease: PermitLease
  /** Replaced if the reservation is moved after this attempt has failed, and nothing more is sent. */
  dispatch: Dispatch
  /** When the attempt was sent, in monotonic milliseconds. */
  readonly sentAtMs: number
  status: number | null = null
  /** Lower-case names and values in turn. */
  headers: HeaderList = []
  limits: UpstreamLimits | null = null
  /** Monotonic milliseconds. */
  firstByteAtMs: number | null = null
  /** Meters the answer; undefined before the head, and for errors. */
  tap: Tap | undefined
  /** Set for an encoded stream. */
  #decoder: StreamDecoder | undefined
  #billing: Billing = 'unsent'
  #encoding: string | undefined
  #isStream = false
  #isClosed = false
  #collected: Buffer[] = []
  #collectedBytes = 0
  #request: RequestControl | undefined
  #linger: Timer | undefined

  /** @param lease takes the size of every chunk that is kept */
  constructor(parts: AttemptParts, listener: AttemptListener, lease: PermitLease, dispatch: Dispatch) {
    this.#parts = parts
    this.#listener = listener
    this.#lease = lease
    this.dispatch = dispatch
    this.sentAtMs = parts.clock.now().monoMs
  }

  send(): void {
    const { provider, outgoing, translation } = this.dispatch
    this.#request =
      translation && provider.sendTranslated ? provider.sendTranslated(outgoing, this) : provider.send(outgoing, this)
  }

  /** Ends all notifications. */
  close(): void {
    this.#isClosed = true
  }

  /** Ends the request and all notifications. */
  stop(): void {
    this.close()
    this.abort()
  }

  pause(): void {
    this.#request?.pause()
  }

  resume(): void {
    this.#request?.resume()
  }

  /** Some providers report a failure at once: close, or finish, first. */
  abort(): void {
    this.#request?.abort()
  }

  /** Aborts the request unless the provider ends its answer soon. */
  abortSoon(): void {
    this.#linger ??= this.#parts.timers.setTimeout(() => this.abort(), LINGER_MS)
  }

  get isSent(): boolean {
    return this.#billing !== 'unsent'
  }

  get isBillable(): boolean {
    return this.#billing === 'billable'
  }

  markBillable(): void {
    this.#billing = 'billable'
  }

  get contentType(): string {
    return findHeader(this.headers, 'content-type') ?? ''
  }

  /** True if the bytes for the caller are encoded, so that the gateway cannot add bytes to them. */
  get isEncodedStream(): boolean {
    return this.#decoder !== undefined
  }

  started(): void {
    if (this.#billing === 'unsent') this.#billing = 'sent'
  }

  head(status: number, headers: HeaderList): void {
    if (this.#isClosed) return
    const now = this.#parts.clock.now()
    this.status = status
    this.headers = headers
    this.limits = readUpstreamLimits(status, headers, now.wallMs)
    this.#encoding = findHeader(headers, 'content-encoding')
    if (status >= 300) return
    this.dispatch = reportProbeAnswered(this.#parts, this.dispatch, now)
    const tap = tapFor(this.dispatch, this.contentType, isEncoded(this.#encoding))
    this.tap = tap
    if (tap.isDocument || (!isEncoded(this.#encoding) && !this.contentType.includes(EVENT_STREAM))) return
    this.#isStream = true
    if (isEncoded(this.#encoding)) this.#decoder = new StreamDecoder(this.#encoding, (plain) => tap.push(plain))
    // No encoding was accepted for a translated call, and a stream that has one cannot be translated chunk by chunk.
    if (this.#decoder && this.dispatch.translation) this.#listener.onUnreadable()
    else this.#listener.onStreamHead()
  }

  data(chunk: Buffer): void {
    if (this.#isClosed) return
    this.firstByteAtMs ??= this.#parts.clock.now().monoMs
    if (!this.#isStream) this.#collect(chunk)
    else if (this.#decoder) this.#decoder.push(chunk, () => this.#pass(chunk))
    else this.#meterAndPass(chunk)
  }

  end(): void {
    this.#parts.timers.clearTimeout(this.#linger)
    if (this.#isClosed) return
    if (!this.#isStream) this.#endCollected()
    else if (this.#decoder) this.#decoder.end(() => this.#endStream())
    else this.#endStream()
  }

  failed(error: Error): void {
    this.#parts.timers.clearTimeout(this.#linger)
    if (!this.#isClosed) this.#listener.onBroken(errorCodeOf(error))
  }

  #meterAndPass(chunk: Buffer): void {
    let bytes: Buffer
    try {
      bytes = this.tap?.push(chunk) ?? chunk
    } catch {
      this.#listener.onUnreadable()
      return
    }
    this.#listener.onStreamBytes(bytes)
  }

  #pass(chunk: Buffer): void {
    if (!this.#isClosed) this.#listener.onStreamBytes(chunk)
  }

  #endStream(): void {
    if (this.#isClosed) return
    const rest = this.tap?.end() ?? EMPTY_BUFFER
    const isNothing = this.firstByteAtMs === null && !this.tap?.finished
    const misdirected = isNothing ? misdirectionIn(this, EMPTY_BUFFER) : undefined
    if (misdirected === undefined) this.#listener.onStreamEnd(rest)
    else this.#endMisdirected(misdirected)
  }

  #collect(chunk: Buffer): void {
    const isBeginning = this.#collectedBytes < BEGINNING_BYTES
    this.#collected.push(chunk)
    this.#collectedBytes += chunk.length
    if (this.#collectedBytes > this.#parts.settings.MAX_BODY_BYTES || !this.#lease.acquire(chunk.length))
      this.#listener.onTooLarge()
    else if (isBeginning && this.tap && !isEncoded(this.#encoding))
      this.#startIfStream(this.tap, Buffer.concat(this.#collected))
  }

  /** Starts a stream that has another content type than events: an array, or events under a wrong one. They are not held back. */
  #startIfStream(tap: Tap, bytes: Buffer): void {
    if (this.dispatch.admitted.facts.streaming && beginsEvents(bytes)) {
      this.headers = [...withoutHeaders(this.headers, 'content-type'), 'content-type', EVENT_STREAM]
      this.tap = tapFor(this.dispatch, EVENT_STREAM, false)
    } else if (tap.isDocument || isPage(bytes)) return
    this.#collected = []
    this.#isStream = true
    this.#listener.onStreamHead()
    this.#meterAndPass(bytes)
  }

  #endCollected(): void {
    const [first] = this.#collected
    const body = this.#collected.length === 1 && first ? first : Buffer.concat(this.#collected)
    this.#collected = []
    if (!isEncoded(this.#encoding)) {
      this.#endWhole(body, body)
      return
    }
    decompressBody(body, this.#encoding, this.#parts.settings.MAX_BODY_BYTES)
      .catch(() => undefined)
      .then((plain) => this.#endWhole(body, plain))
      .catch((error: unknown) => this.#listener.failInternally(error))
  }

  /** @param plain the body without its encoding; undefined if it cannot be decoded */
  #endWhole(body: Buffer, plain: Buffer | undefined): void {
    if (this.#isClosed) return
    try {
      const misdirected = misdirectionIn(this, body.length === 0 ? body : plain)
      if (misdirected !== undefined) this.#endMisdirected(misdirected)
      else if (this.tap) this.#endDocument(this.tap, body, plain)
      else this.#endError(body, plain ?? EMPTY_BUFFER)
    } catch (error) {
      this.#listener.failInternally(error)
    }
  }

  #endDocument(tap: Tap, body: Buffer, plain: Buffer | undefined): void {
    const passed = plain && readDocument(tap, plain)
    if (!tap.failed) return this.#listener.onDocument(body, passed)
    const answer = { status: this.status ?? 0, body, plain: plain ?? EMPTY_BUFFER }
    // Translated, the provider's error would have the status of an answer.
    this.#listener.onFailed(errorDocumentAttempt(this.dispatch.translation ? undefined : answer, tap.answerUsage()))
  }

  #endMisdirected(what: string): void {
    const { provider } = this.dispatch
    const problem = wrongAddress(provider, what)
    this.#parts.telemetry.notify(misdirection(problem, provider.name))
    this.#listener.onFailed(misdirectedAttempt(problem))
  }

  #endError(body: Buffer, plain: Buffer): void {
    const { clock, circuits } = this.#parts
    const status = this.status ?? 0
    if (status === 429) {
      const { wallMs, monoMs } = clock.now()
      // Many providers write how long to wait into the message alone.
      this.limits = readRefusalLimits(this.headers, plain, wallMs)
      coolTarget(circuits, this.dispatch, this.limits, monoMs)
    }
    const retryAfterMs = this.limits?.retryAfterMs ?? null
    const answer = { status, body, plain }
    this.#listener.onFailed(refusedAttempt(this.dispatch.provider, this.isBillable, retryAfterMs, answer))
  }
}

/** Returns what the tap passes on of a whole answer; undefined if the answer cannot be read. */
function readDocument(tap: Tap, body: Buffer): Buffer | undefined {
  try {
    const passed = tap.push(body)
    tap.end()
    return passed
  } catch {
    return undefined
  }
}
