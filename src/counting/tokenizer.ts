// Tokenizer: counts texts in a thread of its own, which starts with the first text and ends after a minute without one.

import { Worker } from 'node:worker_threads'
import type { Timer, Timers } from '../core/clock.ts'
import type { CountReply, CountRequest } from './tokenizer-worker.ts'

/** The thread ends after this long without a text: its tables take a hundred megabytes. */
const IDLE_MS = 60_000
/** Longer texts are not counted: their calls are quoted by their bytes. */
const MAX_TEXT_CHARACTERS = 262_144
const COUNT_TIMEOUT_MS = 3_000

interface CountJob {
  readonly text: string
  readonly answer: (tokens: number | undefined) => void
}

/** Counts texts one after the other in a thread. `count` starts the thread; `close` or a minute without a text ends it. */
export class Tokenizer {
  readonly #timers: Timers
  #worker: Worker | undefined
  /** The text in the thread. All others wait here, so that a text that timed out is never counted. */
  #current: CountJob | undefined
  readonly #queue: CountJob[] = []
  #lastId = 0
  #idleTimer: Timer | undefined

  constructor(timers: Timers) {
    this.#timers = timers
  }

  /** True while the thread runs. */
  get isRunning(): boolean {
    return this.#worker !== undefined
  }

  /**
   * An upper bound on the tokens of a JSON text for OpenAI's models. Resolves to undefined if the text is too long, or was not
   * counted in time. Never rejects.
   */
  count(text: string): Promise<number | undefined> {
    if (text.length > MAX_TEXT_CHARACTERS) return Promise.resolve(undefined)
    return new Promise((resolve) => {
      const timeout = this.#timers.setTimeout(() => this.#giveUp(job), COUNT_TIMEOUT_MS)
      const answer = (tokens: number | undefined) => {
        this.#timers.clearTimeout(timeout)
        resolve(tokens)
      }
      const job: CountJob = { text, answer }
      this.#queue.push(job)
      this.#startNext()
    })
  }

  /** Ends the thread. Texts that are not counted yet resolve to undefined. */
  async close(): Promise<void> {
    this.#timers.clearTimeout(this.#idleTimer)
    const worker = this.#worker
    this.#worker = undefined
    this.#finishCurrent(undefined)
    for (const { answer } of this.#queue.splice(0)) answer(undefined)
    await worker?.terminate()
  }

  #startNext(): void {
    if (this.#current) return
    this.#current = this.#queue.shift()
    if (!this.#current) return
    const request: CountRequest = { id: ++this.#lastId, text: this.#current.text }
    this.#ensureWorker().postMessage(request)
  }

  #ensureWorker(): Worker {
    this.#timers.clearTimeout(this.#idleTimer)
    this.#idleTimer = this.#timers.setTimeout(() => void this.close(), IDLE_MS).unref()
    this.#worker ??= this.#startWorker()
    return this.#worker
  }

  #startWorker(): Worker {
    const file = import.meta.url.endsWith('.ts') ? './tokenizer-worker.ts' : './tokenizer-worker.js'
    const worker = new Worker(new URL(file, import.meta.url))
    worker.unref()
    worker.on('message', ({ id, tokens }: CountReply) => {
      if (id !== this.#lastId) return
      this.#finishCurrent(tokens)
      this.#startNext()
    })
    worker.on('error', () => this.#handleExit(worker))
    worker.on('exit', () => this.#handleExit(worker))
    return worker
  }

  #finishCurrent(tokens: number | undefined): void {
    const job = this.#current
    this.#current = undefined
    job?.answer(tokens)
  }

  /** A text that timed out ends its thread, since counting cannot be interrupted. The next text gets a new thread. */
  #giveUp(job: CountJob): void {
    if (job === this.#current) {
      const worker = this.#worker
      this.#worker = undefined
      void worker?.terminate()
      this.#finishCurrent(undefined)
      this.#startNext()
      return
    }
    this.#queue.splice(this.#queue.indexOf(job), 1)
    job.answer(undefined)
  }

  #handleExit(worker: Worker): void {
    if (this.#worker !== worker) return
    this.#worker = undefined
    this.#finishCurrent(undefined)
    this.#startNext()
  }
}
