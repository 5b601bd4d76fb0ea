// The owner's side of the ledger's second thread: sends questions, matches answers. Never reads the file itself.

import type { DatabaseSync } from 'node:sqlite'
import { Worker } from 'node:worker_threads'
import { StoreUnavailable } from '../store.ts'
import { type LedgerQuery, type LedgerQueryResults, runLedgerQuery } from './queries.ts'
import type { WorkerReply, WorkerRequest } from './worker.ts'

interface PendingQuery {
  readonly resolve: (value: unknown) => void
  readonly reject: (error: Error) => void
}

export interface LedgerReader {
  run<Ask extends LedgerQuery['ask']>(question: Extract<LedgerQuery, { ask: Ask }>): Promise<LedgerQueryResults[Ask]>
  close(): Promise<void>
}

/** For a database in memory, which no other connection can see. */
export class InlineReader implements LedgerReader {
  readonly #db: DatabaseSync

  constructor(db: DatabaseSync) {
    this.#db = db
  }

  async run<Ask extends LedgerQuery['ask']>(
    question: Extract<LedgerQuery, { ask: Ask }>,
  ): Promise<LedgerQueryResults[Ask]> {
    return runLedgerQuery(this.#db, question) as LedgerQueryResults[Ask]
  }

  async close(): Promise<void> {}
}

/** Starts its thread at the first question, or a moment after opening, and starts another when it died. */
export class WorkerReader implements LedgerReader {
  readonly #path: string
  readonly #checkpointMs: number
  readonly #pending = new Map<number, PendingQuery>()
  #startTimer: NodeJS.Timeout
  #worker: Worker | undefined
  #lastId = 0
  #closing = false

  constructor(path: string, checkpointMs: number) {
    this.#path = path
    this.#checkpointMs = checkpointMs
    this.#startTimer = this.#scheduleStart()
  }

  run<Ask extends LedgerQuery['ask']>(question: Extract<LedgerQuery, { ask: Ask }>): Promise<LedgerQueryResults[Ask]> {
    const id = ++this.#lastId
    const { promise, resolve, reject } = Promise.withResolvers<unknown>()
    this.#pending.set(id, { resolve, reject })
    const worker = this.#ensureWorker()
    worker.ref()
    worker.postMessage({ id, question } satisfies WorkerRequest)
    return promise as Promise<LedgerQueryResults[Ask]>
  }

  async close(): Promise<void> {
    this.#closing = true
    clearTimeout(this.#startTimer)
    const worker = this.#worker
    if (!worker) return
    const { promise, resolve } = Promise.withResolvers<void>()
    worker.ref()
    worker.once('exit', () => resolve())
    worker.postMessage({ close: true } satisfies WorkerRequest)
    await promise
  }

  #scheduleStart(): NodeJS.Timeout {
    return setTimeout(() => this.#ensureWorker(), this.#checkpointMs).unref()
  }

  #ensureWorker(): Worker {
    if (this.#worker) return this.#worker
    const workerData = { path: this.#path, checkpointMs: this.#checkpointMs }
    const worker = new Worker(
      new URL(import.meta.url.endsWith('.ts') ? './worker.ts' : './worker.js', import.meta.url),
      { workerData },
    )
    worker.unref()
    worker.on('message', (reply: WorkerReply) => this.#onReply(reply))
    worker.on('error', (error) => this.#onWorkerLost(worker, error))
    worker.on('exit', () => this.#onWorkerLost(worker, new Error('the thread ended')))
    this.#worker = worker
    return worker
  }

  #onReply(reply: WorkerReply): void {
    const asked = this.#pending.get(reply.id)
    this.#pending.delete(reply.id)
    if (this.#pending.size === 0) this.#worker?.unref()
    if ('error' in reply) asked?.reject(new StoreUnavailable(`the ledger could not be read: ${reply.error}`))
    else asked?.resolve(reply.value)
  }

  #onWorkerLost(worker: Worker, error: unknown): void {
    if (this.#worker !== worker) return
    this.#worker = undefined
    if (!this.#closing) this.#startTimer = this.#scheduleStart()
    const unavailable = new StoreUnavailable('the ledger could not be read', { cause: error })
    for (const { reject } of this.#pending.values()) reject(unavailable)
    this.#pending.clear()
  }
}
