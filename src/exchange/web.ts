// A call's two ends over web Request and Response.

import type { PermitLease } from '../core/permits.ts'
import { Problem } from '../core/problem.ts'
import type { HeaderList } from '../wire/dialect.ts'
import { pairsOf } from '../wire/headers.ts'
import {
  bodyTooLargeProblem,
  type ClientWatcher,
  type Exchange,
  incompleteBodyProblem,
  overloadedProblem,
} from './exchange.ts'

/** Statuses whose web Response must not have a body. */
const BODILESS_STATUSES: ReadonlySet<number> = new Set([204, 205, 304])

/** Over web Request and Response: in-process `fetch`, tests, other runtimes, and handlers of a user's own app. */
export class WebExchange implements Exchange {
  readonly #request: Request
  readonly path: string
  readonly query: string
  readonly headers: HeaderList
  /** Resolves when the answer begins. */
  readonly response: Promise<Response>
  #respond: (response: Response) => void = () => {}
  #sink: ReadableStreamDefaultController<Uint8Array> | undefined
  #ended = false
  #failOnPull: Error | undefined
  #clientGone = false
  headersSent = false
  watcher: ClientWatcher | undefined

  constructor(request: Request) {
    this.#request = request
    const url = new URL(request.url)
    this.path = url.pathname
    this.query = url.search.slice(1)
    this.headers = [...request.headers].flat()
    this.response = new Promise((resolve) => {
      this.#respond = resolve
    })
    if (request.signal.aborted) this.#disconnect()
    request.signal.addEventListener('abort', () => {
      // Whoever still reads the answer is told: an aborted fetch fails, it does not wait.
      if (!this.#ended) this.#sink?.error(request.signal.reason)
      this.#disconnect()
    })
  }

  get method(): string {
    return this.#request.method
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

  async body(mostBytes: number, holding: Pick<PermitLease, 'acquire'>): Promise<Buffer> {
    if (Number(this.header('content-length') ?? 0) > mostBytes) throw bodyTooLargeProblem(mostBytes)
    const chunks: Uint8Array[] = []
    let size = 0
    try {
      for await (const chunk of this.#request.body ?? []) {
        size += chunk.length
        if (size > mostBytes) throw bodyTooLargeProblem(mostBytes)
        if (!holding.acquire(chunk.length)) throw overloadedProblem()
        chunks.push(chunk)
      }
    } catch (error) {
      throw error instanceof Problem ? error : incompleteBodyProblem()
    }
    return Buffer.concat(chunks)
  }

  writeHead(status: number, headers: HeaderList): void {
    const pairs = pairsOf(headers)
    const body = new ReadableStream<Uint8Array>({
      start: (sink) => {
        this.#sink = sink
      },
      pull: (sink) => {
        if (this.#failOnPull) sink.error(this.#failOnPull)
        this.watcher?.onClientDrain()
      },
      cancel: () => this.#disconnect(),
    })
    // A web Response takes fewer statuses than HTTP does.
    const legal = status >= 200 && status <= 599 ? status : 502
    this.#respond(new Response(BODILESS_STATUSES.has(status) ? null : body, { status: legal, headers: pairs }))
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
    // An error throws away what is queued: what was written last has to be read first.
    if (last === undefined) this.#sink?.error(failure)
    else this.#failOnPull = failure
  }

  #disconnect(): void {
    if (this.#clientGone || this.#ended) return
    this.#clientGone = true
    // Nobody reads it, but whoever awaits it must not wait for ever.
    if (!this.headersSent) this.#respond(new Response(null, { status: 499 }))
    this.watcher?.onClientGone()
  }
}
