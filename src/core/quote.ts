// Quote: the most a call can use and cost, from what its request says. Reads no request and knows no provider by name.

import { divideUp } from './money.ts'
import { type ModelFacts, type ModelLimits, type Price, type PriceStep, type Rates, tierPercent } from './prices.ts'

/** What a call wants, as far as it changes what the call can cost. Dialects read it from bodies. */
export interface RequestFacts {
  /** An answer in words; vectors, which are no output; or how many tokens something is, which takes a request and no money. */
  readonly kind: 'generate' | 'embed' | 'count'
  /** As the caller wrote it. */
  readonly model: string
  readonly stream: boolean
  /** Bytes that can become text tokens: the body without inline media, grown where the provider's normalisation grows it. */
  readonly textBytes: number
  readonly messages: number
  /** Tokens the provider adds of its own for what is asked for: its descriptions of tools that a request only names. */
  readonly addedTokens: number
  /** The largest output cap present, for one answer. Null when absent. */
  readonly outputCap: number | null
  /** Answers the provider will write: n, best_of, candidateCount, times prompts. */
  readonly answers: number
  /** Inputs that are read each by itself, every one with a context window of its own. */
  readonly prompts: number
  /** Bytes of predicted output: rejected predictions are billed as output. */
  readonly predictionBytes: number
  readonly tools: boolean
  readonly images: number
  /** True when audio, video, files, PDFs or stored context make the body's size say nothing about its tokens. */
  readonly unsizedInput: boolean
  readonly audioInput: boolean
  readonly audioOutput: boolean
  readonly cacheWrite: 'none' | '5m' | '1h'
  /** What makes the call unboundable by anyone, by name: hosted tools and the like. Empty for most calls. */
  readonly unbounded: readonly string[]
  readonly serviceTier: string | null
  /** The end user the body names, or null. */
  readonly user: string | null
}

/** What a provider adds to, and how it counts, what it is sent. Measured; see the provider's own file. */
export interface QuoteRules {
  readonly tokensPerCall: number
  readonly tokensPerMessage: number
  readonly tokensWithTools: number
  /** The most tokens one image can be. */
  readonly imageTokens: (model: string) => number
  /** False where reasoning is billed beyond the cap. */
  readonly capCoversReasoning: boolean
  /** True where the provider writes its cache, and bills for it, without being asked. */
  readonly cachesAutomatically: boolean
}

export interface QuoteSettings {
  readonly defaultMaxOutputTokens: number
  /** What `tokens` limits reserve: a usual call, or the worst one. */
  readonly tokenReservation: 'estimate' | 'worst'
}

/** What a call takes in, counted: of its text at most, or of all of it, framing and media included. */
export type CountedInput = { readonly text: number } | { readonly all: number }

export interface Quote {
  /** The most tokens the call can take in. */
  readonly inputTokens: number
  /** The most it can write, over all its answers. */
  readonly outputTokens: number
  /** What limits on tokens reserve. */
  readonly tokens: number
  readonly costNanoUsd: bigint
  readonly price: Price | undefined
  /** The output cap the gateway sets, for one answer; null when the caller's own request stands. */
  readonly injectedCap: number | null
}

/** Window assumed for a model nobody knows: the largest in common use. */
const DEFAULT_CONTEXT_WINDOW_TOKENS = 1_048_576
const DEFAULT_USUAL_OUTPUT_TOKENS = 1_000
/** English is about four bytes a token; only for rates, never for money. */
const ESTIMATED_BYTES_PER_TOKEN = 4
/** What an image usually takes, for rates. */
const ESTIMATED_IMAGE_TOKENS = 1_000
/** Searches a hosted search tool is taken to make: nobody bounds them. */
const ASSUMED_WEB_SEARCHES = 10n
const PERCENT_OF_MILLION = 100_000_000n

/**
 * The most `ask` can use at a model. `cap` sets an output cap in the request's place, as an injected one does.
 * A model whose largest answer is not known, asked without a cap, gets the default cap. `counted` bounds the input in place
 * of the request's bytes, where it is less.
 */
