// The ledger's second thread: answers queries and moves the write-ahead log into the file. It never writes rows.

import { DatabaseSync } from 'node:sqlite'
import { pathToFileURL } from 'node:url'
import { parentPort, workerData } from 'node:worker_threads'
import { SumsNotReady } from '../usage-query.ts'
import { ForeignWrites } from './foreign-writes.ts'
import { type LedgerQuery, type QuerySources, runLedgerQuery } from './queries.ts'
import { SumFollower } from './sums/sum-follower.ts'
import { sumsFileOf } from './sums/sums-file.ts'

/** A message from the owner. */
export type WorkerRequest = { readonly id: number; readonly query: LedgerQuery } | { readonly close: true }

/** A message to the owner, in the order of the requests. */
export type WorkerReply =
  | { readonly id: number; readonly value: unknown }
  | { readonly id: number; readonly failure: QueryFailure }

/** Why a query has no answer. */
export type QueryFailure =
  | { readonly kind: 'sumsNotReady'; readonly built: number; readonly total: number }
  | { readonly kind: 'wrongCursor' | 'unreadable'; readonly message: string }

/** A message to the owner, sent once: another program wrote to the ledger, or sums of rows that retention deleted are lost. */
export type WorkerAlarm = { readonly alarm: 'writtenByOthers' | 'sumsLost' }

/** 16 MB of log. From here on the log is restarted as soon as little of it is left to move. */
const RESTART_LOG_FRAMES = 4096
const SMALL_REST_FRAMES = 512
/** 128 MB of log. From here on it is restarted however much is left, and writers wait meanwhile. */
const MAX_LOG_FRAMES = 32_768
const MAX_PASSES = 4
const BUSY_TIMEOUT_MS = 50

if (parentPort) serveRequests(parentPort, workerData)

function serveRequests(
  port: NonNullable<typeof parentPort>,
  { path, checkpointMs }: { path: string; checkpointMs: number },
): void {
  // `rw`: a ledger that is gone is not created anew.
  const db = new DatabaseSync(`${pathToFileURL(path)}?mode=rw`, { timeout: BUSY_TIMEOUT_MS })
  db.exec('PRAGMA query_only = ON')
  const foreignWrites = new ForeignWrites(path)
  const sums = new SumFollower(db, sumsFileOf(path), () =>
    port.postMessage({ alarm: 'sumsLost' } satisfies WorkerAlarm),
  )
  const checkpoints = setInterval(() => {
    if (foreignWrites.between(() => checkpoint(db))) return sums.follow()
    clearInterval(checkpoints)
    port.postMessage({ alarm: 'writtenByOthers' } satisfies WorkerAlarm)
  }, checkpointMs)
  port.on('message', (request: WorkerRequest) => {
    if ('close' in request) {
      clearInterval(checkpoints)
      sums.close()
      db.close()
      port.close()
      return
    }
    port.postMessage(replyTo({ db, sums: () => sums.kept() }, request))
  })
}

function replyTo(sources: QuerySources, { id, query }: Extract<WorkerRequest, { id: number }>): WorkerReply {
  try {
    return { id, value: runLedgerQuery(sources, query) }
  } catch (error) {
    return { id, failure: failureOf(error) }
  }
}

function failureOf(error: unknown): QueryFailure {
  if (error instanceof SumsNotReady) return { kind: 'sumsNotReady', built: error.built, total: error.total }
  const message = error instanceof Error ? error.message : String(error)
  return { kind: error instanceof RangeError ? 'wrongCursor' : 'unreadable', message }
}

/**
 * A passive pass makes no writer wait, but under load it never reaches the end of the log, and the log only grows. A failed
 * checkpoint does no harm: the next one tries again.
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
