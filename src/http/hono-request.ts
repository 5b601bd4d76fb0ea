// Hono request: what the gateway reads of a request in a Hono app. It works with any copy of Hono, since the app may have a copy of its
// own: it uses what hangs on the context, and no symbols or classes of ours.

import { IncomingMessage } from 'node:http'
import type { HttpBindings } from '@hono/node-server'
import type { Context } from 'hono'
import { Problem } from '../core/problem.ts'
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

/** True if the path came in another spelling, which web requests clean up: `/v1/x/../responses`. */
export function isRespelled(c: Context): boolean {
  const incoming = incomingOf(c.req.raw)
  const [written] = incoming?.url?.split('?') ?? []
  return written !== undefined && !written.endsWith(pathBelowMount(c))
}

/**
 * The path as the gateway's own routes name it, if its app is mounted below a prefix, which may have parameters: `/:tenant`.
 * Percent-encoding stays.
 */
export function pathBelowMount(c: Context): string {
  const { pathname } = new URL(c.req.url)
  const prefix = matchedRoutes(c)[c.req.routeIndex]?.basePath ?? '/'
  if (prefix === '/') return pathname
  const expected = prefix.split('/')
  const segments = pathname.split('/')
  const isBelow = expected.every((segment, index) => isParameter(segment) || segment === segments[index])
  return isBelow && segments.length > expected.length ? `/${segments.slice(expected.length).join('/')}` : pathname
}

/** True for a part of a prefix that stands for one segment of a path, whatever that is. */
function isParameter(segment: string): boolean {
  return segment.startsWith(':') && !segment.endsWith('?')
}

/** The routes that match the request, in their order, from all apps that are joined by `app.route`. */
export function matchedRoutes(c: Context): Context['req']['matchedRoutes'] {
  return c.req.matchedRoutes ?? []
}

/** The address of the client at the socket; undefined in memory, and if nothing that was handed on to the app leads to a socket. */
function clientAddress(c: Context): string | undefined {
  // `serve({ fetch: (request) => app.fetch(request) })` hands on no bindings, but a Request of @hono/node-server.
  const incoming = bindingsOf(c).incoming ?? incomingOf(c.req.raw)
  return incoming?.socket && remoteAddressOf(incoming.socket)
}

function bindingsOf({ env }: Context): Partial<HttpBindings> {
  const bindings: (Partial<HttpBindings> & { readonly server?: Partial<HttpBindings> }) | undefined = env
  return bindings?.server ?? bindings ?? {}
}

/** Node's request behind a Request of @hono/node-server; undefined for any other Request. */
function incomingOf(request: object): IncomingMessage | undefined {
  return valuesInside(request).find((value) => value instanceof IncomingMessage)
}

/** What a Request of @hono/node-server holds: Node's request, and a platform's Request once its body has been asked for. */
function valuesInside(request: object): unknown[] {
  return Object.getOwnPropertySymbols(request).map((symbol): unknown => Reflect.get(request, symbol))
}

/** The bytes that middleware has read through Hono; undefined if nobody has read any. Rejects with Problem if they are gone. */
async function bodyReadBefore({ req }: Context): Promise<Uint8Array | undefined> {
  const { raw, bodyCache } = req
  const isCached = Object.keys(bodyCache).length > 0
  if (!isCached && !raw.bodyUsed && !isReadFromNode(raw) && !raw.body?.locked) return undefined
  try {
    if (isCached) return new Uint8Array(await req.arrayBuffer())
  } catch {
    // Hono has no bytes either: the body was no form, or broke off.
  }
  throw new Problem('internal', BODY_GONE, null, { retry: false })
}

/** True if others read Node's request itself, as middleware that is not Hono's does. Hono's Request shows nothing of that. */
function isReadFromNode(raw: Request): boolean {
  const incoming = incomingOf(raw)
  // Once there is a platform's Request inside, it reads Node's request.
  if (incoming === undefined || valuesInside(raw).some((value) => value instanceof Request)) return false
  return incoming.readableDidRead || incoming.listenerCount('data') > 0
}
