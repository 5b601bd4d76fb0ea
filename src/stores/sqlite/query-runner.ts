// The owner's side of the ledger's second thread: sends queries and matches replies. It reads no file itself.

import type { DatabaseSync } from 'node:sqlite'
import { Worker } from 'node:worker_threads'
import type { Timer, Timers } from '../../core/clock.ts'
import { StoreUnavailable } from '../store.ts'
import { SumsNotReady } from '../usage-query.ts'
import { type LedgerQuery, type LedgerQueryResults, runLedgerQuery } from './queries.ts'
import { KeptSums } from './sums/kept-sums.ts'
import type { QueryFailure, WorkerAlarm, WorkerReply, WorkerRequest } from './worker.ts'

interface PendingQuery {
  readonly resolve: (value: unknown) => void
  readonly reject: (error: Error) => void
}

/** Runs queries that may read many rows. Rejects with StoreUnavailable if the ledger cannot be read. */
export interface QueryRunner {
  run<Kind extends LedgerQuery['kind']>(query: Extract<LedgerQuery, { kind: Kind }>): Promise<LedgerQueryResults[Kind]>
  close(): Promise<void>
}

/** For a database in memory, which no other connection can see. */
export class InlineQueryRunner implements QueryRunner {
  readonly #db: DatabaseSync
  #sums: KeptSums | undefined
  #closed = false

  constructor(db: DatabaseSync) {
    this.#db = db
  }

  async run<Kind extends LedgerQuery['kind']>(
    query: Extract<LedgerQuery, { kind: Kind }>,
  ): Promise<LedgerQueryResults[Kind]> {
    if (this.#closed) throw closedError()
    const sums = () => (this.#sums ??= new KeptSums(this.#db, ':memory:'))
    return runLedgerQuery({ db: this.#db, sums }, query) as LedgerQueryResults[Kind]
  }

  async close(): Promise<void> {
    this.#closed = true
  }
}

interface WorkerOptions {
  readonly path: string
  readonly checkpointMs: number
  readonly timers: Timers
  readonly onAlarm: (alarm: WorkerAlarm['alarm']) => void
}

/** Starts its thread for the first query or checkpoint, and another thread if that one dies. */
export class WorkerQueryRunner implements QueryRunner {
  readonly #options: WorkerOptions
  readonly #pending = new Map<number, PendingQuery>()
  #startTimer: Timer
  #worker: Worker | undefined
  #lastId = 0
  #closing = false

  constructor(options: WorkerOptions) {
    this.#options = options
    this.#startTimer = this.#scheduleStart()
  }

  run<Kind extends LedgerQuery['kind']>(
    query: Extract<LedgerQuery, { kind: Kind }>,
  ): Promise<LedgerQueryResults[Kind]> {
    // A query that follows others must not start a thread anew.
    if (this.#closing) return Promise.reject(closedError())
    const id = ++this.#lastId
    const { promise, resolve, reject } = Promise.withResolvers<unknown>()
    this.#pending.set(id, { resolve, reject })
    const worker = this.#ensureWorker()
    worker.ref()
    worker.postMessage({ id, query } satisfies WorkerRequest)
    return promise as Promise<LedgerQueryResults[Kind]>
  }

  async close(): Promise<void> {
    this.#closing = true
    this.#options.timers.clearTimeout(this.#startTimer)
    const worker = this.#worker
    if (!worker) return
    const { promise, resolve } = Promise.withResolvers<void>()
    worker.ref()
    worker.once('exit', () => resolve())
    worker.postMessage({ close: true } satisfies WorkerRequest)
    await promise
  }

  #scheduleStart(): Timer {
    const { timers, checkpointMs } = this.#options
    return timers.setTimeout(() => this.#ensureWorker(), checkpointMs).unref()
  }

  #ensureWorker(): Worker {
    if (this.#worker) return this.#worker
    const { path, checkpointMs } = this.#options
    const worker = new Worker(
      new URL(import.meta.url.endsWith('.ts') ? './worker.ts' : './worker.js', import.meta.url),
      { workerData: { path, checkpointMs } },
    )
    worker.unref()
    worker.on('message', (message: WorkerReply | WorkerAlarm) => {
      if ('alarm' in message) this.#options.onAlarm(message.alarm)
      else this.#onReply(message)
    })
    worker.on('error', (error) => this.#onWorkerLost(worker, error))
    worker.on('exit', () => this.#onWorkerLost(worker, new Error('The thread ended.')))
    this.#worker = worker
    return worker
  }

  #onReply(reply: WorkerReply): void {
    const pending = this.#pending.get(reply.id)
    this.#pending.delete(reply.id)
    if (this.#pending.size === 0) this.#worker?.unref()
    if ('failure' in reply) pending?.reject(errorOf(reply.failure))
    else pending?.resolve(reply.value)
  }

  #onWorkerLost(worker: Worker, error: unknown): void {
    if (this.#worker !== worker) return
    this.#worker = undefined
    if (!this.#closing) this.#startTimer = this.#scheduleStart()
    const unavailable = new StoreUnavailable('The ledger could not be read.', { cause: error })
    for (const { reject } of this.#pending.values()) reject(unavailable)
    this.#pending.clear()
  }
}

function errorOf(failure: QueryFailure): Error {
  switch (failure.kind) {
    case 'sumsNotReady':
      return new SumsNotReady(failure.built, failure.total)
    case 'wrongCursor':
      return new RangeError(failure.message)
    case 'unreadable':
      return new StoreUnavailable(`The ledger could not be read: ${failure.message}`)
  }
}

function closedError(): StoreUnavailable {
  return new StoreUnavailable('The store is closed.')
}
