// The file of kept sums: opened beside the ledger, and built anew if it is missing, broken, of another version or of another ledger.

import { existsSync, renameSync, rmSync, statSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'
import { readCallId } from '../compact-values.ts'
import { createPrivateFile } from '../file-access.ts'
import { SUMS_APPLICATION_ID, SUMS_SCHEMA, SUMS_VERSION } from './schema.ts'

/** Waits for whoever reads the file, such as a backup. */
const BUSY_TIMEOUT_MS = 1000
/** 32 MB: the pages of a day of sums. */
const CACHE_KIB = 32_768
const PAGE_BYTES = 8192

/** The file of the sums of a ledger. */
export function sumsFileOf(ledgerPath: string): string {
  return `${ledgerPath}-sums`
}

/** Where a file of sums goes that is not used any more and holds sums of rows that are gone. */
function unusedSumsFileOf(path: string): string {
  return `${path}.unused`
}

/**
 * Opens the sums of a ledger. A file that does not fit the ledger is deleted: all of it follows from the ledger's rows. If retention
 * deleted rows, the file is renamed in place of that.
 * @param path of the file of sums, or `:memory:`
 * @param onSumsLost called if sums begin anew without the rows that retention deleted
 */
export function openSums(path: string, ledger: DatabaseSync, onSumsLost: () => void): DatabaseSync {
  if (path === ':memory:') return createSums(new DatabaseSync(path))
  try {
    const db = openExisting(path)
    if (db && isOfLedger(db, ledger)) return db
    db?.close()
  } catch {
    // It is no database, or it cannot be read.
  }
  const hasLostSums = prunedSeqOf(ledger) > 0
  const isKept = hasLostSums && (statSync(path, { throwIfNoEntry: false })?.size ?? 0) > 0
  for (const end of ['', '-wal', '-shm', '-journal']) {
    if (isKept && existsSync(`${path}${end}`)) renameSync(`${path}${end}`, `${unusedSumsFileOf(path)}${end}`)
    else rmSync(`${path}${end}`, { force: true })
  }
  createPrivateFile(path)
  const db = new DatabaseSync(path, { timeout: BUSY_TIMEOUT_MS })
  // Packed calls of a busy subject's day fit a page, and leave no second one nearly empty.
  db.exec(`PRAGMA page_size = ${PAGE_BYTES}`)
  createSums(configured(db))
  if (hasLostSums) onSumsLost()
  return db
}

/** Undefined for an empty file, and for one of another version or application. */
function openExisting(path: string): DatabaseSync | undefined {
  createPrivateFile(path)
  const db = new DatabaseSync(path, { timeout: BUSY_TIMEOUT_MS })
  try {
    const application = Number(db.prepare('PRAGMA application_id').get()?.application_id)
    const version = Number(db.prepare('PRAGMA user_version').get()?.user_version)
    if (application === SUMS_APPLICATION_ID && version === SUMS_VERSION) return configured(db)
    db.close()
    return undefined
  } catch (error) {
    db.close()
    throw error
  }
}

function configured(db: DatabaseSync): DatabaseSync {
  db.exec(`PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA cache_size = -${CACHE_KIB}`)
  return db
}

function createSums(db: DatabaseSync): DatabaseSync {
  db.exec(`BEGIN; ${SUMS_SCHEMA}
    PRAGMA application_id = ${SUMS_APPLICATION_ID}; PRAGMA user_version = ${SUMS_VERSION}; COMMIT`)
  return db
}

/**
 * Whether the last entry that is counted is an entry of this ledger: a ledger that was restored from a copy, or replaced, has another
 * one in its place, or none. Retention may have deleted that row, together with all rows before it.
 */
function isOfLedger(db: DatabaseSync, ledger: DatabaseSync): boolean {
  const counted = db.prepare('SELECT seq, call_id FROM counted').get()
  if (!counted) return false
  if (counted.seq === 0) return true
  const row = ledger.prepare('SELECT call_id FROM entry WHERE settled_seq = ?').get(counted.seq ?? 0)
  if (row) return readCallId(row.call_id) === counted.call_id
  return Number(counted.seq) <= prunedSeqOf(ledger)
}

/** The last `settledSeq` that retention deleted. */
function prunedSeqOf(ledger: DatabaseSync): number {
  return Number(ledger.prepare("SELECT value FROM mark WHERE name = 'pruned_seq'").get()?.value ?? 0)
}
