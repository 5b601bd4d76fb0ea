// Tokenizer: counts texts in a thread of its own, which is started when it is needed and ends when it no longer is.

import { Worker } from 'node:worker_threads'
import type { CountQuestion, CountReply } from './tokenizer-worker.ts'

/** Its tables take a hundred megabytes. */
const IDLE_MS = 60_000
/** Longer texts are not counted: their calls are quoted by their bytes. */
const MOST_CHARACTERS = 524_288
/** Texts waiting to be counted; more are turned away, so that nobody waits long. */
const MOST_WAITING = 32
const PATIENCE_MS = 3_000

type Answer = (tokens: number | undefined) => void

export class Tokenizer {
  #worker: Worker | undefined
  readonly #waiting = new Map<number, Answer>()
  #lastId = 0
  #idle: NodeJS.Timeout | undefined

  /** The most tokens a text can be for OpenAI's models. Undefined where it was not counted: too long, too many, too late. */
  count(text: string): Promise<number | undefined> {
    if (text.length > MOST_CHARACTERS || this.#waiting.size >= MOST_WAITING) return Promise.resolve(undefined)
    const id = ++this.#lastId
    return new Promise((resolve) => {
      const late = setTimeout(() => this.#answer(id, undefined), PATIENCE_MS)
      this.#waiting.set(id, (tokens) => {
        clearTimeout(late)
        resolve(tokens)
      })
      this.#running().postMessage({ id, text } satisfies CountQuestion)
    })
  }

  async close(): Promise<void> {
    clearTimeout(this.#idle)
    const worker = this.#worker
    this.#gone()
    await worker?.terminate()
  }

  #running(): Worker {
    clearTimeout(this.#idle)
    this.#idle = setTimeout(() => void this.close(), IDLE_MS).unref()
    if (this.#worker) return this.#worker
    const worker = new Worker(new URL('./tokenizer-worker.ts', import.meta.url))
    worker.unref()
    worker.on('message', ({ id, tokens }: CountReply) => this.#answer(id, tokens))
    worker.on('error', () => this.#worker === worker && this.#gone())
    worker.on('exit', () => this.#worker === worker && this.#gone())
    this.#worker = worker
    return worker
  }

  #answer(id: number, tokens: number | undefined): void {
    const answer = this.#waiting.get(id)
    this.#waiting.delete(id)
    answer?.(tokens)
  }

  /** Whoever waits is not kept waiting. */
  #gone(): void {
    this.#worker = undefined
    for (const id of [...this.#waiting.keys()]) this.#answer(id, undefined)
  }
}
