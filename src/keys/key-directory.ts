// Key directory: the made keys by their secrets, read from the registry at the first request of each. It writes nothing.

import { RecentMap } from '../core/recent-map.ts'
import { keyDocument } from '../limits/key-documents.ts'
import type { LimitsInForce } from '../limits/limits-in-force.ts'
import type { Document, Registry } from '../stores/registry.ts'
import { compileKey, type KeyRecord, keyDocumentOf } from './key-record.ts'
import { digest, SECRET_START } from './secrets.ts'

/** A secret that a request was found to have. Mutable: a change of the key replaces its record. */
export interface KnownSecret {
  record: KeyRecord
  /** Epoch milliseconds: a secret that was replaced works until then. Infinite for all others. */
  untilMs: number
}

/** The value of a `key-secret` document: its id is the digest of the secret. */
export interface SecretDocument {
  /** The id of the key. */
  readonly key: string
  /** Epoch milliseconds: set once another secret has replaced this one. */
  readonly until_ms?: number
}

interface KeptSecret extends KnownSecret {
  readonly secret: string
  readonly digest: string
}

/** Those used last. Others are read again. */
const MAX_KEPT_SECRETS = 20_000

/**
 * Finds made keys. A change holds from the next request on: the directory watches the registry.
 *
 * @example
 * const directory = new KeyDirectory(store.registry, limitsInForce)
 * await directory.open()
 * const known = directory.known(secret) ?? (await directory.find(secret)) // undefined for no made key's secret
 */
export class KeyDirectory {
  readonly #registry: Registry
  readonly #limits: Pick<LimitsInForce, 'countsCost' | 'useKeyLimits'>
  readonly #kept: RecentMap<KeptSecret>
  /** The kept secrets, so that a change of one key looks at no other. */
  readonly #keptByDigest = new Map<string, KeptSecret>()
  readonly #keptByKey = new Map<string, readonly KeptSecret[]>()
  #hasKeys = false
  #changes = 0

  constructor(
    registry: Registry,
    limits: Pick<LimitsInForce, 'countsCost' | 'useKeyLimits'>,
    maxKeptSecrets = MAX_KEPT_SECRETS,
  ) {
    this.#kept = new RecentMap(maxKeptSecrets, (secret) => this.#removeFromIndex(secret))
    this.#registry = registry
    this.#limits = limits
    registry.watch('key', (document) => this.#changeKey(document))
    registry.watch('key-secret', (document) => this.#changeSecret(document))
  }

  /** Reads whether a key was ever made. Call it before the first request. */
  async open(): Promise<void> {
    const keys = await this.#registry.page('key', { limit: 1 })
    if (keys.length > 0) this.#hasKeys = true
  }

  /** True for good once a key was made, whatever becomes of that key. */
  get hasKeys(): boolean {
    return this.#hasKeys
  }

  /** The secret, if an earlier request had it lately. Reads nothing, and makes no digest. */
  known(secret: string): KnownSecret | undefined {
    return this.#kept.get(secret)
  }

  /** Reads a secret from the registry. Resolves to undefined if no made key has it. Reads nothing for what cannot be one. */
  async find(secret: string): Promise<KnownSecret | undefined> {
    if (!secret.startsWith(SECRET_START)) return undefined
    const secretDigest = digest(secret)
    for (;;) {
      const changes = this.#changes
      const found = await this.#read(secretDigest)
      // What changed while it was read is read again, or the change would be lost.
      if (changes !== this.#changes) continue
      if (!found) return undefined
      return this.#keptByDigest.get(secretDigest) ?? this.#keep({ ...found, secret, digest: secretDigest })
    }
  }

  /** The key that has the secret with this digest, as it is now. Resolves to undefined if no made key has it. Keeps nothing. */
  async findByDigest(secretDigest: string): Promise<Readonly<KnownSecret> | undefined> {
    return this.#keptByDigest.get(secretDigest) ?? this.#read(secretDigest)
  }

  /** The made key with this id, or undefined. */
  async record(id: string): Promise<KeyRecord | undefined> {
    const document = await keyDocument(this.#registry, id)
    return document && compileKey(id, keyDocumentOf(document), this.#limits.countsCost)
  }

  async #read(secretDigest: string): Promise<KnownSecret | undefined> {
    const [secret] = await this.#registry.read('key-secret', secretDigest)
    if (!secret) return undefined
    const { key, until_ms: untilMs = Number.POSITIVE_INFINITY } = secret.value as SecretDocument
    // Secrets of one key share its record: a second record would seem to be a newer one.
    const record = this.#keptByKey.get(key)?.[0]?.record ?? (await this.record(key))
    return record && { record, untilMs }
  }

  #keep(read: KeptSecret): KeptSecret {
    const { id } = read.record
    const ofKey = this.#keptByKey.get(id) ?? []
    const secret = { ...read, record: ofKey[0]?.record ?? read.record }
    this.#kept.set(secret.secret, secret)
    this.#keptByDigest.set(secret.digest, secret)
    this.#keptByKey.set(id, [...ofKey, secret])
    if (ofKey.length === 0) this.#useLimits(secret.record)
    return secret
  }

  #drop(secret: KeptSecret): void {
    this.#kept.delete(secret.secret)
    this.#removeFromIndex(secret)
  }

  #removeFromIndex(secret: KeptSecret): void {
    const { id } = secret.record
    const others = (this.#keptByKey.get(id) ?? []).filter((other) => other !== secret)
    this.#keptByDigest.delete(secret.digest)
    if (others.length === 0) this.#keptByKey.delete(id)
    else this.#keptByKey.set(id, others)
  }

  /** Calls that hold an earlier record are admitted by the limits of this one. */
  #useLimits({ id, limits }: KeyRecord): void {
    if (limits) this.#limits.useKeyLimits(id, limits)
  }

  #changeKey({ id, value }: Document): void {
    this.#changes += 1
    this.#hasKeys = true
    const ofKey = this.#keptByKey.get(id)
    if (!ofKey) return
    if (value === null) {
      for (const secret of ofKey) this.#drop(secret)
      return
    }
    const record = compileKey(id, keyDocumentOf({ value }), this.#limits.countsCost)
    for (const secret of ofKey) {
      if (record.limits) secret.record.limits?.replaceBy(record.limits)
      secret.record = record
    }
    this.#useLimits(record)
  }

  #changeSecret({ id, value }: Document): void {
    this.#changes += 1
    const secret = this.#keptByDigest.get(id)
    if (!secret) return
    const changed = value as SecretDocument | null
    if (changed === null) this.#drop(secret)
    else secret.untilMs = changed.until_ms ?? Number.POSITIVE_INFINITY
  }
}
