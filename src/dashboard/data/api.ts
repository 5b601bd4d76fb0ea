// API: requests to the gateway's own endpoints, below whatever path the gateway is mounted at.

import type { UsdJson } from '../../core/money.ts'

/** An answer as it arrives: money is a number. */
export type Received<T> = T extends UsdJson
  ? number
  : T extends readonly (infer Item)[]
    ? readonly Received<Item>[]
    : T extends object
      ? { readonly [Name in keyof T]: Received<T[Name]> }
      : T

/** In a name of its own, or the build takes the address below for that of an asset. */
const SCRIPT_ADDRESS = import.meta.url
/** The gateway's address, with a slash at the end: assets lie at `dashboard/assets/` below it. */
export const GATEWAY = new URL('../../', SCRIPT_ADDRESS)

/** Where the pages are: `/dashboard`. */
export const PAGES = `${GATEWAY.pathname}dashboard`

export function addressOf(path: string): string {
  return new URL(path.replace(/^\//, ''), GATEWAY).href
}

/** An answer that is no success, or none at all (`status` 0). The message is the gateway's own. */
export class RequestFailed extends Error {
  readonly status: number
  readonly code: string | null
  readonly retryAfterS: number | null
  readonly durationMs: number

  constructor(
    message: string,
    facts: {
      readonly status: number
      readonly code: string | null
      readonly retryAfterS: number | null
      readonly durationMs: number
    },
  ) {
    super(message)
    this.status = facts.status
    this.code = facts.code
    this.retryAfterS = facts.retryAfterS
    this.durationMs = facts.durationMs
  }
}

interface RequestOptions {
  readonly method?: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
  /** Sent as JSON. */
  readonly body?: unknown
  readonly signal?: AbortSignal
}

/** The JSON of an answer. Rejects with RequestFailed. */
export async function request<Answer>(path: string, { method = 'GET', body, signal }: RequestOptions = {}) {
  const startedAt = performance.now()
  const failure = (message: string, status: number, code: string | null, retryAfter: string | null) =>
    new RequestFailed(message, {
      status,
      code,
      retryAfterS: retryAfter === null ? null : Number(retryAfter),
      durationMs: performance.now() - startedAt,
    })
  let response: Response
  try {
    response = await fetch(addressOf(path), {
      method,
      cache: 'no-store',
      headers: { accept: 'application/json', ...(body === undefined ? {} : { 'content-type': 'application/json' }) },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      ...(signal ? { signal } : {}),
    })
  } catch (error) {
    if (signal?.aborted) throw error
    throw failure('The gateway cannot be reached.', 0, null, null)
  }
  const answer: unknown = await response.json().catch(() => undefined)
  if (response.ok && answer !== undefined) return answer as Received<Answer>
  const { message, code } = problemOf(answer)
  throw failure(
    message ?? `The gateway answered ${response.status}.`,
    response.status,
    code,
    response.headers.get('retry-after'),
  )
}

function problemOf(answer: unknown): { readonly message: string | null; readonly code: string | null } {
  const error = isObject(answer) && isObject(answer.error) ? answer.error : {}
  return {
    message: typeof error.message === 'string' ? error.message : null,
    code: typeof error.code === 'string' ? error.code : null,
  }
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null
}
