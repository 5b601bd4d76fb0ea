// File watch: notices that a file of the open ledger was deleted, moved, replaced or cut. It opens no file: closing one would end
// SQLite's locks on it.

import { statSync } from 'node:fs'
import { stat } from 'node:fs/promises'
import type { Timer, Timers } from '../../core/clock.ts'
import { type LedgerPaths, ledgerFilesOf } from './file-access.ts'
import type { FileLoss, LedgerHealth } from './ledger-health.ts'

/** Below a second, so that a loss is noticed within a second. */
const CHECK_INTERVAL_MS = 800

/** Which file a path led to when the ledger was opened. While the file is open, no other file gets its number. */
interface KnownFile {
  readonly path: string
  readonly device: bigint
  readonly inode: bigint
  /** Below this size, the file was cut: its size at the last check, or what SQLite itself may cut it to. */
  minBytes: bigint
  readonly maxMinBytes: bigint
}

interface WatchParts {
  readonly paths: LedgerPaths
  /** SQLite may cut the log (`-wal`) to this size. It never cuts the ledger. */
  readonly maxLogBytes: number
  readonly timers: Timers
  readonly health: Pick<LedgerHealth, 'lost' | 'found'>
}

/** Larger than any file. */
const NEVER_CUT = 2n ** 63n

/**
 * Compares the files of a ledger with those that were opened, again and again, until the ledger is closed. SQLite does not notice:
 * it writes to files that no path leads to any more, and another process can begin a ledger under the old path.
 */
export class FileWatch {
  readonly #parts: WatchParts
  readonly #files: readonly KnownFile[]
  #timer: Timer | undefined
  #isStopped = false

  /** Call it while the connection is open and has read, so that all files exist. */
  constructor(parts: WatchParts) {
    this.#parts = parts
    const { paths, maxLogBytes } = parts
    const [ledger, log, ...others] = ledgerFilesOf(paths.real)
    this.#files = [
      knownFile(ledger, NEVER_CUT),
      knownFile(log, BigInt(maxLogBytes)),
      ...others.map((path) => knownFile(path, 0n)),
      // A link, which can be changed to lead to another ledger.
      ...(paths.configured === paths.real ? [] : [knownFile(paths.configured, NEVER_CUT)]),
    ]
    this.#wait()
  }

  stop(): void {
    this.#isStopped = true
    this.#parts.timers.clearTimeout(this.#timer)
  }

  #wait(): void {
    this.#timer = this.#parts.timers.setTimeout(() => void this.#check(), CHECK_INTERVAL_MS).unref()
  }

  async #check(): Promise<void> {
    const { health } = this.#parts
    const losses = (await Promise.all(this.#files.map(lossOf))).filter((loss) => loss !== undefined)
    if (this.#isStopped) return
    for (const loss of losses) health.lost(loss)
    if (losses.length === 0) health.found()
    this.#wait()
  }
}

function knownFile(path: string, maxMinBytes: bigint): KnownFile {
  const { dev: device, ino: inode } = statSync(path, { bigint: true })
  return { path, device, inode, minBytes: 0n, maxMinBytes }
}

/** Undefined also if the file cannot be looked at for another reason: then nothing is known of it. */
async function lossOf(file: KnownFile): Promise<FileLoss | undefined> {
  const { path } = file
  try {
    const { dev, ino, size } = await stat(path, { bigint: true })
    if (dev !== file.device || ino !== file.inode) return { path, verb: 'replaced by another file' }
    if (size < file.minBytes) return { path, verb: 'cut short' }
    file.minBytes = size < file.maxMinBytes ? size : file.maxMinBytes
    return undefined
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : ''
    return code === 'ENOENT' || code === 'ENOTDIR' ? { path, verb: 'deleted or moved' } : undefined
  }
}
