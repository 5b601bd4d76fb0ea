// Key administration: makes keys, changes them, and replaces their secrets, in the registry. It identifies nobody.

import { isDeepStrictEqual } from 'node:util'
import type { z } from 'zod'
import { ConfigError } from '../config/config-error.ts'
import { shown } from '../config/findings.ts'
import type { ConfiguredKey } from '../config/settings.ts'
import type { MadeKeys } from '../config/unmatched-names.ts'
import { Problem } from '../core/problem.ts'
import { keyDocument, replaceKeyDocument } from '../limits/key-documents.ts'
import type { LimitsInForce } from '../limits/limits-in-force.ts'
import {
  type Document,
  DocumentChanged,
  type DocumentDraft,
  type Registry,
  type WriteOrigin,
} from '../stores/registry.ts'
import type { KeyDirectory, SecretDocument } from './key-directory.ts'
import {
  type changedKeySchema,
  type KeyDocument,
  keyDocumentOf,
  MAX_KEY_ID_CHARACTERS,
  type newKeySchema,
} from './key-record.ts'
import { digest, newSecret, prefixOf } from './secrets.ts'

/** A key by its id. */
export interface MadeKey {
  readonly id: string
  readonly document: KeyDocument
}

/** A key, and its secret, which is shown this once. */
interface KeyWithSecret extends MadeKey {
  readonly secret: string
}

/** What an operator sets of a key. */
type ChangedKey = z.output<typeof changedKeySchema>

interface KeyAdministrationParts {
  readonly registry: Registry
  readonly directory: KeyDirectory
  readonly limits: Pick<LimitsInForce, 'changeKey' | 'countsCost' | 'keyTurns'>
  /** The keys of BURSAR_KEYS. */
  readonly keys: readonly ConfiguredKey[]
  readonly randomBytes: (size: number) => Uint8Array
}

/** The secrets of a key, as the document `key-secret/of:{id}` keeps them: the newest first. */
interface SecretsDocument {
  readonly secrets: readonly { readonly digest: string; readonly until_ms?: number }[]
}

/** Another writer may be faster this often. */
const MAX_TRIES = 5
/** Ids made of a name: the name, then the name with numbers up to this one, then with random digits. */
const MAX_NUMBERED_ID = 9
const MAX_ID_TRIES = 20
const RANDOM_ID_BYTES = 4
const MAX_NAME_IN_ID = MAX_KEY_ID_CHARACTERS - 1 - 2 * RANDOM_ID_BYTES
/** Secrets in their grace at a time. Older ones end. */
const MAX_OLD_SECRETS = 10

/** Every change is one write of all documents that belong together, or none. */
export class KeyAdministration {
  readonly #parts: KeyAdministrationParts

  constructor(parts: KeyAdministrationParts) {
    this.#parts = parts
  }

  /** Call it before the first request. Rejects with ConfigError if a key of BURSAR_KEYS has the id of a key that was made. */
  async open(): Promise<void> {
    const { directory, keys } = this.#parts
    await directory.open()
    const { ids } = await this.madeAmong(keys.map(({ id }) => id))
    const mistakes = [...ids].map(
      (id) =>
        `BURSAR_KEYS: ${id} is also the id of a key that POST /admin/keys made, and both would share limits and figures. ` +
        'Rename the key in BURSAR_KEYS, or take it out.',
    )
    if (mistakes.length > 0) throw new ConfigError(mistakes)
  }

  /** Whether any key was made, and which of these were. */
  async madeAmong(ids: readonly string[]): Promise<MadeKeys> {
    const { registry, directory } = this.#parts
    const made = new Set<string>()
    if (directory.hasKeys) for (const id of new Set(ids)) if ((await registry.read('key', id)).length > 0) made.add(id)
    return { exist: directory.hasKeys, ids: made }
  }

  /**
   * Makes a key. Rejects with Problem `already_exists` for an id that a key has or had.
   * @param fields without an id, the id is made from the name
   */
  async make({ id: wantedId, ...fields }: z.output<typeof newKeySchema>, origin: WriteOrigin): Promise<KeyWithSecret> {
    const secret = newSecret(this.#parts.randomBytes)
    const document = {
      ...fields,
      prefix: prefixOf(secret),
      raises: [],
      disabled_at: null,
      created_at: new Date(origin.atMs).toISOString(),
    }
    for (let tries = 0; tries < MAX_ID_TRIES; tries++) {
      const id = wantedId ?? this.#idFor(fields.name, tries)
      const isMade = !this.#isConfigured(id) && (await this.#writeUnchanged(draftsOfNew(id, document, secret), origin))
      if (isMade) return { id, document, secret }
      if (wantedId !== undefined) break
    }
    throw new Problem(
      'already_exists',
      `A key with the id ${wantedId ?? this.#idFor(fields.name, 0)} exists, or did: an id is never used twice. Choose another id.`,
      'id',
    )
  }

  /** Rejects with Problem `not_found`. */
  async find(id: string): Promise<MadeKey> {
    const { document } = await this.#read(id)
    return { id, document }
  }

  /** Keys in the order of their ids, after this one. @param project undefined: of all projects */
  async page(afterId: string, limit: number, project: string | undefined): Promise<readonly MadeKey[]> {
    const where = project === undefined ? {} : { where: { field: 'project', text: project } }
    const documents = await this.#parts.registry.page('key', { afterId, limit, ...where })
    return documents.map((document) => ({ id: document.id, document: keyDocumentOf(document) }))
  }

  /**
   * Changes a key, once other changes of it are over. A change that another one overtakes is made again from what that one left. Rejects
   * with Problem `not_found`, and `conflict` if others stay faster.
   * @param change called with what is set, perhaps several times; what it throws is passed on
   */
  change(id: string, change: (before: ChangedKey) => ChangedKey, origin: WriteOrigin): Promise<MadeKey> {
    return this.#parts.limits.keyTurns.run(id, () => this.#change(id, change, origin))
  }

  async #change(id: string, change: (before: ChangedKey) => ChangedKey, origin: WriteOrigin): Promise<MadeKey> {
    for (let tries = 0; tries < MAX_TRIES; tries++) {
      const { stored, document: before } = await this.#read(id)
      const { prefix, created_at, disabled_at, raises, ...set } = before
      const { disabled, ...fields } = change({ ...set, disabled: disabled_at !== null })
      const disabledAt = disabled ? (disabled_at ?? new Date(origin.atMs).toISOString()) : null
      const document = { ...fields, raises, prefix, created_at, disabled_at: disabledAt }
      if (isDeepStrictEqual(document, before)) return { id, document }
      const { registry, limits } = this.#parts
      if (await unlessChanged(() => replaceKeyDocument(registry, limits, stored, document, origin)))
        return { id, document }
    }
    throw busyProblem(id)
  }

