// Reply: the caller's side of a relayed call. It writes headers and bytes, and ends in one of three ways: complete, failed with
// the error of the caller's dialect, or broken off. It never settles.

import type { Clock } from '../core/clock.ts'
import { formatUsd } from '../core/money.ts'
import { Problem } from '../core/problem.ts'
import { MAX_CLIENT_WAIT_MS } from '../core/refusal.ts'
import type { Exchange } from '../exchange/exchange.ts'
import type { Dialect, ErrorContext, HeaderList } from '../wire/dialect.ts'
import { findHeader, headersForCaller, withoutHeaders } from '../wire/headers.ts'
import { waitMsIn } from '../wire/provider-refusals.ts'
import type { ErrorAnswer } from './attempts.ts'
import { retryAfterHeaders, sendProblem } from './gateway-answers.ts'
import type { CallSettlement } from './settlement.ts'
import type { UpstreamAttempt } from './upstream-attempt.ts'

const LINE_FEED = 0x0a
const NO_HEADERS: readonly string[] = []
/** A wait stands near the beginning of an error. */
const MAX_SEARCHED_BYTES = 65_536
const EVENT_STREAM = 'text/event-stream'
const NO_RETRY_HEADERS: readonly string[] = ['x-should-retry', 'false']

/**
 * Writes the answer of one call. Call `startStream`, then `write` any number of times, then one of the ends; or one end alone. Once
 * the client is gone, all methods do nothing.
 */
export class Reply {
  readonly #clock: Clock
  readonly #exchange: Exchange
  /** The dialect of the caller. */
  readonly #dialect: Dialect
  /** Knows the cost once it is settled, and how many attempts there were. */
  readonly #settlement: CallSettlement
  #lastByte = LINE_FEED
  #lastCharacters = ''

  constructor(clock: Clock, exchange: Exchange, dialect: Dialect, settlement: CallSettlement) {
    this.#clock = clock
    this.#exchange = exchange
    this.#dialect = dialect
    this.#settlement = settlement
  }

  /** Sends the head of a stream, ahead of its first bytes. */
  startStream(attempt: UpstreamAttempt): void {
    this.#exchange.writeHead(attempt.status ?? 200, this.#headers(attempt, false), true)
  }

  /** Returns false if the caller reads more slowly than the provider sends. */
  write(bytes: Buffer): boolean {
    if (bytes.length === 0) return true
    this.#lastByte = bytes[bytes.length - 1] ?? 0
    return this.#exchange.write(bytes)
  }

  /** True once these bytes of the last event bring its closing blank line. Takes every chunk of that event in turn. */
  endsLastEvent(bytes: Buffer): boolean {
    const tail = bytes.toString('latin1', Math.max(0, bytes.length - 3))
    this.#lastCharacters = (this.#lastCharacters + tail).slice(-3)
    return this.#lastCharacters.endsWith('\n\n') || this.#lastCharacters === '\n\r\n'
  }

  /** Ends complete, with a whole answer: a document, or the provider's own error. Its headers carry the cost of the call. */
  sendWhole(attempt: UpstreamAttempt, body: Buffer): void {
    this.#writeWhole(attempt, attempt.tap?.asEvents ?? body, NO_HEADERS)
  }

  #writeWhole(attempt: UpstreamAttempt, body: Buffer, moreHeaders: readonly string[]): void {
    const status = attempt.status ?? 502
    const headers = this.#headers(attempt, status >= 300)
    headers.push(...moreHeaders, ...this.#costHeaders())
    // RFC 9110, section 8.6: a 204 has no content length.
    if (status !== 204) headers.push('content-length', String(body.length))
    this.#exchange.writeHead(status, headers)
    this.#exchange.end(body)
  }

