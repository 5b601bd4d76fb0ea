// Relay: one admitted call on its way: sent, answered, metered while it flows, settled exactly once whatever happens.

import type { Admitted } from './admission.ts'
import { cutTo } from './callers.ts'
import type { Allowance, Clock, Deadline, Deadlines, Expiring } from './clock.ts'
import type { Settings } from './config.ts'
import type { Attempt, CallFacts, Certainty, Ending, Outcome, UpstreamLimits } from './core/entry.ts'
import { formatUsd } from './core/money.ts'
import { expiredOutcome } from './core/open.ts'
import { type Cost, costOf, costSum, NO_COST, type PriceBook } from './core/prices.ts'
import { Problem, type ProblemCode } from './core/problem.ts'
import { totalTokens, type Usage, usageOf, usageSum } from './core/usage.ts'
import { decoded, isEncoded, StreamDecoder } from './decode.ts'
import type { ClientWatcher, Exchange } from './exchange.ts'
import type { Listener, Outgoing, Provider, Sending } from './providers/provider.ts'
import type { Recorder } from './recorder.ts'
import type { Store } from './stores/store.ts'
import type { Dialect, HeaderList, Metered, Share, Tap } from './wire/dialect.ts'
import { headerIn, passedOn } from './wire/headers.ts'
import { refusedLimits, upstreamLimits } from './wire/upstream-limits.ts'

/** What every relay needs, once for all calls. */
export interface RelayParts {
  readonly settings: Settings
  readonly clock: Clock
  readonly store: Store
  readonly prices: PriceBook
  readonly recorder: Recorder
  readonly deadlines: Deadlines
  /** Calls read on for clients that left. */
  readonly drains: Allowance
}

/** One call, admitted. */
export interface RelayCall {
  readonly exchange: Exchange
  readonly dialect: Dialect
  readonly provider: Provider
  readonly outgoing: Outgoing
  readonly admitted: Admitted
  /** True where a usage chunk was asked for that the caller did not ask for. */
  readonly hidesUsage: boolean
  /** Headers every answer to this call carries. */
  readonly headers: HeaderList
  /** Counts bytes held for this call; false where there is no room. */
  readonly hold: (bytes: number) => boolean
  /** Answers a problem in the dialect's shape, where no answer has begun. */
  readonly reject: (problem: Problem) => void
}

/** Error statuses that nobody bills. */
const FREE_STATUSES: ReadonlySet<number> = new Set([401, 403, 404, 413, 422, 429])
/** After the last event the client is done; the provider gets this long to close its side, for the connection's sake. */
const LINGER_MS = 1_000
const LINE_FEED = 0x0a
const NOTHING = Buffer.alloc(0)
/** What a provider calls its model goes into the ledger; it may say anything. */
const MOST_ANSWERED_CHARACTERS = 256

/** How a call is to be booked. */
interface Booking {
  readonly ending: Ending
  readonly certainty: Certainty
  readonly metered: Metered | undefined
  /** True books the whole reservation, since what was used is not known. */
  readonly whole: boolean
}

export class Relay implements Listener, Expiring, ClientWatcher {
  readonly #parts: RelayParts
  readonly #call: RelayCall
  readonly #facts: CallFacts
  readonly #sentAtMs: number
  #sending: Sending | undefined
  #deadline: Deadline | undefined
  #state: 'sent' | 'streaming' | 'collecting' | 'over' = 'sent'
  /** The provider may have read the request. */
  #started = false
  #settled = false
  #leftEarly = false
  #notFree = false
  #drains = false
  #status: number | null = null
  #upstreamHeaders: HeaderList = []
  #upstreamLimits: UpstreamLimits | null = null
  #encoding: string | undefined
  #tap: Tap | undefined
  #decoder: StreamDecoder | undefined
  #collected: Buffer[] = []
  #collectedBytes = 0
  #firstAtMs: number | null = null
  #lastByte = LINE_FEED
  #lastEvent = ''
  #linger: NodeJS.Timeout | undefined
  /** Usage that a handler reported itself, for answers that carry none. */
  #reported: Metered | undefined
  #finish: () => void = () => {}
  /** Resolves when nothing is left to do for this call. */
  readonly done: Promise<void>

  constructor(parts: RelayParts, call: RelayCall) {
    this.#parts = parts
    this.#call = call
    this.#facts = call.admitted.facts
    this.#sentAtMs = parts.clock.now().monoMs
    this.done = new Promise((resolve) => {
      this.#finish = resolve
    })
  }

