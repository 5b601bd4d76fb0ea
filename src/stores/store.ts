// Store: the two contracts of every kind of storage, the money path and the ledger's reader. They know no policy and read no
// clock.

import type { Adjustment, Attempt, Caller, CallFacts, Entry, Outcome, Reservation } from '../core/ledger-entry.ts'
import type { Shortfall, UsedAmounts } from '../core/levels.ts'
import type { Charge, Instant, LevelView, Meter, What, Who } from '../core/meter.ts'
import type { OpenTotals } from '../core/open-calls.ts'
import type { Report } from '../core/report.ts'
import type { AlertQueue } from './alert-queue.ts'
import type { Registry } from './registry.ts'
import type {
  RecordPage,
  RecordQuery,
  RefusalCount,
  RefusalQuery,
  SumCheck,
  UsageQuery,
  UsageReport,
} from './usage-query.ts'

export type { OpenTotals }

/** The answer to a reservation or an amendment. A refusal takes nothing from any meter. */
export type Admission =
  | {
      readonly admitted: true
      /** The level of each charge after it was taken, in the order of the charges. */
      readonly levels: readonly LevelView[]
      /** Names of unenforced limits that the call does not fit. */
      readonly unenforced: readonly string[]
    }
  | {
      readonly admitted: false
      /** The enforced charges that do not fit. Empty if an amendment is refused because its call is not open. */
      readonly shortfalls: readonly Shortfall[]
    }

/**
 * The new state of the open reservation with the same call id. `charges` and `expiresAtMs` replace those of the reservation;
 * so do `facts`, except caller, instant and day. Make the charges with the instant of the reservation, and not with the current time:
 * if a window has turned since, the new window is another meter, and the charge on the old one would be given back.
 */
export type Amendment = Reservation

/** How a call ended, and the amounts that replace its reservation. */
export interface Settlement {
  readonly callId: string
  readonly outcome: Outcome
  /** The amount to settle for each thing that limits count. Undefined settles the whole reservation. Calls in flight settle at 0. */
  readonly used: UsedAmounts | undefined
  /** Overrides `used`, by meter key: for meters that were charged for one attempt of several. */
  readonly usedByMeter?: ReadonlyMap<string, bigint> | undefined
}

/** `late`: the call was settled or swept before, or never reserved. Nothing changed. */
export type SettleResult = 'settled' | 'late'

/** An addition to the ledger that needs no reservation: a call that another gateway made, a correction, or a count of refused calls. */
export type LedgerRecord =
  | {
      readonly kind: 'entry'
      readonly facts: CallFacts
      readonly outcome: Outcome
      readonly charges: readonly Charge[]
      readonly used: UsedAmounts
    }
  | {
      readonly kind: 'adjustment'
      /** Those of the call, with a call id of its own and without a reservation. */
      readonly facts: CallFacts
      /** Its cost is the difference. */
      readonly outcome: Outcome
      readonly adjustment: Adjustment
      /** The difference, on the windows of the call. */
      readonly charges: readonly Charge[]
    }
  | {
      readonly kind: 'refusals'
      /** The name of the limit, or the code of another problem. */
      readonly reason: string
      readonly count: number
      /** Whose calls a limit refused. Absent if no limit did. */
      readonly refused?: RefusedCalls
    }

/** Calls that a limit refused, for reports of refusals. */
export interface RefusedCalls {
  readonly key: string | null
  readonly atMs: number
  readonly simulated: boolean
  /** True if the limit is not enforced, so that the calls were sent: they are in no total of refused calls. */
  readonly isShadow: boolean
}

/** A window and the sum to start it from. */
export interface LevelSeed {
  readonly meter: Meter
  /** In the meter's unit: requests, tokens, or nano-dollars. */
  readonly settled: bigint
}

/** Which calls to sum. A sum never mixes simulated calls with real calls. */
export interface FiguresQuery {
  readonly simulated: boolean
  /** A key id, for the calls of that key alone. */
  readonly key?: string
}

/** Figures of one instant: each call is in `report` or in `open`, and never in both. */
export interface Figures {
  /** A copy. Refusals are known for all keys together only. */
  readonly report: Report
  /** What open calls hold. A settlement that could not be written yet counts as open. */
  readonly open: OpenTotals
  /** Settlements that came too late, since the store was opened: of all keys, real and simulated. */
  readonly lateSettlements: number
}

