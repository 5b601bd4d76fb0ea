// The ledger's second thread: answers questions and moves the write-ahead log into the file. Never writes rows.

import { DatabaseSync } from 'node:sqlite'
import { parentPort, workerData } from 'node:worker_threads'
import { answer, type Question } from './sqlite-queries.ts'

/** What the owner sends. */
export type Letter = { readonly id: number; readonly question: Question } | { readonly close: true }

/** What comes back, in the order asked. */
export type Reply = { readonly id: number; readonly value: unknown } | { readonly id: number; readonly error: string }

/** 16 MB of log: above it, it is started anew, which keeps writers out for as long as the rest takes. */
const LONG_LOG_FRAMES = 4096
/** How much of the log may be left when it is. */
const SHORT_REST_FRAMES = 512
const MOST_PASSES = 8

if (parentPort) serve(parentPort, workerData)

function serve(
  port: NonNullable<typeof parentPort>,
  { path, checkpointMs }: { path: string; checkpointMs: number },
): void {
  const db = new DatabaseSync(path, { timeout: 50 })
  db.exec('PRAGMA query_only = ON')
  const checkpoints = setInterval(() => checkpoint(db), checkpointMs)
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

/**
 * A passive pass keeps nobody waiting, but while calls come in it never reaches the end of the log, which then only grows.
 * Failing is no harm: the next one tries again.
 */
function checkpoint(db: DatabaseSync): void {
  try {
    for (let pass = 0; pass < MOST_PASSES; pass++) {
      const { frames, rest } = run(db, 'PASSIVE')
      if (rest > SHORT_REST_FRAMES) continue
      if (frames > LONG_LOG_FRAMES && rest > 0) run(db, 'RESTART')
      return
    }
  } catch {}
}

function run(db: DatabaseSync, mode: 'PASSIVE' | 'RESTART'): { frames: number; rest: number } {
  const row = db.prepare(`PRAGMA wal_checkpoint(${mode})`).get()
  const frames = Number(row?.log ?? 0)
  return { frames, rest: frames - Number(row?.checkpointed ?? 0) }
}
