// Foreign writes: notices that another program wrote to the ledger in place, as `cp` does over a file that exists. For the thread that
// alone moves the log into the ledger.

import { statfsSync, statSync } from 'node:fs'

/**
 * File systems that set the time of a change when it is made: ext4, XFS, Btrfs, F2FS, ZFS, tmpfs, overlays of these. Others set the
 * time later, which would look like a write of another program.
 */
const EXACT_FILE_SYSTEMS: ReadonlySet<number> = new Set([
  0xef53, 0x58465342, 0x9123683e, 0xf2f52010, 0x2fc12fc1, 0x01021994, 0x794c7630,
])

const NS_PER_MICROSECOND = 1_000n
const NS_PER_SECOND = 1_000_000_000n

/**
 * Compares the time at which the ledger was last changed with the time of the last change that was ours. It does not open the file:
 * closing it would end SQLite's locks on it.
 */
export class ForeignWrites {
  readonly #path: string
  readonly #isExact: boolean
  readonly #inode: bigint | undefined
  /** Undefined if it is not known. */
  #changedAtNs: bigint | undefined

  /** @param path the ledger, which is not written until `between` */
  constructor(path: string) {
    this.#path = path
    this.#isExact = isOnExactFileSystem(path)
    const found = statSync(path, { bigint: true, throwIfNoEntry: false })
    this.#inode = found?.ino
    this.#changedAtNs = found?.mtimeNs
  }

  /** Runs `write`, which may write to the ledger. Returns false, and does not run it, if another program wrote since the last time. */
  between(write: () => void): boolean {
    const changedAtNs = this.#read()
    if (this.#changedAtNs !== undefined && changedAtNs !== undefined && !isSame(changedAtNs, this.#changedAtNs))
      return false
    write()
    this.#changedAtNs = this.#read()
    return true
  }

  /** Undefined if the time says nothing, or if the path leads to no file or another file, which `FileWatch` notices. */
  #read(): bigint | undefined {
    if (!this.#isExact) return undefined
    const found = statSync(this.#path, { bigint: true, throwIfNoEntry: false })
    return found?.ino === this.#inode ? found?.mtimeNs : undefined
  }
}

/** Programs that put a time back after they have read a file may round it, to a microsecond or to a second. */
function isSame(changedAtNs: bigint, beforeNs: bigint): boolean {
  const differenceNs = changedAtNs > beforeNs ? changedAtNs - beforeNs : beforeNs - changedAtNs
  if (differenceNs <= NS_PER_MICROSECOND) return true
  return changedAtNs % NS_PER_SECOND === 0n && differenceNs < NS_PER_SECOND
}

/** Whether the file system of a file sets the time of a change when it is made. */
export function isOnExactFileSystem(path: string): boolean {
  try {
    return EXACT_FILE_SYSTEMS.has(statfsSync(path).type)
  } catch {
    return false
  }
}
