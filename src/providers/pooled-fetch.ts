// Pooled fetch: what the official SDKs call `fetch`, over the pool that all other calls take.

import type { HeaderList } from '../wire/dialect.ts'
import type { Forward } from './forward.ts'
import type { Listener, Sending } from './provider.ts'

type Fetch = (input: string | URL | Request, init?: RequestInit) => Promise<Response>

/** Statuses whose web Response must not have a body. */
const NO_BODY: ReadonlySet<number> = new Set([204, 205, 304])

/** For one call: its requests are the forward's, and `started` hears when one may have been read. */
export function pooledFetch(forward: Forward, started: () => void): Fetch {
  return (input, init = {}) =>
    new Promise((resolve, reject) => {
      const url = new URL(input instanceof Request ? input.url : input)
      const answer = new FetchedAnswer(started, resolve, reject)
      const request = {
        method: init.method ?? 'GET',
        path: url.pathname + url.search,
        headers: plainHeaders(new Headers(init.headers)),
        body: bytesOf(init.body),
      }
      answer.sending = forward.dispatch(request, answer)
      const abort = () => answer.sending?.abort()
      if (init.signal?.aborted) abort()
      else init.signal?.addEventListener('abort', abort, { once: true })
    })
}

/** As undici tells of an answer, turned into a web Response whose body comes no faster than it is read. */
class FetchedAnswer implements Listener {
  readonly started: () => void
  readonly #resolve: (response: Response) => void
  readonly #reject: (error: Error) => void
  sending: Sending | undefined
  #body: ReadableStreamDefaultController<Uint8Array> | undefined

  constructor(started: () => void, resolve: (response: Response) => void, reject: (error: Error) => void) {
    this.started = started
    this.#resolve = resolve
    this.#reject = reject
  }

  head(status: number, headers: HeaderList): void {
    const body = new ReadableStream<Uint8Array>({
      start: (controller) => {
        this.#body = controller
      },
      pull: () => this.sending?.resume(),
      cancel: () => this.sending?.abort(),
    })
    const pairs: [string, string][] = []
    for (let at = 0; at + 1 < headers.length; at += 2) pairs.push([headers[at] ?? '', headers[at + 1] ?? ''])
    this.#resolve(new Response(NO_BODY.has(status) ? null : body, { status, headers: pairs }))
  }

  data(chunk: Buffer): void {
    this.#body?.enqueue(chunk)
    if ((this.#body?.desiredSize ?? 1) <= 0) this.sending?.pause()
  }

  end(): void {
    try {
      this.#body?.close()
    } catch {
      // Canceled before: nobody reads it.
    }
  }

  failed(error: Error): void {
    this.#body?.error(error)
    this.#reject(error)
  }
}

/** Set by whoever sends, or no business of the provider's. */
const NOT_SENT = new Set(['host', 'connection', 'content-length', 'transfer-encoding', 'accept-encoding'])

function plainHeaders(headers: Headers): HeaderList {
  const list = [...headers].filter(([name]) => !NOT_SENT.has(name)).flat()
  // What is translated has to be read.
  list.push('accept-encoding', 'identity')
  return list
}

function bytesOf(body: RequestInit['body']): Buffer {
  if (typeof body === 'string') return Buffer.from(body)
  if (ArrayBuffer.isView(body)) return Buffer.from(body.buffer, body.byteOffset, body.byteLength)
  return Buffer.alloc(0)
}
