// How Anthropic's dialects refuse: error bodies and rate-limit headers that its SDKs turn into typed errors.

import type { LevelView } from '../../core/meter.ts'
import type { Problem } from '../../core/problem.ts'
import { isAboutMoney, type Refusal } from '../../core/refusal.ts'
import type { Dialect, ErrorContext, HeaderList, RefusalStatus } from '../dialect.ts'
import { formatTime, problemDetails, refusalDetails, tightestLevel } from '../limit-headers.ts'

/** Types of errors by status, as Anthropic's own API names them. */
const ERROR_TYPES: Readonly<Record<number, string>> = {
  400: 'invalid_request_error',
  401: 'authentication_error',
  403: 'permission_error',
  404: 'not_found_error',
  413: 'request_too_large',
  415: 'invalid_request_error',
  503: 'overloaded_error',
  504: 'timeout_error',
}

function problemBody(problem: Problem, context: ErrorContext): string {
  return JSON.stringify({
    type: 'error',
    error: {
      type: ERROR_TYPES[problem.status] ?? (problem.status < 500 ? 'invalid_request_error' : 'api_error'),
      message: problem.message,
      details: { code: problem.code, param: problem.param, ...problemDetails(problem, context) },
    },
    request_id: context.callId || undefined,
  })
}

function refusalBody(refusal: Refusal, context: ErrorContext, status: RefusalStatus = 429): string {
  return JSON.stringify({
    type: 'error',
    error: {
      type: status === 429 ? 'rate_limit_error' : 'billing_error',
      message: refusal.message,
      details: {
        ...(isAboutMoney(refusal) ? { error_code: 'enforced_spend_limit_reached' } : {}),
        ...refusalDetails(refusal, context.nowMs),
      },
    },
    request_id: context.callId || undefined,
  })
}

function addRateHeaders(levels: readonly LevelView[], wallMs: number, headers: HeaderList): void {
  for (const what of ['requests', 'tokens'] as const) {
    const level = tightestLevel(levels, what)
    if (!level) continue
    headers.push(`anthropic-ratelimit-${what}-limit`, `${level.capacity}`)
    headers.push(`anthropic-ratelimit-${what}-remaining`, `${level.free}`)
    headers.push(`anthropic-ratelimit-${what}-reset`, formatTime(wallMs + level.resetMs))
  }
}

/** What all of Anthropic's dialects have in common. */
export const ANTHROPIC_REFUSALS = {
  breaksAfterError: false,
  requestIdHeader: 'request-id',
  // Claude Code repeats a 400 six times, each time with less of its request.
  refusalStatus400: 402,
  refusalBody,
  problemBody,
  streamError: (problem: Problem, context: ErrorContext) => `event: error\ndata: ${problemBody(problem, context)}\n\n`,
  addRateHeaders,
} as const satisfies Partial<Dialect>
