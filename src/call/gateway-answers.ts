// Gateway answers: the refusals and problems that the gateway answers itself, in the caller's dialect. They change no state.

import type { Instant, LevelView } from '../core/meter.ts'
import { Problem, type ProblemCode } from '../core/problem.ts'
import { type Refusal, retryAfterSeconds } from '../core/refusal.ts'
import type { Exchange } from '../exchange/exchange.ts'
import type { Provider } from '../providers/provider.ts'
import type { Dialect, ErrorContext, HeaderList } from '../wire/dialect.ts'
import { rateHeaders } from './dispatch.ts'

/** If the wait is longer, a header advises SDKs not to retry by themselves: they would sleep for too long. */
export const MAX_CLIENT_RETRY_WAIT_MS = 60_000

const FAILURES: Partial<Record<ProblemCode, string>> = {
  upstream_unreachable: 'could not be reached',
  upstream_failed: 'broke off its answer',
  upstream_timeout: 'did not finish its answer in time',
  shutting_down: 'was still answering when the gateway stopped',
}

/** The problem of a call whose provider gave no whole answer. */
export function providerFailure({ name }: Pick<Provider, 'name'>, code: ProblemCode): Problem {
  return new Problem(code, `The provider ${name} ${FAILURES[code] ?? 'failed'}.`)
}

const NO_HEADERS: readonly string[] = []

/** Answers 429 with the wait, and with the limits that refused. */
export function sendRefusal(
  exchange: Exchange,
  dialect: Dialect,
  callId: string,
  refusal: Refusal,
  levels: readonly LevelView[],
  now: Instant,
): void {
  const { waitMs, retryable, limits } = refusal
  const headers = rateHeaders(dialect, callId, levels, 'gateway', now)
  headers.push('content-type', 'application/json', dialect.requestIdHeader, callId)
  addRetryAfter(headers, waitMs)
  headers.push('x-bursar-limited-by', limits.join(', '))
  if (!retryable || waitMs > MAX_CLIENT_RETRY_WAIT_MS) headers.push('x-should-retry', 'false')
  send(exchange, 429, headers, dialect.refusalBody(refusal, { callId, nowMs: now.wallMs }))
}

/** Answers with a problem. Does nothing if an answer has begun, or the client is gone. */
export function sendProblem(
  exchange: Exchange,
  dialect: Dialect,
  context: ErrorContext,
  problem: Problem,
  moreHeaders: readonly string[] = NO_HEADERS,
): void {
  if (exchange.headersSent || exchange.clientGone) return
  const { callId } = context
  const headers: HeaderList = ['x-bursar-call-id', callId, 'x-bursar-source', 'gateway']
  headers.push(dialect.requestIdHeader, callId, 'content-type', 'application/json')
  addAdvice(headers, problem)
  headers.push(...moreHeaders)
  send(exchange, problem.status, headers, dialect.problemBody(problem, context))
}

/** Adds what a client should do about a problem. */
function addAdvice(headers: HeaderList, { code, advice }: Problem): void {
  headers.push(...(advice.headers ?? NO_HEADERS))
  if (advice.retryAfterMs !== undefined) addRetryAfter(headers, Math.ceil(advice.retryAfterMs))
  // A missing provider key stays missing while a client waits.
  if (advice.retry === false || code === 'provider_not_configured') headers.push('x-should-retry', 'false')
  // No `connection: close` after a body that is too large: its rest is read and dropped, or the answer would be lost.
  if (code === 'shutting_down') headers.push('connection', 'close')
}

function addRetryAfter(headers: HeaderList, waitMs: number): void {
  headers.push(...retryAfterHeaders(waitMs))
}

/** The headers in which SDKs look for how long to wait. */
export function retryAfterHeaders(waitMs: number): readonly string[] {
  return ['retry-after', String(retryAfterSeconds(waitMs)), 'retry-after-ms', String(waitMs)]
}

function send(exchange: Exchange, status: number, headers: HeaderList, text: string): void {
  const body = Buffer.from(text)
  headers.push('content-length', String(body.length))
  exchange.writeHead(status, headers)
  exchange.end(body)
}
