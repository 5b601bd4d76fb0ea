// File access: who may read the ledger's files, and whether this process may write them. It opens no database.

import { accessSync, chmodSync, closeSync, constants, openSync, statSync } from 'node:fs'
import { basename, dirname, resolve } from 'node:path'
import { StoreUnusable } from '../store.ts'

/** Only the account that runs the gateway reads the ledger: it names users. */
const PRIVATE_MODE = 0o600
const OTHER_ACCOUNTS = 0o007

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'does not exist',
  ENOTDIR: 'is no folder',
  EACCES: 'cannot be written by this account',
  EPERM: 'cannot be written by this account',
  EROFS: 'is on a file system that is read-only',
}

/** The files of an open ledger. SQLite makes the log (`-wal`) and its index (`-shm`) with the mode of the ledger itself. */
export function ledgerFilesOf(path: string): readonly string[] {
  return [path, `${path}-wal`, `${path}-shm`, ownerFileOf(path)]
}

/** The side file whose lock says which process owns the ledger. */
export function ownerFileOf(path: string): string {
  return `${path}.owner`
}

/** Throws StoreUnusable with what to change if the ledger cannot be written, or cannot be created in its folder. */
export function checkAccess(path: string): void {
  const folder = dirname(resolve(path))
  const { R_OK, W_OK, X_OK } = constants
  const folderMistake = mistakeOf(folder, W_OK | X_OK, true)
  if (folderMistake !== undefined) throw unusable(path, `its folder ${folder} ${folderMistake}`)
  const fileMistake = mistakeOf(path, R_OK | W_OK, false)
  if (fileMistake !== undefined && fileMistake !== REASONS.ENOENT) throw unusable(path, `the file ${fileMistake}`)
}

function mistakeOf(path: string, mode: number, isFolder: boolean): string | undefined {
  try {
    accessSync(path, mode)
    if (statSync(path).isDirectory() === isFolder) return undefined
    return isFolder ? REASONS.ENOTDIR : 'is a folder'
  } catch (error) {
    return REASONS[codeOf(error)] ?? `cannot be used (${codeOf(error)})`
  }
}

function unusable(path: string, reason: string): StoreUnusable {
  return new StoreUnusable(
    `The ledger ${path} cannot be opened: ${reason}. Change that, or choose another path in DATABASE_URL.`,
  )
}

/**
 * Throws StoreUnusable if the ledger is gone and its log is not: a new ledger would take over the log of the old one.
 * Call it for a ledger that does not exist or is empty.
 */
export function checkNoStrayLog(path: string): void {
  const log = `${path}-wal`
  if (statSync(log, { throwIfNoEntry: false })?.size) {
    const name = basename(path)
    throw new StoreUnusable(
      `The ledger ${path} is missing, but ${log}, which belongs to it, is there. Put ${name} back, or remove ${name}-wal and ${name}-shm to begin an empty ledger in which nothing is spent.`,
    )
  }
}

/** Creates an empty file that only this account reads. An existing file stays as it is, and is not opened: closing it would end its locks. */
export function createPrivateFile(path: string): void {
  try {
    closeSync(openSync(path, 'wx', PRIVATE_MODE))
  } catch (error) {
    if (codeOf(error) !== 'EEXIST') throw error
  }
}

/** Takes the rights of all other accounts from the files of a ledger. Rights of the group stay: an operator gave them on purpose. */
export function closeToOthers(path: string): void {
  for (const file of ledgerFilesOf(path)) {
    const mode = statSync(file, { throwIfNoEntry: false })?.mode
    if (mode === undefined || (mode & OTHER_ACCOUNTS) === 0) continue
    try {
      chmodSync(file, mode & 0o777 & ~OTHER_ACCOUNTS)
    } catch {
      // The file belongs to another account, which decides who reads it.
    }
  }
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : String(error)
}
