// Gate: one call, top to bottom: who asks, for what, at most how much, may they; then sent, metered and settled by its relay.

import { isUtf8 } from 'node:buffer'
import type { Settings } from '../config/settings.ts'
import type { Circuits, Passage } from '../core/circuit.ts'
import type { Clock } from '../core/clock.ts'
import type { Caller } from '../core/ledger-entry.ts'
import type { LimitPlan } from '../core/limits.ts'
import type { Instant } from '../core/meter.ts'
import { Allowance, Holding } from '../core/permits.ts'
import type { PriceBook } from '../core/prices.ts'
import { Problem } from '../core/problem.ts'
import { retryAfterSeconds } from '../core/refusal.ts'
import type { Tightening } from '../counting/input-counter.ts'
import type { Exchange } from '../exchange/exchange.ts'
import { type Callers, cutTo, declaredOperation } from '../keys/callers.ts'
import { nativeTarget, notConfigured } from '../providers/index.ts'
import type { Provider } from '../providers/provider.ts'
import { type Store, StoreUnavailable } from '../stores/store.ts'
import type { Recorder } from '../telemetry/recorder.ts'
import type { Dialect, HeaderList } from '../wire/dialect.ts'
import { Admission, type Admitted, type Applicant, type Budget, type Candidate, type Refused } from './admission.ts'
import { Attempts, type AttemptsParts } from './attempts.ts'
import { Bookkeeping } from './booking.ts'
import { type CallCandidate, candidatesOf, type Incoming } from './candidates.ts'
import { Deadlines } from './deadlines.ts'
import { type CallOut, dispatchOf, rateHeaders, type SendInstead } from './dispatch.ts'
import type { Idempotency, IdempotencyMark } from './idempotency.ts'
import { type Dispatch, Relay, type RelayParts, type Tries } from './relay.ts'
import type { Passable, Route, Routing } from './routing.ts'

export interface GateParts {
  readonly settings: Settings
  readonly clock: Clock
  readonly store: Store
  readonly prices: PriceBook
  readonly providers: readonly Provider[]
  readonly callers: Callers
  readonly routing: Routing
  readonly circuits: Circuits
  readonly idempotency: Idempotency
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

const PASSES: Passage = { kind: 'closed' }

/** Where a call may go. */
interface Way extends Passable<CallCandidate> {
  readonly route: Pick<Route, 'retries' | 'onBudget' | 'isAlias'>
}

/** Of calls that a handler answers in a provider's place. */
const NO_ROUTE: Way['route'] = { retries: 0, onBudget: 'refuse', isAlias: false }

export interface CallOptions {
  /** Sends in place of the provider, whose price and rules still count. */
  readonly sendInstead?: SendInstead
  /** Is told of the relay once the call is on its way. */
  readonly begun?: (relay: Relay) => void
  /** What all calls of the task it belongs to may cost together. */
  readonly budget?: Budget
}

export class Gate {
  readonly #parts: GateParts
  readonly #relayParts: RelayParts
  readonly #attemptsParts: Pick<AttemptsParts<Dispatch>, 'admission' | 'circuits' | 'clock' | 'random'>
  readonly admission: Admission
  readonly #held: Allowance
  #holders = 0
  #closing = false

  constructor(parts: GateParts) {
    this.#parts = parts
    this.admission = new Admission(parts)
    this.#held = new Allowance(parts.settings.MAX_BUFFERED_BYTES)
    const deadlines = new Deadlines(parts.clock, parts.settings.UPSTREAM_TIMEOUT_MS)
    const bookkeeping = new Bookkeeping(parts.prices, parts.settings)
    const drains = new Allowance(parts.settings.MAX_DRAINS)
    const moves = new Allowance(Number.MAX_SAFE_INTEGER)
    const reject = this.#answer.bind(this)
    this.#relayParts = { ...parts, bookkeeping, deadlines, drains, moves, reject }
    const { circuits, clock, random } = parts
    this.#attemptsParts = { admission: this.admission, circuits, clock, random }
  }

  /** Work under way that is no call, but may make some: see `holding`. */
  get holders(): number {
    return this.#holders
  }

  /** Calls sent and not over. */
  get inFlight(): number {
    return this.#relayParts.deadlines.size
  }

