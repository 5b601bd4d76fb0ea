// Write probe: finds out when a ledger that could not be written can be written again. While calls are refused, or sent elsewhere
// because of /readyz, nothing else would.

import type { DatabaseSync, StatementSync } from 'node:sqlite'
import type { Timer, Timers } from '../../core/clock.ts'
import type { LedgerHealth } from './ledger-health.ts'

interface ProbeParts {
  readonly db: DatabaseSync
  readonly timers: Timers
  readonly health: LedgerHealth
  /** Writes what waits. False if that fails. */
  readonly flush: () => boolean
}

const PROBE_INTERVAL_MS = 1_000
/** Room for some calls: with less, the next call would fail again. */
const PROBE_BYTES = 65_536

/** While the ledger is unwritable: once a second, writes a trial row, deletes it, and writes what waits. */
export class WriteProbe {
  readonly #parts: ProbeParts
  readonly #begin: StatementSync
  readonly #insert: StatementSync
  readonly #delete: StatementSync
  readonly #commit: StatementSync
  #timer: Timer | undefined

  constructor(parts: ProbeParts) {
    this.#parts = parts
    const { db, health } = parts
    this.#begin = db.prepare('BEGIN IMMEDIATE')
    // A table that is there already. A crash between the two commits leaves a row that no one reads.
    this.#insert = db.prepare(`INSERT OR REPLACE INTO mark VALUES ('probe', zeroblob(${PROBE_BYTES}))`)
    this.#delete = db.prepare("DELETE FROM mark WHERE name = 'probe'")
    this.#commit = db.prepare('COMMIT')
    health.watch((failure) => (failure?.kind === 'unwritable' ? this.#wait() : this.stop()))
  }

  stop(): void {
    this.#parts.timers.clearTimeout(this.#timer)
    this.#timer = undefined
  }

  #wait(): void {
    this.#timer = this.#parts.timers.setTimeout(() => this.#probe(), PROBE_INTERVAL_MS).unref()
  }

  /** Two commits: what one transaction inserts and deletes is never written. */
  #probe(): void {
    const { health, flush } = this.#parts
    try {
      this.#write(this.#insert)
      this.#write(this.#delete)
      if (flush()) return health.writable()
    } catch {
      // Still full.
    }
    this.#wait()
  }

  #write(statement: StatementSync): void {
    const { db } = this.#parts
    try {
      this.#begin.get()
      statement.run()
      this.#commit.get()
    } catch (error) {
      if (db.isTransaction) db.exec('ROLLBACK')
      throw error
    }
  }
}
