// Quote: an upper bound on what a call can use and cost, from the facts of its request. Reads no bodies and knows no provider by name.

import { capCallNanoUsd, divideUp } from './money.ts'
import { type ModelFacts, type ModelLimits, type Price, type PriceStep, type Rates, tierSteps } from './prices.ts'
import type { FeeClass } from './usage.ts'

/** The facts of a request that change what the call can cost. Dialects read them from bodies. */
export interface RequestFacts {
  /** `generate` answers with text or media, `embed` with vectors, which are no output; `count` counts tokens and costs nothing. */
  readonly kind: 'generate' | 'embed' | 'count'
  /** The model as the caller wrote it. */
  readonly model: string
  readonly stream: boolean
  /** Bytes that can become text tokens: the body without inline media, grown where the provider's normalisation grows it. */
  readonly textBytes: number
  /** Bytes by which numbers can grow where a server writes them anew. Not part of `textBytes`. */
  readonly grownBytes: number
  /** Bytes of tools, and of the inputs of tools that were called. */
  readonly toolBytes: number
  /** Commas and colons in them. */
  readonly toolSeparators: number
  /** Bytes of tools that a renderer writes twice. */
  readonly repeatedBytes: number
  /** Arguments of all calls of tools that the model made: members of each call's input, without what is nested in them. */
  readonly callArguments: number
  /** Levels of nesting of the body. */
  readonly depth: number
  readonly messages: number
  /** Tokens the provider adds for features of the request, such as its own descriptions of tools that a request only names. */
  readonly addedTokens: number
  /** The largest output cap in the request, in tokens for one answer. Null if there is none. */
  readonly outputCap: number | null
  /** Answers the provider will write: n, best_of or candidateCount, times prompts. */
  readonly answers: number
  /** Inputs that the model reads separately, each with a context window of its own. */
  readonly prompts: number
  /** Bytes of predicted output. Rejected predictions are billed as output. */
  readonly predictionBytes: number
  readonly tools: boolean
  readonly images: number
  /** True if audio, video, files, PDFs or stored context hide the number of input tokens from the body's size. */
  readonly unsizedInput: boolean
  /**
   * True if the input can be larger than its provider counts beforehand: media behind a URL can change in between, and so can
   * stored context. Only dialects with count requests set it.
   */
  readonly uncountableInput: boolean
  readonly audioInput: boolean
  readonly audioOutput: boolean
  /** The longest life that the request asks for; OpenAI's shortest is half an hour. */
  readonly cacheWrite: 'none' | '5m' | '1h' | '12h'
  /** Names of features whose cost has no upper bound, such as hosted tools. Empty for most calls. */
  readonly unbounded: readonly string[]
  /** Those of them that are tools which the provider runs. */
  readonly hostedTools: readonly string[]
  readonly serviceTier: string | null
  /** The end user that the body names, or null. */
  readonly user: string | null
  /** What the caller notes on the call for itself: JSON of an object, at most 2 kB. Null without any. */
  readonly metadata: string | null
}

/** How a provider counts, and the tokens that it adds to a request. The figures are measured: see the provider's own file. */
export interface QuoteRules {
  readonly tokensPerCall: number
  readonly tokensPerMessage: number
  /** For a request with tools. */
  readonly tokensWithTools: number
  /** True if tools and their inputs are written anew with a space after each comma and colon, which can be a token. */
  readonly spacesTools?: boolean
  /** Tokens of the tags in which an argument of a call is written anew. 0 if absent. */
  readonly tokensPerArgument?: number
  /** How many times its bytes a tool can take, where tools are written anew. 1 if absent. */
  readonly toolGrowthFactor?: number
  /** True if tools are written anew with indentation, so that what is nested deeply takes more. */
  readonly indentsTools?: boolean
  /** True if text is normalised before it is split into tokens, and the dialect does not count that. */
  readonly normalisesText?: boolean
  /** The maximum of tokens of one image. */
  readonly imageTokens: (model: string) => number
  /** False if reasoning is billed beyond the output cap. */
  readonly capCoversReasoning: boolean
  /** True if the provider writes to its cache and bills this even if the request does not say so. */
  readonly cachesAutomatically: boolean
}

/** The settings on which quotes depend. */
export interface QuoteSettings {
  /** In tokens, for one answer. */
  readonly defaultMaxOutputTokens: number
  /** Limits on tokens reserve a usual call, or the worst one. */
  readonly tokenReservation: 'estimate' | 'worst'
}

/**
 * A count of a call's input tokens. `text` bounds its text. `all` bounds all of it, framing and media included; `reported` is the
 * count itself, without what was added to make it a bound.
 */
export type CountedInput = { readonly text: number } | { readonly all: number; readonly reported: number }

