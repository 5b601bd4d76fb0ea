// Stated cost: what an answer says was charged for it, in each form that is known. Whether it counts, settlement decides.

import { recordOf } from '../core/json-values.ts'
import { nanoUsdOf } from '../core/money.ts'

/**
 * The fields in which providers state a cost, relative to the answer: OpenRouter's and its copies', Perplexity's, xAI's (ten
 * thousand million ticks are a dollar), DeepInfra's.
 */
export const COST_FIELDS = [
  'usage.cost',
  'usage.cost.total_cost',
  'usage.cost_in_usd_ticks',
  'usage.estimated_cost',
] as const

export type CostField = (typeof COST_FIELDS)[number]

export interface StatedCost {
  readonly field: CostField
  readonly nanoUsd: bigint
  /** True if the figure is a router's fee alone: the upstream bills the caller's own key, and its figure is missing. */
  readonly isFeeAlone?: boolean
}

const TICKS_PER_USD = 1e10
const TICKS_PER_NANO_USD = 10
/** No call costs as much: a larger figure is a mistake. */
const MAX_STATED_USD = 1_000_000

/** The fields of a usage object that `readStatedCost` reads. */
export const STATED_COST_FIELDS = ['cost', 'is_byok', 'cost_details', 'cost_in_usd_ticks', 'estimated_cost'] as const

type Report = Readonly<Record<string, unknown>>

/**
 * The largest cost that the usage states, in whichever field.
 * @param usage the usage object as it came
 */
export function readStatedCost(usage: Report): StatedCost | undefined {
  const ticks = numberOf(usage.cost_in_usd_ticks)
  const stated = [
    routersCost(usage),
    dollarsIn('usage.cost.total_cost', recordOf(usage.cost).total_cost),
    ticks !== undefined && isDollars(ticks / TICKS_PER_USD)
      ? { field: 'usage.cost_in_usd_ticks' as const, nanoUsd: BigInt(Math.ceil(ticks / TICKS_PER_NANO_USD)) }
      : undefined,
    dollarsIn('usage.estimated_cost', usage.estimated_cost),
  ]
  let largest: StatedCost | undefined
  for (const cost of stated) if (cost && (!largest || cost.nanoUsd > largest.nanoUsd)) largest = cost
  return largest
}

/** True if the cost leaves nothing of the call out. A zero may be a field that is missing. */
export function coversAll(cost: StatedCost | undefined): boolean {
  return cost !== undefined && cost.nanoUsd > 0n && cost.isFeeAlone !== true
}

/** With a key of the caller's own at the upstream, OpenRouter charges a fee, and the upstream bills the rest. */
function routersCost({ cost, is_byok, cost_details }: Report): StatedCost | undefined {
  const stated = dollarsIn('usage.cost', cost)
  if (!stated || is_byok !== true) return stated
  const details = recordOf(cost_details)
  const parts = ['upstream_inference_prompt_cost', 'upstream_inference_completions_cost'].map((name) => details[name])
  const upstream = [[details.upstream_inference_cost], parts].map(nanoUsdIn).reduce((a, b) => (a > b ? a : b))
  return upstream > 0n ? { ...stated, nanoUsd: stated.nanoUsd + upstream } : { ...stated, isFeeAlone: true }
}

function nanoUsdIn(values: readonly unknown[]): bigint {
  return values.reduce((sum: bigint, value) => sum + nanoUsdOf(dollarsOf(value) ?? 0), 0n)
}

function dollarsIn(field: CostField, value: unknown): StatedCost | undefined {
  const dollars = dollarsOf(value)
  return dollars === undefined ? undefined : { field, nanoUsd: nanoUsdOf(dollars) }
}

function dollarsOf(value: unknown): number | undefined {
  const dollars = numberOf(value)
  return dollars !== undefined && isDollars(dollars) ? dollars : undefined
}

function isDollars(value: number): boolean {
  return value >= 0 && value <= MAX_STATED_USD
}

/** A number, or its decimal text. */
function numberOf(value: unknown): number | undefined {
  if (typeof value === 'number') return value
  return typeof value === 'string' && value.length < 64 && /^\d+(?:\.\d*)?(?:e[+-]?\d+)?$/i.test(value)
    ? Number(value)
    : undefined
}
