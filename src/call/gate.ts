// Gate: one call, top to bottom: who asks, for what, at most how much, may they; then sent, metered and settled by its relay.

import { isUtf8 } from 'node:buffer'
import type { Settings } from '../config/settings.ts'
import type { CircuitPass, Circuits } from '../core/circuit.ts'
import type { Clock, Timers } from '../core/clock.ts'
import type { Caller } from '../core/ledger-entry.ts'
import type { LimitPlan } from '../core/limits.ts'
import type { Instant } from '../core/meter.ts'
import { PermitLease, Permits } from '../core/permits.ts'
import type { PriceBook } from '../core/prices.ts'
import { Problem } from '../core/problem.ts'
import { retryAfterSeconds } from '../core/refusal.ts'
import type { InputCounter } from '../counting/input-counter.ts'
import type { Exchange } from '../exchange/exchange.ts'
import { type Callers, declaredOperation, truncate } from '../keys/callers.ts'
import { nativeTarget, notConfiguredProblem } from '../providers/index.ts'
import type { Provider } from '../providers/provider.ts'
import { type Store, StoreUnavailable } from '../stores/store.ts'
import type { Recorder } from '../telemetry/recorder.ts'
import type { Dialect, HeaderList } from '../wire/dialect.ts'
import {
  AdmissionControl,
  type AdmittedCall,
  type Applicant,
  type Budget,
  type Candidate,
  type RefusedCall,
} from './admission.ts'
import { RetryPlan, type RetryPlanParts } from './attempts.ts'
import { type CallCandidate, candidatesOf, type IncomingCall } from './candidates.ts'
import { Deadlines } from './deadlines.ts'
import { type DispatchContext, dispatchOf, rateHeaders, type SendInstead } from './dispatch.ts'
import type { Idempotency, IdempotencyMark } from './idempotency.ts'
import { type Dispatch, type PlannedAttempts, Relay, type RelayParts } from './relay.ts'
import type { RoutablePlan, Route, Routing } from './routing.ts'
import { SettlementCalculator } from './settlement-amounts.ts'

export interface GateParts {
  readonly settings: Settings
  readonly clock: Clock
  readonly timers: Timers
  readonly store: Store
  readonly prices: PriceBook
  readonly providers: readonly Provider[]
  readonly callers: Callers
  readonly routing: Routing
  readonly circuits: Circuits
  readonly idempotency: Idempotency
  readonly recorder: Recorder
  readonly inputCounter: InputCounter
  readonly limits: { readonly plan: LimitPlan; readonly changing: Promise<void> | undefined }
  readonly newCallId: () => string
  readonly random: () => number
}

/** A wait longer than this is not worth an SDK's sleep: it is told not to retry by itself. */
const MAX_CLIENT_RETRY_WAIT_MS = 60_000

/** No provider's names are as long; they go into meters, logs and the ledger. */
const MAX_MODEL_CHARACTERS = 512

const CLOSED_CIRCUIT_PASS: CircuitPass = { kind: 'closed' }

/** Where a call may go. */
interface RoutePlan extends RoutablePlan<CallCandidate> {
  readonly route: Pick<Route, 'retries' | 'onBudget' | 'isAlias'>
}

/** Of calls that a handler answers in a provider's place. */
const HANDLER_ROUTE: RoutePlan['route'] = { retries: 0, onBudget: 'refuse', isAlias: false }

export interface CallOptions {
  /** Sends in place of the provider, whose price and rules still count. */
  readonly sendInstead?: SendInstead
  /** Is told of the relay once the call is on its way. */
  readonly onStart?: (relay: Relay) => void
  /** What all calls of the task it belongs to may cost together. */
  readonly budget?: Budget
}