  send(): void {
    const { exchange, provider, outgoing } = this.#call
    if (exchange.left) {
      this.#settle(free('canceled'), 'client left')
      this.#over()
      return
    }
    this.#deadline = this.#parts.deadlines.add(this, this.#sentAtMs)
    exchange.watcher = this
    this.#sending = provider.send(outgoing, this)
  }

  started(): void {
    this.#started = true
  }

  /** Something was used, whatever the answer's status says. */
  notFree(): void {
    this.#notFree = true
  }

  /** Usage for an answer that carries none. The answer's own wins. */
  report(metered: Metered): void {
    this.#reported = metered
  }

  head(status: number, headers: HeaderList): void {
    if (this.#state === 'over') return
    this.#status = status
    this.#upstreamHeaders = headers
    this.#upstreamLimits = upstreamLimits(status, headers, this.#parts.clock.now().wallMs)
    this.#encoding = headerIn(headers, 'content-encoding')
    if (status >= 300) {
      this.#state = 'collecting'
      return
    }
    const contentType = headerIn(headers, 'content-type') ?? ''
    const encoded = isEncoded(this.#encoding)
    const tap = this.#call.dialect.tap(this.#facts.streaming, contentType, this.#call.hidesUsage && !encoded)
    this.#tap = tap
    this.#state = tap.whole ? 'collecting' : 'streaming'
    if (tap.whole) return
    if (encoded) this.#decoder = new StreamDecoder(this.#encoding ?? '', (plain) => tap.push(plain))
    this.#call.exchange.begin(status, [...passedOn(headers, false), ...this.#call.headers], true)
  }

  data(chunk: Buffer): void {
    if (this.#state === 'over') return
    this.#firstAtMs ??= this.#parts.clock.now().monoMs
    if (this.#state === 'collecting') this.#collect(chunk)
    else if (this.#decoder) this.#decoder.push(chunk, () => this.#pass(chunk))
    else this.#pass(this.#tap?.push(chunk) ?? chunk)
  }

  end(): void {
    clearTimeout(this.#linger)
    if (this.#state === 'over') return
    if (this.#state === 'streaming') {
      if (this.#decoder) this.#decoder.end(() => this.#streamEnded())
      else this.#streamEnded()
    } else this.#collectedAll().catch((error: unknown) => this.#broke(error))
  }

  failed(error: Error): void {
    clearTimeout(this.#linger)
    if (this.#state === 'over') return
    if (!this.#started) {
      this.#settle(free('failed'), codeOf(error))
      this.#abandon(problemOf('upstream_unreachable', this.#call.provider.name))
      return
    }
    // What the client has is whole all the same when the model had said why it stopped.
    const finished = this.#state === 'streaming' && this.#tap?.finished === true
    this.#settle(whole(finished ? 'completed' : 'failed'), codeOf(error))
    if (finished) this.#close(NOTHING)
    else this.#abandon(problemOf('upstream_failed', this.#call.provider.name))
  }

  /** The deadline has come, or the server stops. Whatever was used, no more than the whole reservation can have been. */
  expire(code: 'upstream_timeout' | 'shutting_down'): void {
    if (this.#state === 'over') return
    this.#settle(this.#started ? whole('failed') : free('failed'), code)
    // First the client is told why: aborting reports a failure of its own at once.
    this.#abandon(problemOf(code, this.#call.provider.name))
    this.#sending?.abort()
  }

  /** Passes bytes of a stream on. The call is settled before its last event leaves: clients hang up on seeing it. */
  #pass(bytes: Buffer): void {
    if (this.#state === 'over') return
    if (this.#tap?.terminated) {
      this.#settleStream()
      this.#linger ??= setTimeout(() => this.#sending?.abort(), LINGER_MS)
      // An encoding has an end of its own, that may come after the last event.
      if (this.#decoder || !this.#endsLastEvent(bytes)) this.#write(bytes)
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
    if (!this.#call.exchange.write(bytes)) this.#sending?.pause()
  }

  #streamEnded(): void {
    if (this.#state === 'over') return
    const rest = this.#tap?.end() ?? NOTHING
    if (this.#tap?.finished || this.#tap?.failed) {
      this.#settleStream()
      this.#close(rest)
      return
    }
    this.#settle(whole('failed'), 'ended early')
    this.#abandon(problemOf('upstream_failed', this.#call.provider.name), rest)
  }

  #settleStream(): void {
    const metered = this.#tap?.metered() ?? this.#reported
    const failed = this.#tap?.failed === true && !this.#tap.finished
    if (metered && !failed) this.#settle(exact(this.#ending(), metered), null)
    else this.#settle(whole(failed ? 'failed' : this.#ending()), failed ? 'error event' : null)
  }

  #collect(chunk: Buffer): void {
    this.#collectedBytes += chunk.length
    if (this.#collectedBytes > this.#parts.settings.MAX_BODY_BYTES || !this.#call.hold(chunk.length)) {
      this.#settle(whole('failed'), 'answer too large')
      this.#abandon(new Problem('upstream_failed', 'The answer is too large to be passed on.'))
      this.#sending?.abort()
      return
    }
    this.#collected.push(chunk)
  }

  /** A whole answer, or an error: settled before it is passed on, so that its cost can be in its headers. */
  async #collectedAll(): Promise<void> {
    const [first] = this.#collected
    const body = this.#collected.length === 1 && first ? first : Buffer.concat(this.#collected)
    this.#collected = []
    if (this.#tap) {
      if (isEncoded(this.#encoding)) await this.#readEncoded(this.#tap, body, this.#encoding)
      else this.#tap.push(body)
      this.#tap.end()
      const metered = this.#tap.metered() ?? this.#reported
      if (metered) this.#settle(exact(this.#ending(), metered), null)
      else this.#settle(whole(this.#tap.finished ? this.#ending() : 'failed'), 'no usage')
    } else {
      if (this.#status === 429) await this.#readRefusal(body)
      this.#settleError(this.#status ?? 0)
    }
    this.#answer(body)
  }

  async #readEncoded(tap: Tap, body: Buffer, encoding: string): Promise<void> {
    try {
      tap.push(await decoded(body, encoding, this.#parts.settings.MAX_BODY_BYTES))
    } catch {
      // Unreadable: no usage, and the whole reservation is booked.
    }
  }

  /** When to come back is often said in words alone. */
  async #readRefusal(body: Buffer): Promise<void> {
    let plain = body
    if (isEncoded(this.#encoding)) {
      const most = this.#parts.settings.MAX_BODY_BYTES
      plain = await decoded(body, this.#encoding, most).catch(() => NOTHING)
    }
    this.#upstreamLimits = refusedLimits(this.#upstreamHeaders, plain, this.#parts.clock.now().wallMs)
  }

  #answer(body: Buffer): void {
    if (this.#state === 'over') return
    const isError = (this.#status ?? 0) >= 300
    const headers = passedOn(this.#upstreamHeaders, isError)
    headers.push(...this.#call.headers)
    headers.push('x-bursar-cost-usd', formatUsd(this.#costNanoUsd), 'content-length', String(body.length))
    this.#call.exchange.begin(this.#status ?? 502, headers)
    this.#close(body)
  }

  #settleError(status: number): void {
    const isFree = !this.#notFree && (FREE_STATUSES.has(status) || this.#call.provider.freeStatuses.has(status))
    this.#settle(isFree ? free('failed') : whole('failed'), `status ${status}`)
  }

  clientDrained(): void {
    this.#sending?.resume()
  }

  clientLeft(): void {
    if (this.#state === 'over') return
    const policy = this.#parts.settings.ON_DISCONNECT
    this.#leftEarly = this.#tap?.finished !== true
    if (this.#started && policy === 'drain' && this.#parts.drains.take(1)) {
      this.#drains = true
      this.#sending?.resume()
      return
    }
    const seen = this.#tap?.metered()
    if (!this.#started) this.#settle(free('canceled'), 'client left')
    else if (policy === 'cancel') this.#settle(this.#estimate(seen), 'client left')
    else this.#settle(whole(this.#ending()), 'client left')
    this.#sending?.abort()
    this.#over()
  }

  /** What was seen of an answer nobody waits for: as many tokens as there were events. */
  #estimate(seen: Metered | undefined): Booking {
    const { ask, quote } = { ask: this.#call.outgoing, quote: this.#call.admitted.quote }
    const input = Math.min(quote.inputTokens, Math.ceil(ask.body.length / 4))
    const output = Math.min(quote.outputTokens, this.#tap?.events ?? 0)
    const usage = seen
      ? { ...seen.usage, output: Math.max(seen.usage.output, output) }
      : usageOf({ input, output, requests: 1 })
    const metered = seen ? { ...seen, usage } : { usage, reasoningTokens: 0, model: null, serviceTier: null }
    return { ending: 'canceled', certainty: 'estimated', metered, whole: false }
  }

  #ending(): Ending {
    return this.#leftEarly ? 'canceled' : 'completed'
  }

  /** Ends the client's answer as complete. */
  #close(bytes: Buffer): void {
    this.#call.exchange.end(bytes)
    this.#over()
  }

  /** Ends the client's answer as failed, in a way it cannot take for complete. */
  #abandon(problem: Problem, rest: Buffer = NOTHING): void {
    const { exchange, dialect, reject } = this.#call
    if (!exchange.begun) reject(problem)
    else if (this.#decoder || exchange.blocked) exchange.cut()
    else {
      const { callId } = this.#facts
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

  #contentType(): string {
    return headerIn(this.#upstreamHeaders, 'content-type') ?? ''
  }

  #over(): void {
    this.#state = 'over'
    if (this.#deadline) this.#parts.deadlines.remove(this.#deadline)
    if (this.#drains) this.#parts.drains.give(1)
    this.#drains = false
    this.#call.exchange.watcher = undefined
    this.#finish()
  }

  #broke(error: unknown): void {
    this.#parts.recorder.failedUnexpectedly(this.#facts.callId, error)
    this.#settle(whole('failed'), 'internal')
    this.#abandon(new Problem('internal', 'The gateway failed.'))
  }

  #costNanoUsd = 0n

  #settle(booking: Booking, error: string | null): void {
    if (this.#settled) return
    this.#settled = true
    const now = this.#parts.clock.now()
    const { usage, cost } = booking.whole ? expiredOutcome(this.#facts, now.wallMs) : this.#used(booking.metered)
    this.#costNanoUsd = cost.totalNanoUsd
    const attempt: Attempt = {
      provider: this.#facts.provider,
      model: this.#facts.model,
      status: this.#status,
      durationMs: now.monoMs - this.#sentAtMs,
      error,
    }
    const outcome: Outcome = {
      ending: booking.ending,
      certainty: booking.certainty,
      usage,
      reasoningTokens: booking.metered?.reasoningTokens ?? 0,
      cost,
      answeredModel: booking.metered?.model ? cutTo(MOST_ANSWERED_CHARACTERS, booking.metered.model) : null,
      settledAtMs: now.wallMs,
      latencyMs: Math.max(0, now.wallMs - this.#facts.reservedAtMs),
      timeToFirstTokenMs: this.#firstAtMs === null ? null : this.#firstAtMs - this.#sentAtMs,
      attempts: [attempt],
      upstreamLimits: this.#upstreamLimits,
    }
    const tokens = BigInt(totalTokens(usage))
    const used = booking.whole ? undefined : { requests: 1n, tokens, cost: cost.totalNanoUsd, inFlight: 0n }
    // Levels change now; the row is written within milliseconds, and until then the open row counts in full.
    this.#parts.store.settle([{ callId: this.#facts.callId, outcome, used }], now).catch((failure: unknown) => {
      this.#parts.recorder.failedUnexpectedly(this.#facts.callId, failure)
    })
    const ownAccount = this.#call.outgoing.callerKey === undefined
    this.#parts.recorder.settled(this.#facts, outcome, this.#call.admitted, ownAccount)
  }

  #used(metered: Metered | undefined): { readonly usage: Usage; readonly cost: Cost } {
    if (!metered) return { usage: usageOf(), cost: NO_COST }
    let { usage } = metered
    let cost = this.#cost(metered, metered.serviceTier)
    for (const share of metered.also ?? []) {
      usage = usageSum(usage, share.usage)
      cost = costSum(cost, this.#cost(share, metered.serviceTier))
    }
    return { usage, cost }
  }

  /** By the model that answered, or, where its price is not known, the one that was asked. */
  #cost({ usage, model }: Share, serviceTier: string | null): Cost {
    if (!this.#parts.settings.ENABLE_COST_TRACKING) return NO_COST
    const { priceName } = this.#call.provider
    const answered =
      model === null ? undefined : this.#parts.prices.find(priceName, model, this.#facts.reservedAtMs).price
    const price = answered ?? this.#call.admitted.quote.price
    return price ? costOf(price, usage, serviceTier ?? undefined) : NO_COST
  }
}

function exact(ending: Ending, metered: Metered): Booking {
  return { ending, certainty: 'exact', metered, whole: false }
}

/** Nothing was used but the request. */
function free(ending: Ending): Booking {
  return { ending, certainty: 'exact', metered: undefined, whole: false }
}

function whole(ending: Ending): Booking {
  return { ending, certainty: 'upperBound', metered: undefined, whole: true }
}

const MESSAGES: Partial<Record<ProblemCode, string>> = {
  upstream_unreachable: 'could not be reached',
  upstream_failed: 'broke off its answer',
  upstream_timeout: 'did not finish its answer in time',
  shutting_down: 'was still answering when the gateway stopped',
}

function problemOf(code: ProblemCode, provider: string): Problem {
  return new Problem(code, `The provider ${provider} ${MESSAGES[code] ?? 'failed'}.`)
}

/** The error's code, never its message: that may hold addresses. */
function codeOf(error: Error): string {
  const code: unknown = 'code' in error ? error.code : undefined
  return typeof code === 'string' ? code : error.name
}
