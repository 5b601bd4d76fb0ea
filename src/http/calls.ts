// LLM calls: the endpoints of every dialect. The gate answers them; nothing here reads a body.

import type { IncomingMessage, ServerResponse } from 'node:http'
import { type Context, Hono } from 'hono'
import type { Gate } from '../call/gate.ts'
import { Problem } from '../core/problem.ts'
import { NodeExchange } from '../exchange/node.ts'
import type { Dialect } from '../wire/dialect.ts'
import { CALL_ROUTES, nearestDialect, servedDialect } from '../wire/index.ts'
import { answerGated } from './gated-request.ts'
import { exchangeOf, isRespelled, pathBelowMount } from './hono-request.ts'
import { problemResponse } from './problems.ts'

const MAX_SHOWN_CHARACTERS = 256

/**
 * The endpoints of calls in Hono apps. They answer with a web Response, never on Node's: middleware and handlers around them may read it,
 * and set headers.
 */
export function callRoutes(gate: Gate): Hono {
  const app = new Hono()
  for (const [, route] of CALL_ROUTES) app.get(route, (c, next) => refuseWebSocket(c) ?? next())
  for (const [method, route] of CALL_ROUTES)
    app.on(method, route, (c) => {
      const dialect = servedDialect(c.req.method, pathBelowMount(c))
      return dialect ? handleCall(c, gate, dialect) : notFound(c)
    })
  app.get(CLAUDE_CODE_PROBE, (c, next) => (c.req.method === 'HEAD' ? c.body(null) : next()))
  return app
}

/** Claude Code asks with HEAD whether its API is there, before its first call. */
const CLAUDE_CODE_PROBE = '/api/hello'

/** Undefined for a request that asks for no WebSocket. */
function refuseWebSocket(c: Context): Response | undefined {
  if (!isWebSocketUpgrade(c.req.header('upgrade'))) return undefined
  return problemResponse(webSocketProblem(), nearestDialect(c.req.path))
}

/** @param upgrade the header of this name */
function isWebSocketUpgrade(upgrade: string | undefined): boolean {
  return upgrade !== undefined && /^websocket$/i.test(upgrade.trim())
}

/** At a 426, Codex goes on over HTTP at once. */
function webSocketProblem(): Problem {
  const message = 'There are no WebSockets here. Send the same request with POST, and "stream": true for events.'
  return new Problem('upgrade_required', message, null, {
    headers: ['upgrade', 'HTTP/1.1', 'connection', 'upgrade', 'x-should-retry', 'false'],
  })
}

/**
 * A listener for Node's server that passes LLM calls to the gate and everything else to `otherwise`. LLM calls do not go
 * through Hono: web requests and responses cost more time than reading the call itself. `callRoutes` does the same in Hono
 * apps.
 */
export function callListener(
  gate: Gate,
  otherwise: (incoming: IncomingMessage, outgoing: ServerResponse) => void,
): (incoming: IncomingMessage, outgoing: ServerResponse) => void {
  return (incoming, outgoing) => {
    if (incoming.method !== 'POST') return answerOther(incoming, outgoing, otherwise)
    const exchange = new NodeExchange(incoming, outgoing)
    const dialect = servedDialect('POST', exchange.path)
    if (dialect) void gate.call(exchange, dialect)
    else otherwise(incoming, outgoing)
  }
}

/** A request for a WebSocket is refused at any path, in the form of the dialect that is nearest to the path. */
function answerOther(
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  otherwise: (incoming: IncomingMessage, outgoing: ServerResponse) => void,
): void {
  if (!isWebSocketUpgrade(incoming.headers.upgrade)) return otherwise(incoming, outgoing)
  const problem = webSocketProblem()
  const dialect = nearestDialect((incoming.url ?? '').split('?')[0] ?? '')
  const headers = ['content-type', 'application/json', ...(problem.advice.headers ?? [])]
  outgoing.writeHead(problem.status, headers).end(dialect.problemBody(problem, NO_CALL))
}

/** The context of an answer to a request that is no call. */
const NO_CALL = { callId: '', nowMs: 0 }

/** The answer to a request for an unknown path: an error that the SDK whose base URL it is under understands. */
export function notFound(c: Context): Response {
  const text = `Unknown request URL: ${c.req.method} ${c.req.path.slice(0, MAX_SHOWN_CHARACTERS)}.`
  return problemResponse(new Problem('not_found', text), nearestDialect(c.req.path))
}

async function handleCall(c: Context, gate: Gate, dialect: Dialect): Promise<Response> {
  if (isRespelled(c)) return notFound(c)
  const answer = await answerGated(gate, c)
  if (answer) return answer
  const exchange = exchangeOf(c)
  void gate.call(exchange, dialect)
  return exchange.response
}
