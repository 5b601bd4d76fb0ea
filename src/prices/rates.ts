// Rates of a model: dollars as they are published become nano-dollars per million units, and missing classes are filled.

import { divideUp } from '../core/money.ts'
import { type Rates, ratesOf } from '../core/prices.ts'
import { CLASS_ROWS, type UsageClass } from '../core/usage.ts'

/** Nano-dollars per million units, for the classes whose price is known. */
export type KnownRates = Partial<Record<UsageClass, bigint>>

/** The rate of a class from its published price: nano-dollars for `pricedPer` units (a million tokens, a thousand searches). */
export function rateOf(name: UsageClass, publishedNanoUsd: bigint): bigint {
  return divideUp(publishedNanoUsd * 1_000_000n, BigInt(CLASS_ROWS[name].pricedPer))
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

export function isFee(name: UsageClass): boolean {
  return CLASS_ROWS[name].part === 'fee'
}

export function isClaude(name: string): boolean {
  return name.toLowerCase().includes('claude')
}
