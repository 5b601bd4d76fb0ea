// Outliers: callers whose prompts are far longer, or whose output caps are far higher, than those of others with the same model.

import type { SettledEntry } from '../core/ledger-entry.ts'
import { MILLION_UNITS } from '../core/prices.ts'
import { inputTokens } from '../core/usage.ts'
import { lowestRates, type PriceCatalog } from './price-catalog.ts'
import { type CallerName, costsOf, type Recommendation } from './recommendation.ts'

/** Fewer calls of a caller say nothing about the caller, and fewer callers nothing about the model. */
const MIN_CALLS_OF_CALLER = 10
const MIN_CALLERS_OF_MODEL = 3
/** An outlier is so many times the median of all callers, and so many tokens more. */
const MIN_OUTLIER_FACTOR = 4
const MIN_OUTLIER_TOKENS = 1_000

const PROMPT_ASSUMPTIONS: readonly string[] = [
  'Each prompt is cut to the median of all callers of the model. Input that was cached is not counted.',
]
const CAP_ASSUMPTIONS: readonly string[] = [
  'A higher cap costs nothing by itself. Each call reserves the cost of its cap, and that money is not free for other calls meanwhile.',
]

interface CallerCalls {
  readonly caller: CallerName
  readonly calls: readonly SettledEntry[]
}

/**
 * A caller is a key, or a user of a key. The usual figure of a model is the median of its callers' medians, so that neither a busy caller nor an
 * extreme one moves it.
 * @param calls without corrections; those of models and callers with few calls are left out
 */
export function outliers(calls: readonly SettledEntry[], catalog: PriceCatalog): readonly Recommendation[] {
  const byModel = Map.groupBy(calls, ({ facts }) => JSON.stringify([facts.provider, facts.model]))
  return [...byModel.values()].flatMap((ofModel) => {
    const callers = callersOf(ofModel)
    return [...longPrompts(callers, catalog), ...highCaps(callers, catalog)]
  })
}

function callersOf(calls: readonly SettledEntry[]): readonly CallerCalls[] {
  const byCaller = Map.groupBy(calls, ({ facts: { caller } }) => JSON.stringify([caller.key, caller.user]))
  return [...byCaller.values()].flatMap((ofCaller) => {
    const [first] = ofCaller
    if (!first || ofCaller.length < MIN_CALLS_OF_CALLER) return []
    const { key, user } = first.facts.caller
    return [{ caller: { key, user }, calls: ofCaller }]
  })
}

function longPrompts(callers: readonly CallerCalls[], catalog: PriceCatalog): readonly Recommendation[] {
  const promptOf = ({ outcome }: SettledEntry) => inputTokens(outcome.usage)
  return findOutliers(callers, promptOf).flatMap(({ caller, calls, usual }) => {
    const excess = calls.reduce((sum, call) => {
      const tooLong = Math.max(0, promptOf(call) - usual)
      return sum + Math.min(tooLong, call.outcome.usage.input)
    }, 0)
    return recommend(caller, calls, catalog, (rates, bookedNanoUsd) => {
      const line = { tokenClass: 'input', tokens: excess, rateNow: rates.input, rateThen: 0n } as const
      const costs = costsOf([line], bookedNanoUsd)
      if (costs.savingNanoUsd === 0n) return undefined
      return { kind: 'long_prompts', lines: [line], ...costs, heldNanoUsd: 0n, assumptions: PROMPT_ASSUMPTIONS }
    })
  })
}

function highCaps(callers: readonly CallerCalls[], catalog: PriceCatalog): readonly Recommendation[] {
  const capped = callers.flatMap(({ caller, calls }) => {
    const withCap = calls.filter(({ facts }) => facts.capAsked !== null)
    return withCap.length < MIN_CALLS_OF_CALLER ? [] : [{ caller, calls: withCap }]
  })
  const capOf = ({ facts }: SettledEntry) => facts.capAsked ?? 0
  return findOutliers(capped, capOf).flatMap(({ caller, calls, usual, own }) =>
    recommend(caller, calls, catalog, (rates, bookedNanoUsd) => ({
      kind: 'high_output_caps',
      lines: [],
      ...costsOf([], bookedNanoUsd),
      heldNanoUsd: (BigInt(own - usual) * rates.output) / MILLION_UNITS,
      assumptions: CAP_ASSUMPTIONS,
    })),
  )
}

interface Outlier extends CallerCalls {
  /** The median of this caller's calls. */
  readonly own: number
  /** The median of all callers' medians. */
  readonly usual: number
}

function findOutliers(callers: readonly CallerCalls[], figureOf: (call: SettledEntry) => number): readonly Outlier[] {
  if (callers.length < MIN_CALLERS_OF_MODEL) return []
  const medians = callers.map(({ calls }) => median(calls.map(figureOf)))
  const usual = median(medians)
  return callers.flatMap((caller, index) => {
    const own = medians[index] ?? 0
    const isOutlier = own >= usual * MIN_OUTLIER_FACTOR && own >= usual + MIN_OUTLIER_TOKENS
    return isOutlier ? [{ ...caller, own, usual }] : []
  })
}

type Figures = Omit<Recommendation, 'provider' | 'model' | 'to' | 'caller' | 'requests' | 'isBound'>

/** Nothing for a model without a price. */
function recommend(
  caller: CallerName,
  calls: readonly SettledEntry[],
  catalog: PriceCatalog,
  figuresOf: (rates: ReturnType<typeof lowestRates>, bookedNanoUsd: bigint) => Figures | undefined,
): readonly Recommendation[] {
  const [first] = calls
  const price = first && catalog.facts(first.facts.provider, first.facts.model).price
  if (!first || !price) return []
  const booked = calls.reduce((sum, { outcome }) => sum + outcome.cost.totalNanoUsd, 0n)
  const figures = figuresOf(lowestRates(price.steps), booked)
  if (!figures) return []
  const { provider, model } = first.facts
  return [{ provider, model, to: null, caller, requests: calls.length, isBound: true, ...figures }]
}

/** The lower one of the two in the middle. */
function median(figures: readonly number[]): number {
  const sorted = figures.toSorted((left, right) => left - right)
  return sorted[Math.floor((sorted.length - 1) / 2)] ?? 0
}