export function quote(
  ask: RequestFacts,
  facts: ModelFacts,
  rules: QuoteRules,
  settings: QuoteSettings,
  cap?: number,
  counted?: CountedInput,
): Quote {
  if (ask.kind === 'count')
    return { inputTokens: 0, outputTokens: 0, tokens: 0, costNanoUsd: 0n, price: facts.price, injectedCap: null }
  const inputTokens = maxInputTokens(ask, facts.limits, rules, counted)
  if (ask.kind === 'embed') return quoteOf(ask, facts, rules, settings, inputTokens, 0, null)
  const unknownOutput = ask.outputCap === null && !facts.limits
  const most = facts.limits?.maxOutput ?? Number.MAX_SAFE_INTEGER
  const injectedCap = cap !== undefined ? Math.min(cap, most) : unknownOutput ? settings.defaultMaxOutputTokens : null
  const asked = injectedCap ?? ask.outputCap
  const outputTokens = maxOutputTokens(asked, facts.limits, rules) * ask.answers + ask.predictionBytes
  return quoteOf(ask, facts, rules, settings, inputTokens, outputTokens, injectedCap)
}

function quoteOf(
  ask: RequestFacts,
  facts: ModelFacts,
  rules: QuoteRules,
  settings: QuoteSettings,
  inputTokens: number,
  outputTokens: number,
  injectedCap: number | null,
): Quote {
  const asked = injectedCap ?? ask.outputCap
  const worst = inputTokens + outputTokens
  return {
    inputTokens,
    outputTokens,
    tokens: settings.tokenReservation === 'worst' ? worst : Math.min(worst, estimatedTokens(ask, asked, facts.limits)),
    costNanoUsd: facts.price ? maxCostNanoUsd(ask, facts.price, rules, inputTokens, outputTokens) : 0n,
    price: facts.price,
    injectedCap,
  }
}

/**
 * The largest cap for one answer with which the call costs at most `budgetNanoUsd`. Negative when none does. Where the cap
 * does not cover reasoning, it bounds nothing: then it is any, or none.
 */
export function affordableCap(ask: RequestFacts, quoted: Quote, rules: QuoteRules, budgetNanoUsd: bigint): number {
  if (!quoted.price) return Number.MAX_SAFE_INTEGER
  let cap = Number.MAX_SAFE_INTEGER
  for (const step of quoted.price.steps) {
    if (!canApply(step, quoted.inputTokens)) continue
    const { inputRate, outputRate, fees, percent } = maxRates(ask, quoted.price, step, rules)
    const left = budgetNanoUsd * PERCENT_OF_MILLION - BigInt(quoted.inputTokens) * inputRate * percent - fees * 100n
    if (left < 0n) return -1
    if (outputRate === 0n) continue
    const outputs = Number(left / (outputRate * percent))
    if (!rules.capCoversReasoning) {
      if (outputs < quoted.outputTokens) return -1
      continue
    }
    cap = Math.min(cap, Math.floor((outputs - ask.predictionBytes) / ask.answers))
  }
  return cap
}

function maxInputTokens(
  ask: RequestFacts,
  limits: ModelLimits | undefined,
  rules: QuoteRules,
  counted?: CountedInput,
): number {
  const window = (limits?.contextWindow ?? DEFAULT_CONTEXT_WINDOW_TOKENS) * ask.prompts
  if (ask.unsizedInput || ask.unbounded.length > 0) return window
  const framing =
    rules.tokensPerCall +
    rules.tokensPerMessage * ask.messages +
    ask.addedTokens +
    (ask.tools ? rules.tokensWithTools : 0) +
    (ask.images > 0 ? ask.images * rules.imageTokens(ask.model) : 0)
  const text = counted && 'text' in counted ? Math.min(counted.text, ask.textBytes) : ask.textBytes
  const all = counted && 'all' in counted ? counted.all : Number.MAX_SAFE_INTEGER
  const tokens = Math.min(text + framing, all)
  return limits ? Math.min(window, tokens) : tokens
}

