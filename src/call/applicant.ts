// Applicant: a call before and after admission, and the targets that may answer it. It holds types and decides nothing.

import type { HostedToolsRule } from '../config/routes.ts'
import type { Caller, CallFacts } from '../core/ledger-entry.ts'
import type { LimitSubjects } from '../core/limits.ts'
import type { Charge, LevelView, Meter } from '../core/meter.ts'
import type { ModelName } from '../core/model-name.ts'
import type { PriceBook } from '../core/prices.ts'
import type { CountedInput, Quote, RequestFacts } from '../core/quote.ts'
import type { FactoredQuote } from '../core/quote-overruns.ts'
import type { Refusal } from '../core/refusal.ts'
import type { CountableInput, CountFailure } from '../counting/input-counter.ts'
import type { KeyRecord } from '../keys/key-record.ts'
import type { Provider } from '../providers/provider.ts'

/** A target that may answer a call, and the call as it would be sent to that target. */
export interface Candidate extends ModelName {
  readonly provider: Provider
  /** The model as the caller, or bursar.json, wrote the name. This name is sent. */
  readonly writtenModel: string
  readonly request: RequestFacts
  /** The output cap, in tokens, that translation set because the target needs one; null if it set none. */
  readonly defaultCap: number | null
  /** The input as it can be counted. Without it, the bound of the input stands. */
  readonly countableInput?: CountableInput
  /** The counted input, for a call with files, and for one that did not fit with the bound of its input. */
  readonly countedInput?: CountedInput
  /** Why the files of the call were not counted, although they can be. */
  readonly countFailure?: CountFailure
}

/** A call before it is quoted. */
export interface Applicant {
  readonly callId: string
  readonly caller: Caller
  /** The key of the caller as it was when the call came in. Undefined if callers need none. */
  readonly key?: KeyRecord | undefined
  /** The operation that the caller declares, or null. */
  readonly operation: string | null
  /** How many things the call makes, as the caller declares. Null if the caller does not. */
  readonly items: number | null
  /** What the caller notes on the call: JSON of at most 2 kB, or null. */
  readonly metadata: string | null
  /** The dialect of the caller. */
  readonly dialect: string
  /** The model as the caller wrote it. */
  readonly requestedModel: string
  readonly first: Candidate
  /** The targets to fall back to, in order. Empty for most calls. */
  readonly others: readonly Candidate[]
  /** If the money left is too little, the most expensive candidates are dropped. */
  readonly dropsExpensive: boolean
  /** What decides about tools that the provider runs. Undefined: what decides about all calls without an upper bound. */
  readonly hostedTools: HostedToolsRule | undefined
  readonly idempotency: CallFacts['idempotency']
  /** A budget of the call's task, in addition to all limits. */
  readonly budget: Budget | undefined
  /** Meters, by key, that have no room for the call even without its files, which were not counted then. */
  readonly fullMeters?: ReadonlySet<string>
  /** The prices that the call is settled with. */
  readonly prices: PriceBook
}

/** The maximum that an attempt can use. */
export interface Bound {
  readonly tokens: number
  readonly costNanoUsd: bigint
}

/** The maximum that all calls of one task may cost together. */
export interface Budget {
  readonly meter: Meter
  readonly nanoUsd: bigint
}

/** The quote of the first candidate, raised to what the most expensive candidate can cost. */
export interface RouteQuote extends FactoredQuote {
  /** What the first candidate can use by itself; absent if it is the only candidate. */
  readonly firstCandidateBound?: Bound
}

/** A call with a reservation in the ledger. */
export interface AdmittedCall {
  readonly admitted: true
  /** The applicant as it was admitted: without the candidates that did not fit. */
  readonly applicant: Applicant
  readonly facts: CallFacts
  readonly quote: RouteQuote
  /** The maximum that this attempt can use. */
  readonly bound: Bound
  /** The charges of this attempt. */
  readonly charges: readonly Charge[]
  /** The sum of the bounds of earlier attempts that can have been billed. */
  readonly priorBound: Bound
  /** The charges of those attempts, by meter. */
  readonly priorCharges: readonly Charge[]
  /** Monotonic milliseconds. */
  readonly expiresAtMs: number
  /** False if a part of the call has no upper bound: hosted tools and the like. */
  readonly bounded: boolean
  readonly levels: readonly LevelView[]
  /** Names of unenforced limits that would have refused. */
  readonly unenforced: readonly string[]
}

/** A call that a limit refuses. It changed no level. */
export interface RefusedCall {
  readonly admitted: false
  readonly refusal: Refusal
  readonly quote: Quote
  /** The levels of the limits that refused. */
  readonly levels: readonly LevelView[]
}

/** All candidates of a call, the first one first. */
export function allCandidates({ first, others }: Applicant): readonly Candidate[] {
  return [first, ...others]
}

/** True if both have the same provider and model. */
export function isSameTarget(a: Candidate, b: Candidate): boolean {
  return a.provider === b.provider && a.model === b.model
}

/** The subjects by which the call is limited: its caller, and the provider and model of its first candidate. */
export function subjectsOf({ caller, key, first }: Applicant): LimitSubjects {
  const { provider, model, canonical, family } = first
  return { caller, provider: provider.name, model, canonical, family, keyLimits: key?.limits }
}
