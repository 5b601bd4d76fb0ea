// Gated requests: finds the call that `gate()` has admitted for a request, if the request arrives at the same gateway once more: at a
// second `gate()`, or at the gateway's own endpoint behind the first. Such a request is charged once.

import { AsyncLocalStorage } from 'node:async_hooks'
import type { Context } from 'hono'
import type { Gate, HandlerCall } from '../call/gate.ts'

/** A request that `gate()` has admitted and passed on. */
export interface GatedRequest {
  readonly gate: Gate
  readonly context: Context
  readonly call: HandlerCall
  /** The body that was passed on. */
  readonly body: Buffer
  /** The answer of the call, once it begins. */
  readonly response: Promise<Response>
  /** True once the gateway's own targets answer in place of a handler. */
  isLeftToTargets: boolean
}

/** The innermost first: a handler behind one gateway may call another. */
const runningRequests = new AsyncLocalStorage<readonly GatedRequest[]>()

/** Runs the handler of a request. What arrives while it runs is compared with this request. */
export function runGated<Result>(request: GatedRequest, run: () => Result): Result {
  return runningRequests.run([request, ...(runningRequests.getStore() ?? [])], run)
}

/** True if this gateway has admitted the request before, in this context or, with the same body, in another one. */
export async function isGated(gate: Gate, c: Context): Promise<boolean> {
  const gated = gatedBy(gate)
  return gated !== undefined && (gated.context === c || (await bodyOf(c))?.equals(gated.body) === true)
}

/**
 * Answers a request that this gateway has admitted before and that no handler has answered: its targets answer, within the reservation.
 * Undefined for any other request, such as a further call that a handler makes.
 */
export async function answerGated(gate: Gate, c: Context): Promise<Response | undefined> {
  const gated = gatedBy(gate)
  if (!gated || gated.isLeftToTargets) return undefined
  // Middleware between may have read the body past Hono. In the same context, the body is the one that was passed on.
  const body = (await bodyOf(c)) ?? (gated.context === c ? gated.body : undefined)
  if (!body || gated.isLeftToTargets) return undefined
  const isSame = body.equals(gated.body)
  if (!isSame && gated.context !== c) return undefined
  gated.isLeftToTargets = gated.call.answerByTargets(isSame ? undefined : body)
  return gated.isLeftToTargets ? gated.response : undefined
}

function gatedBy(gate: Gate): GatedRequest | undefined {
  return runningRequests.getStore()?.find((request) => request.gate === gate)
}

/** The body as Hono has it, which keeps it for whoever reads it next; undefined if it is gone. */
async function bodyOf(c: Context): Promise<Buffer | undefined> {
  try {
    return Buffer.from(await c.req.arrayBuffer())
  } catch {
    return undefined
  }
}
