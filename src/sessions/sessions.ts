// Sessions: who is signed in with which browser. All are in memory, so a request that a session answers reads no file. The registry has them
// for the next start.

import type { Clock } from '../core/clock.ts'
import { ADMIN, type Callers, type SecretHolder, type Viewer } from '../keys/callers.ts'
import type { KnownSecret } from '../keys/key-directory.ts'
import { keyDocumentOf } from '../keys/key-record.ts'
import { digest } from '../keys/secrets.ts'
import type { Document, Registry, WriteOrigin } from '../stores/registry.ts'
import { SecretStamps } from './secret-stamps.ts'
import { deletionDrafts, type StoredSession, sessionDrafts, storedSessionOf } from './session.ts'

/** A session ends then, however much it is used. */
export const MAX_SESSION_SECONDS = 12 * 3_600
/** Another one ends a session of the key that has most. */
const MAX_SESSIONS = 1_000
const SECRET_BYTES = 32
const ID_CHARACTERS = 16

/** A session. */
export interface Session {
  /** What people know the session by. The cookie cannot be made of it. */
  readonly id: string
  /** Null: of the admin key. */
  readonly key: string | null
  /** The address of the browser that signed in; null without a network. */
  readonly address: string | null
  readonly createdAtMs: number
  /** Null until it is used in this run of the gateway. */
  readonly lastUsedAtMs: number | null
}

/** A session that may be used now. */
export interface LiveSession {
  readonly session: Session
  readonly viewer: Viewer
  /** Epoch milliseconds, if the key does not change before. */
  readonly expiresAtMs: number
}

/** A session and what is needed to check it. */
interface KeptSession extends Session {
  readonly slot: number
  readonly digest: string
  /** Of the key that the session began with. */
  readonly secretDigest: string
  readonly expiresAtMs: number
  lastUsedAtMs: number | null
  /** Undefined until it is read, and after each change of the key. */
  known: Readonly<KnownSecret> | undefined
}

interface SessionsParts {
  readonly registry: Registry
  readonly callers: Callers
  readonly clock: Clock
  readonly randomBytes: (size: number) => Uint8Array
}

/**
 * Begins, finds and ends sessions. A session ends after twelve hours, and when the secret that it began with stops working.
 *
 * @example
 * const sessions = new Sessions({ registry, callers, clock, randomBytes })
 * await sessions.open()
 * const secret = await sessions.begin(await callers.holderOf('bsr_…'), '10.0.0.7')
 * const live = await sessions.find(secret) // undefined once it has ended
 */
export class Sessions {
  readonly #parts: SessionsParts
  readonly #stamps: SecretStamps
  readonly #kept = new Map<string, KeptSession>()
  /** Slots whose documents are still in the registry, though their sessions have ended. */
  readonly #ended = new Set<number>()
  readonly #usedSlots = new Set<number>()
  #keyChanges = 0