  /** The wait that a provider tells in its body, where the caller's SDKs look for it. */
  #waitHeaders({ headers }: UpstreamAttempt, waitMs: number | null): readonly string[] {
    if (waitMs === null || findHeader(headers, 'retry-after') !== undefined) return NO_HEADERS
    return waitMs > MAX_CLIENT_WAIT_MS ? NO_RETRY_HEADERS : retryAfterHeaders(waitMs)
  }

  /** Ends complete, with the provider's error in the caller's dialect. */
  sendError(attempt: UpstreamAttempt, { status, body, plain }: ErrorAnswer): void {
    const { translation } = attempt.dispatch
    if (!translation) return this.sendWhole(attempt, body)
    const isTransient = status === 429 || status >= 500
    const toldMs = isTransient ? waitMsIn(plain.toString('utf8', 0, MAX_SEARCHED_BYTES)) : null
    const waitMs = attempt.limits?.retryAfterMs ?? toldMs
    const { changes } = translation.context
    const text = translation.with.errorBody(status, plain, this.#contextOf(attempt), waitMs, changes)
    this.#writeWhole(attempt, Buffer.from(text), this.#waitHeaders(attempt, waitMs))
  }

  /** Ends a stream complete, with the last bytes. */
  complete({ dispatch, tap }: UpstreamAttempt, bytes: Buffer): void {
    // Some SDKs take a translated error event for one more answer.
    if (tap?.failed && dispatch.translation && this.#dialect.breaksAfterError) this.#exchange.cut(bytes.toString())
    else this.#exchange.end(bytes)
  }

  /**
   * Ends failed, so that the caller cannot take what it has for a complete answer.
   * @param rest the last bytes of the stream, ahead of its error event
   */
  fail(attempt: UpstreamAttempt, cause: Problem, rest?: Buffer): void {
    const exchange = this.#exchange
    const { failureMessage } = attempt.tap ?? {}
    const problem = failureMessage === undefined ? cause : new Problem(cause.code, failureMessage)
    const context = this.#contextOf(attempt)
    if (!exchange.headersSent) {
      const headers = [...this.#noRetryHeaders(), ...this.#costHeaders()]
      sendProblem(exchange, this.#dialect, context, problem, headers)
    }
    // Encoded bytes take no plain event, and a client that does not read gets none.
    else if (attempt.isEncodedStream || exchange.blocked) exchange.cut()
    else {
      if (rest) this.write(rest)
      const event = this.#dialect.streamError(problem, context, streamContentType(attempt))
      const text = this.#lastByte === LINE_FEED ? event : `\n\n${event}`
      if (this.#dialect.breaksAfterError) exchange.cut(text)
      else exchange.end(text)
    }
  }

  #contextOf({ dispatch }: UpstreamAttempt): ErrorContext {
    return { callId: dispatch.admitted.facts.callId, nowMs: this.#clock.now().wallMs }
  }

  /** The provider's headers as they go to the caller, and the gateway's. */
  #headers({ dispatch, headers, tap }: UpstreamAttempt, isError: boolean): HeaderList {
    const { translation } = dispatch
    const noRetry = isError ? this.#noRetryHeaders() : NO_HEADERS
    let passed = headersForCaller(headers, { keepsRetryAfter: isError, keepsCrossOrigin: dispatch.isHandled })
    if (noRetry.length > 0) passed = withoutHeaders(passed, 'x-should-retry')
    if (tap?.asEvents && !translation) {
      passed = withoutHeaders(passed, 'content-type', 'content-encoding')
      passed.push('content-type', EVENT_STREAM)
    }
    if (translation) {
      const isWhole = isError || (tap?.isDocument !== false && !tap?.asEvents)
      passed = withoutHeaders(passed, 'content-type', 'content-encoding')
      passed.push('content-type', translation.with.contentType(isWhole, translation.context))
    }
    passed.push(...dispatch.headers, ...noRetry)
    return passed
  }

  /** If the gateway has retried, an SDK need not retry too. */
  #noRetryHeaders(): readonly string[] {
    return this.#settlement.hasRetried ? NO_RETRY_HEADERS : NO_HEADERS
  }

  #costHeaders(): readonly string[] {
    return ['x-bursar-cost-usd', formatUsd(this.#settlement.costNanoUsd)]
  }
}

function streamContentType({ dispatch, contentType }: UpstreamAttempt): string {
  const { translation } = dispatch
  return translation ? translation.with.contentType(false, translation.context) : contentType
}
