// Inner exchange: the two ends of a call that the gateway makes for a caller of its own endpoints.

import type { PermitLease } from '../core/permits.ts'
import type { HeaderList } from '../wire/dialect.ts'
import { findHeader } from '../wire/headers.ts'
import { type ClientWatcher, type Exchange, overloadedProblem } from './exchange.ts'

/** What came back. */
export interface MemoryResponse {
  readonly status: number
  /** By lower-case name. */
  readonly headers: ReadonlyMap<string, string>
  readonly body: Buffer
}

interface MemoryRequest {
  readonly path: string
  readonly query: string
  /** Names, in lower case, and values in turn. */
  readonly headers: HeaderList
  readonly body: Buffer
}

/** The request is in memory, and so is the answer when it has ended. */
export class MemoryExchange implements Exchange {
  readonly method = 'POST'
  readonly path: string
  readonly query: string
  readonly headers: HeaderList
  readonly #body: Buffer
  readonly #response = Promise.withResolvers<MemoryResponse | undefined>()
  readonly #chunks: Buffer[] = []
  readonly #responseHeaders = new Map<string, string>()
  #status = 0
  readonly blocked = false
  headersSent = false
  clientGone = false
  watcher: ClientWatcher | undefined

  constructor({ path, query, headers, body }: MemoryRequest) {
    this.path = path
    this.query = query
    this.headers = headers
    this.#body = body
  }

  /** Undefined where it broke off, or nobody waits for it any more. */
  get response(): Promise<MemoryResponse | undefined> {
    return this.#response.promise
  }

  header(name: string): string | undefined {
    return findHeader(this.headers, name)
  }

  /** It is ours, however large; but what is held for it counts. */
  async body(_mostBytes: number, holding: Pick<PermitLease, 'acquire'>): Promise<Buffer> {
    if (!holding.acquire(this.#body.length)) throw overloadedProblem()
    return this.#body
  }

  writeHead(status: number, headers: HeaderList): void {
    this.headersSent = true
    this.#status = status
    for (let at = 0; at + 1 < headers.length; at += 2)
      this.#responseHeaders.set((headers[at] ?? '').toLowerCase(), headers[at + 1] ?? '')
  }

  write(chunk: Buffer): boolean {
    this.#chunks.push(chunk)
    return true
  }

  end(chunk?: Buffer | string): void {
    if (chunk !== undefined) this.#chunks.push(Buffer.from(chunk))
    const body = Buffer.concat(this.#chunks)
    this.#response.resolve({ status: this.#status, headers: this.#responseHeaders, body })
  }

  cut(): void {
    this.#response.resolve(undefined)
  }

  /** Whoever it is made for went away. */
  disconnect(): void {
    if (this.clientGone) return
    this.clientGone = true
    this.#response.resolve(undefined)
    this.watcher?.onClientGone()
  }
}
