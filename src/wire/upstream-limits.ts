// Upstream limits: what a provider reports of its own rate limits, in headers and in the body of a refusal, in one form.

import type { UpstreamLimit, UpstreamLimits } from '../core/ledger-entry.ts'
import type { HeaderList } from './dialect.ts'
import {
  headersIn,
  MAX_LIMITS,
  MAX_VALUE_CHARACTERS,
  MAX_WAIT_MS,
  violationsIn,
  waitMsIn,
} from './provider-refusals.ts'
import { parseNumber, parseWaitMs } from './wait-times.ts'

type LimitFigure = 'limit' | 'remaining' | 'reset'

/** What a header's value means. */
interface HeaderMeaning {
  /** What is limited: `requests`, `tokens`, `input-tokens`, `tokens-month`, or `unspecified`. */
  readonly name: string
  /** `used` is a share from 0 to 1; `list` is the IETF's; `wait` is in seconds, `waitMs` is not. */
  readonly figure: LimitFigure | 'used' | 'list' | 'wait' | 'waitMs'
}

type LimitDraft = { -readonly [Key in keyof UpstreamLimit]: UpstreamLimit[Key] }

/** A provider may send any number of names. */
const MAX_HEADER_MEANINGS = 1_000
const MAX_REFUSAL_BYTES = 16_384
const MAX_NAME_CHARACTERS = 100
const UNSPECIFIED = 'unspecified'
const NO_OTHER_LIMITS: readonly UpstreamLimit[] = []

/**
 * The limits that the headers of an answer report. Null if they report none.
 * @param wallMs now, epoch milliseconds: some providers name the time of a reset
 */
export function readUpstreamLimits(status: number, headers: HeaderList, wallMs: number): UpstreamLimits | null {
  const found: LimitDraft[] = []
  return upstreamLimitsOf(found, readHeaders(found, status, headers, wallMs))
}

/** The limits that a refusal (429) reports in its headers and in the first 16 kB of its body. @param body not compressed */
export function readRefusalLimits(headers: HeaderList, body: Buffer, wallMs: number): UpstreamLimits | null {
  const found: LimitDraft[] = []
  const text = body.toString('utf8', 0, MAX_REFUSAL_BYTES)
  const waitsMs = [
    readHeaders(found, 429, headers, wallMs),
    // OpenRouter puts headers into the body of an error.
    readHeaders(found, 429, headersIn(text), wallMs),
    waitMsIn(text),
  ].filter((ms) => ms !== null)
  for (const violation of violationsIn(text)) Object.assign(findOrAddLimit(found, violation.name) ?? {}, violation)
  const unspecified = found.find(({ name, remaining }) => name === UNSPECIFIED && remaining === 0)
  return upstreamLimitsOf(found, waitsMs.length > 0 ? Math.max(...waitsMs) : (unspecified?.resetMs ?? null))
}

/** How much of a limit is left, from 0 to 1; undefined if the provider did not report it. */
export function remainingFraction(limit: number | null, remaining: number | null): number | undefined {
  return limit === null || remaining === null || limit <= 0 ? undefined : remaining / limit
}

/** Collects limits, and returns the longest wait in milliseconds. Only errors can advise a wait. */
function readHeaders(found: LimitDraft[], status: number, headers: HeaderList, wallMs: number): number | null {
  let waitMs: number | null = null
  for (let index = 0; index + 1 < headers.length; index += 2) {
    const meaning = meaningOf(headers[index] ?? '')
    if (!meaning) continue
    const value = headers[index + 1] ?? ''
    if (value.length === 0 || (value.length > MAX_VALUE_CHARACTERS && meaning.figure !== 'list')) continue
    if (meaning.figure === 'wait' || meaning.figure === 'waitMs') {
      const ms = status < 400 ? null : meaning.figure === 'waitMs' ? parseNumber(value) : parseWaitMs(value, wallMs)
      if (ms !== null && ms <= MAX_WAIT_MS) waitMs = Math.max(waitMs ?? 0, Math.ceil(ms))
    } else if (meaning.figure === 'list') readList(found, value)
    else readFigure(found, meaning.name, meaning.figure, value, wallMs)
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

/** The limit of that name, added if there is none yet; undefined if there are too many. */
function findOrAddLimit(found: LimitDraft[], name: string): LimitDraft | undefined {
  for (const limit of found) if (limit.name === name) return limit
  if (found.length >= MAX_LIMITS) return undefined
  const added = { name, limit: null, remaining: null, resetMs: null }
  found.push(added)
  return added
}

/**
 * Puts the limits on requests and tokens first. If a provider has limits over several spans and none without a span, the one
 * with the least left counts. A limit that does not name what it limits is one on requests.
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
    others: found.length === mains ? NO_OTHER_LIMITS : found.filter((limit) => limit !== requests && limit !== tokens),
  }
}

function mainLimit(found: readonly LimitDraft[], name: string): LimitDraft | undefined {
  let tightest: LimitDraft | undefined
  for (const limit of found) {
    if (limit.name === name) return limit
    if (!limit.name.startsWith(name) || limit.name[name.length] !== '-') continue
    if (!tightest || fractionOf(limit) < fractionOf(tightest)) tightest = limit
  }
  return tightest
}

function fractionOf({ limit, remaining }: UpstreamLimit): number {
  return remainingFraction(limit, remaining) ?? 1
}

/** Meanings by header name. Saves 0.9 µs for 24 headers: 2 % of a call. */
const headerMeanings = new Map<string, HeaderMeaning | undefined>()

const LOWER_A = 0x61
const LOWER_R = 0x72
const LOWER_X = 0x78

function meaningOf(name: string): HeaderMeaning | undefined {
  const first = name.charCodeAt(0)
  if ((first !== LOWER_X && first !== LOWER_A && first !== LOWER_R) || name.length > MAX_NAME_CHARACTERS)
    return undefined
  const known = headerMeanings.get(name)
  if (known || headerMeanings.has(name)) return known
  const meaning = parseHeaderName(name)
  if (headerMeanings.size < MAX_HEADER_MEANINGS) headerMeanings.set(name, meaning)
  return meaning
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
