// LLM calls: the routes of all dialects. The gate answers each call.

import type { IncomingMessage, ServerResponse } from 'node:http'
import type { HttpBindings } from '@hono/node-server'
import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response'
import { type Context, Hono } from 'hono'
import type { Gate } from '../call/gate.ts'
import { Problem } from '../core/problem.ts'
import { NodeExchange } from '../exchange/node.ts'
import { WebExchange } from '../exchange/web.ts'
import type { Dialect } from '../wire/dialect.ts'
import { CALL_ROUTES, nearestDialect, servedDialect } from '../wire/index.ts'

type Env = { Bindings: Partial<HttpBindings> }

export function callRoutes(gate: Gate): Hono<Env> {
  const app = new Hono<Env>()
  for (const [method, route] of CALL_ROUTES)
    app.on(method, route, (c) => {
      const dialect = servedDialect(c.req.method, c.req.path)
      return dialect ? handleCall(c, gate, dialect) : notFound(c)
    })
  return app
}

/**
 * Answers LLM calls directly from Node's server, and passes everything else to `otherwise`: web requests and responses would
 * cost more than reading the call. The routes above do the same if there is no such server.
 */
export function callListener(
  gate: Gate,
  otherwise: (incoming: IncomingMessage, outgoing: ServerResponse) => void,
): (incoming: IncomingMessage, outgoing: ServerResponse) => void {
  return (incoming, outgoing) => {
    if (incoming.method !== 'POST') return otherwise(incoming, outgoing)
    const exchange = new NodeExchange(incoming, outgoing)
    const dialect = servedDialect('POST', exchange.path)
    if (dialect) void gate.call(exchange, dialect)
    else otherwise(incoming, outgoing)
  }
}

/** Answers any other path under an SDK's base URL with an error that the SDK understands. */
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
