// UpstreamAttempt: one attempt of a call as its provider sees it: the request is sent, the answer is metered, decoded for metering,
// and collected if it is no stream. It neither settles nor answers: it notifies its listener.

import type { Settings } from '../config/settings.ts'
import type { Circuits } from '../core/circuit.ts'
import type { Clock, Timers } from '../core/clock.ts'
import type { UpstreamLimits } from '../core/ledger-entry.ts'
import type { PermitLease } from '../core/permits.ts'
import type { AnswerListener } from '../providers/provider.ts'
import type { Telemetry } from '../telemetry/call-events.ts'
import { decompressBody, isEncoded, StreamDecoder } from '../wire/content-encoding.ts'
import type { HeaderList, Tap } from '../wire/dialect.ts'
import { findHeader, withoutHeaders } from '../wire/headers.ts'
import { ChunkBuffer, EMPTY_BUFFER } from '../wire/taps/chunk-buffer.ts'
import { readUpstreamLimits } from '../wire/upstream-limits.ts'
import { beginsEvents, beginsJson, isPage, isProse, misdirectedAttempt } from './answer-body.ts'
import { type ErrorAnswer, errorCodeOf, type FailedAttempt } from './attempts.ts'
import { type Dispatch, tapFor } from './dispatch.ts'
import { headersOfJson, readErrorAnswer, readRefusal } from './error-answers.ts'
import { SentRequest } from './sent-request.ts'
import { StreamOpening } from './stream-opening.ts'
import { reportProbeAnswered } from './target-health.ts'

/** Is notified of an answer as it is read. Every notification but `onStreamHead` and `onStreamBytes` is the last one. */
export interface AttemptListener {
  /** The answer is a stream, and begins with no error. */
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

/** After so many bytes it is known whether a body is a stream of events. */
const BEGINNING_BYTES = 16
const EVENT_STREAM = 'text/event-stream'

/**
 * One attempt of a call. Call `send` once; the listener is notified of the answer, and last of its end. `request` can be aborted, and
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
  readonly request: SentRequest
  /** Meters the answer; undefined before the head, and for errors. */
  tap: Tap | undefined
  /** Set until a stream has begun. */
  #opening: StreamOpening | undefined
  /** Set for an encoded stream. */
  #decoder: StreamDecoder | undefined
  #encoding: string | undefined
  #isStream = false
  #isClosed = false
  /** Of a document. */
  readonly #collected = new ChunkBuffer()

  /** @param lease takes the size of every chunk that is kept */
  constructor(parts: AttemptParts, listener: AttemptListener, lease: PermitLease, dispatch: Dispatch) {
    this.#parts = parts
    this.#listener = listener
    this.#lease = lease
    this.dispatch = dispatch
    this.sentAtMs = parts.clock.now().monoMs
    this.request = new SentRequest(parts.timers)
  }

  send(): void {
    this.request.send(this.dispatch, this)
  }

  /** Ends all notifications. */
  close(): void {
    this.#isClosed = true
    this.#takeOpening()
  }

  get contentType(): string {
    return findHeader(this.headers, 'content-type') ?? ''
  }

  /** True if the bytes for the caller are encoded, so that the gateway cannot add bytes to them. */
  get isEncodedStream(): boolean {
    return this.#decoder !== undefined
  }

  started(): void {
    this.request.markSent()
  }