  /** Calls that were cut and not settled yet: their reservations are being moved. */
  get moving(): number {
    return this.#relayParts.moves.held
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

  /** Takes one call from its request to its last byte. Never rejects: whatever goes wrong is answered, recorded and settled. */
  async call(exchange: Exchange, dialect: Dialect, options: CallOptions = {}): Promise<void> {
    const { callers, clock, newCallId, settings } = this.#parts
    const callId = newCallId()
    const holding = new Holding(this.#held)
    let mark: IdempotencyMark | undefined
    try {
      const caller = callers.identify(exchange)
      if (this.#closing) throw new Problem('shutting_down', 'The gateway is stopping.')
      const body = await readBody(exchange, settings.MAX_BODY_BYTES, holding)
      const call = this.#incoming(exchange, dialect, body, caller)
      const marking = this.#mark(call)
      if (marking) mark = await marking
      const now = clock.now()
      const way = options.sendInstead ? this.#standIn(call) : this.#way(call, now)
      const applicant = this.#applicant(call, callId, way, mark ?? null, options.budget)
      const admission = await this.#admission(applicant, way.passage, now)
      if (!admission.admitted) return this.#refuse(call, applicant, admission, now)
      const out = { call, callId, isRouted: way.route.isAlias, sendInstead: options.sendInstead, settings, now }
      const relay = new Relay(this.#relayParts, exchange, dialect, holding, this.#tries(out, way, admission))
      options.begun?.(relay)
      relay.send()
      await relay.done
    } catch (error) {
      this.#reject(exchange, dialect, callId, this.#problemOf(error, callId))
    } finally {
      holding.giveBack()
      if (mark) this.#parts.idempotency.leave(mark)
    }
  }

  /** Lends what may be held of requests and answers, for as long as `use` takes. */
  async holding<Value>(use: (holding: Holding) => Promise<Value>): Promise<Value> {
    const holding = new Holding(this.#held)
    this.#holders += 1
    try {
      return await use(holding)
    } finally {
      holding.giveBack()
      this.#holders -= 1
    }
  }

  /** What a request would be admitted as, with nothing reserved or sent. Throws Problem. */
  applicant(exchange: Exchange, dialect: Dialect, body: Buffer): Applicant {
    const caller = this.#parts.callers.identify(exchange)
    const call = this.#incoming(exchange, dialect, body, caller)
    const route = this.#parts.routing.route(dialect, modelOf(call), this.#parts.clock.now().wallMs)
    const way = { route, candidates: candidatesOf(route.targets, call, undefined), passage: PASSES }
    return this.#applicant(call, this.#parts.newCallId(), way, null, undefined)
  }

  /** Throws Problem. */
  #incoming(exchange: Exchange, dialect: Dialect, body: Buffer, caller: Caller): Incoming {
    const usualCap = this.#parts.settings.DEFAULT_MAX_OUTPUT_TOKENS
    return { exchange, dialect, body, reading: dialect.read(body, exchange), caller, usualCap }
  }

  /** Undefined for calls without such a key. Throws Problem for those made before. */
  #mark({ exchange, body, caller }: Incoming): Promise<IdempotencyMark> | undefined {
    const key = exchange.header('idempotency-key')
    if (key === undefined) return undefined
    const request = [`${exchange.method} ${exchange.path}?${exchange.query}\n`, body]
    return this.#parts.idempotency.enter(key, caller.key ?? '', request, this.#parts.clock.now())
  }

  /** Where a call may go, as things are now. Throws Problem. */
  #way(call: Incoming, now: Instant): Way {
    const { routing } = this.#parts
    const route = routing.route(call.dialect, modelOf(call), now.wallMs)
    const [{ provider }] = route.targets
    if (!provider.configured) throw notConfigured(provider)
    const { candidates, passage } = routing.passable(candidatesOf(route.targets, call, this.#parts.callers), now.monoMs)
    return { route, candidates, passage }
  }

  /** To a handler that stands in the place of the provider whose dialect the call is in. */
  #standIn(call: Incoming): Way {
    const { dialect } = call
    const target = nativeTarget(this.#parts.providers, dialect.name, modelOf(call))
    const candidates = candidatesOf([{ ...target, dialect, translation: undefined }], call, undefined)
    return { route: NO_ROUTE, candidates, passage: PASSES }
  }

  #admission(applicant: Applicant, passage: Passage, now: Instant): Promise<Admitted | Refused> {
    if (passage.kind === 'probe') return this.#admitProbe(applicant, passage, now)
    return this.admission.admit(applicant, now)
  }

  /** A target whose circuit let this call through to see hears of it when the call is not made. */
  async #admitProbe(applicant: Applicant, passage: Passage, now: Instant): Promise<Admitted | Refused> {
    const { provider, model } = applicant.first
    const leave = () => this.#parts.circuits.leave(provider.name, model, passage)
    try {
      const admission = await this.admission.admit(applicant, now)
      if (!admission.admitted || !isSameTarget(admission.applicant.first, applicant.first)) leave()
      return admission
    } catch (error) {
      leave()
      throw error
    }
  }

  /** The first try of a call, and those that may follow it. */
  #tries(out: CallOut, { candidates, passage, route }: Way, admission: Admitted): Tries {
    const { retries } = route
    const [best] = candidates
    if (candidates.length === 1 && retries === 0)
      return { first: dispatchOf(out, admission, best, passage), attempts: undefined }
    const { first, others } = admission.applicant
    const chosen = candidates.find((one) => isSameTarget(one, first)) ?? best
    const rest = candidates.filter((one) => others.includes(one))
    const { provider, model } = chosen
    const entered = chosen === best ? passage : this.#parts.circuits.enter(provider.name, model, out.now.monoMs)
    const dispatch = dispatchOf(out, admission, chosen, entered)
    const parts = {
      ...this.#attemptsParts,
      retries,
      deadlineMs: out.now.monoMs + out.settings.UPSTREAM_TIMEOUT_MS,
      dispatchOf: (admitted: Admitted, candidate: CallCandidate, passes: Passage) =>
        dispatchOf(out, admitted, candidate, passes),
    }
    return { first: dispatch, attempts: new Attempts(parts, admission, chosen, rest) }
  }

  #applicant(
    { exchange, dialect, reading, caller }: Incoming,
    callId: string,
    { candidates, route }: Way,
    idempotency: IdempotencyMark | null,
    budget: Budget | undefined,
  ): Applicant {
    const [first, ...others] = candidates
    const { user, model } = reading.ask
    return {
      callId,
      caller: caller.user === null && user !== null ? { ...caller, user: cutTo(256, user) } : caller,
      operation: declaredOperation(exchange),
      dialect: dialect.name,
      requestedModel: model,
      first,
      others,
      leavesOutDear: route.onBudget === 'cheaper',
      idempotency,
      budget,
    }
  }