  constructor(parts: SessionsParts) {
    this.#parts = parts
    this.#stamps = new SecretStamps(parts.randomBytes)
    parts.registry.watch('key', (document) => this.#changeKey(document))
    parts.registry.watch('key-secret', (document) => this.#changeSecret(document))
  }

  /** Reads the sessions of the run before. Call it before the first request. Rejects with the registry's error. */
  async open(): Promise<void> {
    const { registry, callers } = this.#parts
    const secrets = new Map((await registry.read('session-secret')).map((document) => [document.id, document]))
    for (const document of await registry.read('session')) {
      const stored = storedSessionOf(document, secrets.get(document.id))
      const slot = Number(document.id)
      this.#usedSlots.add(slot)
      const secretDigest =
        stored && (await this.#stamps.digestOf(stored.secret.stamp, callers.chosenDigest(stored.session.key)))
      if (stored && secretDigest !== undefined) this.#keep(stored, secretDigest)
      else this.#ended.add(slot)
    }
    await this.sweep()
  }

  /**
   * Begins a session. Resolves to the secret for the cookie. Rejects with StoreUnavailable.
   * @param address the IP address of the browser; null without a network
   */
  async begin(holder: SecretHolder, address: string | null): Promise<string> {
    const { registry, clock, randomBytes } = this.#parts
    const stamp = await this.#stamps.stampOf(holder)
    const { wallMs } = clock.now()
    const secret = Buffer.from(randomBytes(SECRET_BYTES)).toString('base64url')
    const secretDigest = digest(secret)
    const id = secretDigest.slice(0, ID_CHARACTERS)
    const expiresAtMs = wallMs + MAX_SESSION_SECONDS * 1_000
    const times = { created_at: timeText(wallMs), expires_at: timeText(expiresAtMs) }
    const stored: StoredSession = {
      slot: this.#freeSlot(),
      session: { id, key: holder.key, address, ...times },
      secret: { id, digest: secretDigest, stamp },
    }
    this.#usedSlots.add(stored.slot)
    try {
      await registry.writeAll(sessionDrafts(stored), this.#origin())
    } catch (error) {
      this.#usedSlots.delete(stored.slot)
      throw error
    }
    this.#keep(stored, holder.secretDigest)
    while (this.#kept.size > MAX_SESSIONS) this.#end(this.#oldestOfMost())
    return secret
  }

  /** The session with this secret, which counts as used now. Resolves to undefined if there is none, or it has ended. */
  async find(secret: string): Promise<LiveSession | undefined> {
    const kept = this.#kept.get(digest(secret))
    const live = kept && (await this.#check(kept))
    if (live) kept.lastUsedAtMs = this.#parts.clock.now().wallMs
    return live
  }

  /** Ends the session with this secret, if there is one. Rejects with StoreUnavailable; the session has ended all the same. */
  async end(secret: string): Promise<void> {
    const kept = this.#kept.get(digest(secret))
    if (!kept) return
    this.#forget(kept)
    await this.#deleteEnded()
  }

  /** Every session that may be used now, the newest first. */
  async list(): Promise<readonly LiveSession[]> {
    const checked = await Promise.all([...this.#kept.values()].map((kept) => this.#check(kept)))
    return checked
      .filter((live) => live !== undefined)
      .toSorted((left, right) => right.session.createdAtMs - left.session.createdAtMs)
  }

  /** Ends the session that people know by this id. Resolves to false if there is none. Rejects with StoreUnavailable; then it goes on. */
  async revoke(id: string, origin: WriteOrigin): Promise<boolean> {
    const kept = [...this.#kept.values()].find((session) => session.id === id)
    if (!kept || !(await this.#check(kept))) return false
    this.#kept.delete(kept.digest)
    try {
      await this.#parts.registry.writeAll(deletionDrafts([kept.slot]), origin)
    } catch (error) {
      this.#kept.set(kept.digest, kept)
      throw error
    }
    this.#usedSlots.delete(kept.slot)
    return true
  }

  /** Ends the sessions whose time is over, and deletes what has ended. Rejects with StoreUnavailable; then the next sweep deletes it. */
  async sweep(): Promise<void> {
    const { wallMs } = this.#parts.clock.now()
    for (const kept of this.#kept.values()) if (wallMs >= kept.expiresAtMs) this.#forget(kept)
    await this.#deleteEnded()
  }

  #keep({ slot, session, secret }: StoredSession, secretDigest: string): void {
    const { id, key, address, created_at, expires_at } = session
    const times = { createdAtMs: Date.parse(created_at), expiresAtMs: Date.parse(expires_at), lastUsedAtMs: null }
    const kept = { id, key, address, ...times, slot, digest: secret.digest, secretDigest, known: undefined }
    this.#kept.set(kept.digest, kept)
  }

  /** The session, if it may be used now. A session that may not has ended for good. */
  async #check(kept: KeptSession): Promise<LiveSession | undefined> {
    const known = kept.key === null ? undefined : (kept.known ?? (await this.#readKey(kept)))
    // The session may have ended while its key was read.
    if (this.#kept.get(kept.digest) !== kept) return undefined
    const { record, untilMs } = known ?? {}
    const expiresAtMs = Math.min(kept.expiresAtMs, record?.expiresAtMs ?? Infinity, untilMs ?? Infinity)
    const isUsable = kept.key === null || (record !== undefined && !record.isDisabled)
    if (!isUsable || this.#parts.clock.now().wallMs >= expiresAtMs) {
      this.#end(kept)
      return undefined
    }
    return { session: kept, viewer: record ? { role: 'key', key: record.id, record } : ADMIN, expiresAtMs }
  }

  async #readKey(kept: KeptSession): Promise<Readonly<KnownSecret> | undefined> {
    for (;;) {
      const changes = this.#keyChanges
      const found = await this.#parts.callers.findByDigest(kept.secretDigest)
      // What changed while it was read is read again, or the change would be lost.
      if (changes !== this.#keyChanges) continue
      // A copy: the directory changes its own as long as it keeps it, and no longer.
      kept.known = found && { record: found.record, untilMs: found.untilMs }
      return kept.known
    }
  }

  /** The sessions of a key that is disabled end now, and do not come back if the key is enabled again. */
  #changeKey({ id, value }: Document): void {
    this.#change(
      ({ key }) => key === id,
      () => value === null || keyDocumentOf({ value }).disabled_at !== null,
    )
  }

  #changeSecret({ id, value }: Document): void {
    this.#change(
      ({ secretDigest }) => secretDigest === id,
      () => value === null,
    )
  }

  /** Ends these sessions, or has their next requests read the key again. */
  #change(isMeant: (kept: KeptSession) => boolean, hasEnded: () => boolean): void {
    this.#keyChanges += 1
    for (const kept of this.#kept.values()) {
      if (!isMeant(kept)) continue
      if (hasEnded()) this.#end(kept)
      else kept.known = undefined
    }
  }

  #end(kept: KeptSession): void {
    this.#forget(kept)
    // What cannot be deleted now is deleted by the next sweep, which reports it if it fails.
    this.#deleteEnded().catch(() => {})
  }

  #forget(kept: KeptSession): void {
    this.#kept.delete(kept.digest)
    this.#ended.add(kept.slot)
  }

  async #deleteEnded(): Promise<void> {
    const slots = [...this.#ended]
    if (slots.length === 0) return
    this.#ended.clear()
    try {
      await this.#parts.registry.writeAll(deletionDrafts(slots), this.#origin())
    } catch (error) {
      for (const slot of slots) this.#ended.add(slot)
      throw error
    }
    for (const slot of slots) this.#usedSlots.delete(slot)
  }

  /** The oldest session of the key that has most, so that no key's holder ends those of others by signing in again and again. */
  #oldestOfMost(): KeptSession {
    const counts = new Map<string | null, number>()
    for (const { key } of this.#kept.values()) counts.set(key, (counts.get(key) ?? 0) + 1)
    const most = Math.max(...counts.values())
    const [oldest] = [...this.#kept.values()]
      .filter(({ key }) => counts.get(key) === most)
      .toSorted((left, right) => left.createdAtMs - right.createdAtMs)
    if (!oldest) throw new Error('There are sessions.')
    return oldest
  }

  /** The smallest number of no session, so that ended sessions leave no growing number of documents behind. */
  #freeSlot(): number {
    let slot = 0
    while (this.#usedSlots.has(slot)) slot += 1
    return slot
  }

  #origin(): WriteOrigin {
    return { actor: 'gateway', atMs: this.#parts.clock.now().wallMs, audit: false }
  }
}

function timeText(wallMs: number): string {
  return new Date(wallMs).toISOString()
}
