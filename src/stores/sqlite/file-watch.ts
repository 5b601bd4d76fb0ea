// File watch: notices that a file of the open ledger was deleted, moved, replaced or cut. It opens no file: closing one would end
// SQLite's locks on it.

import { statSync } from 'node:fs'
import { stat } from 'node:fs/promises'
import { basename } from 'node:path'
import type { Timer, Timers } from '../../core/clock.ts'
import { ledgerFilesOf } from './file-access.ts'
import type { LedgerHealth } from './ledger-health.ts'

/** Which file a path led to when the ledger was opened. While the file is open, no other file gets its number. */
interface KnownFile {
  readonly path: string
  readonly device: bigint
  readonly inode: bigint
  /** The size below which the file was cut: a ledger never shrinks. 0 for other files. */
  minBytes: bigint
}

interface WatchParts {
  readonly path: string
  readonly timers: Timers
  readonly health: LedgerHealth
  readonly intervalMs: number
}

/** What can happen to a file, with the verb of a message. */
type Loss = 'deleted or moved' | 'replaced by another file' | 'cut short'

/**
 * Compares the files of a ledger with those that were opened, again and again, until one differs or the ledger is closed. SQLite does
 * not notice: it writes to files that no path leads to any more, and another process can begin a ledger under the old path.
 */
export class FileWatch {
  readonly #parts: WatchParts
  readonly #files: readonly KnownFile[]
  #timer: Timer | undefined
  #isStopped = false

  /** Call it while the connection is open and has read, so that all files exist. */
  constructor(parts: WatchParts) {
    this.#parts = parts
    this.#files = ledgerFilesOf(parts.path).map((path) => {
      const { dev: device, ino: inode, size } = statSync(path, { bigint: true })
      return { path, device, inode, minBytes: path === parts.path ? size : 0n }
    })
    this.#wait()
  }

  stop(): void {
    this.#isStopped = true
    this.#parts.timers.clearTimeout(this.#timer)
  }

  #wait(): void {
    const { timers, intervalMs } = this.#parts
    this.#timer = timers.setTimeout(() => void this.#check(), intervalMs).unref()
  }

  async #check(): Promise<void> {
    for (const file of this.#files) {
      const loss = await lossOf(file)
      if (this.#isStopped) return
      if (loss !== undefined) {
        this.#parts.health.lost(this.#messageOf(file.path, loss), file.path)
        return
      }
    }
    this.#wait()
  }

  #messageOf(path: string, loss: Loss): string {
    const ledger = basename(this.#parts.path)
    return `The ledger's file ${basename(path)} was ${loss} while the gateway ran. No call is taken until a restart: put back ${ledger} with the files beside it, or remove them all to begin an empty ledger, and restart the gateway.`
  }
}

/** Undefined also if the file cannot be looked at for another reason: then nothing is known of it. */
async function lossOf(file: KnownFile): Promise<Loss | undefined> {
  try {
    const { dev, ino, size } = await stat(file.path, { bigint: true })
    if (dev !== file.device || ino !== file.inode) return 'replaced by another file'
    if (size < file.minBytes) return 'cut short'
    if (file.minBytes > 0n) file.minBytes = size
    return undefined
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : ''
    return code === 'ENOENT' || code === 'ENOTDIR' ? 'deleted or moved' : undefined
  }
}
