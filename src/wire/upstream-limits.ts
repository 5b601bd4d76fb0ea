// Upstream limits: what a provider says of its own rate limits, in headers and in the body of a refusal, in one shape.

import { recordOf } from '../core/json-values.ts'
import type { UpstreamLimit, UpstreamLimits } from '../core/ledger-entry.ts'
import type { HeaderList } from './dialect.ts'

type LimitFigure = 'limit' | 'remaining' | 'reset'

/** What the value of a header is. */
interface HeaderMeaning {
  /** What is limited: `requests`, `tokens`, `input-tokens`, `tokens-month`, or `unspecified`. */
  readonly name: string
  /** `used` is a share from 0 to 1; `list` is the IETF's; `wait` is in seconds, `waitMs` is not. */
  readonly figure: LimitFigure | 'used' | 'list' | 'wait' | 'waitMs'
}

type LimitDraft = { -readonly [Key in keyof UpstreamLimit]: UpstreamLimit[Key] }

/** A provider may send any names, and any number of them. */
const MAX_HEADER_MEANINGS = 1_000
const MAX_LIMITS = 16
const MAX_REFUSAL_BYTES = 16_384
const MAX_NAME_CHARACTERS = 100
const MAX_VALUE_CHARACTERS = 64
/** What names a moment, and is no number of seconds or milliseconds to wait. */
const MIN_EPOCH_S = 1_000_000_000
const MIN_EPOCH_MS = 1_000_000_000_000
/** Ten years. A longer wait is a mistake. */
const MAX_WAIT_MS = 315_360_000_000
const UNSPECIFIED = 'unspecified'
const NO_OTHER_LIMITS: readonly UpstreamLimit[] = []

/**
 * What the headers of an answer say. Null when they say nothing.
 * @param wallMs now, epoch milliseconds: some providers name the moment of a reset
 */
export function readUpstreamLimits(status: number, headers: HeaderList, wallMs: number): UpstreamLimits | null {
  const found: LimitDraft[] = []
  return upstreamLimitsOf(found, readHeaders(found, status, headers, wallMs))
}

/** What a refusal (429) says in its headers and in its body, plain, of which the first 16 kB are read. */
export function readRefusalLimits(headers: HeaderList, body: Buffer, wallMs: number): UpstreamLimits | null {
  const found: LimitDraft[] = []
  const text = body.toString('utf8', 0, MAX_REFUSAL_BYTES)
  const told = [
    readHeaders(found, 429, headers, wallMs),
    // OpenRouter puts headers into the body.
    readHeaders(found, 429, headersIn(text), wallMs),
    waitMsIn(text),
  ].filter((ms) => ms !== null)
  for (const violation of violationsIn(text)) Object.assign(findOrAddLimit(found, violation.name) ?? {}, violation)
  const unspecified = found.find(({ name, remaining }) => name === UNSPECIFIED && remaining === 0)
  return upstreamLimitsOf(found, told.length > 0 ? Math.max(...told) : (unspecified?.resetMs ?? null))
}

/** How much of a limit is left, from 0 to 1; undefined where the provider did not say. */
export function remainingFraction(limit: number | null, remaining: number | null): number | undefined {
  return limit === null || remaining === null || limit <= 0 ? undefined : remaining / limit
}

/** Collects limits, and answers the longest wait asked for. A wait on an answer that is no error is none. */
function readHeaders(found: LimitDraft[], status: number, headers: HeaderList, wallMs: number): number | null {
  let waitMs: number | null = null
  for (let at = 0; at + 1 < headers.length; at += 2) {
    const place = meaningOf(headers[at] ?? '')
    if (!place) continue
    const value = headers[at + 1] ?? ''
    if (value.length === 0 || (value.length > MAX_VALUE_CHARACTERS && place.figure !== 'list')) continue
    if (place.figure === 'wait' || place.figure === 'waitMs') {
      const ms = status < 400 ? null : place.figure === 'waitMs' ? parseNumber(value) : parseWaitMs(value, wallMs)
      if (ms !== null && ms <= MAX_WAIT_MS) waitMs = Math.max(waitMs ?? 0, Math.ceil(ms))
    } else if (place.figure === 'list') readList(found, value)
    else readFigure(found, place.name, place.figure, value, wallMs)
  }
  return waitMs
}

