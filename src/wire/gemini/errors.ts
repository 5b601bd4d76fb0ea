// How Gemini's dialects refuse: error bodies that Google's SDKs turn into typed errors. There are no rate-limit headers.

import type { Problem } from '../../core/problem.ts'
import type { Refusal } from '../../core/refusal.ts'
import type { Dialect, ErrorContext, RefusalStatus } from '../dialect.ts'
import { problemDetails, refusalDetails } from '../limit-headers.ts'

/** google.rpc names by status. There is none for 413 and 415: they are invalid arguments. */
const STATUS_NAMES: Readonly<Record<number, string>> = {
  400: 'INVALID_ARGUMENT',
  401: 'UNAUTHENTICATED',
  403: 'PERMISSION_DENIED',
  404: 'NOT_FOUND',
  405: 'UNIMPLEMENTED',
  408: 'DEADLINE_EXCEEDED',
  413: 'INVALID_ARGUMENT',
  415: 'INVALID_ARGUMENT',
  500: 'INTERNAL',
  502: 'UNAVAILABLE',
  503: 'UNAVAILABLE',
  504: 'DEADLINE_EXCEEDED',
}

const ERROR_INFO_TYPE = 'type.googleapis.com/google.rpc.ErrorInfo'
const RETRY_INFO_TYPE = 'type.googleapis.com/google.rpc.RetryInfo'
const BAD_REQUEST_TYPE = 'type.googleapis.com/google.rpc.BadRequest'

/** What clients of Google are told if waiting does not help: Gemini CLI stops at a delay over five minutes, and retries without one. */
const FINAL_DELAY_MS = 86_400_000

function problemBody(problem: Problem, context: ErrorContext): string {
  const details = problemDetails(problem, context)
  return JSON.stringify({
    error: {
      code: problem.status,
      message: problem.message,
      status: STATUS_NAMES[problem.status] ?? 'UNKNOWN',
      details: [
        {
          '@type': ERROR_INFO_TYPE,
          reason: problem.code,
          domain: 'bursar',
          metadata: { call_id: context.callId, ...details },
        },
        ...(details?.retry_after_ms === undefined ? [] : [retryInfo(details.retry_after_ms)]),
        ...fieldViolations(problem),
      ],
    },
  })
}

/** The field at fault, where Google's own errors name it. */
function fieldViolations({ param, message }: Problem): readonly object[] {
  if (param === null) return []
  return [{ '@type': BAD_REQUEST_TYPE, fieldViolations: [{ field: param, description: message }] }]
}

function retryInfo(delayMs: number) {
  return { '@type': RETRY_INFO_TYPE, retryDelay: `${(delayMs / 1000).toFixed(3)}s` }
}

function refusalBody(refusal: Refusal, context: ErrorContext, status: RefusalStatus = 429): string {
  const { meter } = refusal
  return JSON.stringify({
    error: {
      code: status,
      message: refusal.message,
      status: status === 429 ? 'RESOURCE_EXHAUSTED' : 'FAILED_PRECONDITION',
      details: [
        {
          '@type': 'type.googleapis.com/google.rpc.QuotaFailure',
          violations: [{ quotaMetric: `bursar/${meter.what}`, quotaId: meter.name, quotaValue: `${refusal.capacity}` }],
        },
        retryInfo(refusal.waitMs ?? FINAL_DELAY_MS),
        {
          '@type': ERROR_INFO_TYPE,
          reason: 'LIMIT_EXCEEDED',
          domain: 'bursar',
          metadata: { call_id: context.callId, ...refusalDetails(refusal, context.nowMs) },
        },
      ],
    },
  })
}

function streamError(problem: Problem, context: ErrorContext, contentType: string): string {
  return contentType.includes('event-stream')
    ? `data: ${problemBody(problem, context)}\r\n\r\n`
    : `,\r\n${problemBody(problem, context)}\n]`
}

/** What all of Gemini's dialects have in common. */
export const GEMINI_REFUSALS = {
  breaksAfterError: true,
  requestIdHeader: 'x-request-id',
  refusalStatus400: 400,
  refusalBody,
  problemBody,
  streamError,
  addRateHeaders: () => {},
} as const satisfies Partial<Dialect>
