// Gateway answers: the refusals and problems that the gateway answers itself, in the caller's dialect. They change no state.

import type { Instant, LevelView } from '../core/meter.ts'
import { Problem, type ProblemCode } from '../core/problem.ts'
import { MAX_CLIENT_WAIT_MS, type Refusal, retryAfterSeconds } from '../core/refusal.ts'
import type { Exchange } from '../exchange/exchange.ts'
import { agentOf } from '../keys/agents.ts'
import type { Provider } from '../providers/provider.ts'
import type { Dialect, ErrorContext, HeaderList } from '../wire/dialect.ts'
import { type MoneyRefusal, problemText, refusalStatus, refusalText, withoutRetryWordsInJson } from './agent-answers.ts'
import { rateHeaders } from './dispatch.ts'

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
const HTTP_TOO_MANY_REQUESTS = 429

/** A refused call, and how refusals of money are to look. */
interface RefusedAnswer {
  readonly callId: string
  readonly refusal: Refusal
  /** The levels of the limits that refused. */
  readonly levels: readonly LevelView[]
  readonly setting: MoneyRefusal
}

/** Answers with the refusal, the limits that refused, and the wait if it is short. */
export function sendRefusal(exchange: Exchange, dialect: Dialect, refused: RefusedAnswer, now: Instant): void {
  const { callId, refusal, levels, setting } = refused
  const { waitMs, limits } = refusal
  const agent = agentOf(exchange)
  const status = refusalStatus(refusal, agent, setting, dialect.refusalStatus400)
  const headers = rateHeaders(dialect, callId, levels, 'gateway', now)
  headers.push('content-type', 'application/json', dialect.requestIdHeader, callId)
  headers.push('x-bursar-limited-by', limits.join(', '))
  addWait(headers, waitMs)
  const shaped = { ...refusal, message: refusalText(refusal, agent) }
  const body = dialect.refusalBody(shaped, { callId, nowMs: now.wallMs }, status)
  send(exchange, status, headers, isRepeated(status) ? body : withoutRetryWordsInJson(body, agent))
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
  send(exchange, problem.status, headers, problemBody(exchange, dialect, context, problem))
}

function problemBody(exchange: Exchange, dialect: Dialect, context: ErrorContext, problem: Problem): string {
  const { status, code, param, advice } = problem
  const agent = agentOf(exchange)
  if (agent === undefined || isRepeated(status)) return dialect.problemBody(problem, context)
  const { text, wholeText } = problemText(problem, agent)
  const body = dialect.problemBody(new Problem(code, text, param, advice), { ...context, wholeText })
  return withoutRetryWordsInJson(body, agent)
}

/** Whether clients repeat a request because of the status alone. */
function isRepeated(status: number): boolean {
  return status === HTTP_TOO_MANY_REQUESTS || status >= 500
}

/** Adds what a client should do about a problem. */
function addAdvice(headers: HeaderList, { code, advice }: Problem): void {
  headers.push(...(advice.headers ?? NO_HEADERS))
  // A missing provider key stays missing while a client waits.
  if (advice.retry === false || code === 'provider_not_configured') addWait(headers, null)
  else if (advice.retryAfterMs !== undefined) addWait(headers, Math.ceil(advice.retryAfterMs))
  // No `connection: close` after a body that is too large: its rest is read and dropped, or the answer would be lost.
  if (code === 'shutting_down') headers.push('connection', 'close')
}

/**
 * A short wait, exact, or the advice not to try again. A longer wait is in the body alone: clients would sleep through it, some of
 * them in silence and whatever `x-should-retry` says.
 * @param waitMs null if waiting does not help
 */
function addWait(headers: HeaderList, waitMs: number | null): void {
  if (waitMs === null || waitMs > MAX_CLIENT_WAIT_MS) headers.push('x-should-retry', 'false')
  else headers.push(...retryAfterHeaders(waitMs))
}

/** The headers in which SDKs look for a wait. */
export function retryAfterHeaders(waitMs: number): readonly string[] {
  return ['retry-after', String(retryAfterSeconds(waitMs)), 'retry-after-ms', String(Math.ceil(waitMs))]
}

function send(exchange: Exchange, status: number, headers: HeaderList, text: string): void {
  const body = Buffer.from(text)
  headers.push('content-length', String(body.length))
  exchange.writeHead(status, headers)
  exchange.end(body)
}
