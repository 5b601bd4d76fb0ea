// Usage: how many units a call consumed, by class. The one table of classes; it holds no prices.

/** What the rest of Bursar knows of a class of units. */
export interface UsageClassRow<Name extends string = UsageClass, IsCommon extends boolean = boolean> {
  /** The name in our JSON and in the ledger, in snake_case. It never changes once it was released. */
  readonly json: string
  /** The part of a cost the units belong to. Input and output are tokens; a fee is for anything else: searches, pages, seconds. */
  readonly part: 'input' | 'output' | 'fee'
  /**
   * True gives the class a field of `Usage` and a column of the ledger, which takes a migration. All other classes share one
   * record and one column.
   */
  readonly isCommon: IsCommon
  /** A published price is dollars for this many units. */
  readonly pricedPer: number
  /** The classes whose rate stands in for a missing one, the nearest relative first. If none has a rate, the class is free. */
  readonly rateFrom: readonly Name[]
}

const COMMON = true
const RARE = false

function tokens<IsCommon extends boolean, Name extends string = never>(
  json: string,
  part: 'input' | 'output',
  isCommon: IsCommon,
  ...rateFrom: Name[]
): UsageClassRow<Name, IsCommon> {
  return { json, part, isCommon, pricedPer: 1_000_000, rateFrom }
}

function fee<IsCommon extends boolean>(
  json: string,
  pricedPer: number,
  isCommon: IsCommon,
): UsageClassRow<never, IsCommon> {
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
  cacheWrite12h: tokens('cache_write_12h', 'input', RARE, 'cacheWrite1h', 'cacheWrite5m', 'input'),
  output: tokens('output', 'output', COMMON),
  audioInput: tokens('audio_input', 'input', RARE, 'input'),
  audioCacheRead: tokens('audio_cache_read', 'input', RARE, 'audioInput', 'cacheRead', 'input'),
  audioOutput: tokens('audio_output', 'output', RARE, 'output'),
  imageInput: tokens('image_input', 'input', RARE, 'input'),
  imageOutput: tokens('image_output', 'output', RARE, 'output'),
  /** Sources that a model read for its answer, where they have a price of their own. */
  citations: tokens('citations', 'input', RARE, 'input'),
  /** Reasoning that the output does not include and that has a price of its own. */
  reasoningBeside: tokens('reasoning_beside', 'output', RARE, 'output'),
}

/** Billed units that are not tokens. */
const FEE_ROWS = {
  webSearches: fee('web_searches', 1_000, RARE),
  mapsQueries: fee('maps_queries', 1_000, RARE),
  /** Pages that a hosted search found, where each is billed. */
  sources: fee('sources', 1_000, RARE),
  /** Searches in files or collections that the caller keeps at the provider. */
  fileSearches: fee('file_searches', 1_000, RARE),
  /** Searches in files that a message brings along. */
  documentSearches: fee('document_searches', 1_000, RARE),
  /** Pages that a hosted browser opened, where each is billed. */
  pageVisits: fee('page_visits', 1_000, RARE),
  /** Runs of code that are billed each, without a container of their own. */
  codeRuns: fee('code_runs', 1_000, RARE),
  /** Containers for code: one of four gigabytes is billed like four of one. */
  containerGigabytes: fee('container_gigabytes', 1_000, RARE),
  /** Sound that is billed by its length; its price is for an hour. */
  audioSeconds: fee('audio_seconds', 3_600, RARE),
  /** The life of containers that are billed by their time; its price is for an hour. */
  containerSeconds: fee('container_seconds', 3_600, RARE),
  requests: fee('requests', 1_000, COMMON),
}

const ALL_ROWS = { ...TOKEN_ROWS, ...FEE_ROWS }

export type TokenClass = keyof typeof TOKEN_ROWS
export type FeeClass = keyof typeof FEE_ROWS
export type UsageClass = keyof typeof ALL_ROWS
export type CommonClass = {
  [Name in UsageClass]: (typeof ALL_ROWS)[Name]['isCommon'] extends true ? Name : never
}[UsageClass]
export type RareClass = Exclude<UsageClass, CommonClass>

/**
 * Every class of units that providers bill. Sums, prices, `bursar.json`, ledger, reports and our JSON follow this table: a new
 * rare class is one row. Only a quote must also know which requests can use it: see `maxRates` in core/quote.ts.
 */
export const CLASS_ROWS: Readonly<Record<UsageClass, UsageClassRow>> = ALL_ROWS

export const USAGE_CLASSES = Object.keys(CLASS_ROWS) as readonly UsageClass[]
export const TOKEN_CLASSES = Object.keys(TOKEN_ROWS) as readonly TokenClass[]
export const FEE_CLASSES = Object.keys(FEE_ROWS) as readonly FeeClass[]
export const COMMON_CLASSES = USAGE_CLASSES.filter(isCommonClass)
export const RARE_CLASSES = USAGE_CLASSES.filter((name) => !isCommonClass(name)) as readonly RareClass[]

/**
 * Whole units by class, zero or more. A class that is left out is zero. Pass no `Usage` here, which `rare?: never`
 * prevents: its rare classes would be lost.
 */
