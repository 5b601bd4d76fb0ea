// Usage reports: joins the usage objects of one answer, and reads what all dialects have in common. Counts never fall within an
// answer: a smaller one is a field that is missing.

import { isRecord } from '../core/json-values.ts'
import { areCounts, areCredibleCounts, isCount } from '../core/usage.ts'
import type { StatedCost } from './stated-cost.ts'

type Report = Readonly<Record<string, unknown>>

/**
 * The two reports as one: of each count the larger, of anything else the later. Null counts as missing.
 * @example mergeReports({ input_tokens: 9, output_tokens: 1 }, { input_tokens: 0, output_tokens: 5 }) // 9 and 5
 */
export function mergeReports(earlier: Report | undefined, later: Report): Report {
  if (!earlier) return later
  const merged: Record<string, unknown> = { ...earlier }
  for (const [name, value] of Object.entries(later)) merged[name] = mergeValues(merged[name], value)
  return merged
}

function mergeValues(earlier: unknown, later: unknown): unknown {
  if (later === null || later === undefined) return earlier
  if (typeof earlier === 'number' && typeof later === 'number') return Math.max(earlier, later)
  if (isRecord(earlier) && isRecord(later)) return mergeReports(earlier, later)
  // A list that got shorter is a field that is missing, too.
  if (Array.isArray(earlier) && Array.isArray(later)) return later.length < earlier.length ? earlier : later
  return later
}

/** True if a cost can rest on these figures, or on the stated cost where they count nothing. */
export function saysSomething(figures: readonly unknown[], statedCost: StatedCost | undefined): boolean {
  return areCredibleCounts(figures) || (statedCost !== undefined && statedCost.nanoUsd > 0n && areCounts(figures))
}

/** A count of uses, as a number or as its decimal text. Undefined for anything else, which gives no figure. */
export function useCountOf(value: unknown): number | undefined {
  if (typeof value === 'string' && /^\d{1,15}$/.test(value)) return Number(value)
  return isCount(value) ? value : undefined
}

/**
 * Tokens that belong to neither half: what the total has beside both. Without a total, reasoning that is larger than the output
 * is beside the output.
 * @param total 0 if there is none
 */
export function tokensBeside(total: number, input: number, output: number, reasoning: number): number {
  if (total > 0) return Math.max(0, total - input - output)
  return reasoning > output ? reasoning : 0
}
