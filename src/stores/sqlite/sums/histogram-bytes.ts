// Histograms as bytes: for each bucket, in order, the distance to the one before and the count.

import { addToBucket, type Histogram } from '../../../core/histogram.ts'

/** Null for an empty histogram. */
export function histogramBytes(histogram: Histogram): Uint8Array | null {
  if (histogram.size === 0) return null
  const bytes: number[] = []
  let before = 0
  for (const bucket of [...histogram.keys()].sort((left, right) => left - right)) {
    pushNumber(bytes, bucket - before)
    pushNumber(bytes, histogram.get(bucket) ?? 0)
    before = bucket
  }
  return Uint8Array.from(bytes)
}

/** Adds what `histogramBytes` wrote. */
export function addHistogramBytes(sum: Histogram, bytes: Uint8Array): void {
  let at = 0
  let bucket = 0
  const next = () => {
    let value = 0
    for (let factor = 1; ; factor *= 0x80) {
      const byte = bytes[at++] ?? 0
      value += (byte & 0x7f) * factor
      if (byte < 0x80) return value
    }
  }
  while (at < bytes.length) {
    bucket += next()
    addToBucket(sum, bucket, next())
  }
}

/** Seven bits a byte, the lowest first. */
function pushNumber(bytes: number[], value: number): void {
  let rest = value
  for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) bytes.push((rest % 0x80) + 0x80)
  bytes.push(rest)
}
