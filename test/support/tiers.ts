// Tiers: service tiers of a test's price, each a percentage of its token rates.

import type { Price, PriceSteps } from '../../src/core/prices.ts'
import { scaledSteps } from '../../src/prices/rates.ts'

/** @example tiersOf(steps, { flex: 50, priority: 175 }) */
export function tiersOf(steps: PriceSteps, percents: Readonly<Record<string, number>>): Price['tiers'] {
  return new Map(Object.entries(percents).map(([tier, percent]) => [tier, scaledSteps(steps, percent)]))
}
