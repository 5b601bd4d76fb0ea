// Middleware: the gate in front of a user's own Hono handlers. Same flow, with the handler in the provider's place.

import type { Context, MiddlewareHandler } from 'hono'
import type { Gate } from '../call/gate.ts'
import type { Relay } from '../call/relay.ts'
import { usageOf } from '../core/usage.ts'
import { WebExchange } from '../exchange/web.ts'
import type { AnswerListener, RequestControl, UpstreamRequest } from '../providers/provider.ts'
import type { HeaderList } from '../wire/dialect.ts'
import { type DialectName, dialectAt, dialectNamed } from '../wire/index.ts'

export interface GateOptions {
  /** The dialect that requests and answers are in. Without it, it is told by the path, and other paths pass by. */
  readonly dialect?: DialectName
}

/** What a handler used, in tokens, where its answer does not say so itself. */
export interface HandlerUsage {
  readonly inputTokens: number
  readonly outputTokens: number
  readonly cacheReadTokens?: number
  readonly cacheWriteTokens?: number
  /** The model that really answered. */
  readonly model?: string
}

export interface GateVariables {
  readonly bursar: {
    /** Reports usage; the answer's own figures win. Call it before the answer's body ends. */
    settle(usage: HandlerUsage): void
  }
}

export function gateMiddleware(gate: Gate, options: GateOptions): MiddlewareHandler<{ Variables: GateVariables }> {
  return async function bursarGate(c, next) {
    const dialect = options.dialect ? dialectNamed(options.dialect) : dialectAt(c.req.path)
    if (!dialect || c.req.method !== 'POST') return next()
    const exchange = new WebExchange(c.req.raw)
    let failed = () => {}
    const send = (outgoing: UpstreamRequest, listener: AnswerListener) =>
      new HandlerCall(c, next, outgoing, listener, () => failed())
    const begun = (relay: Relay) => {
      failed = () => relay.markBillable()
      c.set('bursar', { settle: (usage) => setHandlerUsage(relay, usage) })
    }
    void gate.call(exchange, dialect, { sendInstead: send, onStart: begun })
    const response = await exchange.response
    // Hono merges headers into a response that is set before: the handler's own must be taken away first.
    c.res = undefined
    c.res = response
  }
}

function setHandlerUsage(relay: Relay, usage: HandlerUsage): void {
  relay.setFallbackUsage({
    usage: usageOf({
      input: usage.inputTokens,
      output: usage.outputTokens,
      cacheRead: usage.cacheReadTokens ?? 0,
      cacheWrite5m: usage.cacheWriteTokens ?? 0,
      requests: 1,
    }),
    reasoningTokens: 0,
    model: usage.model ?? null,
    serviceTier: null,
  })
}

/** Runs the handler with the edited request, and tells of its answer as though it came from a provider. */
class HandlerCall implements RequestControl {
  readonly #abort = new AbortController()
  #resolvePause: (() => void) | undefined
  #paused: Promise<void> | undefined

  constructor(
    c: Context,
    next: () => Promise<void>,
    outgoing: UpstreamRequest,
    listener: AnswerListener,
    failed: () => void,
  ) {
    this.#run(c, next, outgoing, listener, failed).catch((error: unknown) => {
      listener.failed(error instanceof Error ? error : new Error(String(error)))
    })
  }

  pause(): void {
    this.#paused ??= new Promise((resolve) => {
      this.#resolvePause = resolve
    })
  }

  resume(): void {
    this.#resolvePause?.()
    this.#paused = this.#resolvePause = undefined
  }

  abort(): void {
    this.#abort.abort()
    this.resume()
  }

  async #run(
    c: Context,
    next: () => Promise<void>,
    outgoing: UpstreamRequest,
    listener: AnswerListener,
    failed: () => void,
  ): Promise<void> {
    const headers = new Headers(c.req.raw.headers)
    headers.delete('content-length')
    c.req.raw = new Request(c.req.raw.url, {
      method: 'POST',
      headers,
      body: new Uint8Array(outgoing.body),
      signal: this.#abort.signal,
    })
    c.req.bodyCache = {}
    listener.started()
    await next()
    const { status, body } = c.res
    // An exception may come out with whatever status; a handler's 5xx says nothing about what it had used by then.
    if (c.error || status >= 500) failed()
    listener.head(status, headerList(c.res.headers))
    const reader = body?.getReader()
    this.#abort.signal.addEventListener('abort', () => void reader?.cancel().catch(() => {}))
    for (let read = await reader?.read(); read && !read.done; read = await reader?.read()) {
      listener.data(Buffer.from(read.value))
      await this.#paused
    }
    listener.end()
  }
}

function headerList(headers: Headers): HeaderList {
  return [...headers].flat()
}