  #refuse({ exchange, dialect }: Incoming, applicant: Applicant, refused: Refused, now: Instant): void {
    const { refusal, quote, levels } = refused
    const { callId, caller, requestedModel: model, first } = applicant
    const { key, user } = caller
    const provider = first.provider.name
    this.#parts.recorder.refused({ callId, atMs: now.wallMs, key, model, provider, refusal, quote }, user, now)
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

  #answer(exchange: Exchange, dialect: Dialect, callId: string, problem: Problem, more: HeaderList = []): void {
    if (exchange.begun || exchange.left) return
    const headers: HeaderList = ['x-bursar-call-id', callId, 'x-bursar-source', 'gateway']
    headers.push(
      dialect.requestIdHeader,
      callId,
      'content-type',
      'application/json',
      ...adviceHeaders(problem),
      ...more,
    )
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

/** The request's body. Rejects with Problem for what cannot be JSON. */
export async function readBody(exchange: Exchange, mostBytes: number, holding: Holding): Promise<Buffer> {
  const type = exchange.header('content-type')
  if (type !== undefined && !/^application\/([\w.-]+\+)?json\b/i.test(type)) {
    throw new Problem('unsupported_media_type', 'The content type must be application/json.')
  }
  const encoding = exchange.header('content-encoding')
  if (encoding !== undefined && encoding !== 'identity') {
    throw new Problem('unsupported_media_type', 'Compressed request bodies are not accepted.')
  }
  const body = await exchange.body(mostBytes, holding)
  if (!isUtf8(body)) throw new Problem('invalid_json', 'The request body is not valid UTF-8.')
  return body
}

/** What a client is told to do about a problem. */
function adviceHeaders({ code, advice }: Problem): HeaderList {
  const headers: HeaderList = [...(advice.headers ?? [])]
  if (advice.retryAfterMs !== undefined) {
    const waitMs = Math.ceil(advice.retryAfterMs)
    headers.push('retry-after', String(retryAfterSeconds(waitMs)), 'retry-after-ms', String(waitMs))
  }
  // Nothing about it changes while a client waits.
  if (advice.retry === false || code === 'provider_not_configured') headers.push('x-should-retry', 'false')
  // After a body that is too large the rest of it is read and thrown away: closing would lose the answer.
  if (code === 'shutting_down') headers.push('connection', 'close')
  return headers
}

/** The model a call asks for. Throws Problem for a name no provider's is as long as. */
function modelOf({ reading }: Incoming): string {
  const { model } = reading.ask
  if (model.length > MOST_MODEL_CHARACTERS)
    throw new Problem('invalid_request', 'The name of the model is too long.', 'model')
  return model
}

function isSameTarget(one: Candidate, other: Candidate): boolean {
  return one.provider === other.provider && one.model === other.model
}

function endWith(exchange: Exchange, status: number, headers: HeaderList, text: string): void {
  const body = Buffer.from(text)
  exchange.begin(status, [...headers, 'content-length', String(body.length)])
  exchange.end(body)
}
