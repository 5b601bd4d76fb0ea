// Upstream limits: the rate limits that each target last reported, and a warning before a provider refuses calls.

import type { CallFacts, Outcome, UpstreamLimits } from '../core/ledger-entry.ts'
import { remainingFraction } from '../wire/upstream-limits.ts'
import type { CallEvent, CallListener, LowLimit, Telemetry } from './call-events.ts'

/** A provider's own rate limits, and when the provider reported them. */
export interface ObservedLimits extends UpstreamLimits {
  readonly seenAtMs: number
}

interface TargetLimits {
  readonly provider: string
  readonly model: string
  limits: UpstreamLimits
  seenAtMs: number
  low: boolean
  warnedAtMs: number
}

/** The target that reported nothing for longest makes room for a new one: callers may send any model name. */
const MAX_TARGETS = 1_000
/** The remaining fraction of a limit below which a warning is due. */
const LOW_FRACTION = 0.1
/** The remaining fraction above which a limit has recovered, so that the next low is a new warning. */
const RECOVERED_FRACTION = 0.2
/** A limit of two calls a second is used up and refilled all the time. */
const MIN_WARNING_INTERVAL_MS = 60_000

/** Listens to settled calls, and emits an event if little is left of a provider's limit. */
export class UpstreamLimitTracker implements CallListener {
  readonly name = 'upstream limits'
  readonly #telemetry: Telemetry
  readonly #targets = new Map<string, TargetLimits>()

  constructor(telemetry: Telemetry) {
    this.#telemetry = telemetry
  }

  hear(event: CallEvent): void {
    if (event.kind !== 'settled' || !event.outcome.upstreamLimits) return
    const { at, facts, outcome, ownAccount } = event
    if (facts.simulated || !ownAccount) return
    const limit = this.#record(facts, outcome, event.outcome.upstreamLimits)
    if (limit)
      this.#telemetry.emit({ kind: 'upstream_limit_low', at, provider: facts.provider, model: facts.model, limit })
  }

  /** Returns the limit to warn of: once, and again only after the limit has recovered. */
  #record(facts: CallFacts, outcome: Outcome, limits: UpstreamLimits): LowLimit | undefined {
    const atMs = facts.reservedAtMs + (outcome.timeToFirstTokenMs ?? outcome.latencyMs)
    const target = this.#target(facts, limits)
    // A long stream ends after calls that came later, so the limits in its headers are old.
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

  /** The limits that a provider reported last, for any of its models. */
  newest(provider: string): ObservedLimits | undefined {
    let newest: TargetLimits | undefined
    for (const target of this.#targets.values())
      if (target.provider === provider && (!newest || target.seenAtMs >= newest.seenAtMs)) newest = target
    return newest && observedLimitsOf(newest)
  }

  /** The limits that a provider reported last for each model, by the model's name. */
  models(provider: string): Readonly<Record<string, ObservedLimits>> {
    const targets = [...this.#targets.values()].filter((target) => target.provider === provider)
    return Object.fromEntries(targets.map((target) => [target.model, observedLimitsOf(target)]))
  }
}

function observedLimitsOf({ limits, seenAtMs }: TargetLimits): ObservedLimits {
  return { ...limits, seenAtMs }
}

/** The limit of which the smallest fraction is left, if a warning is due. */
function checkLowLimit(target: TargetLimits, atMs: number): LowLimit | undefined {
  const { limits } = target
  const requests = remainingFraction(limits.limitRequests, limits.remainingRequests) ?? 1
  const tokens = remainingFraction(limits.limitTokens, limits.remainingTokens) ?? 1
  let smallest = Math.min(requests, tokens)
  let lowest: LowLimit | undefined
  for (const limit of limits.others) {
    const fraction = remainingFraction(limit.limit, limit.remaining)
    // Calls beyond what a priority tier holds are served at the standard tier.
    if (fraction === undefined || fraction >= smallest || limit.name.startsWith('priority-')) continue
    smallest = fraction
    lowest = limit
  }
  if (smallest > RECOVERED_FRACTION) target.low = false
  if (smallest >= LOW_FRACTION || target.low) return undefined
  if (atMs >= target.warnedAtMs && atMs - target.warnedAtMs < MIN_WARNING_INTERVAL_MS) return undefined
  target.low = true
  target.warnedAtMs = atMs
  if (lowest) return lowest
  const { limitRequests, remainingRequests, resetRequestsMs, limitTokens, remainingTokens, resetTokensMs } = limits
  return requests <= tokens
    ? { name: 'requests', limit: limitRequests, remaining: remainingRequests, resetMs: resetRequestsMs }
    : { name: 'tokens', limit: limitTokens, remaining: remainingTokens, resetMs: resetTokensMs }
}
