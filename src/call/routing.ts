// Routing: the targets that can answer a model, in order, each with the dialect of its requests. It sends and reserves nothing.

import { NO_ROUTES, type RouteRow, type RouteRows } from '../config/routes.ts'
import { type CircuitPass, type Circuits, CLOSED_PASS } from '../core/circuit.ts'
import type { PriceBook } from '../core/prices.ts'
import { Problem } from '../core/problem.ts'
import { namedTarget, nativeProvider, type Target, unsupportedDialectProblem } from '../providers/index.ts'
import type { Provider } from '../providers/provider.ts'
import { translatorOf } from '../translate/index.ts'
import { Translation } from '../translate/translation.ts'
import type { Dialect } from '../wire/dialect.ts'
import { dialectNamed, isDialectName } from '../wire/index.ts'

/** A target, and the dialect of the requests that are sent to it. */
export interface RouteTarget extends Target {
  readonly dialect: Dialect
  /** Set if the caller speaks another dialect than the target. */
  readonly translation: Translation | undefined
}

/** Where the calls for a model may go. */
export interface Route extends Omit<RouteRow, 'targets'> {
  readonly targets: readonly [RouteTarget, ...RouteTarget[]]
  /** True if the caller named an alias, and no target. */
  readonly isAlias: boolean
}

/** The candidates whose circuits let calls through, and the pass for the first one. */
export interface RoutablePlan<Candidate> {
  readonly candidates: readonly [Candidate, ...Candidate[]]
  readonly circuitPass: CircuitPass
}

interface RoutingParts {
  /** Read anew for every call, since a reload replaces the list. */
  readonly providers: readonly Provider[]
  readonly prices: PriceBook
  readonly circuits: Circuits
}

/**
 * Finds the targets of a call: those of an alias from `bursar.json`, the one of `provider/model`, or the provider that lists a bare
 * model name. Targets in another dialect are included if there are translators for both.
 *
 * @example
 * const { targets } = routing.route(dialectNamed('openai.chat'), 'fast', now.wallMs)
 * const candidates = candidatesOf(targets, call, callers)
 * const { candidates: [first], circuitPass } = routing.firstRoutable(candidates, now.monoMs)
 */
export class Routing {
  readonly #parts: RoutingParts
  #rows = NO_ROUTES

  constructor(parts: RoutingParts) {
    this.#parts = parts
  }

  /** Replaces the aliases for calls to come. */
  change(rows: RouteRows): void {
    this.#rows = rows
  }

