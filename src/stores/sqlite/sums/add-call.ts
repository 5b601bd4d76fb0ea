// Adds a packed call to a sum, as `addEntryTo` in core/usage-sum.ts adds an entry.

import { addToBucket } from '../../../core/histogram.ts'
import { saturateNanoUsd } from '../../../core/money.ts'
import type { UsageSum } from '../../../core/usage-sum.ts'
import type { PackedCall } from './packed-calls.ts'

export function addCallTo(sum: UsageSum, call: PackedCall): void {
  sum.costNanoUsd = saturateNanoUsd(sum.costNanoUsd + call.costNanoUsd)
  if (call.items > 0) sum.itemCostNanoUsd = saturateNanoUsd(sum.itemCostNanoUsd + call.costNanoUsd)
  if (call.ending === 'adjusted') return
  sum.requests += 1
  sum.inputTokens = safeSum(sum.inputTokens, call.inputTokens)
  sum.cacheReadTokens = safeSum(sum.cacheReadTokens, call.cacheReadTokens)
  sum.cacheWriteTokens = safeSum(sum.cacheWriteTokens, call.cacheWriteTokens)
  sum.outputTokens = safeSum(sum.outputTokens, call.outputTokens)
  sum.endings[call.ending] += 1
  sum.certainty[call.certainty] += 1
  sum.items = safeSum(sum.items, call.items)
  if (call.latencyBucket >= 0) addToBucket(sum.latency, call.latencyBucket)
  if (call.firstTokenBucket >= 0) addToBucket(sum.timeToFirstToken, call.firstTokenBucket)
}

function safeSum(left: number, right: number): number {
  return Math.min(left + right, Number.MAX_SAFE_INTEGER)
}