/** An upper bound on a call at one model. */
export interface Quote {
  /** The maximum of input tokens. */
  readonly inputTokens: number
  /** The maximum of output tokens, over all answers. */
  readonly outputTokens: number
  /** The tokens that limits on tokens reserve: an estimate, or the sum of the two above. */
  readonly tokens: number
  /** The maximum cost of the call, in nano-dollars. Zero if no price is known. */
  readonly costNanoUsd: bigint
  readonly price: Price | undefined
  /** The model's context window in tokens, or the largest in common use if the model's is not known. */
  readonly contextWindow: number
  /** The output cap that the gateway sets, in tokens for one answer. Null if the caller's own request stands. */
  readonly injectedCap: number | null
}

/** The window assumed for an unknown model: the largest in common use. */
const DEFAULT_CONTEXT_WINDOW_TOKENS = 1_048_576
const DEFAULT_USUAL_OUTPUT_TOKENS = 1_000
/** English is about four bytes a token. Only for limits on tokens, never for money. */
const ESTIMATED_BYTES_PER_TOKEN = 4
/** A usual image. Only for limits on tokens. */
const ESTIMATED_IMAGE_TOKENS = 1_000
/**
 * What is reserved for a call without an upper bound at a free model: the model may search, or hand the call to another model, and
 * neither is free.
 */
const FREE_UNBOUNDED_NANO_USD = 100_000_000n
/** Searches assumed of a call with a hosted search tool: their number has no upper bound. */
const ASSUMED_WEB_SEARCHES = 10n
/** Units of other classes assumed of a call with a hosted tool, by the tool's name in requests. A class without a price adds nothing. */
const ASSUMED_UNITS: Readonly<Record<string, Partial<Record<FeeClass, bigint>>>> = {
  googleMaps: { mapsQueries: 10n },
  google_maps: { mapsQueries: 10n },
  search_parameters: { sources: 50n },
  file_search: { fileSearches: 10n },
  collections_search: { fileSearches: 10n },
  attachment_search: { documentSearches: 10n },
  browser_search: { pageVisits: 10n },
  // A container without a stated size is the smallest. xAI bills each run in its place.
  code_interpreter: { containerGigabytes: 1n, codeRuns: 10n },
  // Anthropic bills the time of a container.
  code_execution: { codeRuns: 10n, containerSeconds: 3_600n },
  shell: { containerGigabytes: 1n },
  container_1g: { containerGigabytes: 1n },
  container_4g: { containerGigabytes: 4n },
  container_16g: { containerGigabytes: 16n },
  container_64g: { containerGigabytes: 64n },
}
/** Anthropic's tools have a date at the end of their names. */
const DATE = /_\d{8}$/
/** No provider makes fewer tokens of a second of sound. */
const MIN_AUDIO_TOKENS_PER_SECOND = 10
const MILLION = 1_000_000n

/**
 * The quote of a request at a model. A model whose longest answer is not known gets the default cap if the request has none.
 * @param cap an output cap in tokens that replaces the request's own, as an injected one does
 * @param counted bounds the input in place of the request's bytes, if it is less, and in place of the window, if it counts media
 */
export function quote(
  request: RequestFacts,
  facts: ModelFacts,
  rules: QuoteRules,
  settings: QuoteSettings,
  cap?: number,
  counted?: CountedInput,
): Quote {
  const contextWindow = facts.limits?.contextWindow ?? DEFAULT_CONTEXT_WINDOW_TOKENS
  if (request.kind === 'count') {
    const { price } = facts
    return { inputTokens: 0, outputTokens: 0, tokens: 0, costNanoUsd: 0n, price, contextWindow, injectedCap: null }
  }
  const inputTokens = maxInputTokens(request, facts.limits, rules, counted)
  if (request.kind === 'embed') return quoteOf(request, facts, rules, settings, inputTokens, 0, null, counted)
  const injectedCap = injectedCapFor(request, facts.limits, settings, cap)
  const answerTokens = maxAnswerTokens(injectedCap ?? request.outputCap, facts.limits, rules)
  const outputTokens = answerTokens * request.answers + request.predictionBytes
  return quoteOf(request, facts, rules, settings, inputTokens, outputTokens, injectedCap, counted)
}

function injectedCapFor(
  request: RequestFacts,
  limits: ModelLimits | undefined,
  settings: QuoteSettings,
  cap: number | undefined,
): number | null {
  if (cap !== undefined) return Math.min(cap, limits?.maxOutput ?? Number.MAX_SAFE_INTEGER)
  return request.outputCap === null && !limits ? settings.defaultMaxOutputTokens : null
}