/** Which settled calls to read: newest first, or oldest first if `afterSeq` is given. */
export interface EntryQuery {
  readonly simulated?: boolean
  /** A key id. */
  readonly key?: string
  /** Only entries with a smaller `settledSeq`. */
  readonly beforeSeq?: number
  /** Only entries with a larger `settledSeq`, oldest first. 0 starts at the beginning. */
  readonly afterSeq?: number
  /** The most entries to return. */
  readonly limit: number
}

/** Which calls to sum for a new limit: by the subject that `who` makes of each, from an instant on. */
export interface SumQuery {
  readonly who: Who
  readonly what: Exclude<What, 'inFlight'>
  readonly simulated: boolean
  /** Epoch milliseconds; compared with the instant of the reservation. */
  readonly sinceMs: number
  /** Only calls that were reserved before this instant. */
  readonly untilMs?: number
  /** Only the sum of this subject. */
  readonly subject?: string
}

/** Which calls to read in the order of their reservations. */
export interface CallQuery {
  readonly simulated: boolean
  /** Epoch milliseconds: reserved at this instant or later. */
  readonly fromMs: number
  /** Epoch milliseconds: reserved before this instant. */
  readonly untilMs: number
}

/** The part of a cost that one target has. */
export type TargetCost = Pick<Attempt, 'provider' | 'model' | 'costNanoUsd'>

/** A cost that is known at an instant, and the targets that have parts of it. */
export interface BookedCost {
  /** Epoch milliseconds. */
  readonly atMs: number
  readonly costNanoUsd: bigint
  /** Empty if all of it is of the call's own target. */
  readonly targets: readonly TargetCost[]
}

/** A call as limits count it: what it held from its reservation on, and what it used once it was settled. */
export interface MeteredCall {
  readonly callId: string
  readonly caller: Caller
  readonly provider: string
  readonly model: string
  /** Epoch milliseconds. */
  readonly reservedAtMs: number
  readonly reservedTokens: number
  readonly reservedCostNanoUsd: bigint
  /** Null while the call is open. */
  readonly settled: (BookedCost & { readonly tokens: number }) | null
  /** The adjustments of the call, oldest first. Each cost is a difference. */
  readonly corrections: readonly BookedCost[]
}

/**
 * The money path: the calls that change meters and ledger. Each line of a list below is the name of a test in
 * `test/stores/conformance`, which every store passes. Expected refusals are values. A rejection is an I/O failure
 * (StoreUnavailable) or a bug (any other error).
 *
 * - a closed store rejects every call with StoreUnavailable
 */
