// Usage: what a call consumed, in classes that never overlap, so that its cost is one dot product.

/**
 * Token classes are disjoint: `input` is uncached text, `output` has reasoning inside. A provider that reports totals with
 * parts inside is normalised by its dialect before it gets here.
 */
export const TOKEN_CLASSES = [
  'input',
  'cacheRead',
  'cacheWrite5m',
  'cacheWrite1h',
  'output',
  'audioInput',
  'audioCacheRead',
  'audioOutput',
  'imageInput',
  'imageOutput',
] as const

/** Things billed by the piece, beside tokens. */
export const FEE_CLASSES = ['webSearches', 'requests'] as const

export const USAGE_CLASSES = [...TOKEN_CLASSES, ...FEE_CLASSES] as const

export type TokenClass = (typeof TOKEN_CLASSES)[number]
export type UsageClass = (typeof USAGE_CLASSES)[number]

/** Whole units per class, never negative. */
export type Usage = Record<UsageClass, number>

/** Every class, zero unless given. One literal, so that every usage has the same shape in memory. */
export function usageOf(some: Partial<Usage> = {}): Usage {
  return {
    input: some.input ?? 0,
    cacheRead: some.cacheRead ?? 0,
    cacheWrite5m: some.cacheWrite5m ?? 0,
    cacheWrite1h: some.cacheWrite1h ?? 0,
    output: some.output ?? 0,
    audioInput: some.audioInput ?? 0,
    audioCacheRead: some.audioCacheRead ?? 0,
    audioOutput: some.audioOutput ?? 0,
    imageInput: some.imageInput ?? 0,
    imageOutput: some.imageOutput ?? 0,
    webSearches: some.webSearches ?? 0,
    requests: some.requests ?? 0,
  }
}

/** Class by class; none beyond the largest whole number that is safe. */
export function usageSum(one: Usage, other: Usage): Usage {
  const sum = usageOf()
  for (const name of USAGE_CLASSES) sum[name] = Math.min(one[name] + other[name], Number.MAX_SAFE_INTEGER)
  return sum
}

/** Tokens on the way in, cached or not. Long-context tiers go by this. */
export function inputTokens(usage: Usage): number {
  return (
    usage.input +
    usage.cacheRead +
    usage.cacheWrite5m +
    usage.cacheWrite1h +
    usage.audioInput +
    usage.audioCacheRead +
    usage.imageInput
  )
}

export function outputTokens(usage: Usage): number {
  return usage.output + usage.audioOutput + usage.imageOutput
}

export function totalTokens(usage: Usage): number {
  return inputTokens(usage) + outputTokens(usage)
}

/** A count some provider sent: whole and not negative, or zero. Real answers hold nulls, negatives and nonsense. */
export function countOf(value: unknown): number {
  return typeof value === 'number' && value > 0 && value <= Number.MAX_SAFE_INTEGER ? Math.floor(value) : 0
}

/**
 * True where figures that a cost rests on can be believed: each is a count or was left out, and not all of them are nothing.
 * What says otherwise says nothing: then the most it can have been is booked.
 */
export function areCredibleCounts(figures: readonly unknown[]): boolean {
  return areCounts(figures) && figures.some((value) => countOf(value) > 0)
}

/** True where each figure is a count, or was left out. */
export function areCounts(figures: readonly unknown[]): boolean {
  return figures.every(
    (value) => value === null || value === undefined || (Number.isSafeInteger(value) && Number(value) >= 0),
  )
}
