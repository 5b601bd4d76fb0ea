// Spread: what a list of ratios shows, and within which two gateways count as equal.
import { median } from './measure.ts'

type Range = { min: number; max: number }
export type Spread = Range & { median: number }

export const spreadOf = (values: readonly number[]): Spread => ({
  median: median(values),
  min: Math.min(...values),
  max: Math.max(...values),
})

/**
 * The spread of this tree against itself, in both directions: which instance is the divisor is arbitrary. One direction would not
 * do, because a slow moment of `ours` raises its ratio to `against` and lowers the ratio of `again` to it.
 */
export const equalRange = ({ min, max }: Range): Range => ({ min: Math.min(min, 1 / max), max: Math.max(max, 1 / min) })

export const describeRange = ({ min, max }: Range) => `${min.toFixed(3)}–${max.toFixed(3)}`
export const describe = (spread: Spread) => `${spread.median.toFixed(3)} (${describeRange(spread)})`