export type UnitsByClass = Readonly<Partial<Record<UsageClass, number>>> & { readonly rare?: never }

/** The rare classes that were used, each above zero. */
export type RareUnits = Readonly<Partial<Record<RareClass, number>>>

/** Whole units, zero or more: a field for each common class, and one record of all rare ones. */
export interface Usage extends Readonly<Record<CommonClass, number>> {
  readonly rare: RareUnits
}

/** A usage that `addUsage` changes in place. Its record of rare classes is replaced and never changed, so usages can share one. */
export type MutableUsage = { -readonly [Field in keyof Usage]: Usage[Field] }

/** Shared by all usages without rare classes, which nearly all are: sums recognise such a usage by this very object. */
export const NO_RARE_UNITS: RareUnits = Object.freeze({})

/** One literal, so that every usage has the same shape in memory. */
export function usageOf(given: UnitsByClass = {}): Usage {
  return {
    input: given.input ?? 0,
    cacheRead: given.cacheRead ?? 0,
    cacheWrite5m: given.cacheWrite5m ?? 0,
    output: given.output ?? 0,
    requests: given.requests ?? 0,
    rare: rareUnitsOf(given),
  }
}

/**
 * The rare classes in `given`, or `NO_RARE_UNITS` itself if there are none. V8 reads `given[name]` fast only if `name`
 * is the loop's own variable.
 */
function rareUnitsOf(given: UnitsByClass): RareUnits {
  let rare: Partial<Record<RareClass, number>> | undefined
  for (const name in given) {
    if (isCommonClass(name as UsageClass)) continue
    const units = given[name as RareClass] ?? 0
    if (units !== 0) (rare ??= {})[name as RareClass] = units
  }
  return rare ?? NO_RARE_UNITS
}

/** Compares names in place of a look-up in the table, since it runs for each class of each call. The compiler checks the list. */
function isCommonClass(name: UsageClass): name is CommonClass {
  switch (name) {
    case 'input':
    case 'cacheRead':
    case 'cacheWrite5m':
    case 'output':
    case 'requests':
      return true
    default:
      name satisfies RareClass
      return false
  }
}

/** The units of any class. */
export function unitsOf(usage: Usage, name: UsageClass): number {
  return isCommonClass(name) ? usage[name] : (usage.rare[name] ?? 0)
}

/** Tokens on the way in, cached or not. Long-context tiers go by this sum. */
export function inputTokens(usage: Usage): number {
  const common = usage.input + usage.cacheRead + usage.cacheWrite5m
  return usage.rare === NO_RARE_UNITS ? common : common + rareTokens(usage.rare, 'input')
}

export function outputTokens(usage: Usage): number {
  return usage.rare === NO_RARE_UNITS ? usage.output : usage.output + rareTokens(usage.rare, 'output')
}

function rareTokens(rare: RareUnits, part: 'input' | 'output'): number {
  let sum = 0
  for (const name in rare) if (CLASS_ROWS[name as RareClass].part === part) sum += rare[name as RareClass] ?? 0
  return sum
}

/** Tokens that were read from the provider's cache: a part of the input. */
export function cacheReadTokens({ cacheRead, rare }: Usage): number {
  return rare === NO_RARE_UNITS ? cacheRead : cacheRead + (rare.audioCacheRead ?? 0)
}

/** Tokens that were written to the provider's cache: a part of the input. */
export function cacheWriteTokens({ cacheWrite5m, rare }: Usage): number {
  return rare === NO_RARE_UNITS ? cacheWrite5m : cacheWrite5m + (rare.cacheWrite1h ?? 0) + (rare.cacheWrite12h ?? 0)
}

export function totalTokens(usage: Usage): number {
  return inputTokens(usage) + outputTokens(usage)
}

/** Adds `usage` to `sum` in place. No class exceeds the largest safe integer. */
export function addUsage(sum: MutableUsage, usage: Usage): void {
  sum.input = safeSum(sum.input, usage.input)
  sum.cacheRead = safeSum(sum.cacheRead, usage.cacheRead)
  sum.cacheWrite5m = safeSum(sum.cacheWrite5m, usage.cacheWrite5m)
  sum.output = safeSum(sum.output, usage.output)
  sum.requests = safeSum(sum.requests, usage.requests)
  if (usage.rare !== NO_RARE_UNITS) sum.rare = rareSum(sum.rare, usage.rare)
}

/** A new usage: the sum of both. No class exceeds the largest safe integer. */
export function usageSum(left: Usage, right: Usage): Usage {
  const sum = { ...left }
  addUsage(sum, right)
  return sum
}

function rareSum(left: RareUnits, right: RareUnits): RareUnits {
  if (left === NO_RARE_UNITS) return right
  const sum: Partial<Record<RareClass, number>> = { ...left }
  for (const name in right) {
    const units = right[name as RareClass] ?? 0
    sum[name as RareClass] = safeSum(sum[name as RareClass] ?? 0, units)
  }
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
  return Object.fromEntries(classes.map((name) => [CLASS_ROWS[name].json, unitsOf(usage, name)]))
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
  return figures.every((value) => value === null || value === undefined || isCount(value))
}

/** True for a whole number of zero or more: an absent count is none. */
export function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0
}
