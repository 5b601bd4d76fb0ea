// Savings on the same calls: other models, the provider's cache, and batches. By the price list of today, and never overstated.

import type { Rates } from '../core/prices.ts'
import { type CatalogModel, highestRates, lowestRates, type PriceCatalog } from './price-catalog.ts'
import { costsOf, linesOf, type ModelTraffic, type Recommendation } from './recommendation.ts'

/** Of the same provider, and of all others together. */
const MAX_MODELS_OF_A_KIND = 3
/** No provider caches a shorter beginning of a prompt. */
const MIN_CACHEABLE_TOKENS = 1_024

const MODEL_ASSUMPTIONS: readonly string[] = [
  'The other model needs as many tokens for the same calls, and caches as much of them. Its tokenizer and its answers differ, and a model that reasons writes more.',
  'Another model answers otherwise: compare both on calls of your own.',
  'The price list tells context window and longest answer, and not which models take images or tools.',
  'Long prompts are counted at the highest price that a prompt of this model can have there.',
]
const CACHE_ASSUMPTIONS: readonly string[] = [
  'All input that was not cached is read from the cache. It is less: the part of a prompt that changes is never cached.',
  'Writing to the cache, where that costs more than input, is not counted.',
]
const BATCH_ASSUMPTIONS: readonly string[] = [
  'All calls can wait for a batch, which answers within a day.',
  'The calls leave the gateway, which makes no batches: track them (POST /token-usage/track).',
]

/** Cheaper models that could have taken the calls, the cheapest first. */
export function cheaperModels(traffic: ModelTraffic, catalog: PriceCatalog): readonly Recommendation[] {
  const { price, limits } = catalog.facts(traffic.provider, traffic.model)
  if (!price || !limits) return []
  const now = lowestRates(price.steps)
  const found = catalog
    .comparable(traffic.provider, traffic.model)
    .map((other) => toModel(traffic, now, other, highestRates(other.price.steps, limits.contextWindow)))
    .filter(({ recommendation }) => recommendation.savingNanoUsd > 0n)
    .toSorted((left, right) => byCostThenName(left.recommendation, right.recommendation))
  const ofProvider = found.filter(({ other }) => other.provider.name === traffic.provider)
  const ofOthers = found.filter(({ other }) => other.provider.name !== traffic.provider)
  return [ofProvider, ofOthers].flatMap((kind) =>
    firstOfEachFamily(kind)
      .slice(0, MAX_MODELS_OF_A_KIND)
      .map(({ recommendation }) => recommendation),
  )
}

interface ModelChange {
  readonly other: CatalogModel
  readonly recommendation: Recommendation
}

function toModel(traffic: ModelTraffic, now: Rates, other: CatalogModel, then: Rates): ModelChange {
  const to = { provider: other.provider.name, model: other.model, isConfigured: other.provider.configured }
  const recommendation = change(traffic, 'cheaper_model', now, then, MODEL_ASSUMPTIONS)
  return { other, recommendation: { ...recommendation, to } }
}

/** Of dated names and previews of one model, the cheapest, and of equally cheap ones the shortest name. */
function firstOfEachFamily(changes: readonly ModelChange[]): readonly ModelChange[] {
  const seen = new Set<string>()
  return changes.filter(({ other }) => {
    const name = `${other.provider.name}/${other.family}`
    if (seen.has(name)) return false
    seen.add(name)
    return true
  })
}

function byCostThenName(left: Recommendation, right: Recommendation): number {
  if (left.thenNanoUsd !== right.thenNanoUsd) return left.thenNanoUsd < right.thenNanoUsd ? -1 : 1
  const [leftName, rightName] = [left.to?.model ?? '', right.to?.model ?? '']
  return leftName.length - rightName.length || (leftName < rightName ? -1 : 1)
}

/** What caching would save at most. Undefined without a price for cached input, and for calls too short to cache. */
export function caching(traffic: ModelTraffic, catalog: PriceCatalog): Recommendation | undefined {
  const { sum } = traffic
  const { price } = catalog.facts(traffic.provider, traffic.model)
  if (!price || sum.requests === 0 || sum.inputTokens / sum.requests < MIN_CACHEABLE_TOKENS) return undefined
  const now = lowestRates(price.steps)
  if (now.cacheRead >= now.input) return undefined
  const cached = change(traffic, 'caching', now, { ...now, input: now.cacheRead }, CACHE_ASSUMPTIONS)
  return cached.savingNanoUsd > 0n ? { ...cached, isBound: true } : undefined
}

/** What batches would save. Undefined if the price list has no price of batches for the model. */
export function batches(traffic: ModelTraffic, catalog: PriceCatalog): Recommendation | undefined {
  const { price, limits } = catalog.facts(traffic.provider, traffic.model)
  const steps = price?.tiers.get('batch')
  if (!price || !steps) return undefined
  const then = highestRates(steps, limits?.contextWindow ?? Number.POSITIVE_INFINITY)
  const batched = change(traffic, 'batch', lowestRates(price.steps), then, BATCH_ASSUMPTIONS)
  return batched.savingNanoUsd > 0n ? batched : undefined
}

/** The same calls at other rates. */
function change(
  { provider, model, sum }: ModelTraffic,
  kind: Recommendation['kind'],
  now: Rates,
  then: Rates,
  assumptions: readonly string[],
): Recommendation {
  const lines = linesOf(sum, now, then)
  return {
    kind,
    provider,
    model,
    to: null,
    caller: null,
    requests: sum.requests,
    lines,
    ...costsOf(lines, sum.costNanoUsd),
    heldNanoUsd: 0n,
    isBound: false,
    assumptions,
  }
}