  /** The names of all aliases, for listings of models. */
  get aliases(): readonly string[] {
    return [...this.#rows.aliases.keys()]
  }

  /** The names of the targets of all aliases, as bursar.json has them. */
  get aliasTargets(): readonly string[] {
    return [...this.#rows.aliases.values()].flatMap(({ targets }) => targets)
  }

  /**
   * The targets of a model, in order. Throws Problem `not_found` if no target can answer this dialect.
   * @param wallMs which models a provider lists depends on the date
   */
  route(dialect: Dialect, model: string, wallMs: number): Route {
    const alias = this.#rows.aliases.get(model)
    if (!alias) {
      const target = this.#target(dialect, model, wallMs)
      return { targets: [target], retries: this.#rows.retries, onBudget: 'refuse', isAlias: false }
    }
    const targets = alias.targets.flatMap((name) => this.#targetOrNone(dialect, name, wallMs) ?? [])
    const configured = targets.filter(({ provider }) => provider.configured)
    const [first, ...others] = configured.length > 0 ? configured : targets
    // If no target can answer this dialect, the first one throws the problem.
    return { ...alias, targets: [first ?? this.#target(dialect, alias.targets[0], wallMs), ...others], isAlias: true }
  }

  /** Each target of an alias, in OpenAI's dialect. */
  targetsOfAlias(name: string, wallMs: number): readonly { readonly provider: string; readonly model: string }[] {
    return (this.#rows.aliases.get(name)?.targets ?? []).map((target) => this.#locate(target, wallMs))
  }

  /** The provider that a call with this model would go to first, in OpenAI's dialect, and the model there. */
  locate(model: string, wallMs: number): { readonly provider: string; readonly model: string } {
    return this.#locate(this.#rows.aliases.get(model)?.targets[0] ?? model, wallMs)
  }

  /** @param name of a model, and of no alias */
  #locate(name: string, wallMs: number): { readonly provider: string; readonly model: string } {
    const target =
      namedTarget(this.#parts.providers, name) ?? this.#resolveModel(dialectNamed('openai.chat'), name, wallMs)
    return { provider: target.provider.name, model: target.model }
  }

  /**
   * The candidates whose circuits are not open; those that refused a call lately come last. Acquires the circuit of the first one.
   * Throws Problem `circuit_open` if all circuits are open.
   * @param nowMs monotonic milliseconds
   */
  firstRoutable<Candidate extends Target>(
    candidates: readonly [Candidate, ...Candidate[]],
    nowMs: number,
  ): RoutablePlan<Candidate> {
    const { circuits } = this.#parts
    if (circuits.areAllClosed) return { candidates, circuitPass: CLOSED_PASS }
    const coolingMs = ({ provider, model }: Target) => circuits.coolingMs(provider.name, model, nowMs)
    const isOpen = ({ provider, model }: Target) => circuits.isOpen(provider.name, model, nowMs)
    const sorted = candidates.toSorted((a, b) => coolingMs(a) - coolingMs(b))
    let waitMs = Number.POSITIVE_INFINITY
    for (const [index, first] of sorted.entries()) {
      const circuitPass = circuits.acquire(first.provider.name, first.model, nowMs)
      if (circuitPass.kind !== 'open') {
        const others = sorted.slice(index + 1).filter((candidate) => !isOpen(candidate))
        return { candidates: [first, ...others], circuitPass }
      }
      waitMs = Math.min(waitMs, circuitPass.retryAfterMs)
    }
    const message = `Calls to this model are failing at the provider; try again in ${Math.ceil(waitMs / 1000)} s.`
    throw new Problem('circuit_open', message, 'model', { retryAfterMs: waitMs })
  }

  #targetOrNone(dialect: Dialect, model: string, wallMs: number): RouteTarget | undefined {
    try {
      return this.#target(dialect, model, wallMs)
    } catch {
      return undefined
    }
  }

  #target(dialect: Dialect, model: string, wallMs: number): RouteTarget {
    const target = namedTarget(this.#parts.providers, model) ?? this.#resolveModel(dialect, model, wallMs)
    const { provider } = target
    if (provider.dialects.includes(dialect.name)) return { ...target, dialect, translation: undefined }
    const translatable = provider.dialects.filter(isDialectName).find((name) => translatorOf(name) !== undefined)
    const [caller, translator] = [translatorOf(dialect.name), translatorOf(translatable ?? '')]
    if (!translatable || !caller || !translator)
      throw unsupportedDialectProblem(provider, dialect.name, translatable && dialect.translatedPath)
    return { ...target, dialect: dialectNamed(translatable), translation: new Translation(caller, translator) }
  }

  /**
   * Picks a provider for a bare model name: the native provider of the dialect if it lists the model, else another provider that
   * does, else the native one.
   */
  #resolveModel(dialect: Dialect, model: string, wallMs: number): Target {
    const { providers, prices } = this.#parts
    const lists = (provider: Provider) => prices.serves(provider.priceName, model, wallMs)
    const native = nativeProvider(providers, dialect.name)
    // `gone/model`: if the provider before the slash was removed, no other provider gets the call.
    if ((native.configured && lists(native)) || model.includes('/')) return { provider: native, model }
    const canTranslate = translatorOf(dialect.name) !== undefined
    const others = providers.filter(
      ({ simulated, dialects }) => !simulated && (canTranslate || dialects.includes(dialect.name)),
    )
    const configured = others.find((provider) => provider.configured && lists(provider))
    const provider = configured ?? (lists(native) ? native : others.find(lists)) ?? native
    return { provider, model }
  }
}
