// Call planner: reads a call, and finds the targets that may answer it: those of its route that its key permits. It reserves nothing.

import type { HostedToolsRule } from '../config/routes.ts'
import type { Settings } from '../config/settings.ts'
import { CLOSED_PASS } from '../core/circuit.ts'
import type { Caller } from '../core/ledger-entry.ts'
import type { Instant } from '../core/meter.ts'
import type { Exchange } from '../exchange/exchange.ts'
import { type AgentIdentity, agentIdentity } from '../keys/agent-identity.ts'
import { type Callers, type Identity, truncate } from '../keys/callers.ts'
import { nativeTarget, notConfiguredProblem } from '../providers/index.ts'
import type { Provider } from '../providers/provider.ts'
import type { Dialect } from '../wire/dialect.ts'
import { type CallCandidate, candidatesOf, type IncomingCall, modelOf } from './candidates.ts'
import { withHostedToolsRule } from './hosted-tools.ts'
import { checkDeclared, permittedTargets } from './permit.ts'
import type { RoutablePlan, Route, Routing } from './routing.ts'

interface CallPlannerParts {
  readonly settings: Settings
  readonly providers: readonly Provider[]
  readonly callers: Callers
  readonly routing: Routing
}

/** The targets of a call, in order. */
export interface RoutePlan extends RoutablePlan<CallCandidate> {
  readonly route: Pick<Route, 'retries' | 'onBudget' | 'isAlias' | 'hostedTools'>
}

/** The route of a call that a handler answers in a provider's place. */
const HANDLER_ROUTE: RoutePlan['route'] = { retries: 0, onBudget: 'refuse', isAlias: false }

const MAX_USER_CHARACTERS = 256

/** Each method throws Problem for a call that cannot be made. */
export class CallPlanner {
  readonly #parts: CallPlannerParts

  constructor(parts: CallPlannerParts) {
    this.#parts = parts
  }

  /** Throws Problem for a body that the dialect cannot meter, and for a call that does not declare what its key requires. */
  read(exchange: Exchange, dialect: Dialect, body: Buffer, identity: Identity): IncomingCall {
    const defaultCap = this.#parts.settings.DEFAULT_MAX_OUTPUT_TOKENS
    const reading = dialect.readRequest(body, exchange)
    const caller = withIdentity(identity.caller, agentIdentity(reading.facts.user, exchange))
    const call = { exchange, dialect, body, reading, caller, key: identity.key, defaultCap, dropped: [] }
    checkDeclared(call)
    return call
  }

  /** The targets that can answer a call now. */
  plan(call: IncomingCall, now: Instant): RoutePlan {
    const { route, candidates } = this.targets(call, now)
    return { route, ...this.#parts.routing.firstRoutable(candidates, now.monoMs) }
  }

  /** The targets that can answer a call, whatever their circuits are. */
  targets(call: IncomingCall, now: Instant): Pick<RoutePlan, 'route' | 'candidates'> {
    const route = this.#permittedRoute(call, now)
    const [{ provider }] = route.targets
    if (!provider.configured) throw notConfiguredProblem(provider)
    return { route, candidates: candidatesOf(route.targets, this.#ruled(call, route), this.#parts.callers) }
  }

  /** The plan of a call that is not sent: its provider need not be configured, nor its circuit closed. */
  planUnsent(call: IncomingCall, now: Instant): RoutePlan {
    const route = this.#permittedRoute(call, now)
    const candidates = candidatesOf(route.targets, this.#ruled(call, route), undefined)
    return { route, candidates, circuitPass: CLOSED_PASS }
  }

  /** The plan for a handler that stands in for the provider of the call's dialect. */
  planForHandler(call: IncomingCall): RoutePlan {
    const { dialect } = call
    const model = modelOf(call)
    const target = { ...nativeTarget(this.#parts.providers, dialect.name, model), dialect, translation: undefined }
    const targets = permittedTargets(call, [target], model, false)
    const candidates = candidatesOf(targets, this.#ruled(call, HANDLER_ROUTE), undefined)
    return { route: HANDLER_ROUTE, candidates, circuitPass: CLOSED_PASS }
  }

  /** The key's word counts before the alias's, and that before the setting. */
  hostedToolsRule({ key }: IncomingCall, { hostedTools }: RoutePlan['route']): HostedToolsRule | undefined {
    return key?.hostedTools ?? hostedTools ?? (this.#parts.settings.HOSTED_TOOLS || undefined)
  }

  #ruled(call: IncomingCall, route: RoutePlan['route']): IncomingCall {
    return withHostedToolsRule(call, this.hostedToolsRule(call, route))
  }

  /** The targets of a call's model that its key may use. */
  #permittedRoute(call: IncomingCall, now: Instant): Route {
    const model = modelOf(call)
    const route = this.#parts.routing.route(call.dialect, model, now.wallMs)
    const targets = permittedTargets(call, route.targets, model, route.isAlias)
    return targets === route.targets ? route : { ...route, targets }
  }
}

/** What the caller declares by headers of ours wins over what its client tells. */
function withIdentity(caller: Caller, { user, thread }: AgentIdentity): Caller {
  if ((caller.user !== null || user === null) && (caller.thread !== null || thread === null)) return caller
  return {
    ...caller,
    user: caller.user ?? (user === null ? null : truncate(MAX_USER_CHARACTERS, user)),
    thread: caller.thread ?? (thread === null ? null : truncate(MAX_USER_CHARACTERS, thread)),
  }
}
