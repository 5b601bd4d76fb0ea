// Rates of a model: dollars as they are published become nano-dollars per million units, and missing classes are filled.

import { divideUp } from '../core/money.ts'
import { type PriceStep, type PriceSteps, type Rates, ratesOf } from '../core/prices.ts'
import { CLASS_ROWS, USAGE_CLASSES, type UsageClass } from '../core/usage.ts'

/** Nano-dollars per million units, for the classes whose price is known. */
export type KnownRates = Partial<Record<UsageClass, bigint>>

/**
 * The rate of a class from its published price: nano-dollars for `pricedPer` units (a million tokens, a thousand searches, an hour
 * in seconds). A fraction is dropped: it is less than a nano-dollar for a million units, and costs are rounded up.
 */
export function rateOf(name: UsageClass, publishedNanoUsd: bigint): bigint {
  return (publishedNanoUsd * 1_000_000n) / BigInt(CLASS_ROWS[name].pricedPer)
}

/**
 * Rates with every class filled. A cache write of Claude costs 1.25 times the input price for five minutes and twice for an
 * hour, on every platform; all other classes follow the table in core/usage.ts.
 */
export function fillRates(known: KnownRates, isClaudeModel: boolean): Rates {
  if (!isClaudeModel || known.input === undefined) return ratesOf(known)
  return ratesOf({
    ...known,
    cacheWrite5m: known.cacheWrite5m ?? divideUp(known.input * 5n, 4n),
    cacheWrite1h: known.cacheWrite1h ?? known.input * 2n,
  })
}

/** Steps whose token rates are a percentage of the given ones. Fees stay as they are. */
export function scaledSteps([first, ...later]: PriceSteps, percent: number): PriceSteps {
  // Percentages have at most four decimals.
  const share = BigInt(Math.round(percent * 10_000))
  const scaled = ({ fromInputTokens, rates }: PriceStep): PriceStep => ({
    fromInputTokens,
    rates: Object.fromEntries(
      USAGE_CLASSES.map((name) => [name, isFee(name) ? rates[name] : divideUp(rates[name] * share, 1_000_000n)]),
    ) as Rates,
  })
  return [scaled(first), ...later.map(scaled)]
}

export function isFee(name: UsageClass): boolean {
  return CLASS_ROWS[name].part === 'fee'
}

export function isClaude(name: string): boolean {
  return name.toLowerCase().includes('claude')
}
