// The price book: what every known model costs and can take, from genai-prices, our own corrections and the operator.
// It compiles a name once and remembers it; it does no I/O and never guesses: an unknown name has no price.

import { type ModelFacts, type PriceBook, ratesOf } from '../core/prices.ts'
import { RecentNames } from '../core/recent-map.ts'
import { type Known, libraryFacts, listed, type Span, spanAt, type Timeline } from './library.ts'
import { familyNames, modelNames } from './model-names.ts'
import { isClaude } from './rates.ts'
import { NO_TIERS } from './service-tiers.ts'
import { layerOf, overlay, type UserLayer, type UserPrice, type UserPriceEntry, userLayer } from './user-prices.ts'

/** Names remembered of one provider, known or not: callers choose names, so this bounds what they can make us hold. */
export const MOST_NAMES = 10_000

export interface EditablePriceBook extends PriceBook {
  /** Sets a price in code. Throws a RangeError that names the mistake. */
  addPrice(provider: string, model: string, price: UserPrice): void
  /** Swaps all prices of `bursar.json` at once; on a mistake throws a RangeError and keeps the old ones. */
  replaceUserPrices(entries: readonly UserPriceEntry[]): void
  /** Ids of the models with a known price, for listings: the library's and the operator's. */
  models(provider: string): readonly string[]
  /** How many names are remembered now; at most `MOST_NAMES` of each provider. */
  readonly remembered: number
}

const SIMULATED: Known = {
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
const LONGEST_NAME = 512

export function createPriceBook(): EditablePriceBook {
  const timelines = new Map<string, Timeline>()
  const inCode = new Map<string, UserLayer>()
  let inFile: ReadonlyMap<string, UserLayer> = new Map()
  const remembered = new Map<string, RecentNames<RememberedModel>>()

  function remember(provider: string, model: string): RememberedModel {
    const spellings = modelNames(provider, model)
    const known = provider === 'simulated' ? SIMULATED : libraryFacts(provider, spellings, model, timelines)
    const own = [...spellings, ...familyNames(model)]
    const layers = ['*', provider].flatMap((owner) => [inCode, inFile].map((source) => layerOf(source, owner, own)))
    const facts = known.timeline.prices.map((price) => {
      let found: ModelFacts = { price, limits: known.limits }
      for (const layer of layers) if (layer) found = overlay(found, layer, isClaude(model))
      return found
    })
    return { spans: known.timeline.spans, facts }
  }

  function find(provider: string, model: string, atMs: number): ModelFacts {
    if (model.length > LONGEST_NAME) return UNKNOWN_FACTS
    let names = remembered.get(provider)
    if (!names) remembered.set(provider, (names = new RecentNames(MOST_NAMES)))
    let known = names.get(model)
    if (!known) names.set(model, (known = remember(provider, model)))
    return known.facts[known.spans.length === 1 ? 0 : spanAt(known.spans, atMs)] ?? UNKNOWN_FACTS
  }

  return {
    find,
    // The library prices Claude at Google's, too: Vertex has it, the Gemini endpoint has not.
    serves: (provider, model, atMs) =>
      find(provider, model, atMs).price !== undefined && !(provider === 'gemini' && isClaude(model)),
    addPrice(provider, model, price) {
      inCode.set(...userLayer({ provider, model, price }, 'code'))
      remembered.clear()
    },
    replaceUserPrices(entries) {
      inFile = new Map(entries.map((entry) => userLayer(entry, 'bursar.json')))
      remembered.clear()
    },
    models(provider) {
      const mark = `${provider}\n`
      const own = [...inCode.keys(), ...inFile.keys()].filter((key) => key.startsWith(mark))
      const ids = new Set([...listed(provider), ...own.map((key) => key.slice(mark.length))])
      return [...ids].filter((id) => find(provider, id, 0).price !== undefined).sort()
    },
    get remembered() {
      return [...remembered.values()].reduce((sum, names) => sum + names.size, 0)
    },
  }
}

interface RememberedModel {
  readonly spans: readonly Span[]
  readonly facts: readonly ModelFacts[]
}
