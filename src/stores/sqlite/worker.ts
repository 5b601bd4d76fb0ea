// The ledger's second thread: answers questions and moves the write-ahead log into the file. Never writes rows.

import { DatabaseSync } from 'node:sqlite'
import { parentPort, workerData } from 'node:worker_threads'
import { type LedgerQuery, runLedgerQuery } from './queries.ts'

/** What the owner sends. */
export type WorkerRequest = { readonly id: number; readonly question: LedgerQuery } | { readonly close: true }

/** What comes back, in the order asked. */
export type WorkerReply =
  | { readonly id: number; readonly value: unknown }
  | { readonly id: number; readonly error: string }

/** 16 MB of log: it is started anew when little of it is left to move, */
const RESTART_LOG_FRAMES = 4096
const SMALL_REST_FRAMES = 512
/** and at 128 MB however much is left. Writers have to wait meanwhile. */
const MAX_LOG_FRAMES = 32_768
const MAX_PASSES = 4

if (parentPort) serveRequests(parentPort, workerData)

function serveRequests(
  port: NonNullable<typeof parentPort>,
  { path, checkpointMs }: { path: string; checkpointMs: number },
): void {
  const db = new DatabaseSync(path, { timeout: 50 })
  db.exec('PRAGMA query_only = ON')
  const checkpoints = setInterval(() => checkpoint(db), checkpointMs)
  port.on('message', (letter: WorkerRequest) => {
    if ('close' in letter) {
      clearInterval(checkpoints)
      db.close()
      port.close()
      return
    }
    port.postMessage(replyTo(db, letter))
  })
}

function replyTo(db: DatabaseSync, { id, question }: Extract<WorkerRequest, { id: number }>): WorkerReply {
  try {
    return { id, value: runLedgerQuery(db, question) }
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
    let log = runCheckpoint(db, 'PASSIVE')
    for (let pass = 1; pass < MAX_PASSES && log.rest > SMALL_REST_FRAMES; pass++) log = runCheckpoint(db, 'PASSIVE')
    const { frames, rest } = log
    const isNearlyMoved = rest > 0 && rest <= SMALL_REST_FRAMES
    if (frames > (isNearlyMoved ? RESTART_LOG_FRAMES : MAX_LOG_FRAMES)) runCheckpoint(db, 'RESTART')
  } catch {}
}

function runCheckpoint(db: DatabaseSync, mode: 'PASSIVE' | 'RESTART'): { frames: number; rest: number } {
  const row = db.prepare(`PRAGMA wal_checkpoint(${mode})`).get()
  const frames = Number(row?.log ?? 0)
  return { frames, rest: frames - Number(row?.checkpointed ?? 0) }
}
