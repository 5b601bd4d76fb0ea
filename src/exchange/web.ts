// Exchange over web Request and Response: for in-process `fetch`, tests, other runtimes, and handlers of a user's own app. It opens
// no socket.

import type { PermitLease } from '../core/permits.ts'
import { Problem } from '../core/problem.ts'
import type { HeaderList } from '../wire/dialect.ts'
import { webResponse } from '../wire/web-response.ts'
import {
  bodyTooLargeProblem,
  type ClientWatcher,
  type Exchange,
  incompleteBodyProblem,
  overloadedProblem,
} from './exchange.ts'

/** What a web Request does not tell. */
export interface WebRequestDetails {
  /** The path without the prefix that the gateway is mounted below. */
  readonly path?: string
  readonly remoteAddress?: string | undefined
  /** The body, if others have read the Request's. Resolves to undefined if nobody has. Rejects with Problem if the bytes are gone. */
  readonly bodyReadBefore?: () => Promise<Uint8Array | undefined>
}

/** Reads a web Request. `response` resolves when the answer begins; its body streams the bytes that are written. */
export class WebExchange implements Exchange {
  readonly #request: Request
  readonly #bodyReadBefore: WebRequestDetails['bodyReadBefore']
  readonly remoteAddress: string | undefined
  readonly path: string
  readonly query: string
  readonly headers: HeaderList
  /** The answer, once its head has been written; status 499 if the client went away before. */
  readonly response: Promise<Response>
  #respond: (response: Response) => void = () => {}
  #sink: ReadableStreamDefaultController<Uint8Array> | undefined
  #ended = false
  #failOnPull: Error | undefined
  #clientGone = false
  headersSent = false
  watcher: ClientWatcher | undefined

  constructor(request: Request, { path, remoteAddress, bodyReadBefore }: WebRequestDetails = {}) {
    this.#request = request
    this.#bodyReadBefore = bodyReadBefore
    this.remoteAddress = remoteAddress
    const url = new URL(request.url)
    this.path = path ?? url.pathname
    this.query = url.search.slice(1)
    this.headers = [...request.headers].flat()
    this.response = new Promise((resolve) => {
      this.#respond = resolve
    })
    if (request.signal.aborted) this.#disconnect()
    request.signal.addEventListener('abort', () => {
      // The reader of the answer must fail as with any aborted fetch, instead of waiting for more bytes. A server whose client has left
      // cancels the answer in this turn; an error that comes first would end up in the server's log.
      if (!this.#ended) queueMicrotask(() => this.#sink?.error(request.signal.reason))
      this.#disconnect()
    })
  }

  get method(): string {
    return this.#request.method
  }

  /** Scheme, host and port that the request was sent to, as far as its socket and its `host` tell. Empty if they make no URL. */
  get origin(): string {
    const { protocol, host } = new URL(this.#request.url)
    return URL.parse(`${protocol}//${this.header('host') ?? host}`)?.origin ?? ''
  }

  get blocked(): boolean {
    return (this.#sink?.desiredSize ?? 1) <= 0
  }

  get clientGone(): boolean {
    return this.#clientGone
  }

  header(name: string): string | undefined {
    return this.#request.headers.get(name) ?? undefined
  }

  async body(maxBytes: number, lease: Pick<PermitLease, 'acquire'>): Promise<Buffer> {
    if (Number(this.header('content-length') ?? 0) > maxBytes) throw bodyTooLargeProblem(maxBytes)
    const bodyReadBefore = await this.#bodyReadBefore?.()
    const chunks: Uint8Array[] = []
    let size = 0
    try {
      for await (const chunk of bodyReadBefore ? [bodyReadBefore] : (this.#request.body ?? [])) {
        size += chunk.length
        if (size > maxBytes) throw bodyTooLargeProblem(maxBytes)
        if (!lease.acquire(chunk.length)) throw overloadedProblem()
        chunks.push(chunk)
      }
    } catch (error) {
      throw error instanceof Problem ? error : incompleteBodyProblem()
    }
    return Buffer.concat(chunks)
  }

  writeHead(status: number, headers: HeaderList): void {
    const body = new ReadableStream<Uint8Array>({
      start: (sink) => {
        this.#sink = sink
      },
      pull: (sink) => {
        const failure = this.#failOnPull
        // A server writes what it has read in this turn, and drops what is not written once there is an error.
        if (failure) setImmediate(() => sink.error(failure))
        this.watcher?.onClientDrain()
      },
      cancel: () => this.#disconnect(),
    })
    // A web Response allows fewer statuses than HTTP does.
    this.#respond(webResponse(status >= 200 && status <= 599 ? status : 502, headers, body))
    this.headersSent = true
  }

  write(chunk: Buffer): boolean {
    if (this.#clientGone || !this.#sink) return true
    this.#sink.enqueue(chunk)
    return !this.blocked
  }

  end(chunk?: Buffer | string): void {
    if (this.#ended || this.#clientGone) return
    if (chunk !== undefined && chunk.length > 0) this.write(Buffer.from(chunk))
    this.#ended = true
    this.#sink?.close()
  }

  cut(last?: string): void {
    if (this.#ended || this.#clientGone) return
    if (last !== undefined) this.write(Buffer.from(last))
    this.#ended = true
    const failure = new Error('The answer was cut off.')
    // Hono's server for Node prints the error. Its stack leads to no mistake.
    failure.stack = String(failure)
    // An error discards what is queued, so it has to wait until the last bytes have been read.
    if (last === undefined) this.#sink?.error(failure)
    else this.#failOnPull = failure
  }

  #disconnect(): void {
    if (this.#clientGone || this.#ended) return
    this.#clientGone = true
    // The client does not read this response, but code that awaits it must not wait forever.
    if (!this.headersSent) this.#respond(new Response(null, { status: 499 }))
    this.watcher?.onClientGone()
  }
}
