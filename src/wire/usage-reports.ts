// Usage reports: joins the usage objects of one answer. Counts never fall within an answer: a smaller one is a field that is missing.

import { isRecord } from '../core/json-values.ts'

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
