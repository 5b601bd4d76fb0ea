// Rates of a model: the classes a price leaves out follow their nearest relative.

import { divideUp } from '../core/money.ts'
import { type Rates, ratesOf } from '../core/prices.ts'
import { FEE_CLASSES, type UsageClass } from '../core/usage.ts'

export type KnownRates = Partial<Record<UsageClass, bigint>>

/** Anthropic's cache writes are 1.25 times the input price for five minutes and twice for an hour, on every platform. */
export function fillRates(known: KnownRates, claude: boolean): Rates {
  if (!claude || known.input === undefined) return ratesOf(known)
  return ratesOf({
    ...known,
    cacheWrite5m: known.cacheWrite5m ?? divideUp(known.input * 5n, 4n),
    cacheWrite1h: known.cacheWrite1h ?? known.input * 2n,
  })
}

export function isFee(name: UsageClass): boolean {
  return FEE_CLASSES.some((fee) => fee === name)
}

export function isClaude(name: string): boolean {
  return name.toLowerCase().includes('claude')
}
