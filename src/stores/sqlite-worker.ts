// The ledger's second thread: answers questions and moves the write-ahead log into the file. Never writes rows.

import { statSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'
import { parentPort, workerData } from 'node:worker_threads'
import { answer, type Question } from './sqlite-queries.ts'

/** What the owner sends. */
export type Letter = { readonly id: number; readonly question: Question } | { readonly close: true }

/** What comes back, in the order asked. */
export type Reply = { readonly id: number; readonly value: unknown } | { readonly id: number; readonly error: string }

/** A passive checkpoint waits for nobody but cannot start the log anew while calls come in: above this one that can is made. */
const LARGE_WAL_BYTES = 64 * 1024 * 1024

if (parentPort) serve(parentPort, workerData)

function serve(
  port: NonNullable<typeof parentPort>,
  { path, checkpointMs }: { path: string; checkpointMs: number },
): void {
  const db = new DatabaseSync(path, { timeout: 1000 })
  db.exec('PRAGMA query_only = ON')
  const checkpoints = setInterval(() => checkpoint(db, path), checkpointMs)
  port.on('message', (letter: Letter) => {
    if ('close' in letter) {
      clearInterval(checkpoints)
      db.close()
      port.close()
      return
    }
    port.postMessage(replyTo(db, letter))
  })
}

function replyTo(db: DatabaseSync, { id, question }: Extract<Letter, { id: number }>): Reply {
  try {
    return { id, value: answer(db, question) }
  } catch (error) {
    return { id, error: error instanceof Error ? error.message : String(error) }
  }
}

/** Failing is no harm: the log grows, and the next one tries again. */
function checkpoint(db: DatabaseSync, path: string): void {
  try {
    const { size } = statSync(`${path}-wal`)
    if (size === 0) return
    db.exec('PRAGMA wal_checkpoint(PASSIVE)')
    if (size > LARGE_WAL_BYTES) db.exec('PRAGMA wal_checkpoint(TRUNCATE)')
  } catch {}
}
