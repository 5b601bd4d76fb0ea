// Prices: integer rates by class of units, and the cost of a usage. Never knows where prices come from.

import { capCallNanoUsd, divideUp } from './money.ts'
import { CLASS_ROWS, inputTokens, type RareClass, USAGE_CLASSES, type Usage, type UsageClass } from './usage.ts'

/** Nano-dollars per **million** units, by class: $2.50 per million tokens is `2_500_000_000n`. */
export type Rates = Readonly<Record<UsageClass, bigint>>

/** Rates for the whole call if its input reaches `fromInputTokens`. Providers bill such a cliff, not only the tokens above it. */
export interface PriceStep {
  readonly fromInputTokens: number
  readonly rates: Rates
}

/** In ascending order. The first starts at 0. */
export type PriceSteps = readonly [PriceStep, ...PriceStep[]]

/** The price of one model at one provider. */
export interface Price {
  /** The source of the figures, as every entry records it: `prices@2026-11-30#1a2b3c4d`, `bursar.json#1a2b3c4d`, `code#…`. */
  readonly version: string
  /** True if the operator wrote the price, or a part of it. */
  readonly isOperators?: true
  readonly steps: PriceSteps
  /**
   * The rates of service tiers, by the words of OpenAI's `service_tier`. Anthropic's `speed: fast` and `inference_geo: us` are
   * `fast`, `us` and `fast+us`. Any other tier has the rates of `steps`: committed capacity, for one, has a bill of its own.
   */
  readonly tiers: ReadonlyMap<string, PriceSteps>
  /** Fees that are known to be zero. The other fees with a rate of zero are not known. */
  readonly freeFees?: ReadonlySet<UsageClass>
}

/** Whether the operator wrote the price, in bursar.json or in code. His word counts before the provider's. */
export function isOperatorPrice(price: Price | undefined): boolean {
  return price?.isOperators === true
}

/** The limits of a model, in tokens. */
export interface ModelLimits {
  readonly contextWindow: number
  readonly maxOutput: number
  /** A usual answer: limits on tokens per minute reserve this estimate. */
  readonly usualOutput: number
}

/** The announced end of a model. */
export interface Retirement {
  /** The first day, in UTC, on which the provider no longer serves the model: `2027-01-14`. */
  readonly date: string
  /** The model that the provider recommends instead. */
  readonly successor: string | undefined
}

/** The gateway's knowledge of a model. Each part may be unknown. */
export interface ModelFacts {
  readonly price: Price | undefined
  readonly limits: ModelLimits | undefined
  readonly retirement?: Retirement | undefined
}

/** Looks up models. Called several times per call: a look-up must be a hash hit and must not do I/O. */
export interface PriceBook {
  /**
   * @param provider the provider's name: `openai`, `anthropic`, `gemini`, `simulated`, …
   * @param model the name in a request or an answer, in any spelling that the provider accepts
   * @param atMs the wall clock in epoch milliseconds, since some prices change by date or hour
   */
  find(provider: string, model: string, atMs: number): ModelFacts
  /** The prices as they are now, which do not change: a call keeps those that it began with. */
  readonly inForce: PriceBook
  /** The known model with the nearest name, to help a person with the price of an unknown one. No call is priced by it. */
  sibling(provider: string, model: string, atMs: number): string | undefined
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
    inputNanoUsd: capCallNanoUsd(left.inputNanoUsd + right.inputNanoUsd),
    outputNanoUsd: capCallNanoUsd(left.outputNanoUsd + right.outputNanoUsd),
    totalNanoUsd: capCallNanoUsd(left.totalNanoUsd + right.totalNanoUsd),
  }
}

/** A cost with another total. Input and output keep their proportion if they would exceed the total. */
export function costWithTotal({ inputNanoUsd, outputNanoUsd }: Cost, totalNanoUsd: bigint): Cost {
  const sum = inputNanoUsd + outputNanoUsd
  if (sum <= totalNanoUsd) return { inputNanoUsd, outputNanoUsd, totalNanoUsd }
  return {
    inputNanoUsd: (inputNanoUsd * totalNanoUsd) / sum,
    outputNanoUsd: (outputNanoUsd * totalNanoUsd) / sum,
    totalNanoUsd,
  }
}

/** Rates are for so many units. */
export const MILLION_UNITS = 1_000_000n

export const NO_TIERS: Price['tiers'] = new Map()

/** The steps of a service tier, which are those of the standard tier if the tier has none. */
export function tierSteps(price: Price, serviceTier: string | null): PriceSteps {
  return (serviceTier === null ? undefined : price.tiers.get(serviceTier)) ?? price.steps
}

/** The rates in force for a call with this much input. */
export function ratesFor(price: Price, totalInputTokens: number, serviceTier: string | null = null): Rates {
  const steps = tierSteps(price, serviceTier)
  let { rates } = steps[0]
  for (const step of steps) if (totalInputTokens >= step.fromInputTokens) rates = step.rates
  return rates
}

/** The cost of `usage`: rates × units, summed exactly in nano-dollars × million, then rounded once. */
export function costOf(price: Price, usage: Usage, serviceTier: string | null = null): Cost {
  const rates = ratesFor(price, inputTokens(usage), serviceTier)
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
  return {
    inputNanoUsd: capCallNanoUsd(input / MILLION_UNITS),
    outputNanoUsd: capCallNanoUsd(output / MILLION_UNITS),
    totalNanoUsd: capCallNanoUsd(divideUp(input + output + fees, MILLION_UNITS)),
  }
}

function multiply(rate: bigint, units: number): bigint {
  return units > 0 ? rate * BigInt(units) : 0n
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