  head(status: number, headers: HeaderList): void {
    if (this.#isClosed) return
    const now = this.#parts.clock.now()
    this.status = status
    this.headers = headers
    this.limits = readUpstreamLimits(status, headers, now.wallMs)
    this.#encoding = findHeader(headers, 'content-encoding')
    if (status >= 300) return
    const tap = tapFor(this.dispatch, this.contentType, isEncoded(this.#encoding))
    this.tap = tap
    if (tap.isDocument || (!isEncoded(this.#encoding) && !this.contentType.includes(EVENT_STREAM))) return
    this.#awaitContent()
    if (isEncoded(this.#encoding)) this.#decoder = new StreamDecoder(this.#encoding, (plain) => tap.push(plain))
    // No encoding was accepted for a translated call, and a stream that has one cannot be translated chunk by chunk.
    if (this.#decoder && this.dispatch.translation) this.#listener.onUnreadable()
  }

  data(chunk: Buffer): void {
    if (this.#isClosed) return
    const isFirst = this.firstByteAtMs === null
    this.firstByteAtMs ??= this.#parts.clock.now().monoMs
    if (isFirst && this.#isStream && !this.#decoder && beginsJson(chunk)) this.#expectDocument()
    if (!this.#isStream) this.#collect(chunk)
    else if (this.#decoder) this.#decoder.push(chunk, () => this.#pass(chunk))
    else this.#meterAndPass(chunk)
  }

  end(): void {
    this.request.markEnded()
    if (this.#isClosed) return
    if (!this.#isStream) this.#endCollected()
    else if (this.#decoder) this.#decoder.end(() => this.#endStream())
    else this.#endStream()
  }

  failed(error: Error): void {
    this.request.markEnded()
    this.#takeOpening()
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
    this.#pass(bytes)
  }

  #pass(bytes: Buffer): void {
    if (this.#isClosed) return
    const { tap } = this
    const opening = this.#opening
    if (!opening || !tap) return this.#listener.onStreamBytes(bytes)
    if (tap.failed && !tap.hasContent) return this.#endErrorAnswer(tap)
    opening.hold(bytes)
    if (tap.hasContent || opening.isFull) this.#startStream()
  }

  /** The answer is a stream. What comes before its content is held back, for a while: an error may follow. */
  #awaitContent(): void {
    this.#isStream = true
    this.#opening = new StreamOpening(this.#parts.timers, () => this.#startStream())
  }

  /** The body is one document, under the content type of events. */
  #expectDocument(): void {
    this.#takeOpening()
    this.#isStream = false
    this.headers = [...withoutHeaders(this.headers, 'content-type'), 'content-type', 'application/json']
    this.tap = tapFor(this.dispatch, this.contentType, false)
  }

  #takeOpening(): Buffer {
    const held = this.#opening?.end() ?? EMPTY_BUFFER
    this.#opening = undefined
    return held
  }

  #startStream(): void {
    const held = this.#takeOpening()
    this.dispatch = reportProbeAnswered(this.#parts, this.dispatch, this.#parts.clock.now())
    this.#listener.onStreamHead()
    this.#listener.onStreamBytes(held)
  }

  #endStream(): void {
    const { tap } = this
    if (this.#isClosed || !tap) return
    const rest = tap.end()
    if (this.#opening) {
      if (tap.failed && !tap.hasContent) return this.#endErrorAnswer(tap)
      if (!tap.finished) return this.#endUnbegun()
      this.#startStream()
    }
    this.#listener.onStreamEnd(rest)
  }

  /** The stream has ended, and nothing of it was passed on. */
  #endUnbegun(): void {
    this.#takeOpening()
    const misdirected = this.firstByteAtMs === null ? misdirectedAttempt(this.#parts, this, EMPTY_BUFFER) : undefined
    if (misdirected) this.#listener.onFailed(misdirected)
    else this.#listener.onBroken('ended early')
  }

  #collect(chunk: Buffer): void {
    const isBeginning = this.#collected.length < BEGINNING_BYTES
    this.#collected.push(chunk)
    if (this.#collected.length > this.#parts.settings.MAX_BODY_BYTES || !this.#lease.acquire(chunk.length))
      this.#listener.onTooLarge()
    else if (isBeginning && this.tap && !isEncoded(this.#encoding))
      this.#startIfStream(this.tap, this.#collected.take())
  }

  /** Starts a stream that has another content type than events: an array, or events under a wrong one. They are not held back. */
  #startIfStream(tap: Tap, bytes: Buffer): void {
    if (this.dispatch.admitted.facts.streaming && beginsEvents(bytes)) {
      this.headers = [...withoutHeaders(this.headers, 'content-type'), 'content-type', EVENT_STREAM]
      this.tap = tapFor(this.dispatch, EVENT_STREAM, false)
    } else if (tap.isDocument || isPage(bytes)) {
      this.#collected.push(bytes)
      return
    }
    this.#awaitContent()
    this.#meterAndPass(bytes)
  }

  #endCollected(): void {
    const body = this.#collected.take()
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
      const misdirected = misdirectedAttempt(this.#parts, this, body.length === 0 ? body : plain)
      if (misdirected) this.#listener.onFailed(misdirected)
      else if (this.tap) this.#endDocument(this.tap, body, plain)
      else this.#endError({ status: this.status ?? 0, body, plain: plain ?? EMPTY_BUFFER })
    } catch (error) {
      this.#listener.failInternally(error)
    }
  }

  #endDocument(tap: Tap, body: Buffer, plain: Buffer | undefined): void {
    // Words of something between the gateway and the provider, such as `upstream connect error`.
    if (plain && !this.dispatch.isHandled && isProse(plain)) return this.#listener.onBroken('no JSON')
    const passed = plain && readDocument(tap, plain)
    if (!tap.failed) this.#listener.onDocument(body, passed)
    // If no other attempt follows, the caller gets a part of an answer as it came.
    else this.#endErrorAnswer(tap, tap.hasContent && !this.dispatch.translation ? body : undefined)
  }

  #endError(answer: ErrorAnswer): void {
    const { failed, limits } = readRefusal(this.#parts, this, answer)
    this.limits = limits
    this.#listener.onFailed(failed)
  }

  /** An error with the status of an answer ends the attempt as if the error had its own. @param kept what the caller gets */
  #endErrorAnswer(tap: Tap, kept?: Buffer): void {
    const { failed, limits } = readErrorAnswer(this.#parts, this, tap, kept)
    this.limits = limits
    if (!kept) {
      this.status = failed.status
      this.headers = headersOfJson(this.headers)
    }
    this.close()
    this.request.abortSoon()
    this.#listener.onFailed(failed)
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