export interface MoneyPath {
  /**
   * Reserves calls: for each, all of its charges or none. Dispatch a call only after its reservation resolved: then its row is
   * as durable as the store makes it.
   *
   * - a call is admitted up to the capacity and refused one unit above it
   * - an admission shows the level of each charge after it was taken, in the order of the charges
   * - a call over one of many limits takes nothing from any of them
   * - each reservation of a list is decided by itself, in order
   * - charges on the same meter are summed before they are checked
   * - an unenforced charge is taken even if it does not fit, and its limit is named
   * - an unenforced bucket runs into debt by one capacity at most
   * - a lowered limit admits nothing until it fits; a raised limit admits at once
   * - reserving a call id that is open is rejected and takes nothing
   * - a reservation that cannot be written is rejected with StoreUnavailable, and its charges are given back
   */
  reserve(reservations: readonly Reservation[], now: Instant): Promise<readonly Admission[]>
  /**
   * Changes open reservations: for each, all of its new charges or nothing.
   *
   * - a meter that is held already moves by the difference
   * - a fallback gives back the meters of the first target and takes the meters of the second
   * - an amendment that does not fit changes nothing
   * - a shortfall has the whole new amount, and a level without what the call itself holds
   * - a lowered limit refuses only a charge that grows
   * - an unenforced charge grows even if it does not fit, and its limit is named
   * - a lowered charge gives back no more than its bucket still holds of it
   * - a grown charge gives back only its own tokens, never those of other calls
   * - a call that outlived its window is amended in that window
   * - a call that is not open cannot be amended, and nothing is short
   * - the facts are replaced but for caller, instant and day; so are open totals and the deadline
   * - each amendment of a list is decided by itself, in order, and the last one of a call stays
   * - capacity that an amendment frees is available once it is written, and not to other items of its list
   * - promises of a call's reservation, amendments and settlement may overtake each other
   * - an amendment that is settled in the same turn is in the ledger
   * - a restart settles in full what was amended and left open
   * - an amendment that cannot be written is rejected with StoreUnavailable, and the reservation stands as before
   */
  amend(amendments: readonly Amendment[], now: Instant): Promise<readonly Admission[]>
  /**
   * Settles calls: replaces what was reserved by what was used. Resolves when the rows are written.
   *
   * - a settlement replaces the reservation by what was used, or by the whole of it if that is unknown
   * - a settlement without used amounts settles the amended whole
   * - settling twice changes nothing but the count of late settlements
   * - a call that was never reserved cannot be settled
   * - levels change before the promise of a settlement resolves
   * - a refund goes to the window of the reservation, not to the window of the settlement
   * - more than was reserved is settled in full, and is paid before the next admission
   * - calls in flight come back when they settle, whatever they used
   * - a settlement that cannot be written is retried, and until then counts as open
   */
  settle(settlements: readonly Settlement[], now: Instant): Promise<readonly SettleResult[]>
  /**
   * Adds calls that were made elsewhere, corrections of calls' costs, and counts of refused calls. Resolves when the entries are written. Rejects with
   * StoreUnavailable if too many entries wait to be written.
   *
   * - an appended entry is settled whether it fits or not, and only once
   * - calls of one millisecond of the past are all kept, also if they come together
   * - an adjustment corrects cost on windows, days and sums, up or down, never below zero, and is no request
   * - sums of absurd costs stop at the largest amount, in memory and in the ledger, also after a restart
   * - refusals are counted by reason
   */
  append(records: readonly LedgerRecord[], now: Instant): Promise<void>
  /**
   * Settles expired calls. Resolves with their entries, and the first time also with those that an earlier process left open.
   *
   * - an expired call is settled in full by the sweep, and a settlement after that is late
   * - a sweep that overtakes an amendment settles the amended whole
   * - a restart keeps levels, entries and figures, and settles in full what was left open
   */
  sweep(now: Instant): Promise<readonly Entry[]>
  /**
   * The level that each charge would meet.
   *
   * - levels are shown as they will be at an instant, and reading them changes nothing
   */
  levels(charges: readonly Charge[], now: Instant): Promise<readonly LevelView[]>
  /**
   * Starts windows from sums of the ledger: once for each new limit.
   *
   * - a seeded window has at least the settled sum it is given, and keeps what is reserved
   */
  seed(seeds: readonly LevelSeed[], now: Instant): Promise<void>
  /**
   * Writes what waits and releases files and connections. Open reservations stay open.
   *
   * - a store can be closed twice
   */
  close(now: Instant): Promise<void>
  /**
   * Deletes some rows of settled calls that were reserved before an instant; their sums stay. Resolves with how many it deleted: 0 if
   * none are left. Rows that a calendar window of today may need are never deleted: `beforeMs` is at most 32 days ago.
   *
   * - rows before an instant are deleted, and usage, figures and sums stay
   */
  prune(beforeMs: number, now: Instant): Promise<number>
}

/**
 * The ledger's reader: changes nothing. It sees every settlement that was written. Rejects with StoreUnavailable if the
 * ledger cannot be read, and once the store is closed.
 */
