// The price book: prices and limits of every known model, from the price list and the operator. It compiles a name once and
// remembers it. It never guesses: an unknown name has no price.

import { type ModelFacts, NO_TIERS, type PriceBook, ratesOf } from '../core/prices.ts'
import { RecentMap } from '../core/recent-map.ts'
import { familyNames, modelNames } from './model-names.ts'
import { nearestSibling } from './model-siblings.ts'
import {
  constantTimeline,
  type PriceList,
  shippedPriceList,
  type TimedModelFacts,
  withoutRegion,
} from './price-list.ts'
import { type PriceSpan, spanAt } from './price-spans.ts'
import { isClaude } from './rates.ts'
import {
  applyLayer,
  compileUserLayer,
  compileUserPrices,
  findLayer,
  type UserLayer,
  type UserPrice,
  type UserPriceEntry,
  type UserPrices,
} from './user-prices.ts'

/** Names that are remembered for each provider, known or not. Callers choose names, so the number of names must be bounded. */
export const MAX_NAMES = 10_000

/** No model has a longer name. Longer names are answered and not remembered. */
const MAX_NAME_CHARACTERS = 512

const SIMULATED_MODEL: TimedModelFacts = {
  timeline: constantTimeline({
    version: 'simulated@1',
    steps: [
      {
        fromInputTokens: 0,
        rates: ratesOf({ input: 1_000_000_000n, cacheRead: 100_000_000n, output: 2_000_000_000n }),
      },
    ],
    tiers: NO_TIERS,
  }),
  limits: { contextWindow: 128_000, maxOutput: 4_096, usualOutput: 64 },
  retirement: undefined,
}

const UNKNOWN_FACTS: ModelFacts = Object.freeze({ price: undefined, limits: undefined })

/** The facts of a model over time: `facts[index]` holds in `spans[index]`. */
interface CachedModel {
  readonly spans: readonly PriceSpan[]
  readonly facts: readonly ModelFacts[]
}

/** Everything that prices are made of. */
interface PriceSources {
  readonly list: PriceList
  /** Prices set in code, by provider and name, in lower case. */
  readonly codePrices: ReadonlyMap<string, UserLayer>
  readonly userPrices: UserPrices
}

/** Prices as they are at one time. It compiles a name once and remembers it. */
class PriceSnapshot implements PriceBook {
  readonly sources: PriceSources
  readonly #modelsByProvider = new Map<string, RecentMap<CachedModel>>()

  constructor(sources: PriceSources) {
    this.sources = sources
  }

  get inForce(): PriceBook {
    return this
  }