  /**
   * Gives a key another secret. Rejects with Problem as `change` does.
   * @param graceMs how long the secret before works on
   */
  rotate(id: string, graceMs: number, origin: WriteOrigin): Promise<KeyWithSecret> {
    return this.#parts.limits.keyTurns.run(id, () => this.#rotate(id, graceMs, origin))
  }

  async #rotate(id: string, graceMs: number, origin: WriteOrigin): Promise<KeyWithSecret> {
    const secret = newSecret(this.#parts.randomBytes)
    for (let tries = 0; tries < MAX_TRIES; tries++) {
      const { stored, document: before } = await this.#read(id)
      const [current] = await this.#parts.registry.read('key-secret', secretsId(id))
      const { secrets } = (current?.value ?? { secrets: [] }) as SecretsDocument
      const untilMs = origin.atMs + graceMs
      const old = secrets.map(({ digest: old, until_ms = untilMs }) => ({
        digest: old,
        until_ms: Math.min(until_ms, untilMs),
      }))
      const kept = old.filter(({ until_ms }) => until_ms > origin.atMs).slice(0, MAX_OLD_SECRETS)
      const document = { ...before, prefix: prefixOf(secret) }
      const drafts: DocumentDraft[] = [
        { kind: 'key', id, value: document, replaces: stored.version },
        ...secretDrafts(id, secret, kept, current?.version ?? 0),
        ...old.map((ended) =>
          secretDraft(ended.digest, kept.includes(ended) ? { key: id, until_ms: ended.until_ms } : null),
        ),
      ]
      if (await this.#writeUnchanged(drafts, origin)) return { id, document, secret }
    }
    throw busyProblem(id)
  }

  async #read(id: string): Promise<{ readonly stored: Document; readonly document: KeyDocument }> {
    const stored = await keyDocument(this.#parts.registry, id)
    if (stored) return { stored, document: keyDocumentOf(stored) }
    const text = this.#isConfigured(id)
      ? `The key ${shown(id)} is one of BURSAR_KEYS: change it there.`
      : `There is no key ${shown(id)}. GET /admin/keys lists them.`
    throw new Problem('not_found', text, 'id')
  }

  /** False, and nothing is written, if a document has changed since it was read. */
  async #writeUnchanged(drafts: readonly DocumentDraft[], origin: WriteOrigin): Promise<boolean> {
    return unlessChanged(() => this.#parts.registry.writeAll(drafts, origin))
  }

  #isConfigured(id: string): boolean {
    return this.#parts.keys.some((key) => key.id === id)
  }

  #idFor(name: string, tries: number): string {
    const base = idOf(name)
    if (tries === 0) return base
    if (tries < MAX_NUMBERED_ID) return `${base}-${tries + 1}`
    return `${base}-${Buffer.from(this.#parts.randomBytes(RANDOM_ID_BYTES)).toString('hex')}`
  }
}

/** False, and nothing is written, if a document has changed since it was read. */
async function unlessChanged(write: () => Promise<unknown>): Promise<boolean> {
  try {
    await write()
    return true
  } catch (error) {
    if (error instanceof DocumentChanged) return false
    throw error
  }
}

/** `Web backend (Ärger)` → `web-backend-arger`. */
function idOf(name: string): string {
  const plain = name.normalize('NFKD').replace(/\p{M}/gu, '').toLowerCase()
  const id = plain
    .replace(/[^a-z0-9]+/g, '-')
    .slice(0, MAX_NAME_IN_ID)
    .replace(/^-+|-+$/g, '')
  return id === '' ? 'key' : id
}

function draftsOfNew(id: string, document: KeyDocument, secret: string): DocumentDraft[] {
  return [{ kind: 'key', id, value: document, replaces: 0 }, ...secretDrafts(id, secret, [], 0)]
}

/** A new secret, and the list of the key's secrets with it. No id of a key has a colon. */
function secretDrafts(
  id: string,
  secret: string,
  old: SecretsDocument['secrets'],
  listVersion: number,
): readonly DocumentDraft[] {
  const secretDigest = digest(secret)
  const list: SecretsDocument = { secrets: [{ digest: secretDigest }, ...old] }
  return [
    { ...secretDraft(secretDigest, { key: id }), replaces: 0 },
    { kind: 'key-secret', id: secretsId(id), value: list, replaces: listVersion },
  ]
}

function secretDraft(secretDigest: string, value: SecretDocument | null): DocumentDraft {
  return { kind: 'key-secret', id: secretDigest, value }
}

function secretsId(id: string): string {
  return `of:${id}`
}

function busyProblem(id: string): Problem {
  return new Problem('conflict', `The key ${shown(id)} is being changed by others. Send the change again.`, 'id')
}