export class Gate {
  readonly #parts: GateParts
  readonly #relayParts: RelayParts
  readonly #retryPlanParts: Pick<RetryPlanParts<Dispatch>, 'admissionControl' | 'circuits' | 'clock' | 'random'>
  readonly admissionControl: AdmissionControl
  readonly #bufferedBytes: Permits
  #activeLeases = 0
  #isClosing = false

  constructor(parts: GateParts) {
    this.#parts = parts
    this.admissionControl = new AdmissionControl(parts)
    this.#bufferedBytes = new Permits(parts.settings.MAX_BUFFERED_BYTES)
    const deadlines = new Deadlines(parts.clock, parts.settings.UPSTREAM_TIMEOUT_MS)
    const bookkeeping = new SettlementCalculator(parts.prices, parts.settings)
    const drains = new Permits(parts.settings.MAX_DRAINS)
    const moves = new Permits(Number.MAX_SAFE_INTEGER)
    const reject = this.#sendProblem.bind(this)
    this.#relayParts = { ...parts, settlementCalculator: bookkeeping, deadlines, drains, moves, sendProblem: reject }
    const { circuits, clock, random } = parts
    this.#retryPlanParts = { admissionControl: this.admissionControl, circuits, clock, random }
  }

  /** Work under way that is no call, but may make some: see `holding`. */
  get activeLeases(): number {
    return this.#activeLeases
  }

  /** Calls sent and not over. */
  get inFlight(): number {
    return this.#relayParts.deadlines.size
  }

  /** Calls that were cut and not settled yet: their reservations are being moved. */
  get movesInProgress(): number {
    return this.#relayParts.moves.held
  }

  get isClosing(): boolean {
    return this.#isClosing
  }

  /** New calls are turned away from now on. */
  close(): void {
    this.#isClosing = true
  }

  /** Ends what is still in flight, with the dialect's error. */
  expireAll(): void {
    this.#relayParts.deadlines.expireAll()
  }

