// Percent: whether the rates of a tier are one percentage of the standard ones.

import { FEE_CLASSES } from '../../src/core/usage.ts'
import type { FilePrice, FileRates } from '../../src/prices/price-file.ts'

/** The percentage of the standard rates that all rates of a tier are. Undefined if they differ, or are not a whole percentage. */
export function percentOf(tier: FileRates, standard: FileRates): number | undefined {
  const tokenClasses = Object.keys(standard).filter((name) => !FEES.has(name))
  const percents = new Set(tokenClasses.flatMap((name) => percentsOf(tier[name], standard[name] ?? 0)))
  const [percent] = percents
  return percents.size === 1 && percent !== undefined && Number.isInteger(percent) ? percent : undefined
}

const FEES: ReadonlySet<string> = new Set(FEE_CLASSES)

function percentsOf(price: FilePrice | undefined, standard: FilePrice): number[] {
  if (price === undefined) return [Number.NaN]
  if (typeof price === 'number' && typeof standard === 'number') return [percent(price, standard)]
  if (typeof price === 'number' || typeof standard === 'number') return [Number.NaN]
  const edges = new Set([...Object.keys(price.over), ...Object.keys(standard.over)])
  const above = [...edges].map((edge) => percent(price.over[edge] ?? Number.NaN, standard.over[edge] ?? Number.NaN))
  return [percent(price.base, standard.base), ...above]
}

function percent(price: number, standard: number): number {
  return Number(((price / standard) * 100).toFixed(6))
}
