// Forward: sends a request to an HTTP endpoint as it is, over a keep-alive pool, and hands back what comes, chunk by chunk.

import { type Dispatcher, Pool } from 'undici'
import { SlotCache } from '../../core/slot-cache.ts'
import { TurnBatcher } from '../../core/turn-batcher.ts'
import type { HeaderList } from '../../wire/dialect.ts'
import type { AnswerListener, CallerKey, Provider, RequestControl, UpstreamRequest } from '../provider.ts'

export interface Endpoint {
  /** With its path, without a trailing slash: `https://api.openai.com/v1`. */
  readonly baseUrl: string
  /** Headers that carry the provider's key. Never logged, never sent anywhere else. */
  readonly credentials: HeaderList
  /** More headers of every request, in place of the caller's of the same lower-case name. */
  readonly headers?: HeaderList
  /** More of every request's query, in place of the caller's parameters of the same name. Without a question mark. */
  readonly query?: string
}

/** A request as it goes over the wire, but for what belongs to the connection. */
export interface HttpRequest {
  readonly method: string
  /** With its query. */
  readonly path: string
  readonly headers: HeaderList
  readonly body: Buffer
}

interface QueuedRequest {
  readonly request: HttpRequest
  readonly handler: AnswerHandler
}

/** Encodings whose answers can be metered. */
const READABLE_ENCODINGS = new Set(['gzip', 'br', 'deflate', 'zstd', 'identity', 'x-gzip'])

/** Hop-by-hop headers, what the client library sets anew, the caller's own credentials and cookies. */
const DROPPED_REQUEST_HEADERS = new Set([
  'host',
  'connection',
  'keep-alive',
  'proxy-connection',
  'proxy-authorization',
  'transfer-encoding',
  'te',
  'trailer',
  'upgrade',
  'expect',
  'content-length',
  'authorization',
  'x-api-key',
  'x-goog-api-key',
  'api-key',
  'cookie',
  'origin',
  'referer',
  'forwarded',
  'x-forwarded-for',
  'x-forwarded-host',
  'x-forwarded-proto',
  'x-real-ip',
])

const ACCEPT_ENCODING = 'accept-encoding'

/** How long connecting may take. Everything after it is bounded by the call's own deadline. */
const CONNECT_TIMEOUT_MS = 10_000

export class HttpForwarder {
  readonly #origin: string
  readonly #pool: Pool
  readonly #basePath: string
  readonly #key: CallerKey
  readonly #headers: HeaderList
  readonly #headerNames: ReadonlySet<string>
  readonly #query: string
  #retired = false
  /** Requests of calls that were admitted together are written together: see the ends of answers. */
  readonly #queue = new TurnBatcher<QueuedRequest>(process.nextTick, (send) => this.#sendQueued(send))

  constructor(endpoint: Endpoint) {
    const url = new URL(endpoint.baseUrl)
    this.#origin = url.origin
    this.#basePath = url.pathname.replace(/\/+$/, '')
    this.#key = { headers: endpoint.credentials, query: '' }
    this.#headers = endpoint.headers ?? []
    this.#headerNames = new Set(this.#headers.filter((_, at) => at % 2 === 0))
    this.#query = endpoint.query ?? ''
    this.#pool = poolOf(this.#origin)
  }

  send(outgoing: UpstreamRequest, listener: AnswerListener): RequestControl {
    const key = outgoing.callerKey ?? this.#key
    const headers = this.#headersOf(outgoing, key.headers)
    const path = this.#basePath + this.#withQuery(outgoing.path, key.query)
    return this.sendUnchanged({ method: outgoing.method ?? 'POST', path, headers, body: outgoing.body }, listener)
  }

  /** Sends a request that is whole: nothing is added to it. */
  sendUnchanged(request: HttpRequest, listener: AnswerListener): RequestControl {
    const answer = new AnswerHandler(listener)
    this.#queue.push({ request, handler: answer })
    return answer
  }

  #sendQueued({ request, handler }: QueuedRequest): void {
    try {
      const pool = this.#retired ? poolOf(this.#origin) : this.#pool
      pool.dispatch(request, handler)
      // Admitted before, sent after: such a call has a connection of its own.
      if (this.#retired) void pool.close()
    } catch (error) {
      // undici throws for what it will not send at all.
      handler.onResponseError(undefined, error instanceof Error ? error : new Error(String(error)))
    }
  }

  /** Resolves when the calls under way are over. Those sent later still are sent. */
  retire(): Promise<void> {
    this.#retired = true
    return this.#pool.close()
  }

