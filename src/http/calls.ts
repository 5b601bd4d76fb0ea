// LLM calls: every dialect's endpoints, each answered by the gate.

import type { IncomingMessage, ServerResponse } from 'node:http'
import type { HttpBindings } from '@hono/node-server'
import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response'
import { type Context, Hono } from 'hono'
import type { Gate } from '../call/gate.ts'
import { Problem } from '../core/problem.ts'
import { NodeExchange } from '../exchange/node.ts'
import { WebExchange } from '../exchange/web.ts'
import type { Dialect } from '../wire/dialect.ts'
import { dialectAt, nearestDialect, storedDialectAt } from '../wire/index.ts'

type Env = { Bindings: Partial<HttpBindings> }

export function callRoutes(gate: Gate): Hono<Env> {
  const app = new Hono<Env>()
  const call = (c: Context<Env>, dialect: Dialect | undefined) => (dialect ? handleCall(c, gate, dialect) : notFound(c))
  for (const path of CALL_PATHS) app.post(path, (c) => call(c, dialectAt(c.req.path)))
  app.on(['GET', 'POST', 'DELETE'], '/v1/responses/*', (c) => call(c, storedDialectAt(c.req.method, c.req.path)))
  return app
}

const CALL_PATHS = [
  '/v1/chat/completions',
  '/v1/messages',
  '/v1/messages/count_tokens',
  '/v1/completions',
  '/v1/embeddings',
  '/v1/responses',
  '/v1/models/*',
  '/v1beta/models/*',
  '/v1alpha/models/*',
]

function isCallPath(path: string): boolean {
  return CALL_PATHS.some((one) => (one.endsWith('*') ? path.startsWith(one.slice(0, -1)) : path === one))
}

/**
 * Answers LLM calls straight from Node's server and hands on everything else: web requests and responses cost more than the
 * call's own reading does. The routes above do the same where there is no such server.
 */
export function callListener(
  gate: Gate,
  otherwise: (incoming: IncomingMessage, outgoing: ServerResponse) => void,
): (incoming: IncomingMessage, outgoing: ServerResponse) => void {
  return (incoming, outgoing) => {
    if (incoming.method !== 'POST') return otherwise(incoming, outgoing)
    const exchange = new NodeExchange(incoming, outgoing)
    const dialect = isCallPath(exchange.path) ? dialectAt(exchange.path) : undefined
    if (dialect) void gate.call(exchange, dialect)
    else otherwise(incoming, outgoing)
  }
}

/** Any other path under an SDK's base URL: an error its SDK understands. */
export function notFound(c: Context): Response {
  const dialect = nearestDialect(c.req.path)
  const problem = new Problem('not_found', `Unknown request URL: ${c.req.method} ${c.req.path.slice(0, 256)}.`)
  return new Response(dialect.problemBody(problem, { callId: '', nowMs: 0 }), {
    status: 404,
    headers: { 'content-type': 'application/json' },
  })
}

async function handleCall(c: Context<Env>, gate: Gate, dialect: Dialect): Promise<Response> {
  const { incoming, outgoing } = c.env ?? {}
  if (incoming && outgoing) {
    await gate.call(new NodeExchange(incoming, outgoing), dialect)
    return RESPONSE_ALREADY_SENT
  }
  const exchange = new WebExchange(c.req.raw)
  void gate.call(exchange, dialect)
  return exchange.response
}
