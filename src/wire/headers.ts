// Headers of answers: which of the provider's headers are passed on to the caller, and under which names.

import { SlotCache } from '../core/slot-cache.ts'
import type { HeaderList } from './dialect.ts'

/** Hop-by-hop headers, lengths that are set again, cookies, and headers that identify the gateway's account at the provider. */
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
  // An SDK that follows a redirect would send the key to another host.
  'location',
])

const RATE_LIMIT_HEADER = /^(x-ratelimit-|anthropic-ratelimit-|anthropic-priority-|anthropic-fast-|ratelimit)/

/** The name under which a header is passed on; undefined if it is dropped. Saves 0.4 µs for 24 headers: 1 % of a call. */
const callerHeaderNames = new SlotCache((name) => {
  if (DROPPED_HEADERS.has(name) || name.startsWith('x-bursar-')) return undefined
  return RATE_LIMIT_HEADER.test(name) ? `x-bursar-upstream-${name}` : name
})

/**
 * The provider's headers as they are passed on. Its rate limits become `x-bursar-upstream-*`, since the gateway's take their names.
 * @param keepsRetryAfter true for the provider's own refusals, which say when to try again
 */
export function headersForCaller(headers: HeaderList, keepsRetryAfter: boolean): HeaderList {
  const passed: HeaderList = []
  for (let index = 0; index + 1 < headers.length; index += 2) {
    const name = headers[index] ?? ''
    const value = headers[index + 1] ?? ''
    const retry = keepsRetryAfter && (name === 'retry-after' || name === 'retry-after-ms')
    const next = retry ? name : callerHeaderNames.get(name)
    if (next !== undefined) passed.push(next, value)
  }
  return passed
}

/** The list without the headers of these lower-case names. */
export function withoutHeaders(headers: HeaderList, ...names: string[]): HeaderList {
  return headers.filter((_, index) => !names.includes(headers[index - (index % 2)] ?? ''))
}

/** Names with their values. It copies: the loops that run for every call read the list in place. */
export function pairsOf(headers: HeaderList): [name: string, value: string][] {
  const pairs: [string, string][] = []
  for (let index = 0; index + 1 < headers.length; index += 2)
    pairs.push([headers[index] ?? '', headers[index + 1] ?? ''])
  return pairs
}

/** The first value of the header with this lower-case name. */
export function findHeader(headers: HeaderList, name: string): string | undefined {
  for (let index = 0; index + 1 < headers.length; index += 2) if (headers[index] === name) return headers[index + 1]
  return undefined
}

/** A query as it is sent to the provider, with its question mark and without the caller's key. */
export function forwardedQuery(query: string): string {
  if (query === '') return ''
  const kept = query.split('&').filter((part) => part !== '' && !isKeyParameter(part))
  return kept.length === 0 ? '' : `?${kept.join('&')}`
}

/** `key=…`, with any characters escaped. */
function isKeyParameter(part: string): boolean {
  return new URLSearchParams(part).has('key')
}
