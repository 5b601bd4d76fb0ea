// Headers of answers: which of the provider's go on to the caller, under which name, and what they say of its rate limits.

import type { UpstreamLimits } from '../core/entry.ts'
import type { HeaderList } from './dialect.ts'

/** Hop-by-hop headers, lengths that are set anew, cookies, and who the gateway's owner is to the provider. */
const DROPPED = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'proxy-authenticate',
  'transfer-encoding',
  'te',
  'trailer',
  'upgrade',
  'content-length',
  'set-cookie',
  'alt-svc',
  'strict-transport-security',
  'openai-organization',
  'openai-project',
  'anthropic-organization-id',
  'anthropic-workspace-id',
  'retry-after',
  'retry-after-ms',
])

const RATE_LIMIT = /^(x-ratelimit-|anthropic-ratelimit-|anthropic-priority-|anthropic-fast-|ratelimit)/

/** Names seen before and what becomes of them; undefined is dropped. Bounded: a provider may send any name. */
const renamed = new Map<string, string | undefined>()
const MOST_RENAMED = 1_000

/**
 * The provider's headers as they go on: its rate limits as `x-bursar-upstream-*`, since ours take their place.
 * @param keepsRetryAfter true for the provider's own refusals, which say when to come back
 */
export function passedOn(headers: HeaderList, keepsRetryAfter: boolean): HeaderList {
  const passed: HeaderList = []
  for (let at = 0; at + 1 < headers.length; at += 2) {
    const name = headers[at] ?? ''
    const value = headers[at + 1] ?? ''
    const retry = keepsRetryAfter && (name === 'retry-after' || name === 'retry-after-ms')
    const next = retry ? name : nextName(name)
    if (next !== undefined) passed.push(next, value)
  }
  return passed
}

function nextName(name: string): string | undefined {
  if (renamed.has(name)) return renamed.get(name)
  const next =
    DROPPED.has(name) || name.startsWith('x-bursar-')
      ? undefined
      : RATE_LIMIT.test(name)
        ? `x-bursar-upstream-${name}`
        : name
  if (renamed.size < MOST_RENAMED) renamed.set(name, next)
  return next
}

export function headerIn(headers: HeaderList, name: string): string | undefined {
  for (let at = 0; at + 1 < headers.length; at += 2) if (headers[at] === name) return headers[at + 1]
  return undefined
}

/** What the provider says of its own rate limits, in OpenAI's or Anthropic's headers. Null when it says nothing. */
export function upstreamLimits(headers: HeaderList, wallMs: number): UpstreamLimits | null {
  let found: Record<keyof UpstreamLimits, number | null> | null = null
  for (let at = 0; at + 1 < headers.length; at += 2) {
    const name = headers[at] ?? ''
    const match = name.includes('ratelimit-') ? LIMIT_HEADER.exec(name) : null
    if (!match) continue
    found ??= {
      limitRequests: null,
      remainingRequests: null,
      resetRequestsMs: null,
      limitTokens: null,
      remainingTokens: null,
      resetTokensMs: null,
    }
    const figure = match[1] ?? match[4] ?? ''
    const thing = (match[2] ?? match[3]) === 'requests' ? 'Requests' : 'Tokens'
    const value = headers[at + 1] ?? ''
    if (figure === 'reset') found[`reset${thing}Ms`] = resetMs(value, wallMs)
    else found[`${figure as 'limit' | 'remaining'}${thing}`] = /^\d{1,15}$/.test(value) ? Number(value) : null
  }
  return found
}

const LIMIT_HEADER =
  /^(?:x-ratelimit-(limit|remaining|reset)-(requests|tokens)|anthropic-ratelimit-(requests|tokens)-(limit|remaining|reset))$/

/** A Go duration (`6m0s`, `120ms`), seconds, or an RFC 3339 time. */
function resetMs(value: string, wallMs: number): number | null {
  if (/^\d{4}-/.test(value)) {
    const at = Date.parse(value)
    return Number.isNaN(at) ? null : Math.max(0, at - wallMs)
  }
  if (/^\d+(\.\d+)?$/.test(value)) return Math.round(Number(value) * 1000)
  if (!/^(\d+(\.\d+)?(ms|h|m|s))+$/.test(value)) return null
  let ms = 0
  for (const [, number, unit] of value.matchAll(/(\d+(?:\.\d+)?)(ms|h|m|s)/g))
    ms += Number(number) * (UNIT_MS[unit ?? ''] ?? 0)
  return Math.round(ms)
}

const UNIT_MS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 }

/** A query as it goes on, with its question mark: the caller's key never goes upstream. */
export function forwardedQuery(query: string): string {
  if (query === '') return ''
  const kept = query.split('&').filter((part) => part !== '' && !/^key(=|$)/.test(part))
  return kept.length === 0 ? '' : `?${kept.join('&')}`
}
