// Routing: which targets may answer a model, in what order, and what each of them is asked in.

import { NO_ROUTES, type RouteRow, type RouteRows } from '../config/routes.ts'
import type { CircuitPass, Circuits } from '../core/circuit.ts'
import type { PriceBook } from '../core/prices.ts'
import { Problem } from '../core/problem.ts'
import { namedTarget, nativeProvider, type Target, unsupportedDialectProblem } from '../providers/index.ts'
import type { Provider } from '../providers/provider.ts'
import { translatorOf } from '../translate/index.ts'
import { Translation } from '../translate/translation.ts'
import type { Dialect } from '../wire/dialect.ts'
import { dialectNamed, isDialectName } from '../wire/index.ts'

/** A target, and what it is asked in. */
export interface RouteTarget extends Target {
  readonly dialect: Dialect
  /** Where that is not what the caller speaks. */
  readonly translation: Translation | undefined
}

export interface Route extends Omit<RouteRow, 'targets'> {
  readonly targets: readonly [RouteTarget, ...RouteTarget[]]
  /** The caller did not name a target. */
  readonly isAlias: boolean
}

/** Those that can be asked now, at least one, and how the first of them may be. */
export interface RoutablePlan<Some> {
  readonly candidates: readonly [Some, ...Some[]]
  readonly circuitPass: CircuitPass
}

export interface RoutingParts {
  /** As they are now. */
  readonly providers: readonly Provider[]
  readonly prices: PriceBook
  readonly circuits: Circuits
}

export class Routing {
  readonly #parts: RoutingParts
  #rows = NO_ROUTES

  constructor(parts: RoutingParts) {
    this.#parts = parts
  }

  /** Puts rows in force for calls to come. */
  change(rows: RouteRows): void {
    this.#rows = rows
  }

  /** Names that stand for models here, for listings. */
  get aliases(): readonly string[] {
    return [...this.#rows.aliases.keys()]
  }

  /** Throws Problem where nobody answers that model in that dialect. @param wallMs prices change by date */
  route(dialect: Dialect, model: string, wallMs: number): Route {
    const alias = this.#rows.aliases.get(model)
    if (!alias) {
      const target = this.#target(dialect, model, wallMs)
      return { targets: [target], retries: this.#rows.retries, onBudget: 'refuse', isAlias: false }
    }
    const targets = alias.targets.flatMap((one) => this.#targetOrNone(dialect, one, wallMs) ?? [])
    const configured = targets.filter(({ provider }) => provider.configured)
    const [first, ...others] = configured.length > 0 ? configured : targets
    // Nobody of them speaks that dialect: whoever is named first says so.
    return { ...alias, targets: [first ?? this.#target(dialect, alias.targets[0], wallMs), ...others], isAlias: true }
  }

  /** The best first: those that refused a call of late come last. Throws Problem `circuit_open` where nobody can be asked. */
  firstRoutable<Some extends Target>(candidates: readonly [Some, ...Some[]], monoMs: number): RoutablePlan<Some> {
    const { circuits } = this.#parts
    const cooling = ({ provider, model }: Target) => circuits.coolingMs(provider.name, model, monoMs)
    let rest: readonly Some[] =
      candidates.length > 1 ? candidates.toSorted((one, other) => cooling(one) - cooling(other)) : candidates
    const isOpen = ({ provider, model }: Target) => circuits.isOpen(provider.name, model, monoMs)
    let waitMs = Number.POSITIVE_INFINITY
    for (let [first, ...others] = rest; first; [first, ...others] = rest) {
      const passage = circuits.acquire(first.provider.name, first.model, monoMs)
      if (passage.kind !== 'open')
        return { candidates: [first, ...others.filter((one) => !isOpen(one))], circuitPass: passage }
      waitMs = Math.min(waitMs, passage.retryAfterMs)
      rest = others
    }
    const message = 'Calls to this model keep failing at the provider: none are sent for a moment.'
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
    const spoken = provider.dialects.filter(isDialectName).find((name) => translatorOf(name) !== undefined)
    const [caller, translator] = [translatorOf(dialect.name), translatorOf(spoken ?? '')]
    if (!spoken || !caller || !translator) throw unsupportedDialectProblem(provider, dialect.name)
    return { ...target, dialect: dialectNamed(spoken), translation: new Translation(caller, translator) }
  }

  /** Whoever lists a model that is named alone. Whose own the dialect is comes first, and is asked what nobody knows. */
  #resolveModel(dialect: Dialect, model: string, wallMs: number): Target {
    const { providers, prices } = this.#parts
    const lists = (provider: Provider) => prices.serves(provider.priceName, model, wallMs)
    const own = nativeProvider(providers, dialect.name)
    // A name with a provider in front that is not there any more goes to nobody else.
    if ((own.configured && lists(own)) || model.includes('/')) return { provider: own, model }
    const translates = translatorOf(dialect.name) !== undefined
    const others = providers.filter((one) => !one.simulated && (translates || one.dialects.includes(dialect.name)))
    const other = others.find((one) => one.configured && lists(one)) ?? (lists(own) ? own : others.find(lists))
    return { provider: other ?? own, model }
  }
}
