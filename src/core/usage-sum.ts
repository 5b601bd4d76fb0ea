// Usage sum: what reports know of a set of settled calls. Sums can be added, so that the sum of the parts is the whole.

import { addHistogram, addToBucket, bucketOf, type Histogram } from './histogram.ts'
import type { Certainty, Ending, Entry } from './ledger-entry.ts'
import { saturateNanoUsd } from './money.ts'
import { cacheReadTokens, cacheWriteTokens, inputTokens, outputTokens } from './usage.ts'

/** How many calls ended in each way. Adjustments are no calls. */
export type EndingCounts = Record<Exclude<Ending, 'adjusted'>, number>

/** Mutable: calls are added in place. */
export interface UsageSum {
  requests: number
  /** Of all classes on the way in, cached or not. */
  inputTokens: number
  /** The part of `inputTokens` that was read from the provider's cache. */
  cacheReadTokens: number
  /** The part of `inputTokens` that was written to the provider's cache. */
  cacheWriteTokens: number
  outputTokens: number
  costNanoUsd: bigint
  readonly endings: EndingCounts
  readonly certainty: Record<Certainty, number>
  /** What the callers said that their calls made (`x-bursar-items`), and the cost of those calls alone. */
  items: number
  itemCostNanoUsd: bigint
  /** Of completed calls. */
  readonly latency: Histogram
  readonly timeToFirstToken: Histogram
}

export function newUsageSum(): UsageSum {
  return {
    requests: 0,
    inputTokens: 0,
    cacheReadTokens: 0,
    cacheWriteTokens: 0,
    outputTokens: 0,
    costNanoUsd: 0n,
    endings: { completed: 0, failed: 0, canceled: 0, expired: 0 },
    certainty: { exact: 0, estimated: 0, upperBound: 0 },
    items: 0,
    itemCostNanoUsd: 0n,
    latency: new Map(),
    timeToFirstToken: new Map(),
  }
}

/** Adds a settled call, or the difference that an adjustment makes. An entry in flight adds nothing. */
export function addEntryTo(sum: UsageSum, { facts, outcome, adjustment }: Entry): void {
  if (!outcome) return
  const { ending, usage, latencyMs, timeToFirstTokenMs } = outcome
  const costNanoUsd = outcome.cost.totalNanoUsd
  sum.costNanoUsd = saturateNanoUsd(sum.costNanoUsd + costNanoUsd)
  if (facts.items !== null) sum.itemCostNanoUsd = saturateNanoUsd(sum.itemCostNanoUsd + costNanoUsd)
  if (adjustment || ending === 'adjusted') return
  sum.requests += 1
  sum.inputTokens = safeSum(sum.inputTokens, inputTokens(usage))
  sum.cacheReadTokens = safeSum(sum.cacheReadTokens, cacheReadTokens(usage))
  sum.cacheWriteTokens = safeSum(sum.cacheWriteTokens, cacheWriteTokens(usage))
  sum.outputTokens = safeSum(sum.outputTokens, outputTokens(usage))
  sum.endings[ending] += 1
  sum.certainty[outcome.certainty] += 1
  sum.items = safeSum(sum.items, facts.items ?? 0)
  if (ending !== 'completed') return
  addToBucket(sum.latency, bucketOf(latencyMs))
  if (timeToFirstTokenMs !== null) addToBucket(sum.timeToFirstToken, bucketOf(timeToFirstTokenMs))
}

/** Adds `other` to `sum`, and returns `sum`. */
export function addUsageSum(sum: UsageSum, other: UsageSum): UsageSum {
  sum.requests += other.requests
  sum.inputTokens = safeSum(sum.inputTokens, other.inputTokens)
  sum.cacheReadTokens = safeSum(sum.cacheReadTokens, other.cacheReadTokens)
  sum.cacheWriteTokens = safeSum(sum.cacheWriteTokens, other.cacheWriteTokens)
  sum.outputTokens = safeSum(sum.outputTokens, other.outputTokens)
  sum.costNanoUsd = saturateNanoUsd(sum.costNanoUsd + other.costNanoUsd)
  sum.items = safeSum(sum.items, other.items)
  sum.itemCostNanoUsd = saturateNanoUsd(sum.itemCostNanoUsd + other.itemCostNanoUsd)
  for (const ending of ENDINGS) sum.endings[ending] += other.endings[ending]
  for (const certainty of CERTAINTIES) sum.certainty[certainty] += other.certainty[certainty]
  addHistogram(sum.latency, other.latency)
  addHistogram(sum.timeToFirstToken, other.timeToFirstToken)
  return sum
}

export const ENDINGS = ['completed', 'failed', 'canceled', 'expired'] as const satisfies readonly Ending[]
export const CERTAINTIES = ['exact', 'estimated', 'upperBound'] as const satisfies readonly Certainty[]

/** No count exceeds the largest safe integer. */
function safeSum(left: number, right: number): number {
  return Math.min(left + right, Number.MAX_SAFE_INTEGER)
}
