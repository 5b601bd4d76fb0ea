// Own routes: whether the gateway itself answers a request that meets `gate()`, so that `gate()` lets it by.

import type { Context, Hono, MiddlewareHandler } from 'hono'
import { findTargetHandler } from 'hono/utils/handler'
import type { Gate } from '../call/gate.ts'
import { matchedRoutes } from './hono-request.ts'

/** The handlers of each gateway's endpoints. They keep their identity in every app that mounts them with `app.route`. */
const gateOfEndpoint = new WeakMap<object, Gate>()
const gateOfMiddleware = new WeakMap<object, Gate>()

/** Marks the handlers of an app as the endpoints of a gateway. */
export function markEndpoints(app: Hono, gate: Gate): void {
  for (const { handler } of app.routes) gateOfEndpoint.set(findTargetHandler(handler), gate)
}

/** Marks middleware as `gate()` of a gateway. */
export function markMiddleware(middleware: MiddlewareHandler, gate: Gate): void {
  gateOfMiddleware.set(middleware, gate)
}

/**
 * True if the next to see the request is an endpoint of this gateway, whatever gates it passes before. False if any other function comes
 * first, because that may be a handler: what is middleware and what is a handler shows only once it runs.
 */
export function leadsToEndpoint(gate: Gate, c: Context): boolean {
  for (const { handler } of matchedRoutes(c).slice(c.req.routeIndex + 1)) {
    const target = findTargetHandler(handler)
    if (gateOfEndpoint.get(target) === gate) return true
    if (gateOfMiddleware.get(target) !== gate) return false
  }
  return false
}
