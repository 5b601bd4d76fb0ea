// Store and Registry: the two contracts every kind of storage keeps. They know no policy and read no clock.

import type { CallFacts, Entry, Outcome, Reservation } from '../core/ledger-entry.ts'
import type { Shortfall, UsedAmounts } from '../core/levels.ts'
import type { Charge, Instant, LevelView, Meter, What, Who } from '../core/meter.ts'
import type { OpenTotals } from '../core/open-calls.ts'
import type { Report } from '../core/report.ts'

export type { OpenTotals }

/** What `reserve` answers. A refusal took nothing from any meter. */
export type Admission =
  | {
      readonly admitted: true
      /** The level of each charge, in the order given, after it was taken. */
      readonly levels: readonly LevelView[]
      /** Names of unenforced limits that would have refused. */
      readonly unenforced: readonly string[]
    }
  | { readonly admitted: false; readonly shortfalls: readonly Shortfall[] }

/**
 * What an open reservation, of the same call id, is to become. `charges` and `expiresAtMs` replace its own as a whole, `facts`
 * too but for its caller, instant and day. Charges are made with the instant of the reservation, whatever the time is now: a
 * window that has turned since has another meter, and would be charged anew while the old one is given back.
 */
export type Amendment = Reservation

export interface Settlement {
  readonly callId: string
  readonly outcome: Outcome
  /** What to book by each thing limits count; undefined books the whole reservation (but for calls in flight: 0). */
  readonly used: UsedAmounts | undefined
  /** What to book in its place, by the keys of meters that were not all charged for the same. */
  readonly usedByMeter?: ReadonlyMap<string, bigint> | undefined
}

/** `late`: the reservation was settled or swept before; nothing changed. */
export type SettleResult = 'settled' | 'late'

/** What needs no reservation: calls that did not pass through here, and counts of refused ones. */
export type LedgerRecord =
  | {
      readonly kind: 'entry'
      readonly facts: CallFacts
      readonly outcome: Outcome
      /** Taken whether they fit or not, then settled as used. */
      readonly charges: readonly Charge[]
      readonly used: UsedAmounts
    }
  | { readonly kind: 'refusals'; readonly reason: string; readonly count: number }

/** Narrows what a report sums. `simulated` calls are never summed with real ones. */
export interface ReportQuery {
  readonly simulated: boolean
  /** Only this key's calls, by key id. */
  readonly key?: string
}

/** A page of settled calls, newest first (by `settledSeq`). */
export interface EntryQuery {
  readonly simulated?: boolean
  readonly key?: string
  readonly beforeSeq?: number
  readonly limit: number
}

/** What each subject has used since an instant, open calls at what they reserved. */
export interface SumQuery {
  readonly who: Who
  readonly what: Exclude<What, 'inFlight'>
  readonly simulated: boolean
  readonly sinceMs: number
}

/**
 * Meters and ledger. Every method is atomic for each item of its list, and independent between items.
 * Rejections are I/O failures or bugs; expected refusals are values.
 */
export interface Store {
  /**
   * All charges of a reservation or none. Resolves once the open row is as durable as the store makes it: only then may the
   * call be dispatched. Rejects (StoreUnavailable) when it could not be written; its charges are given back then.
   */
  reserve(reservations: readonly Reservation[], now: Instant): Promise<readonly Admission[]>
  /**
   * All of an amendment or nothing: what is held already moves by the difference, and where the larger amounts do not fit
   * nothing changes. Not admitted with nothing short: the call is not open. `short` has whole amounts, and levels without what
   * the call itself holds. Resolves once the row is as durable as `reserve` makes it; what becomes free is not given to others
   * before, not even to those of the list. Rejects (StoreUnavailable) when it could not be written; the reservation stands as before then.
   * A settlement that overtakes it settles the amended call.
   */
  amend(amendments: readonly Amendment[], now: Instant): Promise<readonly Admission[]>
  /**
   * Exactly once for each reservation, whatever happens later. Levels change before this returns; the promise resolves when
   * the row is written. A failed write is retried, and the open row counts in full until it succeeds.
   */
  settle(settlements: readonly Settlement[], now: Instant): Promise<readonly SettleResult[]>
  append(records: readonly LedgerRecord[], now: Instant): Promise<void>
  /** Settles what expired: whole reservation, `expired`, `upperBound`. */
  sweep(now: Instant): Promise<readonly Entry[]>
  /** The level each charge would meet. Changes nothing. */
  levels(charges: readonly Charge[], now: Instant): Promise<readonly LevelView[]>
  /** Sets the settled part of windows. Used once for each limit that is new, with the sums of the ledger. */
  seed(levels: readonly { readonly meter: Meter; readonly settled: bigint }[], now: Instant): Promise<void>
  report(query: ReportQuery): Promise<Report>
  entries(query: EntryQuery): Promise<readonly Entry[]>
  /** Settled or open, or undefined. */
  entry(callId: string): Promise<Entry | undefined>
  /** The newest call, settled or open, with that key (`facts.idempotency`) that was reserved at `sinceMs` or later. */
  idempotentEntry(keyHash: string, sinceMs: number): Promise<Entry | undefined>
  /** Sums by subject (see `subjectOf` in core/limits), for seeding. */
  sums(query: SumQuery): Promise<ReadonlyMap<string, bigint>>
  /** What is reserved now, of real or of simulated calls. */
  openTotals(simulated: boolean): OpenTotals
  /** Settlements that came after their call had expired, since start. */
  readonly lateSettlements: number
  /** Writes everything down and lets go of files and connections. Open reservations stay open. */
  close(now: Instant): Promise<void>
}

/** The ledger could not be written: disk full, connection lost. The call was not admitted and took nothing. */
export class StoreUnavailable extends Error {
  override name = 'StoreUnavailable'
}

/** The ledger cannot be opened: owned by another process, corrupt, or not ours. It was not touched. */
export class StoreUnusable extends Error {
  override name = 'StoreUnusable'
}
