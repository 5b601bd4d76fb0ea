// Spans of kept sums: over which lengths of time each dimension is summed, and how a period is made of them.

import { QUARTERS_PER_DAY } from './packed-calls.ts'

/** Quarter hours of each length of time for which sums are kept. */
export const QUARTER = 1
export const DAY = QUARTERS_PER_DAY
export const WEEK = 7 * QUARTERS_PER_DAY

/** All calls together, as a dimension of one value. */
export const ALL_CALLS = 'all'

/** Few values each: sums by quarter hour and by day. */
export const COARSE_DIMENSIONS = [
  ALL_CALLS,
  'organisation',
  'project',
  'agent',
  'operation',
  'provider',
  'model',
] as const

/** Many values each: sums by day and, once it is over, by week. What is shorter than a day comes from packed calls. */
export const FINE_DIMENSIONS = ['key', 'user'] as const

/** A span of whole units, in quarter hours since the epoch: `from ≤ t < until`. */
export interface Span {
  readonly tier: number
  readonly from: number
  readonly until: number
}

/**
 * Cuts a period into spans of the largest tiers that fit.
 * @param tiers ascending, each a multiple of the one before
 * @example
 * spansOf(95, 193, [QUARTER, DAY]) // quarter 95, day 96 to 192, quarter 192
 */
export function spansOf(from: number, until: number, tiers: readonly number[]): Span[] {
  const tier = tiers.at(-1)
  if (tier === undefined || from >= until) return []
  const smaller = tiers.slice(0, -1)
  const [first, last] = [Math.ceil(from / tier) * tier, Math.floor(until / tier) * tier]
  if (first >= last) return spansOf(from, until, smaller)
  return [...spansOf(from, first, smaller), { tier, from: first, until: last }, ...spansOf(last, until, smaller)]
}
