// Web responses: made from the status and the header list that the rest of the gateway works with.

import type { HeaderList } from './dialect.ts'
import { pairsOf } from './headers.ts'

/** Statuses with which a web Response must not have a body: its constructor throws. */
const BODILESS_STATUSES: ReadonlySet<number> = new Set([204, 205, 304])

/** A web Response. The body is left out if the status allows none. @param status from 200 to 599 */
export function webResponse(status: number, headers: HeaderList, body: ReadableStream<Uint8Array>): Response {
  return new Response(BODILESS_STATUSES.has(status) ? null : body, { status, headers: pairsOf(headers) })
}
