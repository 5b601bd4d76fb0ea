// Prices: integer rates by class of units, and the cost of a usage. Never knows where prices come from.

import { divideUp } from './money.ts'
import { CLASS_ROWS, inputTokens, type RareClass, USAGE_CLASSES, type Usage, type UsageClass } from './usage.ts'

/** Nano-dollars per **million** units, by class: $2.50 per million tokens is `2_500_000_000n`. */
export type Rates = Readonly<Record<UsageClass, bigint>>

/** Rates for the whole call if its input reaches `fromInputTokens`. Providers bill such a cliff, not only the tokens above it. */
export interface PriceStep {
  readonly fromInputTokens: number
  readonly rates: Rates
}

/** The price of one model at one provider. */
export interface Price {
  /** The source of the figures, as every entry records it: `genai-prices@0.1.8`, `bursar@1`, `bursar.json#1a2b3c4d`, `code#…`. */
  readonly version: string
  /** In ascending order. The first starts at 0. */
  readonly steps: readonly [PriceStep, ...PriceStep[]]
  /** Percent of the token rates by service tier (`flex` 50, `priority` 175). Any other tier costs 100. */
  readonly serviceTierPercent: Readonly<Record<string, number>>
  /** Nano-dollars per million uses of tools that the provider runs, by their names in requests. Absent if none is known. */
  readonly toolFees?: ReadonlyMap<string, bigint>
}

/** The limits of a model, in tokens. */
export interface ModelLimits {
  readonly contextWindow: number
  readonly maxOutput: number
  /** A usual answer: limits on tokens per minute reserve this estimate. */
  readonly usualOutput: number
}

/** The gateway's knowledge of a model. Either part may be unknown. */
export interface ModelFacts {
  readonly price: Price | undefined
  readonly limits: ModelLimits | undefined
}

/** Looks up models. Called several times per call: a look-up must be a hash hit and must not do I/O. */
export interface PriceBook {
  /**
   * @param provider the provider's name: `openai`, `anthropic`, `gemini`, `simulated`, …
   * @param model the name in a request or an answer, in any spelling that the provider accepts
   * @param atMs the wall clock in epoch milliseconds, since some prices change by date or hour
   */
  find(provider: string, model: string, atMs: number): ModelFacts
  /** Whether the provider itself is known to answer that model. */
  serves(provider: string, model: string, atMs: number): boolean
}

/** In nano-dollars. Input and output are rounded down, the total is rounded up. */
export interface Cost {
  readonly inputNanoUsd: bigint
  readonly outputNanoUsd: bigint
  /** Input, output and fees: summed exactly, then rounded up once. */
  readonly totalNanoUsd: bigint
}

export const NO_COST: Cost = { inputNanoUsd: 0n, outputNanoUsd: 0n, totalNanoUsd: 0n }

export function costSum(left: Cost, right: Cost): Cost {
  return {
    inputNanoUsd: left.inputNanoUsd + right.inputNanoUsd,
    outputNanoUsd: left.outputNanoUsd + right.outputNanoUsd,
    totalNanoUsd: left.totalNanoUsd + right.totalNanoUsd,
  }
}

const MILLION = 1_000_000n
const PERCENT_OF_MILLION = 100n * MILLION

/** The rates in force for a call with this much input. */
export function ratesFor(price: Price, totalInputTokens: number): Rates {
  let rates = price.steps[0].rates
  for (const step of price.steps) if (totalInputTokens >= step.fromInputTokens) rates = step.rates
  return rates
}

/**
 * The cost of `usage`: rates × units, summed exactly in nano-dollars × million × percent, then rounded once. The service tier
 * scales token rates and leaves fees alone.
 */
export function costOf(price: Price, usage: Usage, serviceTier?: string): Cost {
  const rates = ratesFor(price, inputTokens(usage))
  let input =
    multiply(rates.input, usage.input) +
    multiply(rates.cacheRead, usage.cacheRead) +
    multiply(rates.cacheWrite5m, usage.cacheWrite5m)
  let output = multiply(rates.output, usage.output)
  let fees = multiply(rates.requests, usage.requests)
  for (const name in usage.rare) {
    const cost = multiply(rates[name as RareClass], usage.rare[name as RareClass] ?? 0)
    const { part } = CLASS_ROWS[name as RareClass]
    if (part === 'input') input += cost
    else if (part === 'output') output += cost
    else fees += cost
  }
  const percent = BigInt(tierPercent(price, serviceTier))
  return {
    inputNanoUsd: (input * percent) / PERCENT_OF_MILLION,
    outputNanoUsd: (output * percent) / PERCENT_OF_MILLION,
    totalNanoUsd: divideUp((input + output) * percent + fees * 100n, PERCENT_OF_MILLION),
  }
}

function multiply(rate: bigint, units: number): bigint {
  return units > 0 ? rate * BigInt(units) : 0n
}

/** The price of a service tier in percent of the standard tier. An unknown tier costs 100. */
export function tierPercent(price: Price, serviceTier: string | null | undefined): number {
  const known = typeof serviceTier === 'string' && Object.hasOwn(price.serviceTierPercent, serviceTier)
  return known ? (price.serviceTierPercent[serviceTier] ?? 100) : 100
}

/** Rates with every class filled: a missing rate is that of its nearest relative with a rate, or zero. */
export function ratesOf(known: Partial<Record<UsageClass, bigint>>): Rates {
  const rateOf = (name: UsageClass): bigint => known[name] ?? rateFrom(CLASS_ROWS[name].rateFrom, known)
  return Object.fromEntries(USAGE_CLASSES.map((name) => [name, rateOf(name)])) as Record<UsageClass, bigint>
}

function rateFrom(relatives: readonly UsageClass[], known: Partial<Record<UsageClass, bigint>>): bigint {
  for (const name of relatives) {
    const rate = known[name]
    if (rate !== undefined) return rate
  }
  return 0n
}

/** True if every rate of every step is zero. A free model keeps working when the budget is used up. */
export function isFree(price: Price): boolean {
  return price.steps.every((step) => USAGE_CLASSES.every((name) => step.rates[name] === 0n))
}
