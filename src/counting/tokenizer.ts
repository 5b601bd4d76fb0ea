// Tokenizer: counts texts in a thread of its own, which is started when it is needed and ends when it no longer is.

import { Worker } from 'node:worker_threads'
import type { CountQuestion, CountReply } from './tokenizer-worker.ts'

/** Its tables take a hundred megabytes. */
const IDLE_MS = 60_000
/** Longer texts are not counted: their calls are quoted by their bytes. */
const MOST_CHARACTERS = 262_144
const PATIENCE_MS = 3_000

interface Waiting {
  readonly text: string
  readonly answer: (tokens: number | undefined) => void
}

export class Tokenizer {
  #worker: Worker | undefined
  /** One text at a time is in the thread: what has become too late here is never counted there. */
  #counting: Waiting | undefined
  readonly #waiting: Waiting[] = []
  #lastId = 0
  #idle: NodeJS.Timeout | undefined

  /** The most tokens a JSON text can be for OpenAI's models. Undefined where it was not counted: too long, or too late. */
  count(text: string): Promise<number | undefined> {
    if (text.length > MOST_CHARACTERS) return Promise.resolve(undefined)
    return new Promise((resolve) => {
      const late = setTimeout(() => this.#giveUp(waiting), PATIENCE_MS)
      const answer = (tokens: number | undefined) => {
        clearTimeout(late)
        resolve(tokens)
      }
      const waiting: Waiting = { text, answer }
      this.#waiting.push(waiting)
      this.#next()
    })
  }

  async close(): Promise<void> {
    clearTimeout(this.#idle)
    const worker = this.#worker
    this.#worker = undefined
    this.#counted(undefined)
    for (const { answer } of this.#waiting.splice(0)) answer(undefined)
    await worker?.terminate()
  }

  #next(): void {
    if (this.#counting) return
    this.#counting = this.#waiting.shift()
    if (this.#counting)
      this.#running().postMessage({ id: ++this.#lastId, text: this.#counting.text } satisfies CountQuestion)
  }

  #running(): Worker {
    clearTimeout(this.#idle)
    this.#idle = setTimeout(() => void this.close(), IDLE_MS).unref()
    if (this.#worker) return this.#worker
    const worker = new Worker(
      new URL(import.meta.url.endsWith('.ts') ? './tokenizer-worker.ts' : './tokenizer-worker.js', import.meta.url),
    )
    worker.unref()
    worker.on('message', ({ id, tokens }: CountReply) => {
      if (id !== this.#lastId) return
      this.#counted(tokens)
      this.#next()
    })
    worker.on('error', () => this.#lost(worker))
    worker.on('exit', () => this.#lost(worker))
    this.#worker = worker
    return worker
  }

  #counted(tokens: number | undefined): void {
    const counted = this.#counting
    this.#counting = undefined
    counted?.answer(tokens)
  }

  /** A text that takes too long takes its thread with it: the next one gets another. */
  #giveUp(waiting: Waiting): void {
    if (waiting === this.#counting) {
      const worker = this.#worker
      this.#worker = undefined
      void worker?.terminate()
      this.#counted(undefined)
      this.#next()
      return
    }
    this.#waiting.splice(this.#waiting.indexOf(waiting), 1)
    waiting.answer(undefined)
  }

  #lost(worker: Worker): void {
    if (this.#worker !== worker) return
    this.#worker = undefined
    this.#counted(undefined)
    this.#next()
  }
}
