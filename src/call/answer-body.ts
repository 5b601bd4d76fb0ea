// Answer body: what the first bytes of an answer say it is. Content types do not count: some servers give wrong ones.

import { Problem } from '../core/problem.ts'
import { misdirection, type Telemetry } from '../telemetry/call-events.ts'
import type { HeaderList } from '../wire/dialect.ts'
import { findHeader } from '../wire/headers.ts'
import type { FailedAttempt } from './attempts.ts'
import type { Dispatch } from './dispatch.ts'

const OPEN_BRACE = 0x7b
const OPEN_BRACKET = 0x5b
/** How much of a body is searched for its beginning. */
const MAX_BEGINNING_BYTES = 1_024

/** An answer whose head has come. */
interface AnswerHead {
  readonly dispatch: Pick<Dispatch, 'provider' | 'outgoing'>
  readonly status: number | null
  readonly headers: HeaderList
}

/** An attempt at an address that is no API's: nobody bills it. Undefined if an API answered. The listeners are notified. */
export function misdirectedAttempt(
  { telemetry }: { readonly telemetry: Telemetry },
  head: AnswerHead,
  body: Buffer | undefined,
): FailedAttempt | undefined {
  const what = misdirectionIn(head, body)
  if (what === undefined) return undefined
  const { name, addressSetting } = head.dispatch.provider
  const message = `The provider ${name} answered with ${what}, so its address is not that of its API. Check ${addressSetting}.`
  const problem = new Problem('upstream_failed', message)
  telemetry.notify(misdirection(problem, name))
  const failure = { status: null, isFree: true, isLasting: true, retryAfterMs: null } as const
  return { ...failure, error: 'wrong address', answer: undefined, problem }
}

/**
 * What came in place of an answer if the address is not that of an API; undefined if an API answered. A deletion may be answered
 * without a body.
 * @param body without its encoding; undefined if it cannot be decoded
 */
function misdirectionIn({ dispatch, status, headers }: AnswerHead, body: Buffer | undefined): string | undefined {
  const { provider, outgoing } = dispatch
  if (provider.addressSetting === '' || status === null || status >= 400) return undefined
  if (status >= 300) {
    const location = findHeader(headers, 'location') ?? ''
    const target = URL.canParse(location) ? new URL(location) : undefined
    return `a redirect (${status})${target ? ` to ${target.origin}${target.pathname}` : ''}`
  }
  if (!body) return undefined
  if (body.length === 0) return outgoing.method === 'DELETE' ? undefined : `no content (${status})`
  return isPage(body) ? `a web page (${status})` : undefined
}

/** True for HTML and XML. */
export function isPage(body: Buffer): boolean {
  return !beginsJson(body) && /^(?:\xef\xbb\xbf)?\s*</.test(beginningOf(body))
}

/** True for plain text, which is no answer of any API: an answer begins as an object, an array or an event. */
export function isProse(body: Buffer): boolean {
  return body.length > 0 && !beginsJson(body) && /^(?:\xef\xbb\xbf)?\s*[a-z]+\s+\S/i.test(beginningOf(body))
}

/** True for a stream of events, which begins with a field or a comment. */
export function beginsEvents(body: Buffer): boolean {
  return !beginsJson(body) && /^(?:\xef\xbb\xbf)?\s*(?:data|event|id|retry)?:/.test(beginningOf(body))
}

/** True for nearly all answers, and told by one byte. */
export function beginsJson(body: Buffer): boolean {
  return body[0] === OPEN_BRACE || body[0] === OPEN_BRACKET
}

function beginningOf(body: Buffer): string {
  return body.toString('latin1', 0, MAX_BEGINNING_BYTES)
}
