// Tokenizer: counts texts in a thread of its own, which is started when it is needed and ends when it no longer is.

import { Worker } from 'node:worker_threads'
import type { CountReply, CountRequest } from './tokenizer-worker.ts'

/** Its tables take a hundred megabytes. */
const IDLE_MS = 60_000
/** Longer texts are not counted: their calls are quoted by their bytes. */
const MAX_TEXT_CHARACTERS = 262_144
const COUNT_TIMEOUT_MS = 3_000

interface CountJob {
  readonly text: string
  readonly answer: (tokens: number | undefined) => void
}

export class Tokenizer {
  #worker: Worker | undefined
  /** One text at a time is in the thread: what has become too late here is never counted there. */
  #current: CountJob | undefined
  readonly #queue: CountJob[] = []
  #lastId = 0
  #idleTimer: NodeJS.Timeout | undefined

  /** The most tokens a JSON text can be for OpenAI's models. Undefined where it was not counted: too long, or too late. */
  count(text: string): Promise<number | undefined> {
    if (text.length > MAX_TEXT_CHARACTERS) return Promise.resolve(undefined)
    return new Promise((resolve) => {
      const late = setTimeout(() => this.#giveUp(waiting), COUNT_TIMEOUT_MS)
      const answer = (tokens: number | undefined) => {
        clearTimeout(late)
        resolve(tokens)
      }
      const waiting: CountJob = { text, answer }
      this.#queue.push(waiting)
      this.#startNext()
    })
  }

  async close(): Promise<void> {
    clearTimeout(this.#idleTimer)
    const worker = this.#worker
    this.#worker = undefined
    this.#finishCurrent(undefined)
    for (const { answer } of this.#queue.splice(0)) answer(undefined)
    await worker?.terminate()
  }

  #startNext(): void {
    if (this.#current) return
    this.#current = this.#queue.shift()
    if (this.#current)
      this.#ensureWorker().postMessage({ id: ++this.#lastId, text: this.#current.text } satisfies CountRequest)
  }

  #ensureWorker(): Worker {
    clearTimeout(this.#idleTimer)
    this.#idleTimer = setTimeout(() => void this.close(), IDLE_MS).unref()
    if (this.#worker) return this.#worker
    const worker = new Worker(
      new URL(import.meta.url.endsWith('.ts') ? './tokenizer-worker.ts' : './tokenizer-worker.js', import.meta.url),
    )
    worker.unref()
    worker.on('message', ({ id, tokens }: CountReply) => {
      if (id !== this.#lastId) return
      this.#finishCurrent(tokens)
      this.#startNext()
    })
    worker.on('error', () => this.#handleWorkerExit(worker))
    worker.on('exit', () => this.#handleWorkerExit(worker))
    this.#worker = worker
    return worker
  }

  #finishCurrent(tokens: number | undefined): void {
    const counted = this.#current
    this.#current = undefined
    counted?.answer(tokens)
  }

  /** A text that takes too long takes its thread with it: the next one gets another. */
  #giveUp(waiting: CountJob): void {
    if (waiting === this.#current) {
      const worker = this.#worker
      this.#worker = undefined
      void worker?.terminate()
      this.#finishCurrent(undefined)
      this.#startNext()
      return
    }
    this.#queue.splice(this.#queue.indexOf(waiting), 1)
    waiting.answer(undefined)
  }

  #handleWorkerExit(worker: Worker): void {
    if (this.#worker !== worker) return
    this.#worker = undefined
    this.#finishCurrent(undefined)
    this.#startNext()
  }
}
