// Middleware: the gate in front of handlers of a user's own Hono app. A call takes the same way as in the server, but the
// handler answers it in place of a provider.

import type { Context, MiddlewareHandler, Next } from 'hono'
import type { Gate, HandlerCall } from '../call/gate.ts'
import type { Relay } from '../call/relay.ts'
import { listOf } from '../core/issue-text.ts'
import { usageOf } from '../core/usage.ts'
import type { WebExchange } from '../exchange/web.ts'
import type { AnswerListener, RequestControl, UpstreamRequest } from '../providers/provider.ts'
import { PausableRequest } from '../providers/transport/pausable-request.ts'
import type { Dialect } from '../wire/dialect.ts'
import {
  type DialectName,
  dialectAt,
  dialectNamed,
  isDialectName,
  nearestDialect,
  resemblesCall,
} from '../wire/index.ts'
import { type GatedRequest, isGated, runGated } from './gated-request.ts'
import { exchangeOf } from './hono-request.ts'
import { leadsToEndpoint, markMiddleware } from './own-routes.ts'
import { isReading, pathMatcher, unmeteredProblem } from './unmetered.ts'

/** Options of `gate()`. */
export interface GateOptions {
  /** The dialect of requests and answers. If it is undefined, the path tells it. */
  readonly dialect?: DialectName
  /**
   * Paths of requests that may pass although nothing meters them, whatever they cost. A `*` stands for any part of one segment, and at
   * the end for any rest. Paths of metered calls stay metered, and their other methods and spellings stay refused.
   *
   * @example
   * ['/v1/images/*', '/v1/files']
   */
  readonly unmetered?: readonly string[]
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
 * Hono middleware that admits, meters and settles the LLM calls which the handlers behind it answer. Calls are POST requests to a path
 * of a dialect, or to any path with `dialect`. A refused call never reaches the handler: it is answered in the dialect's own error
 * shape. So is every other request, with status 403, except requests that read (GET, HEAD and OPTIONS), those whose path is listed in
 * `unmetered`, and those that the gateway's own app answers behind the middleware.
 *
 * A handler that throws, answers with status 500 or more, or reports no usage costs its whole reservation. A call that meets `gate()`
 * twice, or that no handler answers and the gateway's own app does, is charged once.
 *
 * Throws TypeError for a path in `unmetered` that does not begin with a slash, for an unknown dialect, and for an unknown option.
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
  const mayPassUnmetered = pathMatcher(options.unmetered ?? [])
  const givenDialect = readDialect(options)
  const bursarGate: MiddlewareHandler<{ Variables: GateVariables }> = async (c, next) => {
    if (leadsToEndpoint(gate, c)) return next()
    const { method, path } = c.req
    // A server behind may read percent-encoded letters in another way than Hono does: only the plain path is metered.
    const { pathname } = new URL(c.req.url)
    const dialect = givenDialect ?? dialectAt(pathname)
    if (dialect && method === 'POST') return (await isGated(gate, c)) ? next() : gateCall(gate, dialect, c, next)
    if (isReading(c.req) || (mayPassUnmetered(path) && !resemblesCall(path))) return next()
    const exchange = exchangeOf(c)
    gate.reject(exchange, dialect ?? nearestDialect(path), unmeteredProblem(method, pathname))
    return exchange.response
  }
  markMiddleware(bursarGate, gate)
  return bursarGate
}

const OPTION_NAMES: readonly string[] = ['dialect', 'unmetered'] satisfies readonly (keyof GateOptions)[]

/** The dialect that the options name, if any. Programs without types can hand in other names, and other options. */
function readDialect(options: GateOptions): Dialect | undefined {
  const unknown = Object.keys(options).find((name) => !OPTION_NAMES.includes(name))
  if (unknown !== undefined)
    throw new TypeError(`gate(): there is no option ${unknown}. The options are ${listOf(OPTION_NAMES)}.`)
  const { dialect } = options
  if (dialect === undefined) return undefined
  if (!isDialectName(dialect))
    throw new TypeError(`gate(): there is no dialect ${dialect}, but one such as openai.chat.`)
  return dialectNamed(dialect)
}

async function gateCall(gate: Gate, dialect: Dialect, c: Context, next: Next): Promise<void> {
  // Middleware in front has set these for whatever answer comes: CORS, a request's id. A handler's answer has them already.
  const headersBefore = [...c.res.headers]
  const exchange = exchangeOf(c)
  let call: HandlerCall | undefined
  let handler: RunningHandler | undefined
  void gate.call(exchange, dialect, {
    sendInstead: (request, listener) => {
      if (!call) throw new Error('the handler runs before its call is admitted')
      handler = runHandler({ gate, c, call, exchange }, next, request, listener)
      return handler.control
    },
    onStart: (started) => {
      call = started
      c.set('bursar', { settle: (usage: HandlerUsage) => setHandlerUsage(started.relay, usage) })
    },
  })
  const response = await exchange.response
  if (handler?.gated.isLeftToTargets) {
    // The endpoint behind the middleware has returned the response, and other middleware may have changed it on its way here.
    await handler.done
    return
  }
  // Hono merges the headers of a response that is already set into the new one: remove the handler's own response first.
  c.res = undefined
  c.res = response
  addHeaders(c.res.headers, headersBefore)
}

/** Adds the headers whose names are not there yet. */
function addHeaders(headers: Headers, more: readonly (readonly [string, string])[]): void {
  const missing = more.filter(([name]) => !headers.has(name))
  for (const [name, value] of missing) headers.append(name, value)
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

/** A handler that stands in for the provider. */
interface RunningHandler {
  readonly control: RequestControl
  readonly gated: GatedRequest
  /** Resolves when the handler, and all middleware between, have returned. Never rejects. */
  readonly done: Promise<void>
}

interface HandlerParts {
  readonly gate: Gate
  readonly c: Context
  readonly call: HandlerCall
  readonly exchange: WebExchange
}

/** Runs the handler with the request as the gate edited it, and reports its answer as if it came from a provider. */
function runHandler(
  { gate, c, call, exchange: { response } }: HandlerParts,
  next: Next,
  { body }: UpstreamRequest,
  listener: AnswerListener,
): RunningHandler {
  const control = new PausableRequest()
  const gated: GatedRequest = { gate, context: c, call, body, response, isLeftToTargets: false }
  const run = async () => {
    const headers = new Headers(c.req.raw.headers)
    headers.delete('content-length')
    c.req.raw = new Request(c.req.raw.url, {
      method: 'POST',
      headers,
      body: new Uint8Array(body),
      signal: control.signal,
    })
    c.req.bodyCache = {}
    listener.started()
    await runGated(gated, next)
    if (gated.isLeftToTargets) return
    // An exception may come with any status, and a 5xx says nothing about what the handler had used by then.
    if (c.error || c.res.status >= 500) call.relay.markBillable()
    await reportAnswer(c.res, control, listener)
  }
  const done = run().catch((error: unknown) =>
    listener.failed(error instanceof Error ? error : new Error(String(error))),
  )
  return { control, gated, done }
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
