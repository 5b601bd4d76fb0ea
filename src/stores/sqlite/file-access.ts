// File access: where the ledger's files are, who may read them, and whether this process may write them. It opens no database.

import {
  accessSync,
  chmodSync,
  closeSync,
  constants,
  fchmodSync,
  lstatSync,
  openSync,
  readlinkSync,
  realpathSync,
  statSync,
} from 'node:fs'
import { basename, dirname, resolve } from 'node:path'
import { StoreUnusable } from '../store.ts'

/** Only the account that runs the gateway reads the ledger, which names users. */
const PRIVATE_MODE = 0o600
const OTHER_ACCOUNTS = 0o007

/** Absolute paths of a ledger. */
export interface LedgerPaths {
  /** As the setting has it. */
  readonly configured: string
  /** The same, or where the link leads that stands there. SQLite puts its other files beside this one. */
  readonly real: string
}

/** The paths of a ledger that may not exist yet. */
export function pathsOf(path: string): LedgerPaths {
  const configured = resolve(path)
  return { configured, real: followLinks(configured) }
}

/** Follows a link to a file that does not exist yet, too. */
function followLinks(path: string): string {
  try {
    return realpathSync(path)
  } catch (error) {
    if (codeOf(error) !== 'ENOENT' || !lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink()) return path
    return followLinks(resolve(dirname(path), readlinkSync(path)))
  }
}

/** The files of an open ledger: itself, its log and the log's index, which SQLite creates with the ledger's mode, and the owner's file. */
export function ledgerFilesOf(path: string): readonly [ledger: string, log: string, index: string, owner: string] {
  return [path, `${path}-wal`, `${path}-shm`, ownerFileOf(path)]
}

/** The side file whose lock says which process owns the ledger. */
export function ownerFileOf(path: string): string {
  return `${path}.owner`
}

const MISTAKES: Readonly<Record<string, string>> = {
  ENOENT: 'does not exist',
  ENOTDIR: 'is no folder',
  EACCES: 'cannot be written by the account that runs the gateway',
  EPERM: 'cannot be written by the account that runs the gateway',
  EROFS: 'is on a file system that is read-only',
}

/**
 * Throws StoreUnusable with what to change if the files of the ledger cannot be written, or cannot be created in its folder, or if the
 * ledger has a second name.
 */
export function checkAccess(path: string): void {
  const { R_OK, W_OK, X_OK } = constants
  const folder = dirname(path)
  const folderMistake = mistakeOf(folder, W_OK | X_OK, true)
  if (folderMistake !== undefined) throw unusable(path, `its folder ${folder} ${folderMistake}`)
  for (const file of ledgerFilesOf(path)) {
    const mistake = mistakeOf(file, R_OK | W_OK, false)
    const name = file === path ? 'the file' : `the file ${file} beside it`
    if (mistake !== undefined && mistake !== MISTAKES.ENOENT) throw unusable(path, `${name} ${mistake}`)
  }
  // Under another name, its owner and its log would be other files.
  if ((statSync(path, { throwIfNoEntry: false })?.nlink ?? 1) > 1)
    throw unusable(path, 'the file has another name, a hard link, under which another process could own it')
}

function mistakeOf(path: string, access: number, isFolder: boolean): string | undefined {
  try {
    if (statSync(path).isDirectory() !== isFolder) return isFolder ? MISTAKES.ENOTDIR : 'is a folder'
    accessSync(path, access)
    return undefined
  } catch (error) {
    return MISTAKES[codeOf(error)] ?? `cannot be used (${codeOf(error)})`
  }
}

/** The error of a ledger that this process cannot write. */
export function unusable(path: string, reason: string, cause?: unknown): StoreUnusable {
  return new StoreUnusable(
    `The ledger ${path} cannot be opened: ${reason}. The gateway writes this file and others beside it. Change that, or choose another path in DATABASE_URL.`,
    { cause },
  )
}

/**
 * Throws StoreUnusable if the ledger is gone and its log is not: a new ledger would take over the log of the old one. Call it for a
 * ledger that does not exist or is empty.
 */
export function checkNoStrayLog(path: string): void {
  const log = `${path}-wal`
  if (!statSync(log, { throwIfNoEntry: false })?.size) return
  const name = basename(path)
  throw new StoreUnusable(
    `The ledger ${path} is missing, but ${log}, which belongs to it, is there. Put ${name} back, or remove ${name}-wal and ${name}-shm to begin an empty ledger in which nothing is spent.`,
  )
}

/**
 * Creates an empty file that only this account reads, under any umask. An existing file stays as it is, and is not opened: closing it
 * would end its locks.
 */
export function createPrivateFile(path: string): void {
  let file: number
  try {
    file = openSync(path, 'wx', PRIVATE_MODE)
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return
    throw error
  }
  try {
    fchmodSync(file, PRIVATE_MODE)
  } catch {
    // A file system without modes.
  } finally {
    closeSync(file)
  }
}

/**
 * Takes all rights but the owner's from each file of a ledger that every account can read or write: no one chose that mode. A file
 * that only its group can read stays as it is.
 */
export function closeToOthers(path: string): void {
  for (const file of ledgerFilesOf(path)) {
    const mode = statSync(file, { throwIfNoEntry: false })?.mode
    if (mode === undefined || (mode & OTHER_ACCOUNTS) === 0) continue
    try {
      chmodSync(file, mode & 0o700)
    } catch {
      // The file belongs to another account, which decides who reads it, or the file system has no modes.
    }
  }
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : String(error)
}
