// Forward: sends a request to an HTTP endpoint as it is, over a keep-alive pool, and hands back what comes, chunk by chunk.

import { type Dispatcher, Pool } from 'undici'
import type { HeaderList } from '../wire/dialect.ts'
import type { Listener, Outgoing, Sending } from './provider.ts'

export interface Endpoint {
  /** With its path, without a trailing slash: `https://api.openai.com/v1`. */
  readonly baseUrl: string
  /** Headers that carry the provider's key. Never logged, never sent anywhere else. */
  readonly credentials: HeaderList
}

/** Encodings whose answers can be metered. */
const METERED_ENCODINGS = new Set(['gzip', 'br', 'deflate', 'zstd', 'identity', 'x-gzip'])

/** Hop-by-hop headers, what the client library sets anew, the caller's own credentials and cookies. */
const NOT_FORWARDED = new Set([
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

const ENCODING = 'accept-encoding'

/** How long connecting may take. Everything after it is bounded by the call's own deadline. */
const CONNECT_TIMEOUT_MS = 10_000

export class Forward {
  readonly #pool: Pool
  readonly #basePath: string
  readonly #credentials: HeaderList

  constructor(endpoint: Endpoint) {
    const url = new URL(endpoint.baseUrl)
    this.#basePath = url.pathname.replace(/\/+$/, '')
    this.#credentials = endpoint.credentials
    this.#pool = new Pool(url.origin, {
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

  send(outgoing: Outgoing, listener: Listener): Sending {
    const answer = new Answer(listener)
    const request = {
      path: this.#basePath + outgoing.path,
      method: 'POST' as const,
      headers: this.#headers(outgoing),
      body: outgoing.body,
    }
    try {
      this.#pool.dispatch(request, answer)
    } catch (error) {
      // undici throws for what it will not send at all.
      answer.onResponseError(undefined, error instanceof Error ? error : new Error(String(error)))
    }
    return answer
  }

  close(): Promise<void> {
    return this.#pool.destroy()
  }

  #headers(outgoing: Outgoing): HeaderList {
    const headers: HeaderList = []
    for (let at = 0; at + 1 < outgoing.headers.length; at += 2) {
      const name = forwardedName(outgoing.headers[at] ?? '')
      if (name === undefined) continue
      const value = outgoing.headers[at + 1] ?? ''
      headers.push(name, name === ENCODING ? encodings(value, outgoing.plain) : value)
    }
    headers.push(...this.#credentials)
    return headers
  }
}

/** Header names seen before, as they are forwarded; undefined is not. Bounded: a caller may send any name. */
const forwarded = new Map<string, string | undefined>()
const MOST_REMEMBERED = 1_000

function forwardedName(name: string): string | undefined {
  const known = forwarded.get(name)
  if (known !== undefined || forwarded.has(name)) return known
  const lower = name.toLowerCase()
  const forwards = !NOT_FORWARDED.has(lower) && !lower.startsWith('x-bursar-')
  if (forwarded.size < MOST_REMEMBERED) forwarded.set(name, forwards ? lower : undefined)
  return forwards ? lower : undefined
}

/** Of the encodings a client takes, those we can read; `identity` alone where nothing may be encoded. */
function encodings(accepted: string, plain: boolean): string {
  if (plain) return 'identity'
  const known = accepted
    .split(',')
    .filter((one) => METERED_ENCODINGS.has((one.split(';')[0] ?? '').trim().toLowerCase()))
  return known.length > 0 ? known.join(',').trim() : 'identity'
}

/** undici's side of a Listener. Steering works before there is a connection, too. */
class Answer implements Dispatcher.DispatchHandler, Sending {
  readonly #listener: Listener
  #controller: Dispatcher.DispatchController | undefined
  #aborted = false
  #over = false

  constructor(listener: Listener) {
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
    if (!this.#over) this.#listener.data(chunk)
  }

  onResponseEnd(): void {
    if (this.#over) return
    this.#over = true
    this.#listener.end()
  }

  onResponseError(_controller: unknown, error: Error): void {
    if (this.#over) return
    this.#over = true
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
    if (!this.#over) this.#controller?.abort(new Error('aborted'))
  }
}
