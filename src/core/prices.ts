// Prices: integer rates per usage class, and what a usage costs by them. Where prices come from is not known here.

import { divideUp } from './money.ts'
import {
  CLASS_ROWS,
  hasRareUnits,
  inputTokens,
  RARE_CLASSES,
  USAGE_CLASSES,
  type Usage,
  type UsageClass,
} from './usage.ts'

/** Nano-dollars per **million** units of each class: $2.50 per million tokens is `2_500_000_000n`. */
export type Rates = Readonly<Record<UsageClass, bigint>>

/** Rates that hold for the whole call once its input reaches `fromInputTokens` (a cliff, as providers bill it). */
export interface PriceStep {
  readonly fromInputTokens: number
  readonly rates: Rates
}

/** The price of one model at one provider. */
export interface Price {
  /** Where the figures came from, recorded in every entry: `genai-prices@0.1.8`, `bursar@1`, `bursar.json`, `code`. */
  readonly version: string
  /** Ascending; the first starts at 0. */
  readonly steps: readonly [PriceStep, ...PriceStep[]]
  /** Percent of the token rates by service tier (`flex` 50, `priority` 175); a tier not named costs 100. */
  readonly serviceTierPercent: Readonly<Record<string, number>>
  /** Nano-dollars per million uses of tools that the provider runs, by the names asks give them. Absent where none is known. */
  readonly toolFees?: ReadonlyMap<string, bigint>
}

/** What a model can take and give, in tokens. */
export interface ModelLimits {
  readonly contextWindow: number
  readonly maxOutput: number
  /** What an answer usually takes: the estimate that tokens-per-minute limits reserve. */
  readonly usualOutput: number
}

/** A model as the gateway knows it. Either part may be unknown. */
export interface ModelFacts {
  readonly price: Price | undefined
  readonly limits: ModelLimits | undefined
}

/** Where the gate asks for a model's facts. A hash hit per call; must not do I/O. */
export interface PriceBook {
  /**
   * @param provider the provider's name: `openai`, `anthropic`, `gemini`, `simulated`, …
   * @param model as asked or answered, any spelling the provider accepts
   * @param atMs wall clock, epoch milliseconds: some prices change by date or hour
   */
  find(provider: string, model: string, atMs: number): ModelFacts
  /** Whether the provider itself answers that model, as far as anybody knows. */
  serves(provider: string, model: string, atMs: number): boolean
}

export interface Cost {
  readonly inputNanoUsd: bigint
  readonly outputNanoUsd: bigint
  /** Input, output and fees, summed exactly and then rounded up once. */
  readonly totalNanoUsd: bigint
}

export const NO_COST: Cost = { inputNanoUsd: 0n, outputNanoUsd: 0n, totalNanoUsd: 0n }

export function costSum(one: Cost, other: Cost): Cost {
  return {
    inputNanoUsd: one.inputNanoUsd + other.inputNanoUsd,
    outputNanoUsd: one.outputNanoUsd + other.outputNanoUsd,
    totalNanoUsd: one.totalNanoUsd + other.totalNanoUsd,
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
 * scales token rates and leaves fees alone. Rare classes are looped over only if they were used: see core/usage.ts.
 */
export function costOf(price: Price, usage: Usage, serviceTier?: string): Cost {
  const rates = ratesFor(price, inputTokens(usage))
  let input =
    multiply(rates.input, usage.input) +
    multiply(rates.cacheRead, usage.cacheRead) +
    multiply(rates.cacheWrite5m, usage.cacheWrite5m)
  let output = multiply(rates.output, usage.output)
  let fees = multiply(rates.requests, usage.requests)
  if (hasRareUnits(usage)) {
    for (const name of RARE_CLASSES) {
      if (usage[name] === 0) continue
      const cost = multiply(rates[name], usage[name])
      const { part } = CLASS_ROWS[name]
      if (part === 'input') input += cost
      else if (part === 'output') output += cost
      else fees += cost
    }
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

/** What a service tier costs in percent of the standard one; unknown tiers cost as much. */
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

/** True when every rate of every step is zero: a free model keeps working when the budget is used up. */
export function isFree(price: Price): boolean {
  return price.steps.every((step) => USAGE_CLASSES.every((name) => step.rates[name] === 0n))
}
