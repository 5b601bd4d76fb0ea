// Middleware: the gate in front of handlers of a user's own Hono app. A call takes the same way as in the server, but the
// handler answers it in place of a provider.

import type { Context, MiddlewareHandler, Next } from 'hono'
import type { Gate } from '../call/gate.ts'
import type { Relay } from '../call/relay.ts'
import { usageOf } from '../core/usage.ts'
import { WebExchange } from '../exchange/web.ts'
import type { AnswerListener, RequestControl, UpstreamRequest } from '../providers/provider.ts'
import { PausableRequest } from '../providers/transport/pausable-request.ts'
import { type DialectName, dialectAt, dialectNamed } from '../wire/index.ts'

/** Options of `gate()`. */
export interface GateOptions {
  /**
   * The dialect of requests and answers. If it is undefined, the path tells it, and requests to other paths go to the handler
   * as they are.
   */
  readonly dialect?: DialectName
}

/** What a handler used, in tokens; for answers that do not carry their usage themselves. */
export interface HandlerUsage {
  readonly inputTokens: number
  readonly outputTokens: number
  readonly cacheReadTokens?: number
  readonly cacheWriteTokens?: number
  /** The model that answered; the requested one if it is undefined. */
  readonly model?: string
}

/** The variables that handlers behind `gate()` find in Hono's context: `new Hono<{ Variables: GateVariables }>()`. */
export interface GateVariables {
  readonly bursar: {
    /** Reports the usage of the call. Usage in the answer itself takes precedence. Call it before the answer's body ends. */
    settle(usage: HandlerUsage): void
  }
}

/**
 * Hono middleware that admits, meters and settles the LLM calls which the handlers behind it answer. Only POST requests to a
 * path of a dialect (or any path, with `dialect`) are calls; all others go on untouched. A refused call never reaches the
 * handler: it is answered in the dialect's own error shape.
 *
 * A handler that throws, answers with status 500 or more, or reports no usage costs its whole reservation.
 *
 * @example
 * const bursar = await createBursar({ env: process.env })
 * app.use('/v1/*', bursar.gate())
 * app.post('/v1/chat/completions', async (c) => {
 *   const { text, tokensIn, tokensOut } = await myModel(await c.req.json())
 *   c.var.bursar.settle({ inputTokens: tokensIn, outputTokens: tokensOut })
 *   return c.json({ choices: [{ message: { role: 'assistant', content: text } }] })
 * })
 */
export function gateMiddleware(gate: Gate, options: GateOptions): MiddlewareHandler<{ Variables: GateVariables }> {
  return async function bursarGate(c, next) {
    const dialect = options.dialect ? dialectNamed(options.dialect) : dialectAt(c.req.path)
    if (!dialect || c.req.method !== 'POST') return next()
    const exchange = new WebExchange(c.req.raw)
    let relay: Relay | undefined
    void gate.call(exchange, dialect, {
      sendInstead: (request, listener) => callHandler(c, next, request, listener, () => relay?.markBillable()),
      onStart: (started) => {
        relay = started
        c.set('bursar', { settle: (usage) => setHandlerUsage(started, usage) })
      },
    })
    const response = await exchange.response
    // Hono merges the headers of a response that is already set into the new one: remove the handler's own response first.
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
    // The handler says what the call used, tools included.
    listsExtras: true,
  })
}

/** Runs the handler with the request as the gate edited it, and reports its answer as if it came from a provider. */
function callHandler(
  c: Context,
  next: Next,
  request: UpstreamRequest,
  listener: AnswerListener,
  markBillable: () => void,
): RequestControl {
  const control = new PausableRequest()
  const run = async () => {
    const headers = new Headers(c.req.raw.headers)
    headers.delete('content-length')
    const body = new Uint8Array(request.body)
    c.req.raw = new Request(c.req.raw.url, { method: 'POST', headers, body, signal: control.signal })
    c.req.bodyCache = {}
    listener.started()
    await next()
    // An exception may come with any status, and a 5xx says nothing about what the handler had used by then.
    if (c.error || c.res.status >= 500) markBillable()
    await reportAnswer(c.res, control, listener)
  }
  run().catch((error: unknown) => listener.failed(error instanceof Error ? error : new Error(String(error))))
  return control
}

async function reportAnswer(response: Response, control: PausableRequest, listener: AnswerListener): Promise<void> {
  listener.head(response.status, [...response.headers].flat())
  const reader = response.body?.getReader()
  control.signal.addEventListener('abort', () => void reader?.cancel().catch(() => {}))
  for (let read = await reader?.read(); read && !read.done; read = await reader?.read()) {
    listener.data(Buffer.from(read.value))
    await control.paused
  }
  listener.end()
}
