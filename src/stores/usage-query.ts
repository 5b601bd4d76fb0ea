// Usage queries: what reports ask of the ledger, and what they get. A report is one snapshot: its parts add up to its whole.

import type { Entry } from '../core/ledger-entry.ts'
import type { UsageSum } from '../core/usage-sum.ts'
import { QUARTER_MS } from '../core/zone-days.ts'

/** Times of reports are whole quarter hours. */
export { QUARTER_MS }

/** What calls are grouped and filtered by. `model` is `provider/model`. */
export const DIMENSIONS = [
  'organisation',
  'project',
  'key',
  'user',
  'thread',
  'agent',
  'task',
  'operation',
  'provider',
  'model',
] as const
export type Dimension = (typeof DIMENSIONS)[number]

/** Only calls with these values. Null: calls without one. */
export type UsageFilter = Readonly<Partial<Record<Dimension, string | null>>>

/** A span of time, by the instants of the reservations: `fromMs ≤ t < untilMs`, epoch milliseconds. */
export interface Period {
  readonly fromMs: number
  readonly untilMs: number
}

/** Which settled calls to sum. A sum never mixes simulated calls with real calls. */
export interface UsageQuery {
  readonly simulated: boolean
  /** Whole quarter hours. */
  readonly period: Period
  readonly where?: UsageFilter
  /** Sums by the values of each of these dimensions. */
  readonly by?: readonly Dimension[]
  /** At most so many values of a dimension, the dearest first. All by default. */
  readonly maxGroups?: number
  /** Whole quarter hours inside the period, ascending: the sum of each part between them is asked for. */
  readonly cuts?: readonly number[]
  /** The sums of the parts are asked for each of so many values of a dimension as well, the dearest first. */
  readonly series?: { readonly by: Dimension; readonly max: number }
}

/** The sum of the calls with one value of a dimension. Null: of the calls without one. */
export interface UsageGroup {
  readonly value: string | null
  readonly sum: UsageSum
}

/** The sums of the calls with one value of a dimension, part by part. Null: of the calls without one. */
export interface UsageSeries {
  readonly value: string | null
  /** One more than cuts. */
  readonly parts: readonly UsageSum[]
}

/** The values of one dimension, the dearest first. */
export interface UsageGroups {
  readonly groups: readonly UsageGroup[]
  /** How many values there are. */
  readonly count: number
  /** The sum of the values that are not in `groups`. Null if none are left out. */
  readonly others: UsageSum | null
}

/**
 * The groups of each dimension add up to the total, and so do the parts. The sums of groups by `key` and `user` have empty histograms if
 * nothing filters the calls.
 */
export interface UsageReport {
  readonly total: UsageSum
  /** One more than cuts. */
  readonly parts: readonly UsageSum[]
  /** By each dimension that was asked for. */
  readonly by: Readonly<Partial<Record<Dimension, UsageGroups>>>
  /** Empty if none were asked for. The sums of two values never overlap. */
  readonly series: readonly UsageSeries[]
}

/** Which settled calls to list, the newest first. */
export interface RecordQuery {
  readonly simulated: boolean
  /** Any instants. */
  readonly period: Period
  readonly where?: UsageFilter
  /** `next` of the page before. Rejects with RangeError if it is none. */
  readonly cursor?: string
  readonly limit: number
}

/** A page of settled calls and adjustments. */
export interface RecordPage {
  readonly entries: readonly Entry[]
  /** For the next page; null if this is the last. */
  readonly next: string | null
}

/** Which refusals to count. */
export interface RefusalQuery {
  readonly simulated: boolean
  /** Whole quarter hours. */
  readonly period: Period
  readonly key?: string
}

/** Calls that a limit refused, or, in shadow, would have refused. */
export interface RefusalCount {
  /** The name of the limit, such as `daily_spending_limit`. */
  readonly limit: string
  readonly key: string | null
  /** True if the limit is not enforced, so that the calls were sent. */
  readonly isShadow: boolean
  readonly count: number
}

/** A sum that is kept in two places. Amounts are requests, tokens or nano-dollars. */
export interface SumCheck {
  /** What is compared: `cost by model`. */
  readonly name: string
  readonly simulated: boolean
  /** From the rows of the ledger, and from what was kept of rows that retention deleted. */
  readonly ledger: bigint
  readonly kept: bigint
}

/** Why a report cannot be made yet: the sums of an older ledger are being built. */
export class SumsNotReady extends Error {
  /** Entries that are in the sums, and entries that there are. */
  readonly built: number
  readonly total: number

  constructor(built: number, total: number) {
    super(`The sums of the ledger are being built: ${built} of ${total} entries are in them.`)
    this.name = 'SumsNotReady'
    this.built = built
    this.total = total
  }
}
