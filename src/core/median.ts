// Median of amounts.

/** Of an even number of values, the larger one of the two in the middle. 0 for none. */
export function median(values: readonly bigint[]): bigint {
  const sorted = values.toSorted((left, right) => (left < right ? -1 : left > right ? 1 : 0))
  return sorted[Math.floor(sorted.length / 2)] ?? 0n
}
