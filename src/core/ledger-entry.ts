// Entry: the ledger row of a call. It holds figures and names, never content or secrets.

import type { Charge } from './meter.ts'
import type { Cost } from './prices.ts'
import type { Usage } from './usage.ts'

/**
 * Who makes a call. Absent parts are null. Organisation and project are those of the key. The caller declares `user`, `thread`, `agent`
 * and `task` itself, within its key, unless the key is a person's.
 */
export interface Caller {
  readonly key: string | null
  readonly organisation: string | null
  readonly project: string | null
  readonly user: string | null
  readonly thread: string | null
  readonly agent: string | null
  readonly task: string | null
  /** True if the key is of the person `user`, who is one subject over all keys. */
  readonly isPerson: boolean
}

/**
 * How a call ended. `expired`: it was not settled before its deadline, or the process died. `adjusted`: the entry is no call, but
 * corrects the cost of one.
 */
export type Ending = 'completed' | 'failed' | 'canceled' | 'expired' | 'adjusted'

/** The source of the usage: the provider's report, the gateway's estimate, or the upper bound. */
export type Certainty = 'exact' | 'estimated' | 'upperBound'

/** The names in JSON and in the log. */
export const CERTAINTY_NAMES = {
  exact: 'exact',
  estimated: 'estimated',
  upperBound: 'upper_bound',
} as const satisfies Record<Certainty, string>

/** One try of a call at one target. */
export interface Attempt {
  readonly provider: string
  readonly model: string
  /** The HTTP status, or null if none arrived. */
  readonly status: number | null
  readonly durationMs: number
  /** Why the attempt failed, in a word or two. Null if it did not. */
  readonly error: string | null
  /** The cost it was settled at. Zero if it was free, or if the ledger was written before this was stored. */
  readonly costNanoUsd: bigint
}

/** One limit of an upstream, over one span. Null is unknown. */
export interface UpstreamLimit {
  /** The limit in the upstream's words: `input-tokens`, `project-tokens`, `tokens-month`. */
  readonly name: string
  readonly limit: number | null
  readonly remaining: number | null
  /** Time until all of it is available again. */
  readonly resetMs: number | null
}

/** An upstream's own rate limits, as the answer stated them. Null is unknown. */
export interface UpstreamLimits {
  readonly limitRequests: number | null
  readonly remainingRequests: number | null
  readonly resetRequestsMs: number | null
  readonly limitTokens: number | null
  readonly remainingTokens: number | null
  readonly resetTokensMs: number | null
  /** How long to wait before the next request, if it refused this one. */
  readonly retryAfterMs: number | null
  /** Limits on anything else, or over other spans. Few. */
  readonly others: readonly UpstreamLimit[]
}

/** The facts of a call that are known when it is reserved. */
export interface CallFacts {
  /** A UUIDv7, which orders calls by the time they came. */
  readonly callId: string
  readonly caller: Caller
  /** The phase a caller declared, or null. */
  readonly operation: string | null
  readonly dialect: string
  readonly provider: string
  /** The model as the caller wrote it. */
  readonly requestedModel: string
  /** The model as it was sent to the provider. */
  readonly model: string
  readonly reservedAtMs: number
  /** The calendar day in the configured time zone, to which all sums add the call: `2026-11-22`. */
  readonly day: string
  readonly reservedTokens: number
  readonly reservedCostNanoUsd: bigint
  readonly priceVersion: string | null
  /** False if no price was known, so that the call costs 0. */
  readonly costKnown: boolean
  readonly streaming: boolean
  /** The output cap of the request, in tokens for one answer, or null. */
  readonly capAsked: number | null
  /** The output cap that the gateway set, or null. */
  readonly capInjected: number | null
  readonly simulated: boolean
  /** How many things the call makes, as its caller counts them (`x-bursar-items`). Null if the caller does not say. */
  readonly items: number | null
  /** JSON of at most 2 kB, or null. */
  readonly metadata: string | null
  /** Digests of the call's idempotency key and of its body. Null if it has no such key. */
  readonly idempotency: { readonly keyHash: string; readonly bodyHash: string } | null
}

/** What a provider states that an answer cost, beside what its usage costs by the price book. */
export interface ProviderCost {
  readonly statedNanoUsd: bigint
  readonly computedNanoUsd: bigint
}

/** The facts of a call that are known when it is settled. */
export interface Outcome {
  readonly ending: Ending
  readonly certainty: Certainty
  readonly usage: Usage
  /** The part of the output that is reasoning. Zero if the provider does not report it. */
  readonly reasoningTokens: number
  readonly cost: Cost
  /** Absent if the answer states no cost. */
  readonly providerCost?: ProviderCost
  /** Present if other prices counted than those that the call was reserved by. Stores put the version into the facts. */
  readonly priceVersion?: string
  readonly answeredModel: string | null
  readonly settledAtMs: number
  readonly latencyMs: number
  readonly timeToFirstTokenMs: number | null
  readonly attempts: readonly Attempt[]
  readonly upstreamLimits: UpstreamLimits | null
}

/** The facts of a call after its settlement. */
export function settledFacts(facts: CallFacts, { priceVersion }: Outcome): CallFacts {
  return priceVersion === undefined ? facts : { ...facts, priceVersion, costKnown: true }
}

/** Charges that a call holds until it is settled, or until `expiresAtMs` (monotonic) has passed. */
export interface Reservation {
  readonly facts: CallFacts
  readonly charges: readonly Charge[]
  readonly expiresAtMs: number
}

/** What an entry corrects. Its cost is the difference, up or down; it has no usage, and counts as no request. */
export interface Adjustment {
  /** The call whose cost is corrected. */
  readonly callId: string
  /** In the operator's words. */
  readonly reason: string
}

/** A call in the ledger, open until it has an outcome; or the correction of a call's cost, with the facts of that call. */
export interface Entry {
  readonly facts: CallFacts
  /** Null while the call is open. */
  readonly outcome: Outcome | null
  /** Set if the entry corrects another one. */
  readonly adjustment?: Adjustment
  /** Grows with every settled call, so that a reader that follows it misses nothing. Null while the call is open. */
  readonly settledSeq: number | null
}

/** An entry that is not in flight. */
export type SettledEntry = Entry & { readonly outcome: Outcome }

export function isSettled(entry: Entry): entry is SettledEntry {
  return entry.outcome !== null
}
