// Key directory: the made keys by their secrets, read from the registry at the first request of each. It writes nothing.

import { RecentMap } from '../core/recent-map.ts'
import type { LimitsInForce } from '../limits/limits-in-force.ts'
import type { Document, Registry } from '../stores/registry.ts'
import { compileKey, type KeyRecord, keyDocumentOf } from './key-record.ts'
import { digest } from './secrets.ts'

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
  readonly #kept = new RecentMap<KeptSecret>(MAX_KEPT_SECRETS)
  #hasKeys = false
  #changes = 0

  constructor(registry: Registry, limits: Pick<LimitsInForce, 'countsCost' | 'useKeyLimits'>) {
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

  /** Reads a secret from the registry. Resolves to undefined if no made key has it. */
  async find(secret: string): Promise<KnownSecret | undefined> {
    const secretDigest = digest(secret)
    for (;;) {
      const changes = this.#changes
      const found = await this.#read(secretDigest)
      // What changed while it was read is read again, or the change would be lost.
      if (changes !== this.#changes) continue
      if (!found) return undefined
      this.#useLimits(found.record)
      this.#kept.set(secret, found)
      return found
    }
  }

  /** The made key with this id, or undefined. */
  async record(id: string): Promise<KeyRecord | undefined> {
    const [document] = await this.#registry.read('key', id)
    return document && compileKey(id, keyDocumentOf(document), this.#limits.countsCost)
  }

  /** Calls that hold an earlier record are admitted by the limits of this one. */
  #useLimits({ id, limits }: KeyRecord): void {
    if (limits) this.#limits.useKeyLimits(id, limits)
  }

  async #read(secretDigest: string): Promise<KeptSecret | undefined> {
    const [secret] = await this.#registry.read('key-secret', secretDigest)
    if (!secret) return undefined
    const { key, until_ms: untilMs = Number.POSITIVE_INFINITY } = secret.value as SecretDocument
    const record = await this.record(key)
    return record && { record, untilMs, digest: secretDigest }
  }

  #changeKey({ id, value }: Document): void {
    this.#changes += 1
    this.#hasKeys = true
    let record: KeyRecord | undefined
    for (const [secret, kept] of this.#kept.entries()) {
      if (kept.record.id !== id) continue
      if (value === null) this.#kept.delete(secret)
      else kept.record = record ??= compileKey(id, keyDocumentOf({ value }), this.#limits.countsCost)
    }
    if (record) this.#useLimits(record)
  }

  #changeSecret({ id, value }: Document): void {
    this.#changes += 1
    const changed = value as SecretDocument | null
    for (const [secret, kept] of this.#kept.entries()) {
      if (kept.digest !== id) continue
      if (changed === null) this.#kept.delete(secret)
      else kept.untilMs = changed.until_ms ?? Number.POSITIVE_INFINITY
    }
  }
}
