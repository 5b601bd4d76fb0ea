// Same origin: which requests of web pages a session may be used for. A browser sends its cookies with requests of any page, so a cookie
// alone does not show that the gateway's own page is asking.

import { Problem } from '../core/problem.ts'
import type { SenderRequest } from '../keys/foreign-requests.ts'

/** A request as a browser may have sent it. */
export interface BrowserRequest extends SenderRequest {
  readonly method: string
  /** Scheme, host and port that the request was sent to. */
  readonly origin: string
}

const SAFE_METHODS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS'])
const JSON_TYPE = /^application\/json\s*(;|$)/i
/** Browsers keep cookies of these hosts safe without https. */
const LOCAL_HOST = /^(localhost|.+\.localhost|127\.0\.0\.1|\[::1\])$/
const MAX_SHOWN_CHARACTERS = 100

/**
 * Throws Problem `forbidden`, which says why, for a request that a page of another origin may have sent. A request that changes something must
 * come from a page of the gateway's own origin and carry JSON. Any other must not come from a page elsewhere, unless the browser opens the
 * answer as a page of its own.
 * @param publicOrigin the origin of PUBLIC_URL; empty without it
 */
export function assertSameOrigin(request: BrowserRequest, publicOrigin: string): void {
  if (SAFE_METHODS.has(request.method)) return refuseOtherSites(request)
  const site = request.header('sec-fetch-site')
  if (site === undefined) assertOrigin(request, publicOrigin)
  else if (site !== 'same-origin')
    refuse(
      'sec-fetch-site',
      `Sec-Fetch-Site is ${shown(site)}: with a session, only pages of this gateway's own origin change anything.`,
    )
  const type = request.header('content-type')
  if (type === undefined ? hasBody(request) : !JSON_TYPE.test(type))
    refuse(
      'content-type',
      `The content type is ${type === undefined ? 'missing' : shown(type)}: with a session, it must be application/json.`,
    )
}

function refuseOtherSites(request: BrowserRequest): void {
  const site = request.header('sec-fetch-site')
  // Another port of the same host is the same site.
  if (site !== 'cross-site' && site !== 'same-site') return
  if (request.header('sec-fetch-mode') === 'navigate' && request.header('sec-fetch-dest') === 'document') return
  refuse('sec-fetch-site', `Sec-Fetch-Site is ${site}: a session does not answer pages of another origin.`)
}

function assertOrigin(request: BrowserRequest, publicOrigin: string): void {
  const origin = request.header('origin')
  if (origin === undefined)
    refuse(
      'origin',
      'Neither Sec-Fetch-Site nor Origin was sent: with a session, only pages of this gateway change anything. Programs send a key instead.',
    )
  else if (origin !== publicOrigin && origin !== request.origin) {
    const expected =
      publicOrigin === ''
        ? `${request.origin}. Set PUBLIC_URL if people reach the gateway at another address`
        : publicOrigin
    refuse('origin', `Origin is ${shown(origin)}, and must be ${expected}.`)
  }
}

function hasBody(request: BrowserRequest): boolean {
  return (request.header('content-length') ?? '0') !== '0' || request.header('transfer-encoding') !== undefined
}

/** Whether browsers keep a `Secure` cookie for the address of this request. They do with https, and on the machine itself. */
export function isCookiePossible(request: BrowserRequest, publicOrigin: string): boolean {
  const origin = request.header('origin')
  const origins = origin === undefined ? [publicOrigin, request.origin] : [origin]
  return origins.some((candidate) => {
    const url = URL.parse(candidate)
    return url !== null && (url.protocol === 'https:' || (url.protocol === 'http:' && LOCAL_HOST.test(url.hostname)))
  })
}

function refuse(header: string, message: string): never {
  throw new Problem('forbidden', message, header)
}

function shown(value: string): string {
  return value.slice(0, MAX_SHOWN_CHARACTERS)
}
