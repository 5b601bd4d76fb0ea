// A call's two ends over node:http.

import type { IncomingMessage, ServerResponse } from 'node:http'
import type { PermitLease } from '../core/permits.ts'
import type { Problem } from '../core/problem.ts'
import { TurnBatcher } from '../core/turn-batcher.ts'
import type { HeaderList } from '../wire/dialect.ts'
import {
  bodyTooLargeProblem,
  type ClientWatcher,
  type Exchange,
  incompleteBodyProblem,
  overloadedProblem,
} from './exchange.ts'

function ignoreError(): void {}

interface PendingEnd {
  readonly outgoing: ServerResponse
  readonly chunk: Buffer | string | undefined
}

/**
 * Answers that end in one turn of the event loop are written at its end, one right after the other: a write wakes whoever waits
 * for it, and to wake it anew for each takes as long as a third of the call.
 */
const pendingEnds = new TurnBatcher<PendingEnd>(setImmediate, ({ outgoing, chunk }) => outgoing.end(chunk))

/** Over `node:http`, without web streams in between. */
export class NodeExchange implements Exchange {
  readonly #incoming: IncomingMessage
  readonly #outgoing: ServerResponse
  readonly path: string
  readonly query: string
  #clientGone = false
  #awaitsDrain = false
  watcher: ClientWatcher | undefined

  constructor(incoming: IncomingMessage, outgoing: ServerResponse) {
    this.#incoming = incoming
    this.#outgoing = outgoing
    const url = incoming.url ?? '/'
    const mark = url.indexOf('?')
    this.path = mark < 0 ? url : url.slice(0, mark)
    this.query = mark < 0 ? '' : url.slice(mark + 1)
    outgoing.on('close', () => {
      if (outgoing.writableEnded || this.#clientGone) return
      this.#clientGone = true
      this.watcher?.onClientGone()
    })
    // A socket that breaks while we write is a client that left: 'close' follows.
    outgoing.on('error', ignoreError)
  }

  get method(): string {
    return this.#incoming.method ?? 'GET'
  }

  get headers(): HeaderList {
    return this.#incoming.rawHeaders
  }

  get headersSent(): boolean {
    return this.#outgoing.headersSent
  }

  get blocked(): boolean {
    return this.#outgoing.writableNeedDrain
  }

  get clientGone(): boolean {
    return this.#clientGone
  }

  header(name: string): string | undefined {
    const value = this.#incoming.headers[name]
    return Array.isArray(value) ? value[0] : value
  }

  body(mostBytes: number, holding: Pick<PermitLease, 'acquire'>): Promise<Buffer> {
    const incoming = this.#incoming
    const announced = Number(incoming.headers['content-length'] ?? Number.NaN)
    return new Promise((resolve, reject) => {
      const chunks: Buffer[] = []
      let size = 0
      let over = false
      const fail = (problem: Problem) => {
        over = true
        chunks.length = 0
        reject(problem)
      }
      const finish = () => {
        over = true
        const [first] = chunks
        resolve(chunks.length === 1 && first ? first : Buffer.concat(chunks))
      }
      incoming.on('data', (chunk: Buffer) => {
        // What comes after a failure is thrown away, so that the client gets to read the answer.
        if (over) return
        size += chunk.length
        if (size > mostBytes) return fail(bodyTooLargeProblem(mostBytes))
        if (!holding.acquire(chunk.length)) return fail(overloadedProblem())
        chunks.push(chunk)
        if (size === announced) finish()
      })
      if (announced > mostBytes) return fail(bodyTooLargeProblem(mostBytes))
      if (!(announced > 0)) incoming.on('end', () => over || finish())
      // After an error, too.
      incoming.on('close', () => over || reject(incompleteBodyProblem()))
    })
  }

  writeHead(status: number, headers: HeaderList, atOnce = false): void {
    if (this.#clientGone) return
    this.#outgoing.writeHead(status, headers)
    if (atOnce) this.#outgoing.flushHeaders()
  }

  write(chunk: Buffer): boolean {
    if (this.#clientGone || this.#outgoing.write(chunk)) return true
    if (!this.#awaitsDrain) {
      this.#awaitsDrain = true
      this.#outgoing.once('drain', () => {
        this.#awaitsDrain = false
        this.watcher?.onClientDrain()
      })
    }
    return false
  }

  end(chunk?: Buffer | string): void {
    if (!this.#clientGone) pendingEnds.push({ outgoing: this.#outgoing, chunk })
  }

  cut(last?: string): void {
    const outgoing = this.#outgoing
    if (last === undefined || this.#clientGone) outgoing.destroy()
    else outgoing.write(last, () => outgoing.destroy())
  }
}
