// Callers: who is asking. Secrets are kept as SHA-256 digests and looked up by digest, so timing tells nothing about them.

import { hash } from 'node:crypto'
import type { ConfiguredKey } from '../config/settings.ts'
import type { Caller } from '../core/ledger-entry.ts'
import { Problem } from '../core/problem.ts'
import type { CallerKey } from '../providers/provider.ts'
import type { HeaderList, RequestLine } from '../wire/dialect.ts'

/** What a request may see: its own key's calls, or (`key` null) everyone's. */
export interface Viewer {
  readonly key: string | null
}

const MAX_DECLARED_CHARACTERS = 256
/** Where SDKs put keys, beside `?key=`. */
const KEY_HEADERS = ['authorization', 'x-api-key', 'x-goog-api-key', 'api-key']
const BEARER = /^bearer /i
const LOOPBACK_HOST = /^(localhost|127(\.\d{1,3}){3}|\[::1\])(:\d+)?$/i

export interface CallersOptions {
  readonly keys: readonly ConfiguredKey[]
  readonly adminKey: string
  /** AUTH=off: served to anyone who can reach it. */
  readonly authOff: boolean
}

export class Callers {
  readonly #keyByDigest = new Map<string, string>()
  /** Secrets that were right before: no more than there are keys. Wrong ones never get here. */
  readonly #keyBySecret = new Map<string, string>()
  readonly #adminDigest: string | undefined
  readonly #authOff: boolean

  constructor({ keys, adminKey, authOff }: CallersOptions) {
    for (const { id, secret } of keys) this.#keyByDigest.set(digest(secret), id)
    this.#adminDigest = adminKey === '' ? undefined : digest(adminKey)
    this.#authOff = authOff
  }

  /** The caller of an LLM call. Throws Problem `unauthenticated` or `forbidden`. */
  identify(request: RequestLine): Caller {
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

  /** Who wants to read figures. Throws like `identify`. */
  identifyViewer(request: RequestLine): Viewer {
    if (this.#adminDigest !== undefined && digest(secretInRequest(request) ?? '') === this.#adminDigest)
      return { key: null }
    return { key: this.#keyOf(request) }
  }

  /**
   * The key for `provider` that a request brings along, where its SDK put it. Throws Problem `unauthenticated` where there is
   * none, or where it is one of ours: those are sent to nobody.
   */
  providerKey(request: RequestLine, provider: string): CallerKey {
    const headers: HeaderList = []
    for (const name of KEY_HEADERS) {
      const value = request.header(name) ?? ''
      if (value !== '' && (name !== 'authorization' || BEARER.test(value))) headers.push(name, value)
    }
    const parameter = keyParameter(request.query)
    const query = secretInParameter(parameter) === '' ? '' : parameter
    const ours = this.#keyByDigest.size > 0 ? ', and your Bursar key in x-bursar-key' : ''
    const advice = `Send your own key for ${provider} where its SDK puts it${ours}.`
    if (headers.length === 0 && query === '') throw new Problem('unauthenticated', `No provider key given. ${advice}`)
    const secrets = headers.filter((_, at) => at % 2 === 1).flatMap(possibleSecrets)
    if ([...secrets, ...possibleSecrets(secretInParameter(query))].some((secret) => this.#isBursarSecret(secret)))
      throw new Problem('unauthenticated', `A Bursar key is not sent to providers. ${advice}`)
    return { headers, query }
  }

  #isBursarSecret(secret: string): boolean {
    const found = digest(secret)
    return this.#keyByDigest.has(found) || found === this.#adminDigest
  }

  #keyOf(request: RequestLine): string | null {
    this.#refuseForeignPages(request)
    if (this.#keyByDigest.size === 0) return null
    const secret = secretInRequest(request)
    if (secret === undefined)
      throw new Problem(
        'unauthenticated',
        'No API key given. Send a Bursar key as the SDK would send the provider key.',
      )
    const remembered = this.#keyBySecret.get(secret)
    if (remembered !== undefined) return remembered
    const key = this.#keyByDigest.get(digest(secret))
    if (key === undefined) throw new Problem('unauthenticated', 'Incorrect API key.')
    this.#keyBySecret.set(secret, key)
    return key
  }

  /** Without keys any web page the user opens could spend their money: only local names and our own pages get in. */
  #refuseForeignPages(request: RequestLine): void {
    if (this.#keyByDigest.size > 0) return
    const host = request.header('host') ?? ''
    if (!this.#authOff && host !== '' && !LOOPBACK_HOST.test(host)) throw new Problem('forbidden', 'Unknown host name.')
    // Pages can make some requests without an origin: pictures, scripts. Browsers say so all the same.
    const site = request.header('sec-fetch-site')
    if (site === 'cross-site' || site === 'same-site')
      throw new Problem('forbidden', 'Requests from other web pages are not accepted.')
    const origin = request.header('origin')
    if (origin !== undefined && origin.replace(/^https?:\/\//, '') !== host)
      throw new Problem('forbidden', 'Requests from other web pages are not accepted.')
  }
}

/** A phase the caller declared for its own analytics. */
export function declaredOperation(request: RequestLine): string | null {
  return declaredHeader(request, 'x-bursar-operation')
}

/** What a caller says of itself, cut to size: it becomes part of meters' names and of the ledger. */
function declaredHeader(request: RequestLine, name: string): string | null {
  const value = request.header(name)
  return value === undefined || value === '' ? null : truncate(MAX_DECLARED_CHARACTERS, value)
}

/** In its own header, or wherever an SDK puts a key. */
function secretInRequest(request: RequestLine): string | undefined {
  const own = request.header('x-bursar-key')
  if (own !== undefined) return own
  const authorization = request.header('authorization')
  if (authorization !== undefined && BEARER.test(authorization)) return authorization.slice(7).trim()
  const header = request.header('x-api-key') ?? request.header('x-goog-api-key') ?? request.header('api-key')
  if (header !== undefined) return header
  const parameter = keyParameter(request.query)
  return parameter === '' ? undefined : secretInParameter(parameter)
}

/** `key=…` as it stands in a query, or empty. Spelled otherwise it is none: it would not be kept from going upstream. */
function keyParameter(query: string): string {
  return query.includes('key=') ? (query.split('&').find((part) => part.startsWith('key=')) ?? '') : ''
}

function secretInParameter(parameter: string): string {
  return new URLSearchParams(parameter).get('key') ?? ''
}

/** What a value can hold as a key: a header sent twice arrives as one list, and some servers take quotes off. */
function possibleSecrets(value: string): string[] {
  const bare = value.replace(BEARER, '').trim()
  return [bare, ...bare.split(/[,;"'\s]+/).map((part) => part.replace(BEARER, ''))]
}

function digest(secret: string): string {
  return hash('sha256', secret)
}

/** A copy of the beginning: what `slice` returns keeps the whole of a long string alive. */
export function truncate(mostCharacters: number, text: string): string {
  return text.length <= mostCharacters ? text : Buffer.from(text.slice(0, mostCharacters)).toString()
}