export interface LedgerReader {
  /**
   * Totals and what is open, in one read.
   *
   * - figures are the sums of the entries, of all and of each key, real and simulated apart
   * - open totals are what open calls hold, of all and of each key, real and simulated apart
   * - a call that settles while figures are read is in the report or open, and never in both
   * - figures that were read do not change with later calls
   */
  figures(query: FiguresQuery): Promise<Figures>
  /**
   * A page of settled calls.
   *
   * - entries come newest first by settledSeq, in pages, narrowed by key and realm
   * - entries after a settledSeq come oldest first, in pages, narrowed by key and realm
   * - a reader that follows settledSeq while calls settle misses none and sees none twice
   */
  entries(query: EntryQuery): Promise<readonly Entry[]>
  /**
   * The call with that id, settled or open; undefined if there is none.
   *
   * - an entry comes back with every field it was given
   */
  entry(callId: string): Promise<Entry | undefined>
  /**
   * The adjustments of a call, oldest first.
   *
   * - adjustments of a call are found by the call's id
   */
  adjustments(callId: string): Promise<readonly Entry[]>
  /**
   * The newest call with that key digest (`facts.idempotency`) that was reserved at `sinceMs` or later; undefined if none was.
   *
   * - the newest call with an idempotency key is found, open or settled
   * - a call that was reserved in this turn is found by its idempotency key
   */
  idempotentEntry(keyHash: string, sinceMs: number): Promise<Entry | undefined>
  /**
   * Sums by subject (`subjectOf` in `core/limits.ts`), for seeds. Subjects without a call are absent.
   *
   * - sums are by subject, with open calls at what they reserved
   * - a person is one subject over all keys, and a user whom a caller declares is one within its key
   * - the sum of one subject is read alone
   * - sums are of the calls of a span of time
   */
  sums(query: SumQuery): Promise<ReadonlyMap<string, bigint>>
  /**
   * Calls in the order of their reservations, in pages of a few hundred, each read when it is asked for. Adjustments come with their
   * calls. Break off by ending the loop.
   *
   * - calls come in the order of their reservations, open or settled, with their adjustments
   * - calls are narrowed to a span of time and a realm
   * - pages of calls are never large, and together hold each call once
   * - a store that closes between pages of calls rejects a later page with StoreUnavailable
   */
  callPages(query: CallQuery): AsyncIterable<readonly MeteredCall[]>
  /**
   * Sums of settled calls, by dimension and by part of a period. Rejects with SumsNotReady while the sums of an older ledger are built.
   *
   * - usage is the sum of the entries of a period, of each group and of each part, with adjustments
   * - usage is narrowed by any dimensions together, and by none that is null
   * - usage without a limit of groups has them all, and with one the rest in one sum
   * - usage counts every call that settled before it was asked for
   * - usage of a call made elsewhere is at its own time
   * - usage in series has the parts of each value, which add up to its sum
   */
  usage(query: UsageQuery): Promise<UsageReport>
  /**
   * A page of settled calls and adjustments, about in the order of their reservations, newest first.
   *
   * - records of a period come newest first, in pages, narrowed by any dimensions
   * - a wrong cursor of records is a RangeError
   */
  records(query: RecordQuery): Promise<RecordPage>
  /**
   * Refusals of a period.
   *
   * - refused calls are counted by limit, key and shadow, in the quarter hour of each
   */
  refusalCounts(query: RefusalQuery): Promise<readonly RefusalCount[]>
  /**
   * Adds up all rows anew and compares them with every sum that is kept. Takes minutes for millions of rows, in short steps. Ends early,
   * by rejecting with the signal's reason, if `signal` aborts.
   *
   * - every sum that is kept equals that of the rows
   */
  selfCheck(signal?: AbortSignal): Promise<readonly SumCheck[]>
}

/** Why a store takes no calls. */
export interface StoreFailure {
  /** `unwritable` ends by itself once the ledger can be written. `lost` ends once its files are back, or with a restart. */
  readonly kind: 'unwritable' | 'lost'
  /** What happened and what to do. It holds no secret. */
  readonly message: string
  /** The file that is lost. */
  readonly file?: string
}

/** Whether a store takes calls. A store that fails rejects every reservation with StoreUnavailable. */
export interface StoreHealth {
  /** Undefined while the store takes calls. */
  readonly failure: StoreFailure | undefined
  /** Calls back with each new failure, and with undefined when the store takes calls again. */
  watch(listener: (failure: StoreFailure | undefined) => void): void
  /** Calls back if reports lost the time before the oldest row, because the file of their sums was lost after rows were deleted. */
  watchSums(listener: () => void): void
}

/**
 * One kind of storage: meters, ledger and registry. Open a store with `openStore`.
 *
 * @example
 * const store = await openStore('sqlite:bursar.db', { now })
 * const charges = plan.chargesFor(subjects, { requests: 1n, tokens: 900n, cost: 4_000_000n, inFlight: 1n }, now.wallMs, '', false)
 * const [admission] = await store.reserve([{ facts, charges, expiresAtMs: now.monoMs + 60_000 }], now)
 * if (admission?.admitted) {
 *   const outcome = await dispatch()
 *   await store.settle([{ callId: facts.callId, outcome, used: { requests: 1n, tokens: 420n, cost: 1_250_000n, inFlight: 0n } }], now)
 * }
 * const { report, open } = await store.figures({ simulated: false })
 */
export interface Store extends MoneyPath, LedgerReader {
  /** Documents beside the ledger; closed with the store. */
  readonly registry: Registry
  /** Alerts on their way to their receivers; closed with the store. */
  readonly alerts: AlertQueue
  readonly health: StoreHealth
}

/** The ledger could not be written or read: the disk is full, or the store is closed. A call that was to be reserved took nothing. */
export class StoreUnavailable extends Error {
  override name = 'StoreUnavailable'
}

/** The ledger cannot be opened: it cannot be written, another process owns it, it is corrupt, or it is no ledger. The file was not changed. */
export class StoreUnusable extends Error {
  override name = 'StoreUnusable'
}
