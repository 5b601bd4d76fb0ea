// Upstream limits: what a provider says of its own rate limits, in headers and in the body of a refusal, in one shape.

import { recordOf } from '../core/json-values.ts'
import type { UpstreamLimit, UpstreamLimits } from '../core/ledger-entry.ts'
import type { HeaderList } from './dialect.ts'

type Figure = 'limit' | 'remaining' | 'reset'

/** What the value of a header is. */
interface Place {
  /** What is limited: `requests`, `tokens`, `input-tokens`, `tokens-month`, or `unspecified`. */
  readonly name: string
  /** `used` is a share from 0 to 1; `list` is the IETF's; `wait` is in seconds, `waitMs` is not. */
  readonly figure: Figure | 'used' | 'list' | 'wait' | 'waitMs'
}

type Found = { -readonly [Key in keyof UpstreamLimit]: UpstreamLimit[Key] }

/** A provider may send any names, and any number of them. */
const MOST_PLACES = 1_000
const MOST_LIMITS = 16
const MOST_BODY_BYTES = 16_384
const LONGEST_NAME = 100
const LONGEST_VALUE = 64
/** What names a moment, and is no number of seconds or milliseconds to wait. */
const FIRST_EPOCH_S = 1_000_000_000
const FIRST_EPOCH_MS = 1_000_000_000_000
/** Ten years. A longer wait is a mistake. */
const LONGEST_WAIT_MS = 315_360_000_000
const UNSPECIFIED = 'unspecified'
const NO_OTHERS: readonly UpstreamLimit[] = []

/**
 * What the headers of an answer say. Null when they say nothing.
 * @param wallMs now, epoch milliseconds: some providers name the moment of a reset
 */
export function upstreamLimits(status: number, headers: HeaderList, wallMs: number): UpstreamLimits | null {
  const found: Found[] = []
  return shapeOf(found, readHeaders(found, status, headers, wallMs))
}

/** What a refusal (429) says in its headers and in its body, plain, of which the first 16 kB are read. */
export function refusedLimits(headers: HeaderList, body: Buffer, wallMs: number): UpstreamLimits | null {
  const found: Found[] = []
  const text = body.toString('utf8', 0, MOST_BODY_BYTES)
  const told = [
    readHeaders(found, 429, headers, wallMs),
    // OpenRouter puts headers into the body.
    readHeaders(found, 429, headersWithin(text), wallMs),
    waitWithin(text),
  ].filter((ms) => ms !== null)
  for (const violation of violationsIn(text)) Object.assign(limitNamed(found, violation.name) ?? {}, violation)
  const unspecified = found.find(({ name, remaining }) => name === UNSPECIFIED && remaining === 0)
  return shapeOf(found, told.length > 0 ? Math.max(...told) : (unspecified?.resetMs ?? null))
}

/** How much of a limit is left, from 0 to 1; undefined where the provider did not say. */
export function shareLeft(limit: number | null, remaining: number | null): number | undefined {
  return limit === null || remaining === null || limit <= 0 ? undefined : remaining / limit
}

/** Collects limits, and answers the longest wait asked for. A wait on an answer that is no error is none. */
function readHeaders(found: Found[], status: number, headers: HeaderList, wallMs: number): number | null {
  let waitMs: number | null = null
  for (let at = 0; at + 1 < headers.length; at += 2) {
    const place = placeOf(headers[at] ?? '')
    if (!place) continue
    const value = headers[at + 1] ?? ''
    if (value.length === 0 || (value.length > LONGEST_VALUE && place.figure !== 'list')) continue
    if (place.figure === 'wait' || place.figure === 'waitMs') {
      const ms = status < 400 ? null : place.figure === 'waitMs' ? numberIn(value) : untilMs(value, wallMs)
      if (ms !== null && ms <= LONGEST_WAIT_MS) waitMs = Math.max(waitMs ?? 0, Math.ceil(ms))
    } else if (place.figure === 'list') readList(found, value)
    else readFigure(found, place.name, place.figure, value, wallMs)
  }
  return waitMs
}

