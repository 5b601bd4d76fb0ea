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
}

const TICKS_PER_NANO_USD = 10
/** No call costs as much: a larger figure is a mistake. */
const MAX_STATED_USD = 1_000_000

/** The fields of a usage object that `readStatedCost` reads. */
export const STATED_COST_FIELDS = ['cost', 'is_byok', 'cost_details', 'cost_in_usd_ticks', 'estimated_cost'] as const

/** @param usage the usage object as it came */
export function readStatedCost(usage: Readonly<Record<string, unknown>>): StatedCost | undefined {
  const { cost, cost_in_usd_ticks: ticks, estimated_cost } = usage
  if (isDollars(cost)) {
    // With a key of the caller's own at the upstream, OpenRouter charges a fee, and the upstream bills the rest.
    const upstream = usage.is_byok === true ? recordOf(usage.cost_details).upstream_inference_cost : 0
    return { field: 'usage.cost', nanoUsd: nanoUsdOf(cost) + nanoUsdOf(isDollars(upstream) ? upstream : 0) }
  }
  const { total_cost } = recordOf(cost)
  if (isDollars(total_cost)) return { field: 'usage.cost.total_cost', nanoUsd: nanoUsdOf(total_cost) }
  if (typeof ticks === 'number' && isDollars(ticks / 1e10))
    return { field: 'usage.cost_in_usd_ticks', nanoUsd: BigInt(Math.ceil(ticks / TICKS_PER_NANO_USD)) }
  if (isDollars(estimated_cost)) return { field: 'usage.estimated_cost', nanoUsd: nanoUsdOf(estimated_cost) }
  return undefined
}

function isDollars(value: unknown): value is number {
  return typeof value === 'number' && value >= 0 && value <= MAX_STATED_USD
}
