// SQLite store: levels in memory, one row per call in a file. For one process, which owns the file. It reads no clock.

import type { DatabaseSync } from 'node:sqlite'
import type { Timers } from '../../core/clock.ts'
import type { Entry, Reservation } from '../../core/ledger-entry.ts'
import type { Charge, Instant, LevelView } from '../../core/meter.ts'
import type { AlertQueue } from '../alert-queue.ts'
import type { Registry } from '../registry.ts'
import {
  type Admission,
  type Amendment,
  type CallQuery,
  type EntryQuery,
  type Figures,
  type FiguresQuery,
  type LedgerRecord,
  type LevelSeed,
  type MeteredCall,
  type Settlement,
  type SettleResult,
  type Store,
  StoreUnavailable,
  StoreUnusable,
  type SumQuery,
} from '../store.ts'
import type {
  RecordPage,
  RecordQuery,
  RefusalCount,
  RefusalQuery,
  SumCheck,
  UsageQuery,
  UsageReport,
} from '../usage-query.ts'
import { SqliteAlertQueue } from './alert-queue.ts'
import type { OpenRow, PendingAmendment, PendingSettlement } from './batch.ts'
import { type LedgerFile, MAX_LOG_BYTES, openFile, type Synchronous } from './file.ts'
import { unusable } from './file-access.ts'
import { FileWatch } from './file-watch.ts'
import { LedgerHealth } from './ledger-health.ts'
import { SqliteLedgerReader } from './ledger-reader.ts'
import { LedgerState } from './ledger-state.ts'
import { Pruner } from './pruner.ts'
import { InlineQueryRunner, type QueryRunner, WorkerQueryRunner } from './query-runner.ts'
import { SqliteRegistry } from './registry.ts'
import type { WorkerAlarm } from './worker.ts'
import { WriteProbe } from './write-probe.ts'

export interface SqliteOptions {
  /** Calls that an earlier process left open are settled at this instant. */
  readonly now: Instant
  readonly timers: Timers
  /** `full` survives a power loss, at about 100 µs per commit; `normal` survives the death of the process. */
  readonly synchronous?: Synchronous
  /** Milliseconds between checkpoints. */
  readonly checkpointMs?: number
}

const GENERATION_MS = 600_000
const SECURED_FOR_MS = 60_000
/** A month window of today may need rows that are 31 days old, and some hours by its time zone. */
const MIN_ROW_AGE_MS = 32 * 86_400_000
const DEFAULT_CHECKPOINT_MS = 1000

/**
 * The money path waits for the commits that `LedgerState` causes. Reader and registry share the connection.
 *
 * An error other than StoreUnavailable means that one row could not be written as it was: a bug.
 */
export class SqliteStore implements Store {
  readonly registry: Registry
  readonly alerts: AlertQueue
  readonly health = new LedgerHealth()
  /** Only the store, its reader and its registry use the connection. Tests break it on purpose. */
  readonly db: DatabaseSync
  readonly #file: LedgerFile
  readonly #state: LedgerState
  readonly #queries: QueryRunner
  readonly #reader: SqliteLedgerReader
  readonly #pruner: Pruner
  readonly #probe: WriteProbe
  readonly #watch: FileWatch | undefined
  #closed = false
  /** The last `settledSeq` that is in all sums for good, and when that was asked for. */
  #securedSeq = 0
  #securedAtMs = Number.NEGATIVE_INFINITY
  #generationTurnedAtMs: number
  /** Settled at opening. The first sweep returns them. */
  #expiredAtOpening: Entry[] = []