  /** Takes one call from its request to its last byte. Never rejects: whatever goes wrong is answered, recorded and settled. */
  async call(exchange: Exchange, dialect: Dialect, options: CallOptions = {}): Promise<void> {
    const { callers, clock, newCallId, settings } = this.#parts
    const callId = newCallId()
    const holding = new PermitLease(this.#bufferedBytes)
    let mark: IdempotencyMark | undefined
    try {
      const caller = callers.identify(exchange)
      if (this.#isClosing) throw new Problem('shutting_down', 'The gateway is stopping.')
      const body = await readBody(exchange, settings.MAX_BODY_BYTES, holding)
      const call = this.#readCall(exchange, dialect, body, caller)
      const marking = this.#acquireIdempotencyMark(call)
      if (marking) mark = await marking
      const now = clock.now()
      const way = options.sendInstead ? this.#planForHandler(call) : this.#planRoute(call, now)
      const applicant = this.#buildApplicant(call, callId, way, mark ?? null, options.budget)
      const admission = await this.#admit(applicant, way.circuitPass, now)
      if (!admission.admitted) return this.#refuse(call, applicant, admission, now)
      const out = { call, callId, isRouted: way.route.isAlias, sendInstead: options.sendInstead, settings, now }
      const relay = new Relay(this.#relayParts, exchange, dialect, holding, this.#planAttempts(out, way, admission))
      options.onStart?.(relay)
      relay.send()
      await relay.done
    } catch (error) {
      this.#reject(exchange, dialect, callId, this.#problemOf(error, callId))
    } finally {
      holding.release()
      if (mark) this.#parts.idempotency.release(mark)
    }
  }

  /** Lends what may be held of requests and answers, for as long as `use` takes. */
  async withBufferLease<Value>(use: (holding: PermitLease) => Promise<Value>): Promise<Value> {
    const holding = new PermitLease(this.#bufferedBytes)
    this.#activeLeases += 1
    try {
      return await use(holding)
    } finally {
      holding.release()
      this.#activeLeases -= 1
    }
  }

  /** What a request would be admitted as, with nothing reserved or sent. Throws Problem. */
  applicantFor(exchange: Exchange, dialect: Dialect, body: Buffer): Applicant {
    const caller = this.#parts.callers.identify(exchange)
    const call = this.#readCall(exchange, dialect, body, caller)
    const route = this.#parts.routing.route(dialect, modelOf(call), this.#parts.clock.now().wallMs)
    const way = { route, candidates: candidatesOf(route.targets, call, undefined), circuitPass: CLOSED_CIRCUIT_PASS }
    return this.#buildApplicant(call, this.#parts.newCallId(), way, null, undefined)
  }

  /** Throws Problem. */
  #readCall(exchange: Exchange, dialect: Dialect, body: Buffer, caller: Caller): IncomingCall {
    const usualCap = this.#parts.settings.DEFAULT_MAX_OUTPUT_TOKENS
    return { exchange, dialect, body, reading: dialect.readRequest(body, exchange), caller, defaultCap: usualCap }
  }

  /** Undefined for calls without such a key. Throws Problem for those made before. */
  #acquireIdempotencyMark({ exchange, body, caller }: IncomingCall): Promise<IdempotencyMark> | undefined {
    const key = exchange.header('idempotency-key')
    if (key === undefined) return undefined
    const request = [`${exchange.method} ${exchange.path}?${exchange.query}\n`, body]
    return this.#parts.idempotency.acquire(key, caller.key ?? '', request, this.#parts.clock.now())
  }

  /** Where a call may go, as things are now. Throws Problem. */
  #planRoute(call: IncomingCall, now: Instant): RoutePlan {
    const { routing } = this.#parts
    const route = routing.route(call.dialect, modelOf(call), now.wallMs)
    const [{ provider }] = route.targets
    if (!provider.configured) throw notConfiguredProblem(provider)
    const { candidates, circuitPass } = routing.firstRoutable(
      candidatesOf(route.targets, call, this.#parts.callers),
      now.monoMs,
    )
    return { route, candidates, circuitPass }
  }

  /** To a handler that stands in the place of the provider whose dialect the call is in. */
  #planForHandler(call: IncomingCall): RoutePlan {
    const { dialect } = call
    const target = nativeTarget(this.#parts.providers, dialect.name, modelOf(call))
    const candidates = candidatesOf([{ ...target, dialect, translation: undefined }], call, undefined)
    return { route: HANDLER_ROUTE, candidates, circuitPass: CLOSED_CIRCUIT_PASS }
  }

  #admit(applicant: Applicant, passage: CircuitPass, now: Instant): Promise<AdmittedCall | RefusedCall> {
    if (passage.kind === 'probe') return this.#admitProbe(applicant, passage, now)
    return this.admissionControl.admit(applicant, now)
  }

  /** A target whose circuit let this call through to see hears of it when the call is not made. */
  async #admitProbe(applicant: Applicant, passage: CircuitPass, now: Instant): Promise<AdmittedCall | RefusedCall> {
    const { provider, model } = applicant.first
    const leave = () => this.#parts.circuits.release(provider.name, model, passage)
    try {
      const admission = await this.admissionControl.admit(applicant, now)
      if (!admission.admitted || !isSameTarget(admission.applicant.first, applicant.first)) leave()
      return admission
    } catch (error) {
      leave()
      throw error
    }
  }

