// Usage: how many units a call consumed, by class. The one table of classes; it holds no prices.

/** What the rest of Bursar knows of a class of units. */
export interface UsageClassRow<Name extends string = UsageClass> {
  /** The name in our JSON and in the ledger, in snake_case. It never changes once it was released. */
  readonly json: string
  /** The part of a cost the units belong to. Input and output are tokens; a fee is for anything else: searches, pages, seconds. */
  readonly part: 'input' | 'output' | 'fee'
  /** True gives the class a column of its own in the ledger, which takes a migration. All other classes share one column. */
  readonly isCommon: boolean
  /** A published price is dollars for this many units. */
  readonly pricedPer: number
  /** The classes whose rate stands in for a missing one, the nearest relative first. If none has a rate, the class is free. */
  readonly rateFrom: readonly Name[]
}

const [COMMON, RARE] = [true, false]

function tokens<Name extends string = never>(
  json: string,
  part: 'input' | 'output',
  isCommon: boolean,
  ...rateFrom: Name[]
): UsageClassRow<Name> {
  return { json, part, isCommon, pricedPer: 1_000_000, rateFrom }
}

function fee(json: string, pricedPer: number, isCommon: boolean): UsageClassRow<never> {
  return { json, part: 'fee', isCommon, pricedPer, rateFrom: [] }
}

/**
 * Token classes never overlap: `input` is uncached text, and `output` includes reasoning. If a provider reports a total that
 * includes other classes, its dialect takes them out.
 */
const TOKEN_ROWS = {
  input: tokens('input', 'input', COMMON),
  cacheRead: tokens('cache_read', 'input', COMMON, 'input'),
  cacheWrite5m: tokens('cache_write_5m', 'input', COMMON, 'input'),
  cacheWrite1h: tokens('cache_write_1h', 'input', RARE, 'cacheWrite5m', 'input'),
  output: tokens('output', 'output', COMMON),
  audioInput: tokens('audio_input', 'input', RARE, 'input'),
  audioCacheRead: tokens('audio_cache_read', 'input', RARE, 'audioInput', 'cacheRead', 'input'),
  audioOutput: tokens('audio_output', 'output', RARE, 'output'),
  imageInput: tokens('image_input', 'input', RARE, 'input'),
  imageOutput: tokens('image_output', 'output', RARE, 'output'),
}

/** Billed units that are not tokens. */
const FEE_ROWS = {
  webSearches: fee('web_searches', 1_000, RARE),
  requests: fee('requests', 1_000, COMMON),
}

export type TokenClass = keyof typeof TOKEN_ROWS
export type FeeClass = keyof typeof FEE_ROWS
export type UsageClass = TokenClass | FeeClass

/**
 * Every class of units that providers bill. Sums, prices, ledger and reports follow this table. A new class is one row, its
 * zero in `usageOf`, and one term of a sum of rare units below.
 */
export const CLASS_ROWS: Readonly<Record<UsageClass, UsageClassRow>> = { ...TOKEN_ROWS, ...FEE_ROWS }

export const USAGE_CLASSES = Object.keys(CLASS_ROWS) as readonly UsageClass[]
export const TOKEN_CLASSES = Object.keys(TOKEN_ROWS) as readonly TokenClass[]
export const FEE_CLASSES = Object.keys(FEE_ROWS) as readonly FeeClass[]
export const COMMON_CLASSES = USAGE_CLASSES.filter((name) => CLASS_ROWS[name].isCommon)
export const RARE_CLASSES = USAGE_CLASSES.filter((name) => !CLASS_ROWS[name].isCommon)

/** Whole units by class, zero or more. */
export type Usage = Record<UsageClass, number>

