// How OpenAI's dialects refuse: error bodies and rate-limit headers that their SDKs turn into typed errors.

import type { LevelView } from '../../core/meter.ts'
import type { Problem } from '../../core/problem.ts'
import { isAboutMoney, type Refusal } from '../../core/refusal.ts'
import type { Dialect, ErrorContext, HeaderList, RefusalStatus } from '../dialect.ts'
import { formatGoDuration, problemDetails, refusalDetails, tightestLevel } from '../limit-headers.ts'

function openaiRefusalBody(refusal: Refusal, context: ErrorContext, status: RefusalStatus = 429): string {
  // Waiting for other calls is not about money, even if the limit counts money: SDKs give up on insufficient_quota.
  const money = isAboutMoney(refusal) || status !== 429
  return JSON.stringify({
    error: {
      message: refusal.message,
      type: money ? 'insufficient_quota' : refusal.meter.what === 'tokens' ? 'tokens' : 'requests',
      param: null,
      code: money ? 'insufficient_quota' : 'rate_limit_exceeded',
      details: refusalDetails(refusal, context.nowMs),
      call_id: context.callId || undefined,
    },
  })
}

export function openaiProblemBody(problem: Problem, context: ErrorContext): string {
  return JSON.stringify({
    error: {
      message: problem.message,
      type: problem.status >= 500 ? 'server_error' : 'invalid_request_error',
      param: problem.param,
      code: problem.code === 'unauthenticated' ? 'invalid_api_key' : problem.code,
      details: problemDetails(problem, context),
      call_id: context.callId || undefined,
    },
  })
}

function addOpenaiRateHeaders(levels: readonly LevelView[], _wallMs: number, headers: HeaderList): void {
  const requests = tightestLevel(levels, 'requests')
  const tokens = tightestLevel(levels, 'tokens')
  if (requests) {
    headers.push('x-ratelimit-limit-requests', `${requests.capacity}`)
    headers.push('x-ratelimit-remaining-requests', `${requests.free}`)
    headers.push('x-ratelimit-reset-requests', formatGoDuration(requests.resetMs))
  }
  if (tokens) {
    headers.push('x-ratelimit-limit-tokens', `${tokens.capacity}`)
    headers.push('x-ratelimit-remaining-tokens', `${tokens.free}`)
    headers.push('x-ratelimit-reset-tokens', formatGoDuration(tokens.resetMs))
  }
}

/** What all of OpenAI's dialects have in common. */
export const OPENAI_REFUSALS = {
  breaksAfterError: false,
  requestIdHeader: 'x-request-id',
  refusalStatus400: 400,
  refusalBody: openaiRefusalBody,
  problemBody: openaiProblemBody,
  addRateHeaders: addOpenaiRateHeaders,
} as const satisfies Partial<Dialect>
