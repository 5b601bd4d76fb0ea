// Problems: the one way in which endpoints answer an error, in our own plain shape or in a dialect's.

import { z } from 'zod'
import { Problem } from '../core/problem.ts'
import { StoreUnavailable } from '../stores/store.ts'
import { SumsNotReady } from '../stores/usage-query.ts'
import type { Dialect } from '../wire/dialect.ts'

/** The body of every error of our own endpoints. `param` is the field or the query parameter at fault. */
export const problemSchema = z.strictObject({
  error: z.strictObject({ code: z.string(), message: z.string(), param: z.string().nullable() }),
})

const SUMS_RETRY_AFTER_SECONDS = '5'

/**
 * The answer to an error. An error that is no Problem is a bug, and the client gets no details of it.
 * @param dialect writes the body; without it, the body has the shape of `problemSchema`
 */
export function problemResponse(error: unknown, dialect?: Dialect): Response {
  const problem = problemOf(error)
  const { status } = problem
  const body = dialect ? dialect.problemBody(problem, { callId: '', nowMs: 0 }) : JSON.stringify(problemJson(problem))
  const headers = new Headers({ 'content-type': 'application/json' })
  const more = problem.advice.headers ?? []
  for (let index = 0; index + 1 < more.length; index += 2) headers.set(more[index] ?? '', more[index + 1] ?? '')
  return new Response(body, { status, headers })
}

function problemOf(error: unknown): Problem {
  if (error instanceof Problem) return error
  if (error instanceof StoreUnavailable)
    return new Problem('ledger_unavailable', 'The ledger cannot be read or written now.')
  if (error instanceof SumsNotReady)
    return new Problem('sums_not_ready', error.message, null, { headers: ['retry-after', SUMS_RETRY_AFTER_SECONDS] })
  return new Problem('internal', 'The gateway failed.')
}

function problemJson({ code, message, param }: Problem): z.output<typeof problemSchema> {
  return { error: { code, message, param } }
}
