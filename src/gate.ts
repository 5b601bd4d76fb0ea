// Gate: one call, top to bottom: who asks, for what, at most how much, may they; then sent, metered and settled by its relay.

import { isUtf8 } from 'node:buffer'
import { Admission, type Applicant, type Refused } from './admission.ts'
import { type Callers, cutTo, declaredOperation } from './callers.ts'
import { Allowance, type Clock, Deadlines } from './clock.ts'
import type { Settings } from './config.ts'
import type { LimitPlan } from './core/limits.ts'
import type { Instant, LevelView } from './core/meter.ts'
import type { PriceBook } from './core/prices.ts'
import { Problem } from './core/problem.ts'
import { retryAfterSeconds } from './core/refusal.ts'
import type { Exchange } from './exchange.ts'
import { notConfigured, type Target, targetOf } from './providers/index.ts'
import type { CallerKey, Outgoing, Provider } from './providers/provider.ts'
import type { Recorder } from './recorder.ts'
import { Relay, type RelayParts } from './relay.ts'
import { type Store, StoreUnavailable } from './stores/store.ts'
import type { Tightening } from './tightening.ts'
import type { Dialect, Edits, HeaderList, Reading } from './wire/dialect.ts'
import { ietfRateHeaders } from './wire/figures.ts'

export interface GateParts {
  readonly settings: Settings
  readonly clock: Clock
  readonly store: Store
  readonly prices: PriceBook
  readonly providers: readonly Provider[]
  readonly callers: Callers
  readonly recorder: Recorder
  readonly tightening: Tightening
  readonly limits: { readonly plan: LimitPlan; readonly changing: Promise<void> | undefined }
  readonly newCallId: () => string
  readonly random: () => number
}

/** A wait longer than this is not worth an SDK's sleep: it is told not to retry by itself. */
const LONGEST_RETRY_MS = 60_000

/** No provider's names are as long; they go into meters, logs and the ledger. */
const MOST_MODEL_CHARACTERS = 512

/** Sends in a provider's place: the handler behind the middleware. */
export type SendInstead = Provider['send']

export class Gate {
  readonly #parts: GateParts
  readonly #relayParts: RelayParts
  readonly admission: Admission
  readonly #held: Allowance
  #closing = false

  constructor(parts: GateParts) {
    this.#parts = parts
    this.admission = new Admission(parts)
    this.#held = new Allowance(parts.settings.MAX_BUFFERED_BYTES)
    const deadlines = new Deadlines(parts.clock, parts.settings.UPSTREAM_TIMEOUT_MS)
    this.#relayParts = { ...parts, deadlines, drains: new Allowance(parts.settings.MAX_DRAINS) }
  }

  /** Calls sent and not over. */
  get inFlight(): number {
    return this.#relayParts.deadlines.size
  }

  get closing(): boolean {
    return this.#closing
  }

  /** New calls are turned away from now on. */
  close(): void {
    this.#closing = true
  }

  /** Ends what is still in flight, with the dialect's error. */
  cutAll(): void {
    this.#relayParts.deadlines.expireAll()
  }