function readFigure(found: Found[], name: string, figure: Figure | 'used', value: string, wallMs: number): void {
  const number = figure === 'reset' ? untilMs(value, wallMs) : numberIn(value)
  const limit = number === null ? undefined : limitNamed(found, name)
  if (number === null || !limit) return
  if (figure === 'limit') limit.limit = Math.floor(number)
  else if (figure === 'remaining') limit.remaining = Math.floor(number)
  else if (figure === 'reset') limit.resetMs = Math.round(number)
  else {
    limit.limit = 100
    limit.remaining = 100 - Math.min(100, Math.round(number * 100))
  }
}

/** The limit of that name, made where there is none yet; undefined where there are too many. */
function limitNamed(found: Found[], name: string): Found | undefined {
  for (const one of found) if (one.name === name) return one
  if (found.length >= MOST_LIMITS) return undefined
  const made = { name, limit: null, remaining: null, resetMs: null }
  found.push(made)
  return made
}

/**
 * Requests and tokens come first. A provider that has several spans of one, and none plainly named, is taken by the one
 * with the least left; a limit on nothing in particular is one on requests.
 */
function shapeOf(found: readonly Found[], retryAfterMs: number | null): UpstreamLimits | null {
  if (found.length === 0 && retryAfterMs === null) return null
  const requests = mainOf(found, 'requests') ?? mainOf(found, UNSPECIFIED)
  const tokens = mainOf(found, 'tokens')
  const mains = (requests ? 1 : 0) + (tokens ? 1 : 0)
  return {
    limitRequests: requests?.limit ?? null,
    remainingRequests: requests?.remaining ?? null,
    resetRequestsMs: requests?.resetMs ?? null,
    limitTokens: tokens?.limit ?? null,
    remainingTokens: tokens?.remaining ?? null,
    resetTokensMs: tokens?.resetMs ?? null,
    retryAfterMs,
    others: found.length === mains ? NO_OTHERS : found.filter((one) => one !== requests && one !== tokens),
  }
}

function mainOf(found: readonly Found[], name: string): Found | undefined {
  let tightest: Found | undefined
  for (const one of found) {
    if (one.name === name) return one
    if (!one.name.startsWith(name) || one.name[name.length] !== '-') continue
    if (!tightest || (shareLeft(one.limit, one.remaining) ?? 1) < (shareLeft(tightest.limit, tightest.remaining) ?? 1))
      tightest = one
  }
  return tightest
}

/** Names seen before and what their values are. */
const places = new Map<string, Place | undefined>()

const LOWER_A = 0x61
const LOWER_R = 0x72
const LOWER_X = 0x78
const LOWER_Z = 0x7a
const MICRO = 0xb5

function placeOf(name: string): Place | undefined {
  const first = name.charCodeAt(0)
  if ((first !== LOWER_X && first !== LOWER_A && first !== LOWER_R) || name.length > LONGEST_NAME) return undefined
  const known = places.get(name)
  if (known || places.has(name)) return known
  const place = newPlace(name)
  if (places.size < MOST_PLACES) places.set(name, place)
  return place
}

const WHOLE_NAMES: Readonly<Record<string, Place>> = {
  'retry-after': { name: '', figure: 'wait' },
  'retry-after-ms': { name: '', figure: 'waitMs' },
  ratelimit: { name: '', figure: 'list' },
  'ratelimit-policy': { name: '', figure: 'list' },
  'x-ratelimit-requests': { name: 'requests', figure: 'limit' },
  'x-ratelimit-tokens': { name: 'tokens', figure: 'limit' },
}
/** `x-ratelimit-limit-requests` and the like, with Mistral's limit by size and that of gateways before models. */
const FIGURE_FIRST = /^(?:x-)?(ratelimit|ratelimitbysize|ai-ratelimit)-(limit|remaining|reset)(?:-([a-z0-9-]{1,40}))?$/
/** `anthropic-ratelimit-requests-limit`, `anthropic-fast-input-tokens-limit`, `anthropic-ratelimit-unified-5h-utilization`. */
const FIGURE_LAST =
  /^anthropic-(?:ratelimit-|(?=priority-|fast-))([a-z0-9-]{1,40})-(limit|remaining|reset|utilization)$/

