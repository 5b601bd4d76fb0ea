// Exchange over node:http: the two ends of a call on Node's own streams. It uses no web streams, which take more time.

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
import { remoteAddressOf } from './remote-address.ts'

function ignoreError(): void {}

interface PendingEnd {
  readonly outgoing: ServerResponse
  readonly chunk: Buffer | string | undefined
}

/**
 * Writes the ends of answers together at the end of a turn of the event loop. A write wakes the process that reads it; waking it
 * for each answer separately takes as long as a third of the call.
 */
const pendingEnds = new TurnBatcher<PendingEnd>(setImmediate, ({ outgoing, chunk }) => outgoing.end(chunk))

/** The exchange of the server: `http/calls.ts` makes one for each LLM call. */
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
    // If the socket breaks during a write, the client has gone: 'close' follows.
    outgoing.on('error', ignoreError)
  }

  get method(): string {
    return this.#incoming.method ?? 'GET'
  }

  get remoteAddress(): string | undefined {
    return remoteAddressOf(this.#incoming.socket)
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

  body(maxBytes: number, lease: Pick<PermitLease, 'acquire'>): Promise<Buffer> {
    const incoming = this.#incoming
    const announced = Number(incoming.headers['content-length'] ?? Number.NaN)
    return new Promise((resolve, reject) => {
      const chunks: Buffer[] = []
      let size = 0
      let isSettled = false
      const fail = (problem: Problem) => {
        isSettled = true
        chunks.length = 0
        reject(problem)
      }
      const finish = () => {
        isSettled = true
        const [first] = chunks
        resolve(chunks.length === 1 && first ? first : Buffer.concat(chunks))
      }
      incoming.on('data', (chunk: Buffer) => {
        // Chunks after a failure are read and dropped, so that the client reads the answer instead of a reset.
        if (isSettled) return
        size += chunk.length
        if (size > maxBytes) return fail(bodyTooLargeProblem(maxBytes))
        if (!lease.acquire(chunk.length)) return fail(overloadedProblem())
        chunks.push(chunk)
        if (size === announced) finish()
      })
      if (announced > maxBytes) return fail(bodyTooLargeProblem(maxBytes))
      if (!(announced > 0)) incoming.on('end', () => isSettled || finish())
      // 'close' follows 'error', too.
      incoming.on('close', () => isSettled || reject(incompleteBodyProblem()))
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
