// Exchange in memory: the two ends of a call that the gateway makes itself, for a run of a pattern. No sockets, no streams.

import type { PermitLease } from '../core/permits.ts'
import type { HeaderList } from '../wire/dialect.ts'
import { findHeader } from '../wire/headers.ts'
import { type ClientWatcher, type Exchange, overloadedProblem } from './exchange.ts'

/** The whole answer of a call. */
export interface MemoryResponse {
  readonly status: number
  /** Values by lower-case name. */
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

/** Takes a whole request, and collects the answer in memory. The answer is available once it has ended. */
export class MemoryExchange implements Exchange {
  readonly method = 'POST'
  readonly remoteAddress = undefined
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

  /** The answer; undefined if it broke off, or if `disconnect` came first. */
  get response(): Promise<MemoryResponse | undefined> {
    return this.#response.promise
  }

  header(name: string): string | undefined {
    return findHeader(this.headers, name)
  }

  /** Checks no maximum, since the gateway itself wrote the body, but takes permits for its bytes. */
  async body(_maxBytes: number, lease: Pick<PermitLease, 'acquire'>): Promise<Buffer> {
    if (!lease.acquire(this.#body.length)) throw overloadedProblem()
    return this.#body
  }

  writeHead(status: number, headers: HeaderList): void {
    this.headersSent = true
    this.#status = status
    for (let index = 0; index + 1 < headers.length; index += 2)
      this.#responseHeaders.set((headers[index] ?? '').toLowerCase(), headers[index + 1] ?? '')
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

  /** Ends the wait for the answer, because the run's caller has disconnected or the run's time is over. */
  disconnect(): void {
    if (this.clientGone) return
    this.clientGone = true
    this.#response.resolve(undefined)
    this.watcher?.onClientGone()
  }
}
