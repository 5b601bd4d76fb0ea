// Callers: identifies who sends a request. Looks secrets up by their SHA-256 digests, so that timing reveals nothing about them. Never
// logs or stores a secret in clear.

import type { ConfiguredKey } from '../config/settings.ts'
import type { Clock } from '../core/clock.ts'
import type { Caller } from '../core/ledger-entry.ts'
import { Problem } from '../core/problem.ts'
import type { CallerKey } from '../providers/provider.ts'
import type { HeaderList, RequestLine } from '../wire/dialect.ts'
import { refuseForeigners, type SenderRequest } from './foreign-requests.ts'
import type { KeyDirectory, KnownSecret } from './key-directory.ts'
import { configuredKey, type KeyRecord } from './key-record.ts'
import {
  BEARER,
  digest,
  KEY_HEADERS,
  keyParameter,
  possibleSecrets,
  SECRET_START,
  secretInParameter,
  secretInRequest,
} from './secrets.ts'

/** Who makes a call, and the key as it is when the call comes in: the call keeps it until it ends. */
export interface Identity {
  readonly caller: Caller
  /** Undefined if callers need no key. */
  readonly key: KeyRecord | undefined
}

/**
 * Who reads figures. A `key` sees its own calls. `admin` (the admin key) and `open` (there are no keys, so everyone is
 * let in) see everyone's. The two differ in what else they may do: `open` is not an administrator. A `guest` (there are no keys,
 * and the request lacks the admin key) may call and sees nobody's calls.
 */
export type Viewer =
  | { readonly role: 'admin' | 'open' | 'guest'; readonly key: null }
  | { readonly role: 'key'; readonly key: string; readonly record: KeyRecord }

/** Who changes what the gateway has booked or is configured with. */
export interface Administrator {
  /** The name in the audit log. */
  readonly actor: 'admin'
}

export const ADMINISTRATOR: Administrator = { actor: 'admin' }
export const ADMIN: Viewer = { role: 'admin', key: null }
const OPEN: Viewer = { role: 'open', key: null }
const GUEST: Viewer = { role: 'guest', key: null }

/** Whose a secret is. */
export interface SecretHolder {
  /** Null: it is the admin key. */
  readonly key: string | null
  /** SHA-256 of the secret. */
  readonly secretDigest: string
  /** True if a person chose the secret, for the settings, so that it may be easier to guess than one that was made. */
  readonly isChosen: boolean
}

/** The message for a secret that is no key's. */
export const INCORRECT_KEY = 'Incorrect API key: it is no key of this gateway.'

/** Names that callers declare are cut to this length. */
export const MAX_DECLARED_CHARACTERS = 256
export const MAX_DECLARED_ITEMS = 1_000_000_000

/** The keys that this gateway accepts. */
export interface CallersOptions {
  /** The keys of BURSAR_KEYS. */
  readonly keys: readonly ConfiguredKey[]
  /** The keys that were made. */
  readonly directory: KeyDirectory
  /** Empty if there is none. */
  readonly adminKey: string
  /** `AUTH=off`: while there are no keys, requests from any address and to any host name are accepted too. */
  readonly authOff: boolean
  /** Every request needs a key, also while there is none: other machines reach the gateway. */
  readonly isExposed: boolean
  readonly clock: Clock
}

/**
 * Authenticates requests by the keys of this gateway.
 *
 * While there are no keys, every request is accepted that comes from this machine, names a local host and does not come from
 * another web page. The first key that is made ends that for good.
 *
 * @example
 * const callers = new Callers({ keys, directory, adminKey: '', authOff: false, isExposed: false, clock })
 * const { caller, key } = await callers.identify(request) // Problem `unauthenticated` for another secret
 */
export class Callers {
  readonly #options: CallersOptions
  readonly #configuredByDigest = new Map<string, KeyRecord>()
  /** Configured keys by secret, for secrets that were valid before, so at most one entry per key. Saves their digest. */
  readonly #configuredBySecret = new Map<string, KeyRecord>()
  readonly #adminDigest: string | undefined

  constructor(options: CallersOptions) {
    this.#options = options
    for (const { id, secret } of options.keys) this.#configuredByDigest.set(digest(secret), configuredKey(id))
    this.#adminDigest = options.adminKey === '' ? undefined : digest(options.adminKey)
  }

  /** Whether every request needs a key. */
  get needKeys(): boolean {
    return this.hasKeys || this.#options.isExposed
  }

  /** Whether there is a key of BURSAR_KEYS, or one was ever made. */
  get hasKeys(): boolean {
    return this.#configuredByDigest.size > 0 || this.#options.directory.hasKeys
  }

