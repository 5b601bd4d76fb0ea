// Recommendation: a way to spend less, with the arithmetic that says how much. Tokens × rates, and nothing that is not in it.

import { divideUp } from '../core/money.ts'
import { MILLION_UNITS, type Rates } from '../core/prices.ts'
import type { TokenClass } from '../core/usage.ts'
import type { UsageSum } from '../core/usage-sum.ts'

/** The calls to one model, in a period. */
export interface ModelTraffic {
  readonly provider: string
  readonly model: string
  readonly sum: UsageSum
}

/** Tokens of one class, with what a million of them costs now and would cost then, in nano-dollars. */
export interface ArithmeticLine {
  readonly tokenClass: TokenClass
  readonly tokens: number
  readonly rateNow: bigint
  readonly rateThen: bigint
}

/** Whose calls differ from those of others. */
export interface CallerName {
  readonly key: string | null
  readonly user: string | null
}

export interface Recommendation {
  readonly kind: 'cheaper_model' | 'caching' | 'batch' | 'long_prompts' | 'high_output_caps'
  /** The model of the calls. */
  readonly provider: string
  readonly model: string
  /** The model to take instead. Null if it stays. */
  readonly to: { readonly provider: string; readonly model: string; readonly isConfigured: boolean } | null
  /** Null: all callers. */
  readonly caller: CallerName | null
  /** How many calls the arithmetic is of. */
  readonly requests: number
  readonly lines: readonly ArithmeticLine[]
  /** What the ledger has for these calls. */
  readonly bookedNanoUsd: bigint
  /** Tokens × rates now. */
  readonly nowNanoUsd: bigint
  /** Tokens × rates then. */
  readonly thenNanoUsd: bigint
  /** From the smaller one of `bookedNanoUsd` and `nowNanoUsd`: what was booked at a discount is saved no second time. */
  readonly savingNanoUsd: bigint
  /** What one call reserves beyond the usual; zero for all other kinds. */
  readonly heldNanoUsd: bigint
  /** Whether the saving is a bound, and not a figure. */
  readonly isBound: boolean
  readonly assumptions: readonly string[]
}

/** The tokens of the calls by class, as far as sums tell them apart. */
export function tokensOf({ inputTokens, cacheReadTokens, cacheWriteTokens, outputTokens }: UsageSum) {
  const input = Math.max(0, inputTokens - cacheReadTokens - cacheWriteTokens)
  return { input, cacheRead: cacheReadTokens, cacheWrite5m: cacheWriteTokens, output: outputTokens } as const
}

/** A line for each class that was used. */
export function linesOf(sum: UsageSum, now: Rates, then: Rates): readonly ArithmeticLine[] {
  const tokens = tokensOf(sum)
  const classes = ['input', 'cacheRead', 'cacheWrite5m', 'output'] as const
  return classes
    .filter((name) => tokens[name] > 0)
    .map((name) => ({ tokenClass: name, tokens: tokens[name], rateNow: now[name], rateThen: then[name] }))
}

/** Both costs of the lines, each summed exactly and rounded up once, and the saving. */
export function costsOf(lines: readonly ArithmeticLine[], bookedNanoUsd: bigint) {
  const sumOf = (rate: 'rateNow' | 'rateThen') =>
    divideUp(
      lines.reduce((sum, line) => sum + BigInt(line.tokens) * line[rate], 0n),
      MILLION_UNITS,
    )
  const nowNanoUsd = sumOf('rateNow')
  const thenNanoUsd = sumOf('rateThen')
  const spentNanoUsd = bookedNanoUsd < nowNanoUsd ? bookedNanoUsd : nowNanoUsd
  const savingNanoUsd = spentNanoUsd > thenNanoUsd ? spentNanoUsd - thenNanoUsd : 0n
  return { bookedNanoUsd, nowNanoUsd, thenNanoUsd, savingNanoUsd }
}

/** The largest saving first; of equal ones, that which holds the most. */
export function bySaving(left: Recommendation, right: Recommendation): number {
  if (left.savingNanoUsd !== right.savingNanoUsd) return left.savingNanoUsd > right.savingNanoUsd ? -1 : 1
  return left.heldNanoUsd === right.heldNanoUsd ? 0 : left.heldNanoUsd > right.heldNanoUsd ? -1 : 1
}