  find(provider: string, model: string, atMs: number): ModelFacts {
    if (model.length > MAX_NAME_CHARACTERS) return UNKNOWN_FACTS
    let models = this.#modelsByProvider.get(provider)
    if (!models) this.#modelsByProvider.set(provider, (models = new RecentMap(MAX_NAMES)))
    let known = models.get(model)
    if (!known) models.set(model, (known = this.#compile(provider, model)))
    return known.facts[known.spans.length === 1 ? 0 : spanAt(known.spans, atMs)] ?? UNKNOWN_FACTS
  }

  serves(provider: string, model: string, atMs: number): boolean {
    if (this.find(provider, model, atMs).price === undefined) return false
    // The price list has Claude among Google's models: Vertex serves it, the Gemini endpoint does not.
    return !(withoutRegion(provider) === 'gemini' && isClaude(model))
  }

  models(provider: string, atMs: number): readonly string[] {
    const { list, codePrices, userPrices } = this.sources
    const prefix = `${withoutRegion(provider)}\n`
    const ownKeys = [...codePrices.keys(), ...userPrices.keys()].filter((key) => key.startsWith(prefix))
    const listed = provider === 'simulated' ? ['sim/echo'] : list.servedModels(provider, atMs)
    const ids = new Set([...listed, ...ownKeys.map((key) => key.slice(prefix.length))])
    return [...ids].filter((id) => this.find(provider, id, atMs).price !== undefined).sort()
  }

  sibling(provider: string, model: string, atMs: number): string | undefined {
    const rateOf = (name: string) => this.find(provider, name, atMs).price?.steps[0].rates.input ?? 0n
    return nearestSibling(
      model,
      this.models(provider, atMs).map((name) => ({ name, rate: rateOf(name) })),
    )
  }

  get cachedNameCount(): number {
    return [...this.#modelsByProvider.values()].reduce((sum, models) => sum + models.size, 0)
  }

  #compile(provider: string, model: string): CachedModel {
    // The operator's prices hold in every region.
    const owner = withoutRegion(provider)
    const spellings = modelNames(owner, model)
    const { timeline, limits, retirement } =
      provider === 'simulated' ? SIMULATED_MODEL : this.sources.list.facts(provider, spellings, model)
    const layers = this.#layersOf(owner, [...spellings, ...familyNames(model)])
    const facts = timeline.prices.map((price) =>
      layers.reduce<ModelFacts>((under, layer) => applyLayer(under, layer, isClaude(model)), {
        price,
        limits,
        retirement,
      }),
    )
    return { spans: timeline.spans, facts }
  }

  /** The lowest layer first. */
  #layersOf(provider: string, names: readonly string[]): readonly UserLayer[] {
    const { codePrices, userPrices } = this.sources
    return ['*', provider]
      .flatMap((owner) => [findLayer(codePrices, owner, names), findLayer(userPrices, owner, names)])
      .filter((layer) => layer !== undefined)
  }
}

/**
 * A price book whose prices change while it is in use. Prices set in code lie under those of `bursar.json`; for both, the
 * entry of a named provider wins over that of `*`.
 */
export class EditablePriceBook implements PriceBook {
  #inForce: PriceSnapshot

  constructor(list: PriceList) {
    this.#inForce = new PriceSnapshot({ list, codePrices: new Map(), userPrices: new Map() })
  }

  get inForce(): PriceBook {
    return this.#inForce
  }

  /** The list that prices are taken from, under those of the operator. */
  get list(): PriceList {
    return this.#inForce.sources.list
  }

  find(provider: string, model: string, atMs: number): ModelFacts {
    return this.#inForce.find(provider, model, atMs)
  }

  serves(provider: string, model: string, atMs: number): boolean {
    return this.#inForce.serves(provider, model, atMs)
  }

  sibling(provider: string, model: string, atMs: number): string | undefined {
    return this.#inForce.sibling(provider, model, atMs)
  }

  /** Sets a price in code. Throws a RangeError that names the mistake. */
  addPrice(provider: string, model: string, price: UserPrice): void {
    const layer = compileUserLayer({ provider, model, price }, 'code')
    this.#change({ codePrices: new Map([...this.#inForce.sources.codePrices, layer]) })
  }

  /** Replaces the list. The operator's prices stay. */
  useList(list: PriceList): void {
    this.#change({ list })
  }

  /** Replaces all prices of `bursar.json`. Cannot fail: `compileUserPrices` found the mistakes. */
  useUserPrices(userPrices: UserPrices): void {
    this.#change({ userPrices })
  }

  /** Compiles and replaces all prices of `bursar.json`. On a mistake, throws a RangeError and keeps the old ones. */
  replaceUserPrices(entries: readonly UserPriceEntry[]): void {
    this.useUserPrices(compileUserPrices(entries))
  }

  /** Ids of the models that a provider serves now and whose price is known, sorted: the list's and the operator's. */
  models(provider: string, atMs: number): readonly string[] {
    return this.#inForce.models(provider, atMs)
  }

  /** How many names are remembered now: at most `MAX_NAMES` for each provider. */
  get cachedNameCount(): number {
    return this.#inForce.cachedNameCount
  }

  /** Calls that are under way keep the prices that they began with. */
  #change(change: Partial<PriceSources>): void {
    this.#inForce = new PriceSnapshot({ ...this.#inForce.sources, ...change })
  }
}

/** A price book with the prices that this version ships, and no user prices yet. */
export function createPriceBook(): EditablePriceBook {
  return new EditablePriceBook(shippedPriceList())
}