  close(): Promise<void> {
    return this.#pool.destroy()
  }

  #withQuery(path: string, keyQuery: string): string {
    if (this.#query === '' && keyQuery === '') return path
    const mark = path.indexOf('?')
    const bare = mark < 0 ? path : path.slice(0, mark)
    const query = mark < 0 ? '' : path.slice(mark + 1)
    const fixed = new URLSearchParams(this.#query)
    const own = query.split('&').filter((part) => part !== '' && !fixed.has(parameterName(part)))
    return `${bare}?${[...own, this.#query, keyQuery].filter((part) => part !== '').join('&')}`
  }

  #headersOf(outgoing: UpstreamRequest, credentials: HeaderList): HeaderList {
    const headers: HeaderList = []
    for (let at = 0; at + 1 < outgoing.headers.length; at += 2) {
      const name = forwardedNames.get(outgoing.headers[at] ?? '')
      if (name === undefined || this.#headerNames.has(name)) continue
      // No type of nothing: a server may take it for a promise of JSON.
      if (name === 'content-type' && outgoing.body.length === 0) continue
      const value = outgoing.headers[at + 1] ?? ''
      headers.push(name, name === ACCEPT_ENCODING ? readableEncodings(value, outgoing.needsPlainAnswer) : value)
    }
    headers.push(...this.#headers, ...credentials)
    return headers
  }
}

/** What a provider does that sends requests as they are: the methods that end the literal of a provider. */
export function overHttp(forwarder: HttpForwarder): Pick<Provider, 'send' | 'retire' | 'close'> {
  return {
    send: (outgoing, listener) => forwarder.send(outgoing, listener),
    retire: () => forwarder.retire(),
    close: () => forwarder.close(),
  }
}

function poolOf(origin: string): Pool {
  return new Pool(origin, {
    allowH2: false,
    connections: null,
    pipelining: 1,
    headersTimeout: 0,
    bodyTimeout: 0,
    connectTimeout: CONNECT_TIMEOUT_MS,
    keepAliveTimeout: 30_000,
    maxHeaderSize: 65_536,
  })
}

/** The name of one `name=value` of a query. */
function parameterName(part: string): string {
  const [name = ''] = new URLSearchParams(part).keys()
  return name
}

/** A header's name as it is forwarded; undefined is not. */
const forwardedNames = new SlotCache((name) => {
  const lower = name.toLowerCase()
  return DROPPED_REQUEST_HEADERS.has(lower) || lower.startsWith('x-bursar-') ? undefined : lower
})

/** Of the encodings a client takes, those we can read; `identity` alone where nothing may be encoded. */
function readableEncodings(accepted: string, plain: boolean): string {
  if (plain) return 'identity'
  const known = accepted
    .split(',')
    .filter((one) => READABLE_ENCODINGS.has((one.split(';')[0] ?? '').trim().toLowerCase()))
  return known.length > 0 ? known.join(',').trim() : 'identity'
}

/** undici's side of a Listener. Steering works before there is a connection, too. */
class AnswerHandler implements Dispatcher.DispatchHandler, RequestControl {
  readonly #listener: AnswerListener
  #controller: Dispatcher.DispatchController | undefined
  #aborted = false
  #isFinished = false

  constructor(listener: AnswerListener) {
    this.#listener = listener
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller
    if (this.#aborted) controller.abort(new Error('aborted'))
    else this.#listener.started()
  }

  onResponseStart(_controller: unknown, status: number, headers: Record<string, string | string[] | undefined>): void {
    if (status < 200) return
    const list: HeaderList = []
    for (const name in headers) {
      const value = headers[name]
      if (typeof value === 'string') list.push(name, value)
      else if (value) for (const one of value) list.push(name, one)
    }
    this.#listener.head(status, list)
  }

  onResponseData(_controller: unknown, chunk: Buffer): void {
    if (!this.#isFinished) this.#listener.data(chunk)
  }

  onResponseEnd(): void {
    if (this.#isFinished) return
    this.#isFinished = true
    this.#listener.end()
  }

  onResponseError(_controller: unknown, error: Error): void {
    if (this.#isFinished) return
    this.#isFinished = true
    this.#listener.failed(error)
  }

  pause(): void {
    this.#controller?.pause()
  }

  resume(): void {
    this.#controller?.resume()
  }

  abort(): void {
    this.#aborted = true
    if (!this.#isFinished) this.#controller?.abort(new Error('aborted'))
  }
}