/** For one answer. The provider holds itself to the model's maximum, whatever was asked. */
function maxOutputTokens(cap: number | null, limits: ModelLimits | undefined, rules: QuoteRules): number {
  const maximum = limits?.maxOutput ?? Number.MAX_SAFE_INTEGER
  if (cap === null || (!rules.capCoversReasoning && limits)) return maximum
  return Math.min(cap, maximum)
}

function estimatedTokens(ask: RequestFacts, cap: number | null, limits: ModelLimits | undefined): number {
  const usual = limits?.usualOutput ?? DEFAULT_USUAL_OUTPUT_TOKENS
  const output = ask.kind === 'embed' ? 0 : Math.min(cap ?? usual, usual) * ask.answers
  return Math.ceil(ask.textBytes / ESTIMATED_BYTES_PER_TOKEN) + ask.images * ESTIMATED_IMAGE_TOKENS + output
}

function maxCostNanoUsd(
  ask: RequestFacts,
  price: Price,
  rules: QuoteRules,
  inputTokens: number,
  outputTokens: number,
): bigint {
  let most = 0n
  for (const step of price.steps) {
    if (!canApply(step, inputTokens)) continue
    const { inputRate, outputRate, fees, percent } = maxRates(ask, price, step, rules)
    const scaled = (BigInt(inputTokens) * inputRate + BigInt(outputTokens) * outputRate) * percent + fees * 100n
    if (scaled > most) most = scaled
  }
  return divideUp(most, PERCENT_OF_MILLION)
}

/** Whether a call may turn out to be billed by a step: it may take less input than its bound. */
function canApply({ fromInputTokens }: PriceStep, inputTokens: number): boolean {
  return fromInputTokens <= inputTokens
}

interface MaxRates {
  readonly inputRate: bigint
  readonly outputRate: bigint
  /** In nano-dollars × million, like rate × tokens. */
  readonly fees: bigint
  readonly percent: bigint
}

function maxRates(ask: RequestFacts, price: Price, { rates }: PriceStep, rules: QuoteRules): MaxRates {
  const tier = tierPercent(price, ask.serviceTier)
  return {
    inputRate: maxInputRate(ask, rates, rules),
    outputRate: maxOutputRate(ask, rates),
    fees: rates.requests + (ask.unbounded.length > 0 ? hostedFees(ask, price, rates) : 0n),
    // A cheap tier may be refused and served at the standard one.
    percent: BigInt(Math.max(100, tier)),
  }
}

/** Searches, and one use of every other tool that has a fee of its own. */
function hostedFees(ask: RequestFacts, { toolFees }: Price, rates: Rates): bigint {
  const searches = rates.webSearches * ASSUMED_WEB_SEARCHES
  return ask.unbounded.reduce((sum, name) => sum + (toolFees?.get(name) ?? 0n), searches)
}

function maxInputRate(ask: RequestFacts, rates: Rates, rules: QuoteRules): bigint {
  let most = maxBigint(rates.input, rates.cacheRead)
  if (ask.cacheWrite !== 'none' || rules.cachesAutomatically) most = maxBigint(most, rates.cacheWrite5m)
  if (ask.cacheWrite === '1h') most = maxBigint(most, rates.cacheWrite1h)
  if (ask.audioInput) most = maxBigint(most, rates.audioInput)
  // What a body's size says nothing about may hold pictures, and sound that is cached.
  if (ask.images > 0 || ask.unsizedInput) most = maxBigint(most, rates.imageInput)
  if (ask.unsizedInput) most = maxBigint(most, rates.audioCacheRead)
  return most
}

function maxOutputRate(ask: RequestFacts, rates: Rates): bigint {
  // Only models that write images have an image rate of their own, and those write them unasked.
  const most = maxBigint(rates.output, rates.imageOutput)
  return ask.audioOutput ? maxBigint(most, rates.audioOutput) : most
}

function maxBigint(one: bigint, other: bigint): bigint {
  return one > other ? one : other
}
