// Entry: the ledger row of a call. Holds figures and names, never content or secrets.

import type { Charge } from './meter.ts'
import type { Cost } from './prices.ts'
import type { Usage } from './usage.ts'

/** Who asks. Absent parts are null. `user`, `thread`, `agent` and `task` are what the caller declared, within its key. */
export interface Caller {
  readonly key: string | null
  readonly organisation: string | null
  readonly project: string | null
  readonly user: string | null
  readonly thread: string | null
  readonly agent: string | null
  readonly task: string | null
}

/** How a call ended, exhaustively. `expired`: nobody settled it before its deadline, or the process died. */
export type Ending = 'completed' | 'failed' | 'canceled' | 'expired'

/** Where the usage came from: the provider said so, we estimated it, or it is the most it can have been. */
export type Certainty = 'exact' | 'estimated' | 'upperBound'

/** One try at one target. */
export interface Attempt {
  readonly provider: string
  readonly model: string
  /** HTTP status, or null when none arrived. */
  readonly status: number | null
  readonly durationMs: number
  /** Why it failed, in a word or two; null when it did not. */
  readonly error: string | null
  /** What it is booked at; 0 where it was free, and where the ledger was written before this was kept. */
  readonly costNanoUsd: bigint
}

/** One limit of an upstream, over one span. Null where it did not say. */
export interface UpstreamLimit {
  /** What is limited, in the upstream's words: `input-tokens`, `project-tokens`, `tokens-month`. */
  readonly name: string
  readonly limit: number | null
  readonly remaining: number | null
  /** Until it is as good as new. */
  readonly resetMs: number | null
}

/** An upstream's own rate limits, as last seen in its answer. Null where it did not say. */
export interface UpstreamLimits {
  readonly limitRequests: number | null
  readonly remainingRequests: number | null
  readonly resetRequestsMs: number | null
  readonly limitTokens: number | null
  readonly remainingTokens: number | null
  readonly resetTokensMs: number | null
  /** How long to wait before asking again, where it refused. */
  readonly retryAfterMs: number | null
  /** What it limits beside its requests and tokens, or over other spans. Few. */
  readonly others: readonly UpstreamLimit[]
}

/** What is known of a call when it is reserved. */
export interface CallFacts {
  /** UUIDv7: also orders calls by the time they came. */
  readonly callId: string
  readonly caller: Caller
  /** The phase a caller declared, or null. */
  readonly operation: string | null
  readonly dialect: string
  readonly provider: string
  /** As the caller wrote it. */
  readonly requestedModel: string
  /** As the provider was asked. */
  readonly model: string
  readonly reservedAtMs: number
  /** The calendar day, in the configured zone, that the call belongs to everywhere: `2026-11-22`. */
  readonly day: string
  readonly reservedTokens: number
  readonly reservedCostNanoUsd: bigint
  readonly priceVersion: string | null
  /** False when no price was known and 0 was booked. */
  readonly costKnown: boolean
  readonly streaming: boolean
  readonly capAsked: number | null
  readonly capInjected: number | null
  readonly simulated: boolean
  /** JSON, at most 2 kB, or null. */
  readonly metadata: string | null
  /** Digests of the key a caller gave the call so that it may safely ask again, and of what it sent with it. */
  readonly idempotency: { readonly keyHash: string; readonly bodyHash: string } | null
}

/** What is known once it is settled. */
export interface Outcome {
  readonly ending: Ending
  readonly certainty: Certainty
  readonly usage: Usage
  /** Of the output, where the provider says. */
  readonly reasoningTokens: number
  readonly cost: Cost
  readonly answeredModel: string | null
  readonly settledAtMs: number
  readonly latencyMs: number
  readonly timeToFirstTokenMs: number | null
  readonly attempts: readonly Attempt[]
  readonly upstreamLimits: UpstreamLimits | null
}

/** Charges held for one call until it is settled or `expiresAtMs` (monotonic) has passed. */
export interface Reservation {
  readonly facts: CallFacts
  readonly charges: readonly Charge[]
  readonly expiresAtMs: number
}

export interface Entry {
  readonly facts: CallFacts
  /** Null while the call is in flight. */
  readonly outcome: Outcome | null
  /** Monotonic, given at settling: readers that must miss nothing follow it. Null while in flight. */
  readonly settledSeq: number | null
}
