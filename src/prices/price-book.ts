// The price book: prices and limits of every known model, from genai-prices, our corrections and the operator. It compiles a
// name once and remembers it. It does no I/O and never guesses: an unknown name has no price.

import { type ModelFacts, type PriceBook, ratesOf } from '../core/prices.ts'
import { RecentMap } from '../core/recent-map.ts'
import { libraryFacts, listedModels, type PriceSpan, spanAt, type TimedModelFacts, type Timeline } from './library.ts'
import { familyNames, modelNames } from './model-names.ts'
import { isClaude } from './rates.ts'
import { NO_TIERS } from './service-tiers.ts'
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
  timeline: {
    spans: [undefined],
    prices: [
      {
        version: 'simulated@1',
        steps: [
          {
            fromInputTokens: 0,
            rates: ratesOf({ input: 1_000_000_000n, cacheRead: 100_000_000n, output: 2_000_000_000n }),
          },
        ],
        serviceTierPercent: NO_TIERS,
      },
    ],
  },
  limits: { contextWindow: 128_000, maxOutput: 4_096, usualOutput: 64 },
}

const UNKNOWN_FACTS: ModelFacts = Object.freeze({ price: undefined, limits: undefined })

/** The facts of a model over time: `facts[index]` holds in `spans[index]`. */
interface CachedModel {
  readonly spans: readonly PriceSpan[]
  readonly facts: readonly ModelFacts[]
}

/**
 * A price book whose prices change while it is in use. Prices set in code lie under those of `bursar.json`; for both, the
 * entry of a named provider wins over that of `*`.
 */
export class EditablePriceBook implements PriceBook {
  /** Prices by provider and name, in lower case. */
  readonly #codePrices = new Map<string, UserLayer>()
  #userPrices: UserPrices = new Map()
  readonly #timelines = new Map<string, Timeline>()
  readonly #modelsByProvider = new Map<string, RecentMap<CachedModel>>()

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
    // The library lists Claude among Google's models: Vertex serves it, the Gemini endpoint does not.
    return !(provider === 'gemini' && isClaude(model))
  }

  /** Sets a price in code. Throws a RangeError that names the mistake. */
  addPrice(provider: string, model: string, price: UserPrice): void {
    this.#codePrices.set(...compileUserLayer({ provider, model, price }, 'code'))
    this.#modelsByProvider.clear()
  }

  /** Replaces all prices of `bursar.json`. Cannot fail: `compileUserPrices` found the mistakes. */
  useUserPrices(prices: UserPrices): void {
    this.#userPrices = prices
    this.#modelsByProvider.clear()
  }

  /** Compiles and replaces all prices of `bursar.json`. On a mistake, throws a RangeError and keeps the old ones. */
  replaceUserPrices(entries: readonly UserPriceEntry[]): void {
    this.useUserPrices(compileUserPrices(entries))
  }

  /** Ids of the models of a provider with a known price, sorted: the library's and the operator's. */
  models(provider: string): readonly string[] {
    const prefix = `${provider}\n`
    const ownKeys = [...this.#codePrices.keys(), ...this.#userPrices.keys()].filter((key) => key.startsWith(prefix))
    const ids = new Set([...listedModels(provider), ...ownKeys.map((key) => key.slice(prefix.length))])
    return [...ids].filter((id) => this.find(provider, id, 0).price !== undefined).sort()
  }

  /** How many names are remembered now: at most `MAX_NAMES` for each provider. */
  get cachedNameCount(): number {
    return [...this.#modelsByProvider.values()].reduce((sum, models) => sum + models.size, 0)
  }

  #compile(provider: string, model: string): CachedModel {
    const spellings = modelNames(provider, model)
    const { timeline, limits } =
      provider === 'simulated' ? SIMULATED_MODEL : libraryFacts(provider, spellings, model, this.#timelines)
    const layers = this.#layersOf(provider, [...spellings, ...familyNames(model)])
    const facts = timeline.prices.map((price) =>
      layers.reduce<ModelFacts>((under, layer) => applyLayer(under, layer, isClaude(model)), { price, limits }),
    )
    return { spans: timeline.spans, facts }
  }

  /** The lowest layer first. */
  #layersOf(provider: string, names: readonly string[]): readonly UserLayer[] {
    return ['*', provider]
      .flatMap((owner) => [findLayer(this.#codePrices, owner, names), findLayer(this.#userPrices, owner, names)])
      .filter((layer) => layer !== undefined)
  }
}

/** A price book with the library's prices and our corrections, and no user prices yet. */
export function createPriceBook(): EditablePriceBook {
  return new EditablePriceBook()
}
