// Open: calls that are reserved and not yet settled, what they hold in sum, and how they end when nobody settles them.

import type { CallFacts, Outcome, Reservation } from './entry.ts'
import type { Instant } from './meter.ts'
import { usageOf } from './usage.ts'

/** What open calls hold. */
export interface OpenTotals {
  readonly calls: number
  readonly tokens: number
  readonly costNanoUsd: bigint
}

export class OpenCalls<Call extends Reservation> {
  readonly #calls = new Map<string, Call>()
  readonly #real = { calls: 0, tokens: 0, costNanoUsd: 0n }
  readonly #simulated = { calls: 0, tokens: 0, costNanoUsd: 0n }

  get(callId: string): Call | undefined {
    return this.#calls.get(callId)
  }

  /** An id that is open already is a bug of the caller. */
  add(call: Call): void {
    const { facts } = call
    if (this.#calls.has(facts.callId)) throw new Error(`call ${facts.callId} is open already`)
    this.#calls.set(facts.callId, call)
    const sum = facts.simulated ? this.#simulated : this.#real
    sum.calls += 1
    sum.tokens += facts.reservedTokens
    sum.costNanoUsd += facts.reservedCostNanoUsd
  }

  /** Undefined when it is not open: settled before, expired, or never reserved. */
  remove(callId: string): Call | undefined {
    const call = this.#calls.get(callId)
    if (!call) return undefined
    this.#calls.delete(callId)
    const sum = call.facts.simulated ? this.#simulated : this.#real
    sum.calls -= 1
    sum.tokens -= call.facts.reservedTokens
    sum.costNanoUsd -= call.facts.reservedCostNanoUsd
    return call
  }

  all(): IterableIterator<Call> {
    return this.#calls.values()
  }

  expired(now: Instant): Call[] {
    const found: Call[] = []
    for (const call of this.#calls.values()) if (call.expiresAtMs <= now.monoMs) found.push(call)
    return found
  }

  totals(simulated: boolean): OpenTotals {
    return { ...(simulated ? this.#simulated : this.#real) }
  }
}

/**
 * How a call is booked that nobody settled: money that may be spent is spent. A reservation does not tell tokens apart by
 * class, so they stand as output: the sums are what was reserved.
 */
export function expiredOutcome(facts: CallFacts, wallMs: number): Outcome {
  return {
    ending: 'expired',
    certainty: 'upperBound',
    usage: usageOf({ output: facts.reservedTokens }),
    reasoningTokens: 0,
    cost: { inputNanoUsd: 0n, outputNanoUsd: facts.reservedCostNanoUsd, totalNanoUsd: facts.reservedCostNanoUsd },
    answeredModel: null,
    settledAtMs: wallMs,
    latencyMs: Math.max(0, wallMs - facts.reservedAtMs),
    timeToFirstTokenMs: null,
    attempts: [],
    upstreamLimits: null,
  }
}
