// The SQLite file: opened by one owner, created or migrated, and never changed if it is another program's. It knows no entries.

import { closeSync, existsSync, openSync, readSync, renameSync, rmSync, statSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'
import { StoreUnusable } from '../store.ts'
import {
  checkAccess,
  checkNoStrayLog,
  closeToOthers,
  createPrivateFile,
  type LedgerPaths,
  ownerFileOf,
  pathsOf,
  unusable,
} from './file-access.ts'
import { APPLICATION_ID, MIGRATIONS } from './migrations.ts'

/** SQLite's `PRAGMA synchronous`: see `SqliteOptions`. */
export type Synchronous = 'normal' | 'full'

/** An open file that this process owns. */
export interface LedgerFile {
  readonly db: DatabaseSync
  /** Undefined for a ledger in memory. */
  readonly paths: LedgerPaths | undefined
  /** Closes the connection and gives up the ownership. */
  readonly release: () => void
}

const HEADER_MAGIC = 'SQLite format 3\0'
const USER_VERSION_OFFSET = 60
const APPLICATION_ID_OFFSET = 68
const HEADER_BYTES = 100

/** Opening waits for a process that reads the file. Commits do not wait: they are tried again later. */
const OPEN_TIMEOUT_MS = 1000
/** The log is cut to this size when it restarts. */
export const MAX_LOG_BYTES = 64 * 1024 * 1024

/** Throws StoreUnusable and leaves the file untouched if another process owns it, or if this version does not know it. */
export function openFile(path: string, synchronous: Synchronous): LedgerFile {
  if (path === ':memory:') {
    const db = new DatabaseSync(path)
    migrate(db)
    return { db, paths: undefined, release: () => db.close() }
  }
  const paths = pathsOf(path)
  try {
    checkAccess(paths.real)
    checkHeader(paths.real)
    const owner = acquireOwnership(paths.real)
    try {
      return openOwned(paths, synchronous, owner)
    } catch (error) {
      owner.close()
      throw error
    }
  } catch (error) {
    if (error instanceof StoreUnusable) throw error
    throw unusable(paths.real, messageOf(error), error)
  }
}

function openOwned(paths: LedgerPaths, synchronous: Synchronous, owner: DatabaseSync): LedgerFile {
  const path = paths.real
  if (!existsSync(path) || statSync(path).size === 0) {
    checkNoStrayLog(path)
    createFile(path)
  }
  closeToOthers(path)
  const db = new DatabaseSync(path, { timeout: OPEN_TIMEOUT_MS })
  try {
    checkVersion(path, versionOf(db))
    migrate(db)
    db.exec(`PRAGMA journal_mode = WAL; PRAGMA synchronous = ${synchronous}; PRAGMA wal_autocheckpoint = 0;
      PRAGMA journal_size_limit = ${MAX_LOG_BYTES}; PRAGMA busy_timeout = 0`)
  } catch (error) {
    db.close()
    throw error
  }
  return {
    db,
    paths,
    release: () => {
      db.close()
      owner.close()
    },
  }
}

/** Creates the ledger under another name and renames it, so that a file of its name is always complete. */
function createFile(path: string): void {
  const draft = `${path}.new`
  rmSync(draft, { force: true })
  rmSync(`${draft}-journal`, { force: true })
  createPrivateFile(draft)
  const db = new DatabaseSync(draft)
  migrate(db)
  db.exec('PRAGMA journal_mode = WAL')
  db.close()
  renameSync(draft, path)
}

function migrate(db: DatabaseSync): void {
  const from = versionOf(db)
  if (from >= MIGRATIONS.length) return
  db.exec('BEGIN IMMEDIATE')
  try {
    for (const migration of MIGRATIONS.slice(from)) db.exec(migration)
    db.exec(`PRAGMA application_id = ${APPLICATION_ID}; PRAGMA user_version = ${MIGRATIONS.length}; COMMIT`)
  } catch (error) {
    if (db.isTransaction) db.exec('ROLLBACK')
    throw error
  }
}

function versionOf(db: DatabaseSync): number {
  return Number(db.prepare('PRAGMA user_version').get()?.user_version)
}

/** Reads the bytes alone: to open a foreign database could change it. */
function checkHeader(path: string): void {
  if (!existsSync(path)) return
  const header = Buffer.alloc(HEADER_BYTES)
  const file = openSync(path, 'r')
  let size: number
  try {
    size = readSync(file, header, 0, HEADER_BYTES, 0)
  } finally {
    closeSync(file)
  }
  if (size === 0) return
  if (size < HEADER_BYTES || header.toString('latin1', 0, HEADER_MAGIC.length) !== HEADER_MAGIC) {
    throw new StoreUnusable(
      `${path} is not an SQLite database. It was not changed; choose another path in DATABASE_URL.`,
    )
  }
  if (header.readUInt32BE(APPLICATION_ID_OFFSET) !== APPLICATION_ID) {
    throw new StoreUnusable(
      `${path} belongs to another application. It was not changed; choose another path in DATABASE_URL.`,
    )
  }
  checkVersion(path, header.readUInt32BE(USER_VERSION_OFFSET))
}

function checkVersion(path: string, version: number): void {
  if (version <= MIGRATIONS.length) return
  throw new StoreUnusable(
    `${path} has format ${version} of a newer version. This version knows format ${MIGRATIONS.length}: update bursar, or choose another path in DATABASE_URL.`,
  )
}

/** An exclusive transaction on a file beside the ledger. The operating system ends it with the process, even after a kill. */
function acquireOwnership(path: string): DatabaseSync {
  const ownerPath = ownerFileOf(path)
  createPrivateFile(ownerPath)
  const owner = new DatabaseSync(ownerPath, { timeout: 0 })
  try {
    owner.exec('BEGIN EXCLUSIVE')
    return owner
  } catch (error) {
    owner.close()
    if (!isBusy(error)) throw error
    throw new StoreUnusable(
      `${path} is in use by another process, which holds ${ownerPath}. Stop it, or choose another path in DATABASE_URL.`,
      { cause: error },
    )
  }
}

const SQLITE_BUSY = 5

/** True if another connection holds the lock. */
export function isBusy(error: unknown): boolean {
  return error instanceof Error && 'errcode' in error && (Number(error.errcode) & 0xff) === SQLITE_BUSY
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