  /**
   * Takes one call from its request to its last byte. Never rejects: whatever goes wrong is answered, recorded and settled.
   * @param sendInstead sends in place of the provider, whose price and rules still count
   * @param begun is told of the relay once the call is on its way
   */
  async call(
    exchange: Exchange,
    dialect: Dialect,
    sendInstead?: SendInstead,
    begun?: (relay: Relay) => void,
  ): Promise<void> {
    const callId = this.#parts.newCallId()
    let heldBytes = 0
    const hold = (bytes: number) => {
      if (!this.#held.take(bytes)) return false
      heldBytes += bytes
      return true
    }
    try {
      const relay = await this.#admitted(exchange, dialect, callId, hold, sendInstead)
      if (!relay) return
      begun?.(relay)
      relay.send()
      await relay.done
    } catch (error) {
      this.#reject(exchange, dialect, callId, this.#problemOf(error, callId))
    } finally {
      this.#held.give(heldBytes)
    }
  }

  /** Lends what may be held of requests and answers, for as long as `use` takes. */
  async holding<Value>(use: (hold: (bytes: number) => boolean) => Promise<Value>): Promise<Value> {
    let heldBytes = 0
    try {
      return await use((bytes) => {
        if (!this.#held.take(bytes)) return false
        heldBytes += bytes
        return true
      })
    } finally {
      this.#held.give(heldBytes)
    }
  }

  /** What a request would be admitted as, with nothing reserved or sent. Throws Problem. */
  applicant(exchange: Exchange, dialect: Dialect, body: Buffer): Applicant {
    const caller = this.#parts.callers.identify(exchange)
    return this.#applicant(exchange, dialect, dialect.read(body, exchange), this.#parts.newCallId(), caller)
  }

  /** The relay of an admitted call, or undefined where it was refused and answered. Throws Problem. */
  async #admitted(
    exchange: Exchange,
    dialect: Dialect,
    callId: string,
    hold: (bytes: number) => boolean,
    sendInstead: SendInstead | undefined,
  ): Promise<Relay | undefined> {
    const caller = this.#parts.callers.identify(exchange)
    if (this.#closing) throw new Problem('shutting_down', 'The gateway is stopping.')
    const body = await readBody(exchange, this.#parts.settings.MAX_BODY_BYTES, hold)
    const reading = dialect.read(body, exchange)
    const applicant = this.#applicant(exchange, dialect, reading, callId, caller)
    if (!applicant.provider.configured && !sendInstead) throw notConfigured(applicant.provider)
    const asksCaller = applicant.provider.callerKeys && !sendInstead
    const callerKey = asksCaller ? this.#parts.callers.providerKey(exchange, applicant.provider.name) : undefined

    const now = this.#parts.clock.now()
    const admission = await this.admission.admit(applicant, now, { body, headers: exchange.headers, callerKey })
    if (!admission.admitted) {
      this.#parts.recorder.refused(applicant, admission.refusal, admission.quote, now)
      this.#refuse(exchange, dialect, callId, admission, now)
      return undefined
    }
    const provider = sendInstead ? { ...applicant.provider, send: sendInstead } : applicant.provider
    const { injectedCap } = admission.quote
    const cap = this.#parts.settings.ENFORCEMENT === 'soft' ? null : injectedCap
    const asksUsage = reading.ask.stream && !reading.asksForUsage && provider.knowsStreamOptions
    const headers = rateHeaders(dialect, callId, admission.levels, 'provider', now)
    if (cap !== null) headers.push('x-bursar-max-output-tokens', String(cap))
    if (admission.overlooked.length > 0) headers.push('x-bursar-over-limit', admission.overlooked.join(', '))
    if (provider.simulated) headers.push('x-bursar-simulated', 'true')
    return new Relay(this.#relayParts, {
      exchange,
      dialect,
      provider,
      outgoing: outgoing(exchange, dialect, applicant, reading, { cap, asksUsage, callerKey }),
      admitted: admission,
      hidesUsage: asksUsage,
      headers,
      hold,
      reject: (problem) => this.#answer(exchange, dialect, callId, problem),
    })
  }

  #applicant(
    exchange: Exchange,
    dialect: Dialect,
    reading: Reading,
    callId: string,
    caller: Applicant['caller'],
  ): Applicant {
    if (reading.ask.model.length > MOST_MODEL_CHARACTERS)
      throw new Problem('invalid_request', 'The name of the model is too long.', 'model')
    const target: Target = targetOf(this.#parts.providers, dialect.name, reading.ask.model)
    return {
      callId,
      caller:
        caller.user === null && reading.ask.user !== null ? { ...caller, user: cutTo(256, reading.ask.user) } : caller,
      operation: declaredOperation(exchange),
      dialect: dialect.name,
      provider: target.provider,
      model: target.model,
      ask: reading.ask,
    }
  }

  #refuse(exchange: Exchange, dialect: Dialect, callId: string, { refusal, levels }: Refused, now: Instant): void {
    const headers = rateHeaders(dialect, callId, levels, 'gateway', now)
    headers.push('content-type', 'application/json', dialect.requestIdHeader, callId)
    headers.push('retry-after', String(retryAfterSeconds(refusal.waitMs)), 'retry-after-ms', String(refusal.waitMs))
    headers.push('x-bursar-limited-by', refusal.limits.join(', '))
    if (!refusal.retryable || refusal.waitMs > LONGEST_RETRY_MS) headers.push('x-should-retry', 'false')
    endWith(exchange, 429, headers, dialect.refusalBody(refusal, { callId, nowMs: now.wallMs }))
  }

  /** A call that was not admitted, for another reason than a limit. */
  #reject(exchange: Exchange, dialect: Dialect, callId: string, problem: Problem): void {
    this.#parts.recorder.rejected(callId, problem, this.#parts.clock.now())
    this.#answer(exchange, dialect, callId, problem)
  }

