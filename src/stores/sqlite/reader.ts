// The owner's side of the ledger's second thread: sends questions, matches answers. Never reads the file itself.

import type { DatabaseSync } from 'node:sqlite'
import { Worker } from 'node:worker_threads'
import { StoreUnavailable } from '../store.ts'
import { type Answers, answer, type Question } from './queries.ts'
import type { Letter, Reply } from './worker.ts'

interface Asked {
  readonly resolve: (value: unknown) => void
  readonly reject: (error: Error) => void
}

export interface Reader {
  ask<Ask extends Question['ask']>(question: Extract<Question, { ask: Ask }>): Promise<Answers[Ask]>
  close(): Promise<void>
}

/** For a database in memory, which no other connection can see. */
export class InlineReader implements Reader {
  readonly #db: DatabaseSync

  constructor(db: DatabaseSync) {
    this.#db = db
  }

  async ask<Ask extends Question['ask']>(question: Extract<Question, { ask: Ask }>): Promise<Answers[Ask]> {
    return answer(this.#db, question) as Answers[Ask]
  }

  async close(): Promise<void> {}
}

/** Starts its thread at the first question, or a moment after opening, and starts another when it died. */
export class WorkerReader implements Reader {
  readonly #path: string
  readonly #checkpointMs: number
  readonly #asked = new Map<number, Asked>()
  #start: NodeJS.Timeout
  #worker: Worker | undefined
  #lastId = 0
  #closing = false

  constructor(path: string, checkpointMs: number) {
    this.#path = path
    this.#checkpointMs = checkpointMs
    this.#start = this.#startLater()
  }

  ask<Ask extends Question['ask']>(question: Extract<Question, { ask: Ask }>): Promise<Answers[Ask]> {
    const id = ++this.#lastId
    const { promise, resolve, reject } = Promise.withResolvers<unknown>()
    this.#asked.set(id, { resolve, reject })
    const worker = this.#running()
    worker.ref()
    worker.postMessage({ id, question } satisfies Letter)
    return promise as Promise<Answers[Ask]>
  }

  async close(): Promise<void> {
    this.#closing = true
    clearTimeout(this.#start)
    const worker = this.#worker
    if (!worker) return
    const { promise, resolve } = Promise.withResolvers<void>()
    worker.ref()
    worker.once('exit', () => resolve())
    worker.postMessage({ close: true } satisfies Letter)
    await promise
  }

  #startLater(): NodeJS.Timeout {
    return setTimeout(() => this.#running(), this.#checkpointMs).unref()
  }

  #running(): Worker {
    if (this.#worker) return this.#worker
    const workerData = { path: this.#path, checkpointMs: this.#checkpointMs }
    const worker = new Worker(
      new URL(import.meta.url.endsWith('.ts') ? './worker.ts' : './worker.js', import.meta.url),
      { workerData },
    )
    worker.unref()
    worker.on('message', (reply: Reply) => this.#answered(reply))
    worker.on('error', (error) => this.#lost(worker, error))
    worker.on('exit', () => this.#lost(worker, new Error('the thread ended')))
    this.#worker = worker
    return worker
  }

  #answered(reply: Reply): void {
    const asked = this.#asked.get(reply.id)
    this.#asked.delete(reply.id)
    if (this.#asked.size === 0) this.#worker?.unref()
    if ('error' in reply) asked?.reject(new StoreUnavailable(`the ledger could not be read: ${reply.error}`))
    else asked?.resolve(reply.value)
  }

  #lost(worker: Worker, error: unknown): void {
    if (this.#worker !== worker) return
    this.#worker = undefined
    if (!this.#closing) this.#start = this.#startLater()
    const unavailable = new StoreUnavailable('the ledger could not be read', { cause: error })
    for (const { reject } of this.#asked.values()) reject(unavailable)
    this.#asked.clear()
  }
}