function readFigure(
  found: LimitDraft[],
  name: string,
  figure: LimitFigure | 'used',
  value: string,
  wallMs: number,
): void {
  const number = figure === 'reset' ? parseWaitMs(value, wallMs) : parseNumber(value)
  const limit = number === null ? undefined : findOrAddLimit(found, name)
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
function findOrAddLimit(found: LimitDraft[], name: string): LimitDraft | undefined {
  for (const one of found) if (one.name === name) return one
  if (found.length >= MAX_LIMITS) return undefined
  const made = { name, limit: null, remaining: null, resetMs: null }
  found.push(made)
  return made
}

/**
 * Requests and tokens come first. A provider that has several spans of one, and none plainly named, is taken by the one
 * with the least left; a limit on nothing in particular is one on requests.
 */
function upstreamLimitsOf(found: readonly LimitDraft[], retryAfterMs: number | null): UpstreamLimits | null {
  if (found.length === 0 && retryAfterMs === null) return null
  const requests = mainLimit(found, 'requests') ?? mainLimit(found, UNSPECIFIED)
  const tokens = mainLimit(found, 'tokens')
  const mains = (requests ? 1 : 0) + (tokens ? 1 : 0)
  return {
    limitRequests: requests?.limit ?? null,
    remainingRequests: requests?.remaining ?? null,
    resetRequestsMs: requests?.resetMs ?? null,
    limitTokens: tokens?.limit ?? null,
    remainingTokens: tokens?.remaining ?? null,
    resetTokensMs: tokens?.resetMs ?? null,
    retryAfterMs,
    others: found.length === mains ? NO_OTHER_LIMITS : found.filter((one) => one !== requests && one !== tokens),
  }
}

function mainLimit(found: readonly LimitDraft[], name: string): LimitDraft | undefined {
  let tightest: LimitDraft | undefined
  for (const one of found) {
    if (one.name === name) return one
    if (!one.name.startsWith(name) || one.name[name.length] !== '-') continue
    if (
      !tightest ||
      (remainingFraction(one.limit, one.remaining) ?? 1) < (remainingFraction(tightest.limit, tightest.remaining) ?? 1)
    )
      tightest = one
  }
  return tightest
}

/** Names seen before and what their values are. */
const headerMeanings = new Map<string, HeaderMeaning | undefined>()

const LOWER_A = 0x61
const LOWER_R = 0x72
const LOWER_X = 0x78
const LOWER_Z = 0x7a
const MICRO = 0xb5

function meaningOf(name: string): HeaderMeaning | undefined {
  const first = name.charCodeAt(0)
  if ((first !== LOWER_X && first !== LOWER_A && first !== LOWER_R) || name.length > MAX_NAME_CHARACTERS)
    return undefined
  const known = headerMeanings.get(name)
  if (known || headerMeanings.has(name)) return known
  const place = parseHeaderName(name)
  if (headerMeanings.size < MAX_HEADER_MEANINGS) headerMeanings.set(name, place)
  return place
}

const FIXED_HEADERS: Readonly<Record<string, HeaderMeaning>> = {
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

function parseHeaderName(name: string): HeaderMeaning | undefined {
  const whole = Object.hasOwn(FIXED_HEADERS, name) ? FIXED_HEADERS[name] : undefined
  if (whole) return whole
  const last = FIGURE_LAST.exec(name)
  if (last) return { name: last[1] ?? '', figure: last[2] === 'utilization' ? 'used' : (last[2] as LimitFigure) }
  const first = FIGURE_FIRST.exec(name)
  if (!first) return undefined
  const kind = first[3]?.replace(/^req-/, 'requests-')
  const figure = first[2] as LimitFigure
  if (first[1] === 'ratelimit') return { name: kind ?? UNSPECIFIED, figure }
  return { name: kind === undefined ? 'tokens' : `tokens-${kind}`, figure }
}

const ITEM = /"([\w .:-]{1,40})"([^",]*(?:"[^"]*"[^",]*)*)/g
const PARAMETER = /;\s*([qrt])=(\d{1,15})(?![\d.])/g

/** `"burst";q=100;w=60, "daily";q=1000` and `"burst";r=50;t=30` (draft-ietf-httpapi-ratelimit-headers-10). */
function readList(found: LimitDraft[], value: string): void {
  for (const [, name = '', parameters = ''] of value.slice(0, 1_024).matchAll(ITEM))
    for (const [, key, number] of parameters.matchAll(PARAMETER)) {
      const limit = findOrAddLimit(found, name)
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
function parseNumber(value: string): number | null {
  if (endOfNumber(value, 0) !== value.length) return null
  const number = Number(value)
  return Number.isFinite(number) && number <= Number.MAX_SAFE_INTEGER ? number : null
}

/** A Go duration (`6m0s`, `120ms`), seconds, a moment in epoch seconds or milliseconds, or a date. */
function parseWaitMs(value: string, wallMs: number): number | null {
  const number = parseNumber(value)
  if (number !== null) {
    if (number < MIN_EPOCH_S) return number * 1_000
    return Math.max(0, (number < MIN_EPOCH_MS ? number * 1_000 : number) - wallMs)
  }
  const duration = parseDurationMs(value)
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
function parseDurationMs(text: string, sentence = false): number | null {
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

const WAIT_WORDS = /(?:try again|retry) (?:in|after) (?=\d)/gi
/** Also inside of another provider's error, quoted within a string. */
const RETRY_DELAY = /"retryDelay\\*"\s*:\s*\\*"(\d{1,12}(?:\.\d{1,9})?s)/g
const QUOTED_HEADER =
  /"(x-ratelimit-[a-z-]{5,60}|retry[-_]after(?:[-_](?:ms|seconds))?)\\*"\s*:\s*\\*"?(\d{1,16}(?:\.\d{1,9})?)/gi
const MAX_QUOTED_HEADERS = 32

/** The longest wait the words of an error name: `Please try again in 5.289s`, `"retryDelay": "36s"`. */
function waitMsIn(text: string): number | null {
  let waitMs: number | null = null
  const tell = (ms: number | null) => {
    if (ms !== null && ms <= MAX_WAIT_MS) waitMs = Math.max(waitMs ?? 0, Math.ceil(ms))
  }
  for (const { index, 0: words } of text.matchAll(WAIT_WORDS))
    tell(parseDurationMs(text.slice(index + words.length, index + words.length + MAX_VALUE_CHARACTERS), true))
  for (const [, delay = ''] of text.matchAll(RETRY_DELAY)) tell(parseDurationMs(delay))
  return waitMs
}

/** Headers that an error quotes, as lower-case names and values. */
function headersIn(text: string): HeaderList {
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

/** The quotas that Gemini's QuotaFailure names: used up, or it would not name them. */
function violationsIn(text: string): UpstreamLimit[] {
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