  get hasAdminKey(): boolean {
    return this.#adminDigest !== undefined
  }

  /**
   * The caller of an LLM call: its key, and what the caller declares about itself. A promise for the first request with the secret of a
   * made key, which is read from the registry. Throws Problem `unauthenticated` or `forbidden`, or rejects with one.
   */
  identify(request: SenderRequest): Identity | Promise<Identity> {
    const key = this.#keyOf(request)
    return key instanceof Promise ? key.then((found) => identityOf(request, found)) : identityOf(request, key)
  }

  /** Who sends a request for what the gateway shows of itself. Rejects with Problem `unauthenticated` or `forbidden`. */
  async identifyViewer(request: SenderRequest): Promise<Viewer> {
    if (this.#carriesAdminKey(request)) return ADMIN
    const record = await this.#keyOf(request)
    if (record) return { role: 'key', key: record.id, record }
    return this.#adminDigest === undefined ? OPEN : GUEST
  }

  /** Who sends a request for figures of calls: no guest. Rejects with Problem `unauthenticated` or `forbidden`. */
  async identifyFiguresViewer(request: SenderRequest): Promise<Viewer> {
    const viewer = await this.identifyViewer(request)
    if (viewer.role === 'guest')
      throw new Problem(
        'unauthenticated',
        'Send ADMIN_KEY as `Authorization: Bearer …`. While it is set, figures of calls need it, or a key.',
      )
    return viewer
  }

  /**
   * Who sends a request that the admin key alone may send, also if the gateway is open for everything else. Throws Problem `forbidden` if there is no admin
   * key, and `unauthenticated` without that key.
   */
  identifyAdministrator(request: RequestLine): Administrator {
    if (this.#adminDigest === undefined)
      throw new Problem('forbidden', 'Set ADMIN_KEY to use this endpoint. It answers that key alone.')
    if (!this.#carriesAdminKey(request))
      throw new Problem(
        'unauthenticated',
        'Send ADMIN_KEY as `Authorization: Bearer …`. This endpoint answers that key alone.',
      )
    return ADMINISTRATOR
  }

  /** The key with this id, configured or made. Resolves to undefined if there is none. */
  async findKey(id: string): Promise<KeyRecord | undefined> {
    return this.#options.keys.some((key) => key.id === id) ? configuredKey(id) : this.#options.directory.record(id)
  }

  #carriesAdminKey(request: RequestLine): boolean {
    return this.#adminDigest !== undefined && digest(secretInRequest(request) ?? '') === this.#adminDigest
  }

  /** Whose secret it is, of those that may be used now. Rejects with Problem `unauthenticated` for any other. */
  async holderOf(secret: string): Promise<SecretHolder> {
    const secretDigest = digest(secret)
    if (secretDigest === this.#adminDigest) return { key: null, secretDigest, isChosen: true }
    const { id } = await this.#keyWithSecret(secret)
    return { key: id, secretDigest, isChosen: this.#configuredByDigest.has(secretDigest) }
  }

  /** The digest of the admin key, for null, or of the secret of a key of BURSAR_KEYS. Undefined if there is none. */
  chosenDigest(key: string | null): string | undefined {
    if (key === null) return this.#adminDigest
    const configured = this.#options.keys.find(({ id }) => id === key)
    return configured && digest(configured.secret)
  }

  /** The key that has the secret with this digest, as it is now, also if it may not be used any more. Resolves to undefined if none has. */
  async findByDigest(secretDigest: string): Promise<Readonly<KnownSecret> | undefined> {
    const configured = this.#configuredByDigest.get(secretDigest)
    if (configured) return { record: configured, untilMs: Number.POSITIVE_INFINITY }
    return this.#options.directory.findByDigest(secretDigest)
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
    const bursarKeyHint = this.needKeys ? ', and your Bursar key in x-bursar-key' : ''
    const advice = `Send your own key for ${provider} where its SDK sends it${bursarKeyHint}.`
    if (headers.length === 0 && query === '')
      throw new Problem('unauthenticated', `No provider key was sent. ${advice}`)
    const secrets = headers.filter((_, index) => index % 2 === 1).flatMap(possibleSecrets)
    if ([...secrets, ...possibleSecrets(secretInParameter(query))].some((secret) => this.#isBursarSecret(secret)))
      throw new Problem('unauthenticated', `A Bursar key cannot be sent to a provider. ${advice}`)
    return { headers, query }
  }

  #isBursarSecret(secret: string): boolean {
    if (secret.startsWith(SECRET_START)) return true
    const secretDigest = digest(secret)
    return this.#configuredByDigest.has(secretDigest) || secretDigest === this.#adminDigest
  }

  /** The key of a request; undefined if none is needed. A promise if the registry has to be read. */
  #keyOf(request: SenderRequest): KeyRecord | undefined | Promise<KeyRecord> {
    if (!this.needKeys) {
      refuseForeigners(request, this.#options.authOff)
      return undefined
    }
    const secret = secretInRequest(request)
    if (secret === undefined)
      throw new Problem(
        'unauthenticated',
        "No API key was sent. Send a key of this gateway where the SDK sends the provider's key.",
      )
    return this.#keyWithSecret(secret)
  }

  #keyWithSecret(secret: string): KeyRecord | Promise<KeyRecord> {
    const configured = this.#configuredBySecret.get(secret)
    if (configured !== undefined) return configured
    const known = this.#options.directory.known(secret)
    return known === undefined ? this.#findKey(secret) : this.#usable(known)
  }

  /** The key of a secret that no request had lately. Throws Problem, or rejects with one. */
  #findKey(secret: string): KeyRecord | Promise<KeyRecord> {
    const configured = this.#configuredByDigest.get(digest(secret))
    if (configured !== undefined) {
      this.#configuredBySecret.set(secret, configured)
      return configured
    }
    const { directory } = this.#options
    if (!directory.hasKeys) throw incorrectKey()
    return directory.find(secret).then((found) => {
      if (!found) throw incorrectKey()
      return this.#usable(found)
    })
  }

  /** Throws Problem for a key that may not be used any more. */
  #usable({ record, untilMs }: KnownSecret): KeyRecord {
    const { expiresAtMs, isDisabled } = record
    if (isDisabled) throw new Problem('unauthenticated', 'This API key is disabled. Ask for another one.')
    if (expiresAtMs === Number.POSITIVE_INFINITY && untilMs === Number.POSITIVE_INFINITY) return record
    const { wallMs } = this.#options.clock.now()
    if (wallMs >= expiresAtMs) {
      const expiry = new Date(expiresAtMs).toISOString()
      throw new Problem('unauthenticated', `This API key expired at ${expiry}. Ask for another one.`)
    }
    if (wallMs >= untilMs)
      throw new Problem('unauthenticated', 'This API key was replaced by a new one, which has to be used now.')
    return record
  }
}

function incorrectKey(): Problem {
  return new Problem('unauthenticated', INCORRECT_KEY)
}

function identityOf(request: RequestLine, key: KeyRecord | undefined): Identity {
  const caller = callerOf(
    key,
    declaredHeader(request, 'x-bursar-user'),
    declaredHeader(request, 'x-bursar-thread'),
    declaredHeader(request, 'x-bursar-agent'),
    declaredHeader(request, 'x-bursar-task'),
  )
  return { caller, key }
}

/** The caller with a key, or without one, that declares these names. The user of a person's key is that person, whatever is declared. */
export function callerOf(
  key: KeyRecord | undefined,
  declaredUser: string | null,
  thread: string | null,
  agent: string | null,
  task: string | null,
): Caller {
  const user = key === undefined ? null : key.user
  return {
    key: key === undefined ? null : key.id,
    organisation: key === undefined ? null : key.organisation,
    project: key === undefined ? null : key.project,
    user: user ?? declaredUser,
    thread,
    agent,
    task,
    isPerson: user !== null,
  }
}

/** The operation that the caller declares for its own analytics, or null. */
export function declaredOperation(request: RequestLine): string | null {
  return declaredHeader(request, 'x-bursar-operation')
}

/**
 * How many things the call makes, for the cost of each: `x-bursar-items: 12`. Null without the header. Throws Problem `invalid_request` for
 * anything but a whole number from 1 to 1,000,000,000.
 */
export function declaredItems(request: RequestLine): number | null {
  const value = request.header('x-bursar-items')
  if (value === undefined || value === '') return null
  const items = /^\d{1,10}$/.test(value) ? Number(value) : 0
  if (items >= 1 && items <= MAX_DECLARED_ITEMS) return items
  const message = `x-bursar-items: must be a whole number from 1 to ${MAX_DECLARED_ITEMS}, such as 12`
  throw new Problem('invalid_request', message, 'x-bursar-items')
}

/** The value of a header in which a caller declares something, cut to a length that meter keys and the ledger can hold; or null. */
function declaredHeader(request: RequestLine, name: string): string | null {
  const value = request.header(name)
  return value === undefined || value === '' ? null : truncate(MAX_DECLARED_CHARACTERS, value)
}

/** The beginning of a text, as a copy: the result of `slice` would keep the whole string in memory. */
export function truncate(maxCharacters: number, text: string): string {
  return text.length <= maxCharacters ? text : Buffer.from(text.slice(0, maxCharacters)).toString()
}
