// Upstreams: the rate limits each target was last seen to have, and a word of warning before a provider refuses.

import type { CallFacts, Outcome, UpstreamLimits } from '../core/ledger-entry.ts'
import { remainingFraction } from '../wire/upstream-limits.ts'

/** A provider's own rate limits, and when it said so. */
export interface ObservedLimits extends UpstreamLimits {
  readonly seenAtMs: number
}

/** A limit that is nearly used up. */
export interface LowLimit {
  readonly name: string
  readonly limit: number | null
  readonly remaining: number | null
  readonly resetMs: number | null
}

interface TargetLimits {
  readonly provider: string
  readonly model: string
  limits: UpstreamLimits
  seenAtMs: number
  low: boolean
  warnedAtMs: number
}

/** The one that was silent for longest gives way: callers may make up any model's name. */
const MAX_TARGETS = 1_000
const LOW_SHARE = 0.1
const RECOVERED_SHARE = 0.2
/** A limit of two a second is used up and as good as new all the time. */
const MIN_WARNING_INTERVAL_MS = 60_000

export class UpstreamLimitTracker {
  readonly #targets = new Map<string, TargetLimits>()

  /** Takes what an answer said. Answers with the limit to warn of, once until it has recovered. */
  record(facts: CallFacts, outcome: Outcome): LowLimit | undefined {
    const limits = outcome.upstreamLimits
    if (!limits) return undefined
    const atMs = facts.reservedAtMs + (outcome.timeToFirstTokenMs ?? outcome.latencyMs)
    const target = this.#target(facts, limits)
    // A long stream ends after calls that came later: what its head said is old.
    if (atMs < target.seenAtMs && target.seenAtMs <= outcome.settledAtMs) return undefined
    target.limits = limits
    target.seenAtMs = atMs
    return checkLowLimit(target, atMs)
  }

  #target({ provider, model }: CallFacts, limits: UpstreamLimits): TargetLimits {
    const key = `${provider}\n${model}`
    const known = this.#targets.get(key)
    if (known) return known
    if (this.#targets.size >= MAX_TARGETS) this.#forgetOldest()
    const never = Number.NEGATIVE_INFINITY
    const target = { provider, model, limits, seenAtMs: never, low: false, warnedAtMs: never }
    this.#targets.set(key, target)
    return target
  }

  #forgetOldest(): void {
    let oldest: [string, TargetLimits] | undefined
    for (const entry of this.#targets) if (!oldest || entry[1].seenAtMs < oldest[1].seenAtMs) oldest = entry
    if (oldest) this.#targets.delete(oldest[0])
  }

  /** What a provider said last, of whichever model. */
  newest(provider: string): ObservedLimits | undefined {
    let newest: TargetLimits | undefined
    for (const target of this.#targets.values())
      if (target.provider === provider && (!newest || target.seenAtMs >= newest.seenAtMs)) newest = target
    return newest && observedLimitsOf(newest)
  }

  /** What a provider said last of each model, by name. */
  models(provider: string): Readonly<Record<string, ObservedLimits>> {
    const targets = [...this.#targets.values()].filter((target) => target.provider === provider)
    return Object.fromEntries(targets.map((target) => [target.model, observedLimitsOf(target)]))
  }
}

function observedLimitsOf({ limits, seenAtMs }: TargetLimits): ObservedLimits {
  return { ...limits, seenAtMs }
}

function checkLowLimit(target: TargetLimits, atMs: number): LowLimit | undefined {
  const { limits } = target
  const requests = remainingFraction(limits.limitRequests, limits.remainingRequests) ?? 1
  const tokens = remainingFraction(limits.limitTokens, limits.remainingTokens) ?? 1
  let least = Math.min(requests, tokens)
  let other: LowLimit | undefined
  for (const one of limits.others) {
    const share = remainingFraction(one.limit, one.remaining)
    // Beyond what a priority tier holds, calls are served at the standard one.
    if (share === undefined || share >= least || one.name.startsWith('priority-')) continue
    least = share
    other = one
  }
  if (least > RECOVERED_SHARE) target.low = false
  if (least >= LOW_SHARE || target.low) return undefined
  if (atMs >= target.warnedAtMs && atMs - target.warnedAtMs < MIN_WARNING_INTERVAL_MS) return undefined
  target.low = true
  target.warnedAtMs = atMs
  if (other) return other
  const { limitRequests, remainingRequests, resetRequestsMs, limitTokens, remainingTokens, resetTokensMs } = limits
  return requests <= tokens
    ? { name: 'requests', limit: limitRequests, remaining: remainingRequests, resetMs: resetRequestsMs }
    : { name: 'tokens', limit: limitTokens, remaining: remainingTokens, resetMs: resetTokensMs }
}
