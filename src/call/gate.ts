// Gate: one call, top to bottom. Who calls, for what, where to, at what cost at most, and may they; then a relay sends the call,
// meters it and settles it. No call is sent before its reservation is in the ledger.

import type { Settings } from '../config/settings.ts'
import type { CircuitPass, Circuits } from '../core/circuit.ts'
import type { Clock, Timers } from '../core/clock.ts'
import type { Instant } from '../core/meter.ts'
import { PermitLease, Permits } from '../core/permits.ts'
import type { PriceBook } from '../core/prices.ts'
import { Problem } from '../core/problem.ts'
import type { QuoteOverruns } from '../core/quote-overruns.ts'
import type { InputCounter } from '../counting/input-counter.ts'
import type { Exchange } from '../exchange/exchange.ts'
import { readJsonBody } from '../exchange/json-body.ts'
import { type Callers, declaredItems, declaredOperation, type Identity } from '../keys/callers.ts'
import type { Provider } from '../providers/provider.ts'
import { type Store, StoreUnavailable } from '../stores/store.ts'
import { internalFailure, type Telemetry } from '../telemetry/call-events.ts'
import type { Dialect } from '../wire/dialect.ts'
import { AdmissionControl, type ChangingLimits, KeyChanged } from './admission.ts'
import { type AdmittedCall, type Applicant, type Budget, isSameTarget, type RefusedCall } from './applicant.ts'
import { CallPlanner, type RoutePlan } from './call-planner.ts'
import type { IncomingCall } from './candidates.ts'
import { Deadlines } from './deadlines.ts'
import type { DispatchContext, SendInstead } from './dispatch.ts'
import { sendProblem, sendRefusal } from './gateway-answers.ts'
import type { Idempotency, IdempotencyMark } from './idempotency.ts'
import { type PlanParts, planAttempts, planWithoutHandler } from './planned-attempts.ts'
import { Relay, type RelayParts } from './relay.ts'
import type { Routing } from './routing.ts'
import { SettlementCalculator } from './settlement-amounts.ts'

interface GateParts {
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
  readonly telemetry: Telemetry
  readonly quoteOverruns: Pick<QuoteOverruns, 'percent'>
  readonly inputCounter: InputCounter
  readonly limits: ChangingLimits
  readonly newCallId: () => string
  readonly random: () => number
}

interface CallOptions {
  /** Sends in place of the provider. The provider's price and rules still apply. */
  readonly sendInstead?: SendInstead
  /** For a handler that sends in place of the provider: called once the call is admitted, before it is sent. */
  readonly onStart?: (call: HandlerCall) => void
  /** What all calls of the same task may cost together. */
  readonly budget?: Budget
}

/** An admitted call that a handler answers in a provider's place. */
export interface HandlerCall {
  readonly relay: Relay
  /**
   * The gateway's own targets answer in place of the handler, within the same reservation. Never throws: if there is no target, the
   * caller gets the problem, and the call is free. Returns false, and does nothing, once an answer has begun.
   * @param body as it is to be sent, if that is another than the caller's
   */
  answerByTargets(body?: Buffer): boolean
}

/** A call as it was decided. */
interface Decision {
  readonly call: IncomingCall
  readonly plan: RoutePlan
  readonly applicant: Applicant
  readonly admission: AdmittedCall | RefusedCall
  readonly now: Instant
}

/** A call is decided anew if its key changes meanwhile: this often at most. */
const MAX_DECISIONS = 100

const NO_TARGET_FITS =
  'No target of the gateway can answer this call now: their circuits are open, or they cost more than the money left.'

/**
 * Takes calls from their request to their settlement. One gate serves a process: it holds what its calls share, which is their
 * deadlines, and permits for the bytes that they keep and for answers that are read on without a client.
 */
export class Gate {
  readonly #parts: GateParts
  readonly #relayParts: RelayParts
  readonly #planParts: PlanParts
  readonly #planner: CallPlanner
  readonly admissionControl: AdmissionControl
  readonly #bufferedBytes: Permits
  #activeLeases = 0
  #isClosing = false

