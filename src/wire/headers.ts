// Headers of answers: which of the provider's go on to the caller, and under which name.

import { SlotCache } from '../core/slot-cache.ts'
import type { HeaderList } from './dialect.ts'

/** Hop-by-hop headers, lengths that are set anew, cookies, and who the gateway's owner is to the provider. */
const DROPPED_HEADERS = new Set([
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
  // Nobody is to follow it, and take a key along.
  'location',
])

const RATE_LIMIT_HEADER = /^(x-ratelimit-|anthropic-ratelimit-|anthropic-priority-|anthropic-fast-|ratelimit)/

/** What becomes of a header's name; undefined is dropped. */
const callerHeaderNames = new SlotCache((name) => {
  if (DROPPED_HEADERS.has(name) || name.startsWith('x-bursar-')) return undefined
  return RATE_LIMIT_HEADER.test(name) ? `x-bursar-upstream-${name}` : name
})

/**
 * The provider's headers as they go on: its rate limits as `x-bursar-upstream-*`, since ours take their place.
 * @param keepsRetryAfter true for the provider's own refusals, which say when to come back
 */
export function headersForCaller(headers: HeaderList, keepsRetryAfter: boolean): HeaderList {
  const passed: HeaderList = []
  for (let at = 0; at + 1 < headers.length; at += 2) {
    const name = headers[at] ?? ''
    const value = headers[at + 1] ?? ''
    const retry = keepsRetryAfter && (name === 'retry-after' || name === 'retry-after-ms')
    const next = retry ? name : callerHeaderNames.get(name)
    if (next !== undefined) passed.push(next, value)
  }
  return passed
}

/** All but those of these lower-case names. */
export function withoutHeaders(headers: HeaderList, ...names: string[]): HeaderList {
  return headers.filter((_, at) => !names.includes(headers[at - (at % 2)] ?? ''))
}

export function findHeader(headers: HeaderList, name: string): string | undefined {
  for (let at = 0; at + 1 < headers.length; at += 2) if (headers[at] === name) return headers[at + 1]
  return undefined
}

/** A query as it goes on, with its question mark: the caller's key never goes upstream. */
export function forwardedQuery(query: string): string {
  if (query === '') return ''
  const kept = query.split('&').filter((part) => part !== '' && !isKeyParameter(part))
  return kept.length === 0 ? '' : `?${kept.join('&')}`
}

/** However it is spelled. */
function isKeyParameter(part: string): boolean {
  return new URLSearchParams(part).has('key')
}
