// Histogram: how often durations occurred, in steps of 5 %. Histograms can be added, so that percentiles of any period are known.

/** A bucket ends this much above its start: the error of a percentile is at most half of this step. */
const STEP = 1.05
const LOG_STEP = Math.log(STEP)

/** Durations of half an hour and more share the last bucket. */
const MAX_BUCKET = bucketOfSafe(1_800_000)

/** Counts by bucket. Mutable: durations are added in place. */
export type Histogram = Map<number, number>

/** The bucket of a duration: 0 below 1 ms, then one for each 5 %. */
export function bucketOf(durationMs: number): number {
  return Math.min(bucketOfSafe(durationMs), MAX_BUCKET)
}

function bucketOfSafe(durationMs: number): number {
  return durationMs < 1 ? 0 : 1 + Math.floor(Math.log(durationMs) / LOG_STEP)
}

export function addToBucket(histogram: Histogram, bucket: number, count = 1): void {
  histogram.set(bucket, (histogram.get(bucket) ?? 0) + count)
}

export function addHistogram(sum: Histogram, histogram: Histogram): void {
  for (const [bucket, count] of histogram) addToBucket(sum, bucket, count)
}

/**
 * The duration that `share` of all durations do not exceed, in milliseconds, at most 2.5 % off. Null if there are none.
 * @param share 0.5 for the median, 0.95 for the 95th percentile
 */
export function percentile(histogram: Histogram, share: number): number | null {
  let rest = 0
  for (const count of histogram.values()) rest += count
  if (rest === 0) return null
  rest = Math.max(1, Math.ceil(rest * share))
  for (const [bucket, count] of [...histogram].toSorted(([left], [right]) => left - right)) {
    rest -= count
    if (rest <= 0) return middleMs(bucket)
  }
  return null
}

/** The geometric middle of a bucket, rounded to a tenth of a millisecond. */
function middleMs(bucket: number): number {
  return bucket === 0 ? 0.5 : Math.round(STEP ** (bucket - 0.5) * 10) / 10
}