/** Every class, zero unless given. One literal, so that every usage has the same shape in memory. */
export function usageOf(given: Partial<Usage> = {}): Usage {
  return {
    input: given.input ?? 0,
    cacheRead: given.cacheRead ?? 0,
    cacheWrite5m: given.cacheWrite5m ?? 0,
    cacheWrite1h: given.cacheWrite1h ?? 0,
    output: given.output ?? 0,
    audioInput: given.audioInput ?? 0,
    audioCacheRead: given.audioCacheRead ?? 0,
    audioOutput: given.audioOutput ?? 0,
    imageInput: given.imageInput ?? 0,
    imageOutput: given.imageOutput ?? 0,
    webSearches: given.webSearches ?? 0,
    requests: given.requests ?? 0,
  }
}

// Sums run several times per call. They name the common classes and loop over the rare ones only if a call used any:
// reading a class by a variable name takes ten times as long. `test/core/usage-classes.test.ts` finds a forgotten class.

function rareInputTokens(usage: Usage): number {
  return usage.cacheWrite1h + usage.audioInput + usage.audioCacheRead + usage.imageInput
}

function rareOutputTokens(usage: Usage): number {
  return usage.audioOutput + usage.imageOutput
}

function rareFeeUnits(usage: Usage): number {
  return usage.webSearches
}

/** True if any class that is not common was used. */
export function hasRareUnits(usage: Usage): boolean {
  return rareInputTokens(usage) + rareOutputTokens(usage) + rareFeeUnits(usage) > 0
}

/** Tokens on the way in, cached or not. Long-context tiers go by this sum. */
export function inputTokens(usage: Usage): number {
  return usage.input + usage.cacheRead + usage.cacheWrite5m + rareInputTokens(usage)
}

export function outputTokens(usage: Usage): number {
  return usage.output + rareOutputTokens(usage)
}

export function totalTokens(usage: Usage): number {
  return inputTokens(usage) + outputTokens(usage)
}

/** Adds `usage` to `sum` in place. No class exceeds the largest safe integer. */
export function addUsage(sum: Usage, usage: Usage): void {
  sum.input = safeSum(sum.input, usage.input)
  sum.cacheRead = safeSum(sum.cacheRead, usage.cacheRead)
  sum.cacheWrite5m = safeSum(sum.cacheWrite5m, usage.cacheWrite5m)
  sum.output = safeSum(sum.output, usage.output)
  sum.requests = safeSum(sum.requests, usage.requests)
  if (!hasRareUnits(usage)) return
  for (const name of RARE_CLASSES) if (usage[name] > 0) sum[name] = safeSum(sum[name], usage[name])
}

/** A new usage: the sum of both. No class exceeds the largest safe integer. */
export function usageSum(left: Usage, right: Usage): Usage {
  const sum = { ...left }
  addUsage(sum, right)
  return sum
}

function safeSum(left: number, right: number): number {
  return Math.min(left + right, Number.MAX_SAFE_INTEGER)
}

/** The units of these classes by their names in our JSON. */
export function usageJson(
  usage: Usage,
  classes: readonly UsageClass[] = USAGE_CLASSES,
): Readonly<Record<string, number>> {
  return Object.fromEntries(classes.map((name) => [CLASS_ROWS[name].json, usage[name]]))
}

/** A count that a provider reported, or zero. Real answers contain nulls, negative numbers, fractions and nonsense. */
export function countOf(value: unknown): number {
  return typeof value === 'number' && value > 0 && value <= Number.MAX_SAFE_INTEGER ? Math.floor(value) : 0
}

/**
 * True if a cost can rest on these reported figures: each is a count or absent, and at least one is above zero. If false, the
 * report says nothing, and the call is settled at its upper bound.
 */
export function areCredibleCounts(figures: readonly unknown[]): boolean {
  return areCounts(figures) && figures.some((value) => countOf(value) > 0)
}

/** True if each figure is a whole number of zero or more, or absent. */
export function areCounts(figures: readonly unknown[]): boolean {
  return figures.every(
    (value) => value === null || value === undefined || (Number.isSafeInteger(value) && Number(value) >= 0),
  )
}