  #answer(exchange: Exchange, dialect: Dialect, callId: string, problem: Problem): void {
    if (exchange.begun || exchange.left) return
    const headers: HeaderList = [
      'x-bursar-call-id',
      callId,
      'x-bursar-source',
      'gateway',
      dialect.requestIdHeader,
      callId,
    ]
    headers.push('content-type', 'application/json')
    // Nothing about it changes while a client waits.
    if (problem.code === 'provider_not_configured') headers.push('x-should-retry', 'false')
    // After a body that is too large the rest of it is read and thrown away: closing would lose the answer.
    if (problem.code === 'shutting_down') headers.push('connection', 'close')
    endWith(
      exchange,
      problem.status,
      headers,
      dialect.problemBody(problem, { callId, nowMs: this.#parts.clock.now().wallMs }),
    )
  }

  /** Anything that is not a Problem is a bug, or a ledger that cannot be written: the caller learns no more than that. */
  #problemOf(error: unknown, callId: string): Problem {
    if (error instanceof Problem) return error
    this.#parts.recorder.failedUnexpectedly(callId, error)
    if (error instanceof StoreUnavailable)
      return new Problem('ledger_unavailable', 'The ledger cannot be written; the call was not sent.')
    return new Problem('internal', 'The gateway failed; the call was not sent.')
  }
}

/** The request's body. Throws Problem for what cannot be JSON. */
export async function readBody(
  exchange: Exchange,
  mostBytes: number,
  hold: (bytes: number) => boolean,
): Promise<Buffer> {
  const type = exchange.header('content-type')
  if (type !== undefined && !/^application\/([\w.-]+\+)?json\b/i.test(type)) {
    throw new Problem('unsupported_media_type', 'The content type must be application/json.')
  }
  const encoding = exchange.header('content-encoding')
  if (encoding !== undefined && encoding !== 'identity') {
    throw new Problem('unsupported_media_type', 'Compressed request bodies are not accepted.')
  }
  const body = await exchange.body(mostBytes, (bytes) => {
    if (!hold(bytes)) throw new Problem('overloaded', 'Too many bytes are in flight. Please try again in a moment.')
  })
  if (!isUtf8(body)) throw new Problem('invalid_json', 'The request body is not valid UTF-8.')
  return body
}

function capEdit({ capField, capFieldAlone = false }: Provider, tokens: number | null): Pick<Edits, 'cap'> {
  return tokens === null ? {} : { cap: { field: capField, tokens, alone: capFieldAlone } }
}

/** What of a request is not sent as it came. */
interface Changes {
  readonly cap: number | null
  readonly asksUsage: boolean
  readonly callerKey: CallerKey | undefined
}

function outgoing(
  exchange: Exchange,
  dialect: Dialect,
  { ask, model, provider }: Applicant,
  reading: Reading,
  { cap, asksUsage, callerKey }: Changes,
): Outgoing {
  const name = provider.deployments?.get(model) ?? model
  return {
    dialect: dialect.name,
    path: dialect.upstreamPath(name, exchange),
    headers: exchange.headers,
    callerKey,
    body: reading.edit({
      ...(name === ask.model ? {} : { model: name }),
      ...capEdit(provider, cap ?? (provider.capFieldAlone ? ask.outputCap : null)),
      ...(asksUsage ? { includeUsage: true } : {}),
    }),
    model: name,
    stream: ask.stream,
    plain: asksUsage,
  }
}

function endWith(exchange: Exchange, status: number, headers: HeaderList, text: string): void {
  const body = Buffer.from(text)
  exchange.begin(status, [...headers, 'content-length', String(body.length)])
  exchange.end(body)
}

/** Headers that every answer to an admitted or refused call carries: our figures in the dialect's words, and the IETF's. */
function rateHeaders(
  dialect: Dialect,
  callId: string,
  levels: readonly LevelView[],
  source: 'gateway' | 'provider',
  now: Instant,
): HeaderList {
  const headers: HeaderList = ['x-bursar-call-id', callId, 'x-bursar-source', source]
  dialect.rateHeaders(levels, now.wallMs, headers)
  ietfRateHeaders(levels, headers)
  return headers
}