  /** The first try of a call, and those that may follow it. */
  #planAttempts(
    out: DispatchContext,
    { candidates, circuitPass, route }: RoutePlan,
    admission: AdmittedCall,
  ): PlannedAttempts {
    const { retries } = route
    const [best] = candidates
    if (candidates.length === 1 && retries === 0)
      return { first: dispatchOf(out, admission, best, circuitPass), retryPlan: undefined }
    const { first, others } = admission.applicant
    const chosen = candidates.find((one) => isSameTarget(one, first)) ?? best
    const rest = candidates.filter((one) => others.includes(one))
    const { provider, model } = chosen
    const entered = chosen === best ? circuitPass : this.#parts.circuits.acquire(provider.name, model, out.now.monoMs)
    const dispatch = dispatchOf(out, admission, chosen, entered)
    const parts = {
      ...this.#retryPlanParts,
      retries,
      deadlineMs: out.now.monoMs + out.settings.UPSTREAM_TIMEOUT_MS,
      dispatchOf: (admitted: AdmittedCall, candidate: CallCandidate, passes: CircuitPass) =>
        dispatchOf(out, admitted, candidate, passes),
    }
    return { first: dispatch, retryPlan: new RetryPlan(parts, admission, chosen, rest) }
  }

  #buildApplicant(
    { exchange, dialect, reading, caller }: IncomingCall,
    callId: string,
    { candidates, route }: RoutePlan,
    idempotency: IdempotencyMark | null,
    budget: Budget | undefined,
  ): Applicant {
    const [first, ...others] = candidates
    const { user, model } = reading.facts
    return {
      callId,
      caller: caller.user === null && user !== null ? { ...caller, user: truncate(256, user) } : caller,
      operation: declaredOperation(exchange),
      dialect: dialect.name,
      requestedModel: model,
      first,
      others,
      dropsExpensive: route.onBudget === 'cheaper',
      idempotency,
      budget,
    }
  }

  #refuse({ exchange, dialect }: IncomingCall, applicant: Applicant, refused: RefusedCall, now: Instant): void {
    const { refusal, quote, levels } = refused
    const { callId, caller, requestedModel: model, first } = applicant
    const { key, user } = caller
    const provider = first.provider.name
    this.#parts.recorder.refused({ callId, atMs: now.wallMs, key, model, provider, refusal, quote }, user, now)
    const headers = rateHeaders(dialect, callId, levels, 'gateway', now)
    headers.push('content-type', 'application/json', dialect.requestIdHeader, callId)
    headers.push('retry-after', String(retryAfterSeconds(refusal.waitMs)), 'retry-after-ms', String(refusal.waitMs))
    headers.push('x-bursar-limited-by', refusal.limits.join(', '))
    if (!refusal.retryable || refusal.waitMs > MAX_CLIENT_RETRY_WAIT_MS) headers.push('x-should-retry', 'false')
    respond(exchange, 429, headers, dialect.refusalBody(refusal, { callId, nowMs: now.wallMs }))
  }

  /** A call that was not admitted, for another reason than a limit. */
  #reject(exchange: Exchange, dialect: Dialect, callId: string, problem: Problem): void {
    this.#parts.recorder.rejected(callId, problem, this.#parts.clock.now())
    this.#sendProblem(exchange, dialect, callId, problem)
  }

  #sendProblem(exchange: Exchange, dialect: Dialect, callId: string, problem: Problem, more: HeaderList = []): void {
    if (exchange.headersSent || exchange.clientGone) return
    const headers: HeaderList = ['x-bursar-call-id', callId, 'x-bursar-source', 'gateway']
    headers.push(
      dialect.requestIdHeader,
      callId,
      'content-type',
      'application/json',
      ...adviceHeaders(problem),
      ...more,
    )
    respond(
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
export async function readBody(exchange: Exchange, mostBytes: number, holding: PermitLease): Promise<Buffer> {
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
function modelOf({ reading }: IncomingCall): string {
  const { model } = reading.facts
  if (model.length > MAX_MODEL_CHARACTERS)
    throw new Problem('invalid_request', 'The name of the model is too long.', 'model')
  return model
}

function isSameTarget(one: Candidate, other: Candidate): boolean {
  return one.provider === other.provider && one.model === other.model
}

function respond(exchange: Exchange, status: number, headers: HeaderList, text: string): void {
  const body = Buffer.from(text)
  exchange.writeHead(status, [...headers, 'content-length', String(body.length)])
  exchange.end(body)
}