function quoteOf(
  request: RequestFacts,
  facts: ModelFacts,
  rules: QuoteRules,
  settings: QuoteSettings,
  inputTokens: number,
  outputTokens: number,
  injectedCap: number | null,
  counted: CountedInput | undefined,
): Quote {
  const cap = injectedCap ?? request.outputCap
  const worst = inputTokens + outputTokens
  return {
    inputTokens,
    outputTokens,
    tokens:
      settings.tokenReservation === 'worst'
        ? worst
        : Math.min(worst, estimatedTokens(request, cap, facts.limits, counted)),
    costNanoUsd: facts.price
      ? capCallNanoUsd(maxCostNanoUsd(request, facts.price, rules, inputTokens, outputTokens))
      : 0n,
    price: facts.price,
    contextWindow: facts.limits?.contextWindow ?? DEFAULT_CONTEXT_WINDOW_TOKENS,
    injectedCap,
  }
}

/**
 * The largest cap, in tokens for one answer, with which the call costs at most `budgetNanoUsd`. Negative if there is none.
 * If the cap does not cover reasoning, it bounds nothing: then every cap fits, or none.
 */
export function affordableCap(request: RequestFacts, quoted: Quote, rules: QuoteRules, budgetNanoUsd: bigint): number {
  if (!quoted.price) return Number.MAX_SAFE_INTEGER
  let cap = Number.MAX_SAFE_INTEGER
  for (const step of applicableSteps(request, quoted.price, quoted.inputTokens)) {
    const { inputRate, outputRate, fees } = maxRates(request, step, rules, quoted.inputTokens)
    const left = budgetNanoUsd * MILLION - BigInt(quoted.inputTokens) * inputRate - fees
    if (left < 0n) return -1
    if (outputRate === 0n) continue
    const affordableTokens = Number(left / outputRate)
    if (!rules.capCoversReasoning) {
      if (affordableTokens < quoted.outputTokens) return -1
      continue
    }
    cap = Math.min(cap, Math.floor((affordableTokens - request.predictionBytes) / request.answers))
  }
  return cap
}

function maxInputTokens(
  request: RequestFacts,
  limits: ModelLimits | undefined,
  rules: QuoteRules,
  counted?: CountedInput,
): number {
  const window = (limits?.contextWindow ?? DEFAULT_CONTEXT_WINDOW_TOKENS) * request.prompts
  const all = countOfAll(request, counted)?.all ?? Number.POSITIVE_INFINITY
  if (request.unbounded.length > 0) return window
  const sized = request.unsizedInput ? Number.POSITIVE_INFINITY : sizedTokens(request, rules, counted)
  const tokens = Math.min(sized, all)
  return limits || tokens === Number.POSITIVE_INFINITY ? Math.min(window, tokens) : tokens
}

/** The count of all of the input, if there is one that bounds the call. */
function countOfAll(request: RequestFacts, counted: CountedInput | undefined) {
  return counted && 'all' in counted && !request.uncountableInput ? counted : undefined
}

/** The bound by the bytes of the text, and by the maximum of each image. */
function sizedTokens(request: RequestFacts, rules: QuoteRules, counted: CountedInput | undefined): number {
  const framing =
    rules.tokensPerCall +
    rules.tokensPerMessage * request.messages +
    request.addedTokens +
    request.grownBytes +
    (rules.spacesTools ? request.toolSeparators : 0) +
    request.repeatedBytes +
    (rules.tokensPerArgument ?? 0) * request.callArguments +
    Math.ceil(request.toolBytes * (toolGrowthFactor(request, rules) - 1)) +
    (request.tools ? rules.tokensWithTools : 0) +
    (request.images > 0 ? request.images * rules.imageTokens(request.model) : 0)
  const text = counted && 'text' in counted ? Math.min(counted.text, request.textBytes) : request.textBytes
  return text + framing
}

/**
 * Spaces of indentation are some 100 to a token, with four for each level. Measured with lists of lists at every depth; tools of usual
 * depth have the factor of their rules.
 */
function toolGrowthFactor({ depth }: RequestFacts, { toolGrowthFactor = 1, indentsTools }: QuoteRules): number {
  return indentsTools ? Math.max(toolGrowthFactor, 2.5 + depth / 24) : toolGrowthFactor
}

/** For one answer. The provider never exceeds the model's maximum, even if the cap is higher. */
function maxAnswerTokens(cap: number | null, limits: ModelLimits | undefined, rules: QuoteRules): number {
  const maximum = limits?.maxOutput ?? Number.MAX_SAFE_INTEGER
  if (cap === null || (!rules.capCoversReasoning && limits)) return maximum
  return Math.min(cap, maximum)
}

