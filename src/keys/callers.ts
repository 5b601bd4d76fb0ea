// Callers: identifies who sends a request. Keeps secrets as SHA-256 digests and looks them up by digest, so that timing
// reveals nothing about them. Never logs or stores a secret in clear.

import { hash } from 'node:crypto'
import type { ConfiguredKey } from '../config/settings.ts'
import type { Caller } from '../core/ledger-entry.ts'
import { Problem } from '../core/problem.ts'
import type { CallerKey } from '../providers/provider.ts'
import type { HeaderList, RequestLine } from '../wire/dialect.ts'

/**
 * Who reads figures. A `key` sees its own calls. `admin` (the admin key) and `open` (no keys are configured, so everyone is
 * let in) see everyone's. The two differ in what else they may do: `open` is not an administrator. A `guest` (no keys are
 * configured, and the request lacks the admin key) may call and sees nobody's calls.
 */
export type Viewer =
  | { readonly role: 'admin' | 'open' | 'guest'; readonly key: null }
  | { readonly role: 'key'; readonly key: string }

/** Who changes what the gateway has booked or is configured with. */
export interface Administrator {
  /** The name in the audit log. */
  readonly actor: 'admin'
}

const ADMINISTRATOR: Administrator = { actor: 'admin' }
const ADMIN: Viewer = { role: 'admin', key: null }
const OPEN: Viewer = { role: 'open', key: null }
const GUEST: Viewer = { role: 'guest', key: null }

const MAX_DECLARED_CHARACTERS = 256
/** The headers in which SDKs send keys, beside `?key=`. */
const KEY_HEADERS = ['authorization', 'x-api-key', 'x-goog-api-key', 'api-key']
const BEARER = /^bearer /i
const FOREIGN_HOST =
  'Without BURSAR_KEYS the gateway answers only requests to localhost, 127.0.0.1 or [::1]. Set BURSAR_KEYS to use other host names.'
const FOREIGN_ADDRESS =
  'Without BURSAR_KEYS the gateway answers only requests from the machine it runs on. Set BURSAR_KEYS, or AUTH=off to let in everyone who reaches it.'
const FOREIGN_PAGE =
  'Without BURSAR_KEYS the gateway accepts no requests from web pages of other origins. Set BURSAR_KEYS to allow them.'
const LOOPBACK_HOST = /^(localhost|127(\.\d{1,3}){3}|\[::1\])(:\d+)?$/i
/** Sockets that listen for both versions of IP write an address of version 4 as `::ffff:127.0.0.1`. */
const LOOPBACK_ADDRESS = /^(::1|(::ffff:)?127(\.\d{1,3}){3})$/i

/** The parts of a request by which its sender is identified. */
interface SenderRequest extends RequestLine {
  /** The IP address of the client; see `Exchange`. */
  readonly remoteAddress: string | undefined
}

/** The keys that this gateway accepts. */
export interface CallersOptions {
  readonly keys: readonly ConfiguredKey[]
  /** Empty if there is none. */
  readonly adminKey: string
  /** `AUTH=off`: if no keys are configured, requests from any address and to any host name are accepted too. */
  readonly authOff: boolean
}

/**
 * Authenticates requests by the keys of this gateway.
 *
 * If no keys are configured, every request is accepted that comes from this machine, names a local host and does not come from
 * another web page.
 *
 * @example
 * const callers = new Callers({ keys: [{ id: 'alice', secret }], adminKey: '', authOff: false })
 * const { key } = callers.identify(request) // 'alice'; throws Problem `unauthenticated` for another secret
 */
export class Callers {
  readonly #keyByDigest = new Map<string, string>()
  /** Key ids by secret, for secrets that were valid before, so at most one entry per key. Saves their digest. */
  readonly #keyBySecret = new Map<string, string>()
  readonly #adminDigest: string | undefined
  readonly #authOff: boolean

  constructor({ keys, adminKey, authOff }: CallersOptions) {
    for (const { id, secret } of keys) this.#keyByDigest.set(digest(secret), id)
    this.#adminDigest = adminKey === '' ? undefined : digest(adminKey)
    this.#authOff = authOff
  }