  /** @param path a file, or `:memory:` for tests. Throws StoreUnusable and leaves the file untouched if it cannot be used. */
  constructor(path: string, options: SqliteOptions) {
    const { now, timers, synchronous = 'normal', checkpointMs = DEFAULT_CHECKPOINT_MS } = options
    this.#generationTurnedAtMs = now.monoMs
    this.#file = openFile(path, synchronous)
    const { health } = this
    const { paths } = this.#file
    const db = (this.db = this.#file.db)
    try {
      this.#state = new LedgerState(db, timers, health, now)
      this.#expiredAtOpening = this.#state.recover()
      this.registry = new SqliteRegistry(db, timers, health)
      this.alerts = new SqliteAlertQueue(db, timers, health)
      this.#watch = paths && new FileWatch({ paths, maxLogBytes: MAX_LOG_BYTES, timers, health })
    } catch (error) {
      this.#file.release()
      if (error instanceof StoreUnavailable) throw unusable(path, health.writeError, error)
      throw new StoreUnusable(`${path} cannot be read: ${error}`, { cause: error })
    }
    this.#probe = new WriteProbe({ db, timers, health, flush: () => this.#state.writeQueue.flush() === 'written' })
    const onAlarm = (alarm: WorkerAlarm['alarm']) =>
      alarm === 'sumsLost' ? health.sumsLost() : health.lost({ path, verb: 'written by another program' })
    this.#queries = paths
      ? new WorkerQueryRunner({ path: paths.real, checkpointMs, timers, onAlarm })
      : new InlineQueryRunner(db)
    this.#reader = new SqliteLedgerReader(db, this.#state, this.#queries)
    this.#pruner = new Pruner(db)
  }

  async reserve(reservations: readonly Reservation[], now: Instant): Promise<readonly Admission[]> {
    this.#assertNotLost()
    this.#setNow(now)
    const rows: OpenRow[] = []
    const admissions = this.#reserveAll(reservations, now, rows)
    if (rows.length > 0) await this.#state.writeQueue.reservesWritten()
    throwFirstError(rows)
    return admissions
  }

  #reserveAll(reservations: readonly Reservation[], now: Instant, rows: OpenRow[]): Admission[] {
    try {
      return reservations.map((reservation) => this.#state.reserve(reservation, now, rows))
    } catch (error) {
      // A level could not be read, or a call id is open: nothing of this list is reserved.
      for (const row of rows) row.error = new StoreUnavailable('Another call of the list failed.', { cause: error })
      this.#state.reserveFailed(rows)
      throw error
    }
  }

  async amend(amendments: readonly Amendment[], now: Instant): Promise<readonly Admission[]> {
    this.#assertNotLost()
    this.#setNow(now)
    const pending: PendingAmendment[] = []
    const answers = this.#amendAll(amendments, now, pending)
    if (pending.length > 0) await this.#state.writeQueue.reservesWritten()
    throwFirstError(pending)
    return answers.map((answer, index) =>
      answer.admitted ? { ...answer, levels: this.#state.levels.view(amendments[index]?.charges ?? [], now) } : answer,
    )
  }

  #amendAll(amendments: readonly Amendment[], now: Instant, pending: PendingAmendment[]): Admission[] {
    try {
      return amendments.map((amendment) => this.#state.amend(amendment, now, pending))
    } catch (error) {
      // A level could not be read: nothing of this list is amended.
      this.#state.amendFailed(pending, new StoreUnavailable('Another call of the list failed.', { cause: error }))
      throw error
    }
  }

  async settle(settlements: readonly Settlement[], now: Instant): Promise<readonly SettleResult[]> {
    this.#setNow(now)
    const pending: PendingSettlement[] = []
    const results = settlements.map((settlement) => this.#state.settle(settlement, now, pending))
    if (pending.length > 0) await this.#state.writeQueue.settlementsWritten()
    throwFirstError(pending)
    return results
  }

  async append(records: readonly LedgerRecord[], now: Instant): Promise<void> {
    if (records.some(({ kind }) => kind !== 'refusals')) this.#assertNotLost()
    this.#setNow(now)
    let isWaiting = false
    for (const record of records) {
      if (record.kind !== 'refusals') isWaiting = this.#state.append(record, now) || isWaiting
      else this.#state.writeQueue.rollups.addRefusals(record.reason, record.count, record.refused)
    }
    if (isWaiting) await this.#state.writeQueue.settlementsWritten()
  }

  async sweep(now: Instant): Promise<readonly Entry[]> {
    this.#setNow(now)
    this.#tidy(now)
    const expired = this.#state.expire(now)
    const swept = [...this.#expiredAtOpening, ...expired]
    this.#expiredAtOpening = []
    if (expired.length > 0) await this.#state.writeQueue.settlementsWritten()
    return swept
  }

  async levels(charges: readonly Charge[], now: Instant): Promise<readonly LevelView[]> {
    this.#setNow(now)
    return this.#state.levels.view(charges, now)
  }

  async seed(seeds: readonly LevelSeed[], now: Instant): Promise<void> {
    this.#setNow(now)
    for (const { meter, settled } of seeds) this.#state.levels.seed(meter, settled, now)
    await this.#state.writeQueue.settlementsWritten()
  }

  async figures(query: FiguresQuery): Promise<Figures> {
    this.#assertOpen()
    return this.#reader.figures(query)
  }

  async entries(query: EntryQuery): Promise<readonly Entry[]> {
    this.#assertOpen()
    return this.#reader.entries(query)
  }

  async entry(callId: string): Promise<Entry | undefined> {
    this.#assertOpen()
    return this.#reader.entry(callId)
  }

  async adjustments(callId: string): Promise<readonly Entry[]> {
    this.#assertOpen()
    return this.#reader.adjustments(callId)
  }

  async idempotentEntry(keyHash: string, sinceMs: number): Promise<Entry | undefined> {
    this.#assertOpen()
    return this.#reader.idempotentEntry(keyHash, sinceMs)
  }

  async sums(query: SumQuery): Promise<ReadonlyMap<string, bigint>> {
    this.#assertOpen()
    return this.#reader.sums(query)
  }

  async *callPages(query: CallQuery): AsyncGenerator<readonly MeteredCall[]> {
    this.#assertOpen()
    yield* this.#reader.callPages(query)
  }

  async usage(query: UsageQuery): Promise<UsageReport> {
    this.#assertOpen()
    return this.#reader.usage(query)
  }

  async records(query: RecordQuery): Promise<RecordPage> {
    this.#assertOpen()
    return this.#reader.records(query)
  }

  async refusalCounts(query: RefusalQuery): Promise<readonly RefusalCount[]> {
    this.#assertOpen()
    return this.#reader.refusalCounts(query)
  }

  async selfCheck(signal?: AbortSignal): Promise<readonly SumCheck[]> {
    this.#assertOpen()
    return this.#reader.selfCheck(signal)
  }

  async prune(beforeMs: number, now: Instant): Promise<number> {
    this.#setNow(now)
    if (now.monoMs - this.#securedAtMs >= SECURED_FOR_MS) {
      this.#securedSeq = await this.#reader.securedSeq()
      this.#securedAtMs = now.monoMs
    }
    if (this.#closed || this.health.isLost || this.#reader.isChecking) return 0
    try {
      return this.#pruner.prune(Math.min(beforeMs, now.wallMs - MIN_ROW_AGE_MS), this.#securedSeq)
    } catch (error) {
      throw new StoreUnavailable('Old rows could not be deleted.', { cause: error })
    }
  }

  async close(_now: Instant): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    this.#watch?.stop()
    this.#probe.stop()
    await this.#queries.close()
    await this.#state.writeQueue.flushAndRead(true, () => {})
    this.#state.writeQueue.stop()
    try {
      if (!this.health.isLost) this.db.exec('PRAGMA wal_checkpoint(TRUNCATE)')
    } catch {
      // The log is whole without a checkpoint. The next start reads it.
    }
    this.#file.release()
  }

  #setNow(now: Instant): void {
    this.#assertOpen()
    this.#state.now = now
  }

  /** A file that was cut or replaced cannot be trusted for reading levels either. */
  #assertNotLost(): void {
    if (this.health.isLost) throw new StoreUnavailable('The ledger is lost.')
  }

  #assertOpen(): void {
    if (this.#closed) throw new StoreUnavailable('The store is closed.')
  }

  /** Drops idle levels from memory, and now and then old rows from the file. */
  #tidy(now: Instant): void {
    const { writeQueue, levels } = this.#state
    if (now.monoMs - this.#generationTurnedAtMs >= GENERATION_MS && writeQueue.flush() === 'written') {
      this.#generationTurnedAtMs = now.monoMs
      levels.turnGeneration(now)
    }
    writeQueue.prune(now)
  }
}

function throwFirstError(failed: readonly { readonly error?: Error }[]): void {
  for (const { error } of failed) if (error) throw error
}