  constructor(parts: GateParts) {
    const { clock, timers, circuits, random, settings } = parts
    this.#parts = parts
    this.admissionControl = new AdmissionControl(parts)
    this.#planner = new CallPlanner(parts)
    this.#bufferedBytes = new Permits(settings.MAX_BUFFERED_BYTES)
    this.#relayParts = {
      ...parts,
      settlementCalculator: new SettlementCalculator(settings),
      deadlines: new Deadlines(clock, timers, settings.UPSTREAM_TIMEOUT_MS),
      drains: new Permits(settings.MAX_DRAINS),
      moves: { inProgress: 0 },
    }
    this.#planParts = { admissionControl: this.admissionControl, circuits, clock, random }
  }

  /** How many calls are sent and not over, or have their files counted. */
  get inFlight(): number {
    return this.#relayParts.deadlines.size + this.admissionControl.countedCalls
  }

  /**
   * Requests in `withBufferLease`: pattern runs and the gateway's own endpoints, which are no calls but may make some.
   * Shutdown waits for them.
   */
  get activeLeases(): number {
    return this.#activeLeases
  }

  /** How many reservations are being moved. Their calls settle afterwards, even if they were ended meanwhile. */
  get movesInProgress(): number {
    return this.#relayParts.moves.inProgress
  }

  get isClosing(): boolean {
    return this.#isClosing
  }

  /** From now on, new calls get the problem `shutting_down`. */
  close(): void {
    this.#isClosing = true
  }

  /** Ends all calls in flight with the error of their dialect. */
  expireAll(): void {
    this.#relayParts.deadlines.expireAll()
  }

  /**
   * Takes one call from its request to its last byte. Never rejects: every failure is answered, recorded and settled.
   * @param exchange the two ends of the call: a request to read, an answer to write
   * @param dialect the dialect of the request, and of the answer
   * @example
   * const exchange = new NodeExchange(incoming, outgoing)
   * await gate.call(exchange, dialectNamed('openai.chat'))
   */
  async call(exchange: Exchange, dialect: Dialect, options: CallOptions = {}): Promise<void> {
    const { callers, newCallId, settings, telemetry } = this.#parts
    const callId = newCallId()
    const lease = new PermitLease(this.#bufferedBytes)
    let mark: IdempotencyMark | undefined
    try {
      // No promise for a key that was used lately, so that its calls wait for nothing.
      const identified = callers.identify(exchange)
      const identity = identified instanceof Promise ? await identified : identified
      if (this.#isClosing) throw new Problem('shutting_down', 'The gateway is stopping.')
      const body = await readJsonBody(exchange, settings.MAX_BODY_BYTES, lease)
      const read = this.#planner.read(exchange, dialect, body, identity)
      const idempotencyKey = exchange.header('idempotency-key')
      if (idempotencyKey !== undefined) mark = await this.#acquireMark(read, idempotencyKey)
      const { call, plan, applicant, admission, now } = await this.#decide(read, callId, mark ?? null, options)
      if (!admission.admitted) return this.#refuse(call, applicant, admission, now)
      const { facts, levels, unenforced } = admission
      telemetry.emit({ kind: 'admitted', at: now, facts, levels, unenforced })

      const context = { call, callId, isAlias: plan.route.isAlias, sendInstead: options.sendInstead, settings, now }
      const attempts = planAttempts(this.#planParts, context, plan, plan.route.retries, admission)
      const relay = new Relay(this.#relayParts, exchange, dialect, lease, attempts)
      options.onStart?.({
        relay,
        answerByTargets: (changed) => this.#answerByTargets(relay, context, admission, changed ?? body),
      })
      relay.send()
      await relay.done
    } catch (error) {
      this.#reject(exchange, dialect, callId, error)
    } finally {
      lease.release()
      if (mark) this.#parts.idempotency.release(mark)
    }
  }

  /** Answers a request that is not taken as a call, and records that. */
  reject(exchange: Exchange, dialect: Dialect, problem: Problem): void {
    this.#reject(exchange, dialect, this.#parts.newCallId(), problem)
  }

  /** Lends permits for buffered bytes of requests and answers until `use` resolves. */
  async withBufferLease<Value>(use: (lease: PermitLease) => Promise<Value>): Promise<Value> {
    const lease = new PermitLease(this.#bufferedBytes)
    this.#activeLeases += 1
    try {
      return await use(lease)
    } finally {
      lease.release()
      this.#activeLeases -= 1
    }
  }

  /** The applicant that a request would be, with nothing reserved or sent. Throws Problem as `call` answers it. */
  applicantFor(exchange: Exchange, dialect: Dialect, body: Buffer, identity: Identity): Applicant {
    const call = this.#planner.read(exchange, dialect, body, identity)
    const plan = this.#planner.planUnsent(call, this.#parts.clock.now())
    return this.#applicant(call, this.#parts.newCallId(), plan, null, undefined)
  }

  /**
   * Where a call goes, and whether it may. A call whose key changes before it is admitted is decided anew, by all of the key as it is
   * then: no call is permitted by one record and limited by another. Rejects with Problem, and with StoreUnavailable.
   */
  async #decide(
    read: IncomingCall,
    callId: string,
    mark: IdempotencyMark | null,
    { sendInstead, budget }: CallOptions,
  ): Promise<Decision> {
    const { callers, clock } = this.#parts
    let call = read
    for (let tries = 1; ; tries++) {
      const now = clock.now()
      const plan = sendInstead ? this.#planner.planForHandler(call) : this.#planner.plan(call, now)
      const applicant = this.#applicant(call, callId, plan, mark, budget)
      try {
        return { call, plan, applicant, admission: await this.#admit(applicant, plan.circuitPass, now), now }
      } catch (error) {
        if (!(error instanceof KeyChanged) || tries === MAX_DECISIONS) throw error
      }
      const { exchange, dialect, body } = call
      call = this.#planner.read(exchange, dialect, body, await callers.identify(exchange))
    }
  }

  /** Rejects with Problem if a call with this key is in flight or was made before. */
  #acquireMark({ exchange, body, caller }: IncomingCall, idempotencyKey: string): Promise<IdempotencyMark> {
    const request = [`${exchange.method} ${exchange.path}?${exchange.query}\n`, body]
    return this.#parts.idempotency.acquire(idempotencyKey, caller.key ?? '', request, this.#parts.clock.now())
  }

  /** See `HandlerCall`. */
  #answerByTargets(relay: Relay, context: DispatchContext, admitted: AdmittedCall, body: Buffer): boolean {
    const { exchange, dialect } = context.call
    try {
      const call = this.#planner.read(exchange, dialect, body, context.call)
      const { route, candidates } = this.#planner.targets(call, this.#parts.clock.now())
      const routed = { ...context, call, isAlias: route.isAlias, sendInstead: undefined }
      const plan = planWithoutHandler(this.#planParts, routed, candidates, route.retries, admitted)
      return relay.replaceHandler(plan, new Problem('upstream_unreachable', NO_TARGET_FITS))
    } catch (error) {
      return relay.replaceHandler(undefined, this.#problemOf(error, context.callId))
    }
  }

  #applicant(
    call: IncomingCall,
    callId: string,
    { candidates, route }: RoutePlan,
    idempotency: IdempotencyMark | null,
    budget: Budget | undefined,
  ): Applicant {
    const [first, ...others] = candidates
    const { exchange, dialect, reading, caller, key } = call
    return {
      callId,
      caller,
      key,
      operation: declaredOperation(exchange),
      items: declaredItems(exchange),
      metadata: reading.facts.metadata,
      dialect: dialect.name,
      requestedModel: reading.facts.model,
      first,
      others,
      dropsExpensive: route.onBudget === 'cheaper',
      hostedTools: this.#planner.hostedToolsRule(call, route),
      idempotency,
      budget,
      prices: this.#parts.prices.inForce,
    }
  }

  /** Rejects with Problem for a call that cannot be quoted, and with StoreUnavailable. */
  #admit(applicant: Applicant, circuitPass: CircuitPass, now: Instant): Promise<AdmittedCall | RefusedCall> {
    if (circuitPass.kind === 'probe') return this.#admitProbe(applicant, circuitPass, now)
    return this.admissionControl.admit(applicant, now)
  }

  /** If the circuit let this call through as its probe, the probe is released when the call is not sent to that target. */
  async #admitProbe(applicant: Applicant, probe: CircuitPass, now: Instant): Promise<AdmittedCall | RefusedCall> {
    let isProbing = false
    try {
      const admission = await this.admissionControl.admit(applicant, now)
      isProbing = admission.admitted && isSameTarget(admission.applicant.first, applicant.first)
      return admission
    } finally {
      const { provider, model } = applicant.first
      if (!isProbing) this.#parts.circuits.release(provider.name, model, probe)
    }
  }

  /** Ends a call that a limit refuses. */
  #refuse({ exchange, dialect, key }: IncomingCall, applicant: Applicant, refused: RefusedCall, now: Instant): void {
    const { refusal, quote, levels } = refused
    const { callId, caller, requestedModel: model, first } = applicant
    const { name: provider, simulated } = first.provider
    this.#parts.telemetry.emit({ kind: 'refused', at: now, callId, caller, model, provider, simulated, refusal, quote })
    const setting = key?.moneyRefusal ?? this.#parts.settings.MONEY_REFUSAL
    sendRefusal(exchange, dialect, { callId, refusal, levels, setting }, now)
  }

  /** Ends a call that cannot be made for another reason than a limit. */
  #reject(exchange: Exchange, dialect: Dialect, callId: string, error: unknown): void {
    const problem = this.#problemOf(error, callId)
    const now = this.#parts.clock.now()
    this.#parts.telemetry.emit({ kind: 'rejected', at: now, callId, problem })
    sendProblem(exchange, dialect, { callId, nowMs: now.wallMs }, problem)
  }

  /** Any error but Problem is a bug, or a ledger that cannot be written: the caller learns no details. */
  #problemOf(error: unknown, callId: string): Problem {
    if (error instanceof Problem) return error
    const { telemetry, store } = this.#parts
    const isUnavailable = error instanceof StoreUnavailable
    const { failure } = store.health
    // A ledger that fails every call has a notice of its own.
    if (!isUnavailable || !failure) telemetry.notify(internalFailure(callId, error))
    if (!isUnavailable) return new Problem('internal', 'The gateway failed; the call was not sent.')
    const text = 'The ledger cannot be written; the call was not sent.'
    // A full disk may soon have room again; a ledger that is lost waits for somebody.
    return new Problem('ledger_unavailable', text, null, failure?.kind === 'lost' ? { retry: false } : {})
  }
}