  /**
   * The caller of an LLM call: the id of its key (null if no keys are configured) and what the caller declares about itself.
   * Throws Problem `unauthenticated` or `forbidden`.
   */
  identify(request: SenderRequest): Caller {
    return {
      key: this.#keyOf(request),
      organisation: null,
      project: null,
      user: declaredHeader(request, 'x-bursar-user'),
      thread: declaredHeader(request, 'x-bursar-thread'),
      agent: declaredHeader(request, 'x-bursar-agent'),
      task: declaredHeader(request, 'x-bursar-task'),
    }
  }

  /** Who sends a request for what the gateway shows of itself. Throws Problem `unauthenticated` or `forbidden`. */
  identifyViewer(request: SenderRequest): Viewer {
    if (this.#hasAdminKey(request)) return ADMIN
    const key = this.#keyOf(request)
    if (key !== null) return { role: 'key', key }
    return this.#adminDigest === undefined ? OPEN : GUEST
  }

  /** Who sends a request for figures of calls: no guest. Throws Problem `unauthenticated` or `forbidden`. */
  identifyFiguresViewer(request: SenderRequest): Viewer {
    const viewer = this.identifyViewer(request)
    if (viewer.role === 'guest')
      throw new Problem(
        'unauthenticated',
        'Send ADMIN_KEY as `Authorization: Bearer …`. While it is set, figures of calls need it, or a key of BURSAR_KEYS.',
      )
    return viewer
  }

  /**
   * Who sends a request to `/admin/`, also if the gateway is open for everything else. Throws Problem `forbidden` if there is no admin
   * key, and `unauthenticated` without that key.
   */
  identifyAdministrator(request: RequestLine): Administrator {
    if (this.#adminDigest === undefined)
      throw new Problem('forbidden', 'Set ADMIN_KEY to use /admin/. It answers that key alone.')
    if (!this.#hasAdminKey(request))
      throw new Problem(
        'unauthenticated',
        'Send ADMIN_KEY as `Authorization: Bearer …`. /admin/ answers that key alone.',
      )
    return ADMINISTRATOR
  }

  #hasAdminKey(request: RequestLine): boolean {
    return this.#adminDigest !== undefined && digest(secretInRequest(request) ?? '') === this.#adminDigest
  }

  /**
   * The caller's own key for `provider`, in the header or parameter in which the SDK sent it. Throws Problem
   * `unauthenticated` if there is none, or if it is a Bursar key: those are never sent to a provider.
   */
  providerKey(request: RequestLine, provider: string): CallerKey {
    const headers: HeaderList = []
    for (const name of KEY_HEADERS) {
      const value = request.header(name) ?? ''
      if (value !== '' && (name !== 'authorization' || BEARER.test(value))) headers.push(name, value)
    }
    const parameter = keyParameter(request.query)
    const query = secretInParameter(parameter) === '' ? '' : parameter
    const bursarKeyHint = this.#keyByDigest.size > 0 ? ', and your Bursar key in x-bursar-key' : ''
    const advice = `Send your own key for ${provider} where its SDK sends it${bursarKeyHint}.`
    if (headers.length === 0 && query === '')
      throw new Problem('unauthenticated', `No provider key was sent. ${advice}`)
    const secrets = headers.filter((_, index) => index % 2 === 1).flatMap(possibleSecrets)
    if ([...secrets, ...possibleSecrets(secretInParameter(query))].some((secret) => this.#isBursarSecret(secret)))
      throw new Problem('unauthenticated', `A Bursar key cannot be sent to a provider. ${advice}`)
    return { headers, query }
  }

  #isBursarSecret(secret: string): boolean {
    const secretDigest = digest(secret)
    return this.#keyByDigest.has(secretDigest) || secretDigest === this.#adminDigest
  }

  #keyOf(request: SenderRequest): string | null {
    this.#refuseForeigners(request)
    if (this.#keyByDigest.size === 0) return null
    const secret = secretInRequest(request)
    if (secret === undefined)
      throw new Problem(
        'unauthenticated',
        "No API key was sent. Send one of the gateway's BURSAR_KEYS where the SDK sends the provider's key.",
      )
    const knownKey = this.#keyBySecret.get(secret)
    if (knownKey !== undefined) return knownKey
    const key = this.#keyByDigest.get(digest(secret))
    if (key === undefined)
      throw new Problem('unauthenticated', "Incorrect API key: it is not one of the gateway's BURSAR_KEYS.")
    this.#keyBySecret.set(secret, key)
    return key
  }

  /**
   * Without keys, any other machine, and any web page that the user opens, could spend their money. Requests must come from this
   * machine, name a local host, and not come from a page of another origin. The name alone is no guard: only browsers tell the truth.
   */
  #refuseForeigners(request: SenderRequest): void {
    if (this.#keyByDigest.size > 0) return
    const { remoteAddress } = request
    if (!this.#authOff && remoteAddress !== undefined && !LOOPBACK_ADDRESS.test(remoteAddress))
      throw new Problem('forbidden', FOREIGN_ADDRESS)
    const host = request.header('host') ?? ''
    if (!this.#authOff && host !== '' && !LOOPBACK_HOST.test(host)) throw new Problem('forbidden', FOREIGN_HOST)
    // Browsers send no origin for images and scripts, but they send this header.
    const site = request.header('sec-fetch-site')
    if (site === 'cross-site' || site === 'same-site') throw new Problem('forbidden', FOREIGN_PAGE)
    const origin = request.header('origin')
    if (origin !== undefined && origin.replace(/^https?:\/\//, '') !== host)
      throw new Problem('forbidden', FOREIGN_PAGE)
  }
}

/** The operation that the caller declares for its own analytics, or null. */
export function declaredOperation(request: RequestLine): string | null {
  return declaredHeader(request, 'x-bursar-operation')
}

/** The value of a header in which a caller declares something, cut to a length that meter keys and the ledger can hold; or null. */
function declaredHeader(request: RequestLine, name: string): string | null {
  const value = request.header(name)
  return value === undefined || value === '' ? null : truncate(MAX_DECLARED_CHARACTERS, value)
}

/**
 * The secret in `x-bursar-key`, otherwise in the headers or the parameter in which SDKs send keys. A place that is empty or blank
 * does not count. Undefined if every place is.
 */
function secretInRequest(request: RequestLine): string | undefined {
  const authorization = request.header('authorization') ?? ''
  const secret =
    request.header('x-bursar-key')?.trim() ||
    (BEARER.test(authorization) && authorization.slice(7).trim()) ||
    request.header('x-api-key')?.trim() ||
    request.header('x-goog-api-key')?.trim() ||
    request.header('api-key')?.trim() ||
    secretInParameter(keyParameter(request.query)).trim()
  return secret === '' ? undefined : secret
}

/**
 * `key=…` exactly as the query holds it, or empty. Percent-encoded spellings of `key` do not count: the filter that keeps the
 * key from going upstream would not find them.
 */
function keyParameter(query: string): string {
  return query.includes('key=') ? (query.split('&').find((part) => part.startsWith('key=')) ?? '') : ''
}

function secretInParameter(parameter: string): string {
  return new URLSearchParams(parameter).get('key') ?? ''
}

/** The keys that a header's value can hold: a header sent twice arrives as one list, and some servers remove quotes. */
function possibleSecrets(value: string): string[] {
  const bare = value.replace(BEARER, '').trim()
  return [bare, ...bare.split(/[,;"'\s]+/).map((part) => part.replace(BEARER, ''))]
}

function digest(secret: string): string {
  return hash('sha256', secret)
}

/** The beginning of a text, as a copy: the result of `slice` would keep the whole string in memory. */
export function truncate(maxCharacters: number, text: string): string {
  return text.length <= maxCharacters ? text : Buffer.from(text.slice(0, maxCharacters)).toString()
}
