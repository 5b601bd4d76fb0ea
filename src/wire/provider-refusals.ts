// Provider refusals: what the body of a provider's 429 tells of its rate limits. Our own words are in core/refusal.ts.

import { recordOf } from '../core/json-values.ts'
import type { UpstreamLimit } from '../core/ledger-entry.ts'
import type { HeaderList } from './dialect.ts'
import { parseDurationMs, parseNumber } from './wait-times.ts'

/** Ten years. A longer wait is a mistake. */
export const MAX_WAIT_MS = 315_360_000_000
export const MAX_LIMITS = 16
export const MAX_VALUE_CHARACTERS = 64

const WAIT_WORDS = /(?:try again|retry) (?:in|after) (?=\d)/gi
/** Also inside another provider's error that is quoted in a string. */
const RETRY_DELAY = /"retryDelay\\*"\s*:\s*\\*"(\d{1,12}(?:\.\d{1,9})?s)/g
const QUOTED_HEADER =
  /"(x-ratelimit-[a-z-]{5,60}|retry[-_]after(?:[-_](?:ms|seconds))?)\\*"\s*:\s*\\*"?(\d{1,16}(?:\.\d{1,9})?)/gi
const MAX_QUOTED_HEADERS = 32

/** The longest wait that an error's text names: `Please try again in 5.289s`, `"retryDelay": "36s"`. Null if it names none. */
export function waitMsIn(text: string): number | null {
  let waitMs: number | null = null
  const add = (ms: number | null) => {
    if (ms !== null && ms <= MAX_WAIT_MS) waitMs = Math.max(waitMs ?? 0, Math.ceil(ms))
  }
  for (const { index, 0: words } of text.matchAll(WAIT_WORDS))
    add(parseDurationMs(text.slice(index + words.length, index + words.length + MAX_VALUE_CHARACTERS), true))
  for (const [, delay = ''] of text.matchAll(RETRY_DELAY)) add(parseDurationMs(delay))
  return waitMs
}

/** Headers that an error quotes, as lower-case names and values. */
export function headersIn(text: string): HeaderList {
  const headers: HeaderList = []
  for (const [, name = '', value = ''] of text.matchAll(QUOTED_HEADER)) {
    const spelled = name.toLowerCase().replaceAll('_', '-')
    headers.push(spelled === 'retry-after-seconds' ? 'retry-after' : spelled, value)
    if (headers.length >= MAX_QUOTED_HEADERS) break
  }
  return headers
}

/** `GenerateContentInputTokensPerModelPerMinute-FreeTier` */
const QUOTA_ID = /(Input|Output)?(Tokens|Requests)Per[A-Za-z]*(Minute|Day)/

/** The quotas that Gemini's QuotaFailure names. It names only those that are used up. */
export function violationsIn(text: string): UpstreamLimit[] {
  if (!text.includes('QuotaFailure')) return []
  const details = listIn(recordOf(recordOf(parseJson(text)).error).details)
  const violations = details.flatMap((detail) => listIn(recordOf(detail).violations))
  return violations.slice(0, MAX_LIMITS).flatMap((violation) => {
    const { quotaId: id, quotaValue: value } = recordOf(violation)
    const match = typeof id === 'string' ? QUOTA_ID.exec(id.slice(0, 256)) : null
    if (!match) return []
    const [, side, thing = '', span = ''] = match
    const name = [side, thing, span].filter((part) => part !== undefined).join('-')
    const limit = typeof value === 'string' && value !== '' ? parseNumber(value) : null
    return [{ name: name.toLowerCase(), limit, remaining: 0, resetMs: null }]
  })
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

function listIn(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value.slice(0, MAX_LIMITS) : []
}
