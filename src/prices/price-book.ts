// The price book: what every known model costs and can take, from genai-prices, our own corrections and the operator.
// It compiles a name once and remembers it; it does no I/O and never guesses: an unknown name has no price.

import { type ModelFacts, type PriceBook, ratesOf } from '../core/prices.ts'
import { RecentMap } from '../core/recent-map.ts'
import { libraryFacts, listedModels, type PriceSpan, spanAt, type TimedModelFacts, type Timeline } from './library.ts'
import { familyNames, modelNames } from './model-names.ts'
import { isClaude } from './rates.ts'
import { NO_TIERS } from './service-tiers.ts'
import {
  applyLayer,
  type CompiledUserPrices,
  compileUserLayer,
  compileUserPrices,
  findLayer,
  type UserLayer,
  type UserPrice,
  type UserPriceEntry,
} from './user-prices.ts'

/** Names remembered of one provider, known or not: callers choose names, so this bounds what they can make us hold. */
export const MAX_NAMES = 10_000

export interface EditablePriceBook extends PriceBook {
  /** Sets a price in code. Throws a RangeError that names the mistake. */
  addPrice(provider: string, model: string, price: UserPrice): void
  /** Puts compiled prices of `bursar.json` in force, in place of those before. Never throws. */
  useUserPrices(prices: CompiledUserPrices): void
  /** Swaps all prices of `bursar.json` at once; on a mistake throws a RangeError and keeps the old ones. */
  replaceUserPrices(entries: readonly UserPriceEntry[]): void
  /** Ids of the models with a known price, for listings: the library's and the operator's. */
  models(provider: string): readonly string[]
  /** How many names are remembered now; at most `MOST_NAMES` of each provider. */
  readonly cachedNameCount: number
}

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

/** Longer names are nobody's model; they are answered without being remembered. */
const MAX_NAME_CHARACTERS = 512

export function createPriceBook(): EditablePriceBook {
  const timelines = new Map<string, Timeline>()
  const inCode = new Map<string, UserLayer>()
  let inFile: CompiledUserPrices = new Map()
  const remembered = new Map<string, RecentMap<CachedModel>>()

  function remember(provider: string, model: string): CachedModel {
    const spellings = modelNames(provider, model)
    const known = provider === 'simulated' ? SIMULATED_MODEL : libraryFacts(provider, spellings, model, timelines)
    const own = [...spellings, ...familyNames(model)]
    const layers = ['*', provider].flatMap((owner) => [inCode, inFile].map((source) => findLayer(source, owner, own)))
    const facts = known.timeline.prices.map((price) => {
      let found: ModelFacts = { price, limits: known.limits }
      for (const layer of layers) if (layer) found = applyLayer(found, layer, isClaude(model))
      return found
    })
    return { spans: known.timeline.spans, facts }
  }

  function find(provider: string, model: string, atMs: number): ModelFacts {
    if (model.length > MAX_NAME_CHARACTERS) return UNKNOWN_FACTS
    let names = remembered.get(provider)
    if (!names) remembered.set(provider, (names = new RecentMap(MAX_NAMES)))
    let known = names.get(model)
    if (!known) names.set(model, (known = remember(provider, model)))
    return known.facts[known.spans.length === 1 ? 0 : spanAt(known.spans, atMs)] ?? UNKNOWN_FACTS
  }

  function useUserPrices(prices: CompiledUserPrices): void {
    inFile = prices
    remembered.clear()
  }

  return {
    find,
    // The library prices Claude at Google's, too: Vertex has it, the Gemini endpoint has not.
    serves: (provider, model, atMs) =>
      find(provider, model, atMs).price !== undefined && !(provider === 'gemini' && isClaude(model)),
    addPrice(provider, model, price) {
      inCode.set(...compileUserLayer({ provider, model, price }, 'code'))
      remembered.clear()
    },
    useUserPrices,
    replaceUserPrices: (entries) => useUserPrices(compileUserPrices(entries)),
    models(provider) {
      const mark = `${provider}\n`
      const own = [...inCode.keys(), ...inFile.keys()].filter((key) => key.startsWith(mark))
      const ids = new Set([...listedModels(provider), ...own.map((key) => key.slice(mark.length))])
      return [...ids].filter((id) => find(provider, id, 0).price !== undefined).sort()
    },
    get cachedNameCount() {
      return [...remembered.values()].reduce((sum, names) => sum + names.size, 0)
    },
  }
}

interface CachedModel {
  readonly spans: readonly PriceSpan[]
  readonly facts: readonly ModelFacts[]
}
