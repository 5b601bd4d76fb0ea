// Hono request: what the gateway reads of a request in a Hono app. It works with any copy of Hono, since the app may have a copy of its
// own: it uses what hangs on the context, and no symbols or classes of ours.

import { IncomingMessage } from 'node:http'
import type { HttpBindings } from '@hono/node-server'
import type { Context } from 'hono'
import { Problem } from '../core/problem.ts'
import { NodeExchange } from '../exchange/node.ts'
import { remoteAddressOf } from '../exchange/remote-address.ts'
import { WebExchange } from '../exchange/web.ts'

const BODY_GONE =
  'The request body was read before the gateway saw it, and not through Hono. Middleware in front of the gateway can read it with c.req.json(), c.req.text() or c.req.arrayBuffer(), or from c.req.raw.clone().'

/** Both ends of a request in a Hono app. The body is taken from Hono if middleware has read it. */
export function exchangeOf(c: Context): WebExchange {
  return new WebExchange(c.req.raw, {
    path: pathBelowMount(c),
    remoteAddress: clientAddress(c),
    bodyReadBefore: () => bodyReadBefore(c),
  })
}

/**
 * The same on Node's own streams, if the app's server is Node's: the answer goes to its response, past Hono. Undefined without such a
 * server. The body is read from Node only if nobody has touched it.
 */
export function nodeExchangeOf(c: Context): NodeExchange | undefined {
  const { incoming, outgoing } = bindingsOf(c)
  if (!incoming || !outgoing) return undefined
  const exchange = exchangeOf(c)
  const readBody = isUntouched(c, incoming) ? undefined : exchange.body.bind(exchange)
  return new NodeExchange(incoming, outgoing, { path: exchange.path, readBody })
}

/** True if the path came in another spelling, which web requests clean up: `/v1/x/../responses`. */
export function isRespelled(c: Context): boolean {
  const [written] = bindingsOf(c).incoming?.url?.split('?') ?? []
  return written !== undefined && !written.endsWith(pathBelowMount(c))
}

/** True if Node's request still has its whole body, and if that is the body which Hono would read. */
function isUntouched({ req: { raw, bodyCache } }: Context, incoming: IncomingMessage): boolean {
  const inside = valuesInside(raw)
  const isOwn = inside.includes(incoming) && !inside.some((value) => value instanceof Request)
  const isUnread = !incoming.readableDidRead && incoming.listenerCount('data') === 0 && !raw.bodyUsed
  return isOwn && isUnread && Object.keys(bodyCache).length === 0
}

/** The path as the gateway's own routes name it, if its app is mounted below a fixed prefix. Percent-encoding stays. */
export function pathBelowMount(c: Context): string {
  const { pathname } = new URL(c.req.url)
  const prefix = matchedRoutes(c)[c.req.routeIndex]?.basePath ?? '/'
  return prefix !== '/' && pathname.startsWith(`${prefix}/`) ? pathname.slice(prefix.length) : pathname
}

/** The routes that match the request, in their order, from all apps that are joined by `app.route`. */
export function matchedRoutes(c: Context): Context['req']['matchedRoutes'] {
  return c.req.matchedRoutes ?? []
}

/** The address of the client at the socket; undefined in memory, and if nothing that was handed on to the app leads to a socket. */
function clientAddress(c: Context): string | undefined {
  // `serve({ fetch: (request) => app.fetch(request) })` hands on no bindings, but a Request of @hono/node-server.
  const incoming = bindingsOf(c).incoming ?? valuesInside(c.req.raw).find((value) => value instanceof IncomingMessage)
  return incoming?.socket && remoteAddressOf(incoming.socket)
}

function bindingsOf({ env }: Context): Partial<HttpBindings> {
  const bindings: (Partial<HttpBindings> & { readonly server?: Partial<HttpBindings> }) | undefined = env
  return bindings?.server ?? bindings ?? {}
}

/** What a Request of @hono/node-server holds: Node's request, and a platform's Request once its body has been asked for. */
function valuesInside(request: object): unknown[] {
  return Object.getOwnPropertySymbols(request).map((symbol): unknown => Reflect.get(request, symbol))
}

/** The bytes that middleware has read through Hono; undefined if nobody has read any. Rejects with Problem if they are gone. */
async function bodyReadBefore({ req }: Context): Promise<Uint8Array | undefined> {
  const { raw, bodyCache } = req
  const isCached = Object.keys(bodyCache).length > 0
  if (!isCached && !raw.bodyUsed && !raw.body?.locked) return undefined
  try {
    if (isCached) return new Uint8Array(await req.arrayBuffer())
  } catch {
    // Hono has no bytes either: the body was no form, or broke off.
  }
  throw new Problem('internal', BODY_GONE, null, { retry: false })
}
