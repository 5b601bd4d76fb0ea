// Price catalog: what recommendations know of models: rates, limits, and which models could take the place of which.

import { modelNameOf } from '../core/model-name.ts'
import { type ModelFacts, type ModelLimits, type Price, type PriceSteps, type Rates, ratesOf } from '../core/prices.ts'
import { USAGE_CLASSES, type UsageClass } from '../core/usage.ts'
import type { EditablePriceBook } from '../prices/price-book.ts'

/** A provider whose models are compared. */
export interface CatalogProvider {
  readonly name: string
  /** Its name in the price book. */
  readonly priceName: string
  readonly configured: boolean
  readonly simulated: boolean
}

/** A model with a known price and known limits. */
export interface CatalogModel {
  readonly provider: CatalogProvider
  readonly model: string
  /** The model that its dated names and previews belong to. */
  readonly family: string
  /** The words of its name that say what it is made for. */
  readonly purpose: string
  readonly price: Price
  readonly limits: ModelLimits
}

const DAY_MS = 86_400_000
/** A model that ends so soon is no recommendation. */
const MIN_LIFE_MS = 90 * DAY_MS

/**
 * Words in the names of models that are made for one purpose. A model with such a word takes the place of none without it, and the
 * other way round.
 */
const SPECIAL_WORDS: ReadonlySet<string> = new Set(
  `audio realtime tts transcribe whisper voice speech music image images vision vl video embed embedding embeddings rerank moderation search
  ocr guard safeguard computer research live math code coder codex coding robotics translate translation chat base instruct omni safety banana cyber law`.split(
    /\s+/,
  ),
)

/** Prices and limits of one instant. */
export class PriceCatalog {
  readonly #prices: Pick<EditablePriceBook, 'find' | 'models'>
  readonly #providers: readonly CatalogProvider[]
  readonly #nowMs: number
  #models: readonly CatalogModel[] | undefined

  /** @param nowMs epoch milliseconds: prices of today say what the same calls would cost */
  constructor(
    prices: Pick<EditablePriceBook, 'find' | 'models'>,
    providers: readonly CatalogProvider[],
    nowMs: number,
  ) {
    this.#prices = prices
    this.#providers = providers
    this.#nowMs = nowMs
  }

  facts(provider: string, model: string): ModelFacts {
    const known = this.#providers.find(({ name }) => name === provider)
    return this.#prices.find(known?.priceName ?? provider, model, this.#nowMs)
  }

  /**
   * The models that could have taken the calls of another, as far as the price list tells: their context window and their longest answer are
   * no smaller, both write text, and both are made for the same purpose.
   */
  comparable(provider: string, model: string): readonly CatalogModel[] {
    const { price, limits } = this.facts(provider, model)
    if (!price || !limits || !writesText(price)) return []
    const { family } = modelNameOf(provider, model)
    const purpose = purposeOf(model)
    return this.#all().filter(
      (other) =>
        !(other.provider.name === provider && other.family === family) &&
        other.limits.contextWindow >= limits.contextWindow &&
        other.limits.maxOutput >= limits.maxOutput &&
        other.purpose === purpose,
    )
  }

  /** Every model that could be recommended. */
  #all(): readonly CatalogModel[] {
    this.#models ??= this.#providers
      .filter(({ simulated }) => !simulated)
      .flatMap((provider) =>
        this.#prices.models(provider.priceName, this.#nowMs).flatMap((model) => this.#candidate(provider, model)),
      )
    return this.#models
  }

  #candidate(provider: CatalogProvider, model: string): readonly CatalogModel[] {
    const { price, limits, retirement } = this.#prices.find(provider.priceName, model, this.#nowMs)
    const endsSoon = retirement !== undefined && Date.parse(retirement.date) < this.#nowMs + MIN_LIFE_MS
    if (!price || !limits || !writesText(price) || endsSoon) return []
    const { family } = modelNameOf(provider.name, model)
    return [{ provider, model, family, purpose: purposeOf(model), price, limits }]
  }
}

/** Models that are free are tried for other reasons than a saving. */
function writesText({ steps: [{ rates }] }: Price): boolean {
  return rates.input > 0n && rates.output > 0n
}

function purposeOf(model: string): string {
  const words = model.toLowerCase().match(/[a-z]+/g) ?? []
  return [...new Set(words.filter((word) => SPECIAL_WORDS.has(word)))].toSorted().join(' ')
}

/** The rates of small calls: the least that calls of any size cost. */
export function lowestRates(steps: PriceSteps): Rates {
  return steps[0].rates
}

/** For each class the highest rate of all steps that a call of at most `maxInputTokens` can reach: the most that calls cost. */
export function highestRates(steps: PriceSteps, maxInputTokens: number): Rates {
  const reached = steps.filter(({ fromInputTokens }) => fromInputTokens <= maxInputTokens)
  const highest: Partial<Record<UsageClass, bigint>> = {}
  for (const name of USAGE_CLASSES)
    highest[name] = reached.reduce((max, { rates }) => (rates[name] > max ? rates[name] : max), 0n)
  return ratesOf(highest)
}
