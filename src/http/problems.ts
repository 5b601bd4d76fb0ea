// Web: what the gateway's own endpoints share: who is looking, and how problems are answered.

import type { Context } from 'hono'
import { Problem } from '../core/problem.ts'
import type { Callers, Viewer } from '../keys/callers.ts'

/** Who is looking. Throws Problem where nobody known is. */
export function viewerOf(parts: { readonly callers: Callers }, c: Context): Viewer {
  const url = new URL(c.req.url)
  return parts.callers.identifyViewer({
    path: url.pathname,
    query: url.search.slice(1),
    header: (name) => c.req.header(name),
  })
}

/** Problems of these endpoints have one plain shape. Anything else that was thrown says no more than that it was. */
export function problemResponse(error: Error): Response {
  const problem = error instanceof Problem ? error : new Problem('internal', 'The gateway failed.')
  return new Response(
    JSON.stringify({ error: { code: problem.code, message: problem.message, param: problem.param } }),
    {
      status: problem.status,
      headers: { 'content-type': 'application/json' },
    },
  )
}