function estimatedTokens(
  request: RequestFacts,
  cap: number | null,
  limits: ModelLimits | undefined,
  counted: CountedInput | undefined,
): number {
  const usual = limits?.usualOutput ?? DEFAULT_USUAL_OUTPUT_TOKENS
  const output = request.kind === 'embed' ? 0 : Math.min(cap ?? usual, usual) * request.answers
  const reported = request.unsizedInput ? countOfAll(request, counted)?.reported : undefined
  if (reported !== undefined) return reported + output
  return Math.ceil(request.textBytes / ESTIMATED_BYTES_PER_TOKEN) + request.images * ESTIMATED_IMAGE_TOKENS + output
}

function maxCostNanoUsd(
  request: RequestFacts,
  price: Price,
  rules: QuoteRules,
  inputTokens: number,
  outputTokens: number,
): bigint {
  let maxCost = 0n
  for (const step of applicableSteps(request, price, inputTokens)) {
    const { inputRate, outputRate, fees } = maxRates(request, step, rules, inputTokens)
    const cost = BigInt(inputTokens) * inputRate + BigInt(outputTokens) * outputRate + fees
    if (cost > maxCost) maxCost = cost
  }
  if (maxCost === 0n && request.unbounded.length > 0) return FREE_UNBOUNDED_NANO_USD
  return divideUp(maxCost, MILLION)
}

/**
 * The steps that the call may be billed by. Lower steps also count, since the call may use less input than its bound. So do those
 * of the standard tier: a provider may refuse a cheap tier and serve the call at the standard one.
 */
function applicableSteps(request: RequestFacts, price: Price, inputTokens: number): readonly PriceStep[] {
  const tier = tierSteps(price, request.serviceTier)
  const steps = tier === price.steps ? tier : [...price.steps, ...tier]
  if (steps.length === 1) return steps
  return steps.filter(({ fromInputTokens }) => fromInputTokens <= inputTokens)
}

/** The highest rates by which a call can be billed, in nano-dollars per million units. */
interface MaxRates {
  readonly inputRate: bigint
  readonly outputRate: bigint
  /** Fees of the whole call, in nano-dollars × million, like rate × units. */
  readonly fees: bigint
}

function maxRates(request: RequestFacts, { rates }: PriceStep, rules: QuoteRules, inputTokens: number): MaxRates {
  return {
    inputRate: maxInputRate(request, rules, rates),
    outputRate: maxOutputRate(request, rates),
    fees: maxFees(request, rates, inputTokens),
  }
}

/** The request itself; and for hosted tools, searches and the assumed uses of each tool. */
function maxFees(request: RequestFacts, rates: Rates, inputTokens: number): bigint {
  let fees = rates.requests
  if (request.unbounded.length > 0) fees += rates.webSearches * ASSUMED_WEB_SEARCHES
  for (const name of request.unbounded) {
    const tool = name.replace(DATE, '')
    const assumed = Object.hasOwn(ASSUMED_UNITS, tool) ? ASSUMED_UNITS[tool] : undefined
    for (const [feeClass, units] of Object.entries(assumed ?? {})) fees += rates[feeClass as FeeClass] * units
  }
  if (request.audioInput && rates.audioSeconds > 0n)
    fees += rates.audioSeconds * BigInt(Math.ceil(inputTokens / MIN_AUDIO_TOKENS_PER_SECOND))
  return fees
}

function maxInputRate(request: RequestFacts, rules: QuoteRules, rates: Rates): bigint {
  let max = maxBigint(rates.input, rates.cacheRead)
  if (request.cacheWrite !== 'none' || rules.cachesAutomatically) max = maxBigint(max, rates.cacheWrite5m)
  if (request.cacheWrite === '1h' || request.cacheWrite === '12h') max = maxBigint(max, rates.cacheWrite1h)
  if (request.cacheWrite === '12h') max = maxBigint(max, rates.cacheWrite12h)
  if (request.audioInput) max = maxBigint(max, rates.audioInput)
  // Input of unknown size may contain images, and audio that is cached.
  if (request.images > 0 || request.unsizedInput) max = maxBigint(max, rates.imageInput)
  if (request.unbounded.length > 0) max = maxBigint(max, rates.citations)
  if (request.unsizedInput) max = maxBigint(max, rates.audioCacheRead)
  return max
}

function maxOutputRate(request: RequestFacts, rates: Rates): bigint {
  // Only models that write images have an image rate of their own, and they write images without a request for them.
  const max = maxBigint(maxBigint(rates.output, rates.imageOutput), rates.reasoningBeside)
  return request.audioOutput ? maxBigint(max, rates.audioOutput) : max
}

function maxBigint(left: bigint, right: bigint): bigint {
  return left > right ? left : right
}
