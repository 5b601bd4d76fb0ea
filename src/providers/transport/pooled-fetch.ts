// Pooled fetch: what the official SDKs call `fetch`, over the pool that all other calls take.

import type { HeaderList } from '../../wire/dialect.ts'
import { pairsOf } from '../../wire/headers.ts'
import type { AnswerListener, RequestControl } from '../provider.ts'
import type { HttpForwarder, HttpRequest } from './http-forwarder.ts'

type Fetch = (input: string | URL | Request, init?: RequestInit) => Promise<Response>

/** Statuses whose web Response must not have a body. */
const BODILESS_STATUSES: ReadonlySet<number> = new Set([204, 205, 304])

/** No error says as much. */
const MAX_ERROR_BYTES = 1_048_576

/** What is handed through an SDK to the fetch of one call. */
export interface FetchOptions extends Omit<RequestInit, 'body' | 'headers' | 'method' | 'signal'> {
  /** Hears when the request may have been read. */
  readonly started: () => void
}

/** Its requests are the forward's. */
export function pooledFetch(forward: HttpForwarder): Fetch {
  return (input, init = {}) =>
    new Promise((resolve, reject) => {
      const url = new URL(input instanceof Request ? input.url : input)
      const request = {
        method: init.method ?? 'GET',
        path: url.pathname + url.search,
        headers: forwardableHeaders(init.headers instanceof Headers ? init.headers : new Headers(init.headers)),
        body: bytesOf(init.body),
      }
      new FetchedAnswer(init, resolve, reject).send(forward, request)
    })
}

/** As undici tells of an answer, turned into a web Response whose body comes no faster than it is read. */
class FetchedAnswer implements AnswerListener {
  readonly #init: RequestInit
  readonly #resolve: (response: Response) => void
  readonly #reject: (error: Error) => void
  #sending: RequestControl | undefined
  #body: ReadableStreamDefaultController<Uint8Array> | undefined
  #isError = false
  #errorBytes = 0
  readonly #abort = () => this.#sending?.abort()

  constructor(init: RequestInit, resolve: (response: Response) => void, reject: (error: Error) => void) {
    this.#init = init
    this.#resolve = resolve
    this.#reject = reject
  }

  send(forward: HttpForwarder, request: HttpRequest): void {
    const { signal } = this.#init
    signal?.addEventListener('abort', this.#abort, { once: true })
    this.#sending = forward.sendUnchanged(request, this)
    if (signal?.aborted) this.#abort()
  }

  started(): void {
    if ('started' in this.#init && typeof this.#init.started === 'function') this.#init.started()
  }

  head(status: number, headers: HeaderList): void {
    this.#isError = status >= 400
    const body = new ReadableStream<Uint8Array>({
      start: (controller) => {
        this.#body = controller
      },
      pull: () => this.#sending?.resume(),
      cancel: this.#abort,
    })
    this.#resolve(new Response(BODILESS_STATUSES.has(status) ? null : body, { status, headers: pairsOf(headers) }))
  }

  data(chunk: Buffer): void {
    // undici tells of nothing when it is resumed: pausing at that would go on for ever.
    if (chunk.length === 0) return
    if (this.#isError && (this.#errorBytes += chunk.length) > MAX_ERROR_BYTES) return this.#truncateError()
    this.#body?.enqueue(chunk)
    if ((this.#body?.desiredSize ?? 1) <= 0) this.#sending?.pause()
  }

  /** SDKs read all of an error: what is too long for one ends here. */
  #truncateError(): void {
    this.end()
    this.#body = undefined
    this.#sending?.abort()
  }

  end(): void {
    this.#removeAbortListener()
    try {
      this.#body?.close()
    } catch {
      // Canceled before: nobody reads it.
    }
  }

  failed(error: Error): void {
    this.#removeAbortListener()
    this.#body?.error(error)
    this.#reject(error)
  }

  /** SDKs keep their signals until the body is collected: a listener that leads to the body would keep both forever. */
  #removeAbortListener(): void {
    this.#init.signal?.removeEventListener('abort', this.#abort)
  }
}

/** Set by whoever sends, or no business of the provider's. */
const DROPPED_REQUEST_HEADERS = new Set([
  'host',
  'connection',
  'content-length',
  'transfer-encoding',
  'accept-encoding',
])

function forwardableHeaders(headers: Headers): HeaderList {
  const list = [...headers].filter(([name]) => !DROPPED_REQUEST_HEADERS.has(name)).flat()
  // What is translated has to be read.
  list.push('accept-encoding', 'identity')
  return list
}

function bytesOf(body: RequestInit['body']): Buffer {
  if (typeof body === 'string') return Buffer.from(body)
  if (ArrayBuffer.isView(body)) return Buffer.from(body.buffer, body.byteOffset, body.byteLength)
  return Buffer.alloc(0)
}
