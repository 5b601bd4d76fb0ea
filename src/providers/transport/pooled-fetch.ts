// Pooled fetch: a `fetch` for official SDKs that sends over the same pool as all other calls. It follows no redirect.

import type { HeaderList } from '../../wire/dialect.ts'
import { EMPTY_BUFFER } from '../../wire/taps/chunk-buffer.ts'
import { webResponse } from '../../wire/web-response.ts'
import type { AnswerListener, RequestControl } from '../provider.ts'
import type { HttpForwarder, HttpRequest } from './http-forwarder.ts'

type Fetch = (input: string | URL | Request, init?: RequestInit) => Promise<Response>

/** No error's body is longer. */
const MAX_ERROR_BYTES = 1_048_576

/** The options that reach the fetch of one call through an SDK. */
export interface FetchOptions extends Omit<RequestInit, 'body' | 'headers' | 'method' | 'signal'> {
  /** Called when the request is sent: from then on the provider may have read it. */
  readonly started: () => void
}

/** A `fetch` that sends over the forwarder's pool. It resolves with the head of the answer, and rejects if there is none. */
export function pooledFetch(forwarder: HttpForwarder): Fetch {
  return (input, init = {}) =>
    new Promise((resolve, reject) => {
      const url = new URL(input instanceof Request ? input.url : input)
      const request = {
        method: init.method ?? 'GET',
        path: url.pathname + url.search,
        headers: forwardableHeaders(init.headers instanceof Headers ? init.headers : new Headers(init.headers)),
        body: bytesOf(init.body),
      }
      new FetchedAnswer(init, resolve, reject).send(forwarder, request)
    })
}

/** Turns the events of an answer into a web Response whose body comes no faster than it is read. */
class FetchedAnswer implements AnswerListener {
  readonly #init: RequestInit
  readonly #resolve: (response: Response) => void
  readonly #reject: (error: Error) => void
  #control: RequestControl | undefined
  #body: ReadableStreamDefaultController<Uint8Array> | undefined
  #isError = false
  #errorBytes = 0
  readonly #abort = () => this.#control?.abort()

  constructor(init: RequestInit, resolve: (response: Response) => void, reject: (error: Error) => void) {
    this.#init = init
    this.#resolve = resolve
    this.#reject = reject
  }

  send(forwarder: HttpForwarder, request: HttpRequest): void {
    const { signal } = this.#init
    signal?.addEventListener('abort', this.#abort, { once: true })
    this.#control = forwarder.sendUnchanged(request, this)
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
      pull: () => this.#control?.resume(),
      cancel: this.#abort,
    })
    this.#resolve(webResponse(status, headers, body))
  }

  data(chunk: Buffer): void {
    // undici passes an empty chunk when it is resumed. Pausing at that chunk would never end.
    if (chunk.length === 0) return
    if (this.#isError && (this.#errorBytes += chunk.length) > MAX_ERROR_BYTES) return this.#truncateError()
    this.#body?.enqueue(chunk)
    if ((this.#body?.desiredSize ?? 1) <= 0) this.#control?.pause()
  }

  /** SDKs read the whole body of an error, so a body that is too long ends here. */
  #truncateError(): void {
    this.end()
    this.#body = undefined
    this.#control?.abort()
  }

  end(): void {
    this.#removeAbortListener()
    try {
      this.#body?.close()
    } catch {
      // The body was canceled before, so it is not read.
    }
  }

  failed(error: Error): void {
    this.#removeAbortListener()
    this.#body?.error(error)
    this.#reject(error)
  }

  /** SDKs keep a signal until the body is collected. A listener that leads to the body would keep both forever. */
  #removeAbortListener(): void {
    this.#init.signal?.removeEventListener('abort', this.#abort)
  }
}

/** Headers that the transport sets itself. */
const DROPPED_REQUEST_HEADERS = new Set([
  'host',
  'connection',
  'content-length',
  'transfer-encoding',
  'accept-encoding',
])

function forwardableHeaders(headers: Headers): HeaderList {
  const list = [...headers].filter(([name]) => !DROPPED_REQUEST_HEADERS.has(name)).flat()
  // A translated answer has to be read.
  list.push('accept-encoding', 'identity')
  return list
}

function bytesOf(body: RequestInit['body']): Buffer {
  if (typeof body === 'string') return Buffer.from(body)
  if (ArrayBuffer.isView(body)) return Buffer.from(body.buffer, body.byteOffset, body.byteLength)
  return EMPTY_BUFFER
}