function newPlace(name: string): Place | undefined {
  const whole = Object.hasOwn(WHOLE_NAMES, name) ? WHOLE_NAMES[name] : undefined
  if (whole) return whole
  const last = FIGURE_LAST.exec(name)
  if (last) return { name: last[1] ?? '', figure: last[2] === 'utilization' ? 'used' : (last[2] as Figure) }
  const first = FIGURE_FIRST.exec(name)
  if (!first) return undefined
  const kind = first[3]?.replace(/^req-/, 'requests-')
  const figure = first[2] as Figure
  if (first[1] === 'ratelimit') return { name: kind ?? UNSPECIFIED, figure }
  return { name: kind === undefined ? 'tokens' : `tokens-${kind}`, figure }
}

const ITEM = /"([\w .:-]{1,40})"([^",]*(?:"[^"]*"[^",]*)*)/g
const PARAMETER = /;\s*([qrt])=(\d{1,15})(?![\d.])/g

/** `"burst";q=100;w=60, "daily";q=1000` and `"burst";r=50;t=30` (draft-ietf-httpapi-ratelimit-headers-10). */
function readList(found: Found[], value: string): void {
  for (const [, name = '', parameters = ''] of value.slice(0, 1_024).matchAll(ITEM))
    for (const [, key, number] of parameters.matchAll(PARAMETER)) {
      const limit = limitNamed(found, name)
      if (!limit) return
      if (key === 'q') limit.limit = Number(number)
      else if (key === 'r') limit.remaining = Number(number)
      else limit.resetMs = Number(number) * 1_000
    }
}

const DIGIT_0 = 0x30
const DIGIT_9 = 0x39
const DOT = 0x2e

/** Where the digits and dots that start at `from` end. */
function endOfNumber(text: string, from: number): number {
  let at = from
  for (; at < text.length; at++) {
    const code = text.charCodeAt(at)
    if ((code < DIGIT_0 || code > DIGIT_9) && code !== DOT) break
  }
  return at
}

/** Null for what is no number, is below zero (`-1`: not limited) or beyond what is exact. */
function numberIn(value: string): number | null {
  if (endOfNumber(value, 0) !== value.length) return null
  const number = Number(value)
  return Number.isFinite(number) && number <= Number.MAX_SAFE_INTEGER ? number : null
}

/** A Go duration (`6m0s`, `120ms`), seconds, a moment in epoch seconds or milliseconds, or a date. */
function untilMs(value: string, wallMs: number): number | null {
  const number = numberIn(value)
  if (number !== null) {
    if (number < FIRST_EPOCH_S) return number * 1_000
    return Math.max(0, (number < FIRST_EPOCH_MS ? number * 1_000 : number) - wallMs)
  }
  const duration = durationMs(value)
  if (duration !== null) return duration
  // An RFC 3339 time, or the date of HTTP: `Sun, 22 Nov 2026 12:00:00 GMT`.
  const at = value[4] === '-' || value[3] === ',' ? Date.parse(value) : Number.NaN
  return Number.isNaN(at) ? null : Math.max(0, at - wallMs)
}

const UNIT_MS = new Map(
  Object.entries({ ns: 1e-6, us: 1e-3, µs: 1e-3, ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 }).concat(
    Object.entries({ second: 1_000, minute: 60_000, hour: 3_600_000, day: 86_400_000 }).flatMap(([name, ms]) => [
      [name, ms],
      [`${name}s`, ms],
    ]),
  ),
)

/** `1m30s`, `5.289s`, and in words `20 seconds`. Null unless all of it is one, or, of a sentence, its beginning. */
function durationMs(text: string, sentence = false): number | null {
  let ms: number | null = null
  for (let at = 0; at < text.length; ) {
    const unitAt = endOfNumber(text, at)
    let from = unitAt
    if (sentence && text[from] === ' ') from++
    let end = from
    while (isLetter(text.charCodeAt(end))) end++
    const unitMs = UNIT_MS.get(text.slice(from, end))
    const number = unitAt === at ? Number.NaN : Number(text.slice(at, unitAt))
    if (unitMs === undefined || Number.isNaN(number)) return sentence ? ms : null
    ms = (ms ?? 0) + number * unitMs
    at = end
  }
  return ms !== null && ms <= Number.MAX_SAFE_INTEGER ? ms : null
}

/** One that units are made of. */
function isLetter(code: number): boolean {
  return (code >= LOWER_A && code <= LOWER_Z) || code === MICRO
}

const WAIT = /(?:try again|retry) (?:in|after) (?=\d)/gi
/** Also inside of another provider's error, quoted within a string. */
const RETRY_DELAY = /"retryDelay\\*"\s*:\s*\\*"(\d{1,12}(?:\.\d{1,9})?s)/g
const HEADER =
  /"(x-ratelimit-[a-z-]{5,60}|retry[-_]after(?:[-_](?:ms|seconds))?)\\*"\s*:\s*\\*"?(\d{1,16}(?:\.\d{1,9})?)/gi
const MOST_HEADERS = 32

/** The longest wait the words of an error name: `Please try again in 5.289s`, `"retryDelay": "36s"`. */
function waitWithin(text: string): number | null {
  let waitMs: number | null = null
  const tell = (ms: number | null) => {
    if (ms !== null && ms <= LONGEST_WAIT_MS) waitMs = Math.max(waitMs ?? 0, Math.ceil(ms))
  }
  for (const { index, 0: words } of text.matchAll(WAIT))
    tell(durationMs(text.slice(index + words.length, index + words.length + LONGEST_VALUE), true))
  for (const [, delay = ''] of text.matchAll(RETRY_DELAY)) tell(durationMs(delay))
  return waitMs
}

/** Headers that an error quotes, as lower-case names and values. */
function headersWithin(text: string): HeaderList {
  const headers: HeaderList = []
  for (const [, name = '', value = ''] of text.matchAll(HEADER)) {
    const spelled = name.toLowerCase().replaceAll('_', '-')
    headers.push(spelled === 'retry-after-seconds' ? 'retry-after' : spelled, value)
    if (headers.length >= MOST_HEADERS) break
  }
  return headers
}

/** `GenerateContentInputTokensPerModelPerMinute-FreeTier` */
const QUOTA_ID = /(Input|Output)?(Tokens|Requests)Per[A-Za-z]*(Minute|Day)/

/** The quotas that Gemini's QuotaFailure names: used up, or it would not name them. */
function violationsIn(text: string): UpstreamLimit[] {
  if (!text.includes('QuotaFailure')) return []
  const details = listIn(recordOf(recordOf(parsed(text)).error).details)
  const violations = details.flatMap((detail) => listIn(recordOf(detail).violations))
  return violations.slice(0, MOST_LIMITS).flatMap((violation) => {
    const { quotaId: id, quotaValue: value } = recordOf(violation)
    const match = typeof id === 'string' ? QUOTA_ID.exec(id.slice(0, 256)) : null
    if (!match) return []
    const [, side, thing = '', span = ''] = match
    const name = [side, thing, span].filter((part) => part !== undefined).join('-')
    const limit = typeof value === 'string' && value !== '' ? numberIn(value) : null
    return [{ name: name.toLowerCase(), limit, remaining: 0, resetMs: null }]
  })
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

function listIn(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value.slice(0, MOST_LIMITS) : []
}
