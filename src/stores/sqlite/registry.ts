// SQLite registry: documents and who changed them, in the ledger's own file. People write it, so writes are rare.

import type { DatabaseSync, SQLOutputValue, StatementSync } from 'node:sqlite'
import type { Timers } from '../../core/clock.ts'
import {
  type AuditLine,
  type AuditQuery,
  type Document,
  DocumentChanged,
  type DocumentDraft,
  type DocumentKind,
  type PageQuery,
  type Registry,
  SECRET_KINDS,
  type WriteOrigin,
} from '../registry.ts'
import { StoreUnavailable } from '../store.ts'
import { Watchers } from '../watchers.ts'
import { retryWhileBusy } from './busy-retry.ts'
import type { LedgerHealth } from './ledger-health.ts'

/** Indexes on fields of documents, by kind and field: see migrations.ts. */
const FIELD_INDEXES: ReadonlyMap<string, string> = new Map([['key/project', 'key_project']])

/** A registry on the store's connection. Reads see every write before them; the audit is kept without end. */
export class SqliteRegistry implements Registry {
  readonly #db: DatabaseSync
  readonly #timers: Timers
  readonly #health: Pick<LedgerHealth, 'isLost'>
  readonly #watchers = new Watchers()
  /** Read at the first request of each key, and for each secret that is none. */
  readonly #one: StatementSync
  #version: number

  /** @param db the store's connection, which the store closes */
  constructor(db: DatabaseSync, timers: Timers, health: Pick<LedgerHealth, 'isLost'>) {
    this.#db = db
    this.#timers = timers
    this.#health = health
    this.#one = db.prepare('SELECT * FROM document WHERE kind = ? AND id = ? AND value IS NOT NULL')
    const last = db.prepare(`SELECT max((SELECT coalesce(max(version), 0) FROM document),
      (SELECT coalesce(max(version), 0) FROM audit)) AS version`)
    this.#version = Number(last.get()?.version)
  }

  async read(kind: DocumentKind, id?: string): Promise<readonly Document[]> {
    if (id !== undefined) return this.#one.all(kind, id).map((row) => documentOf(kind, row))
    const rows = this.#db.prepare('SELECT * FROM document WHERE kind = ? AND value IS NOT NULL ORDER BY id')
    return rows.all(kind).map((row) => documentOf(kind, row))
  }

  async page(kind: DocumentKind, { afterId = '', limit, where }: PageQuery): Promise<readonly Document[]> {
    // Kind and field stand in the text, since an index on a field holds for expressions that are written the same.
    const narrowed = where ? `AND value ->> '${fieldOf(where.field)}' = ?` : ''
    // SQLite would rather read all documents of the kind.
    const index = where && FIELD_INDEXES.get(`${kind}/${where.field}`)
    const rows = this.#db.prepare(`SELECT * FROM document ${index === undefined ? '' : `INDEXED BY ${index}`}
      WHERE kind = '${kind}' AND id > ? AND value IS NOT NULL ${narrowed} ORDER BY id LIMIT ?`)
    const texts = where ? [where.text] : []
    return rows.all(afterId, ...texts, limit).map((row) => documentOf(kind, row))
  }

  async write(draft: DocumentDraft, origin: WriteOrigin): Promise<Document> {
    const [document] = await this.writeAll([draft], origin)
    if (!document) throw new Error('A written document is returned.')
    return document
  }

  async writeAll(drafts: readonly DocumentDraft[], origin: WriteOrigin): Promise<readonly Document[]> {
    const documents = await this.#saveAllOnceFree(drafts, origin)
    for (const document of documents) this.#watchers.notify(document)
    return documents
  }

  /** One transaction in one turn, so that the store cannot write in between. */
  #saveAll(drafts: readonly DocumentDraft[], origin: WriteOrigin): readonly Document[] {
    if (this.#health.isLost) throw new Error('The ledger is lost.')
    this.#db.exec('BEGIN IMMEDIATE')
    try {
      const documents = drafts.map((draft, index) => this.#save(draft, this.#version + 1 + index, origin))
      this.#db.exec('COMMIT')
      this.#version += drafts.length
      return documents
    } catch (error) {
      if (this.#db.isTransaction) this.#db.exec('ROLLBACK')
      throw error
    }
  }

  #save({ kind, id, value, replaces }: DocumentDraft, version: number, { audit, atMs, actor }: WriteOrigin): Document {
    const before = this.#db.prepare('SELECT value, version FROM document WHERE kind = ? AND id = ?').get(kind, id)
    const beforeVersion = typeof before?.value === 'string' ? Number(before.version) : 0
    if (replaces !== undefined && replaces !== beforeVersion) throw new DocumentChanged(`${kind} ${id} has changed.`)
    const after = value === null || value === undefined ? null : JSON.stringify(value)
    if (audit && !SECRET_KINDS.has(kind)) {
      const line = this.#db.prepare('INSERT INTO audit VALUES (?, ?, ?, ?, ?, ?, ?)')
      line.run(version, atMs, actor, kind, id, before?.value ?? null, after)
    }
    const save = this.#db.prepare(`INSERT INTO document VALUES (?, ?, ?, ?)
      ON CONFLICT DO UPDATE SET value = excluded.value, version = excluded.version`)
    save.run(kind, id, after, version)
    return { kind, id, value: parseJson(after), version }
  }

  async #saveAllOnceFree(drafts: readonly DocumentDraft[], origin: WriteOrigin): Promise<readonly Document[]> {
    try {
      return await retryWhileBusy(this.#timers, () => this.#saveAll(drafts, origin))
    } catch (error) {
      if (error instanceof DocumentChanged) throw error
      throw new StoreUnavailable('The registry could not be written.', { cause: error })
    }
  }

  watch(kind: DocumentKind, changed: (document: Document) => void): () => void {
    return this.#watchers.add(kind, changed)
  }

  async audit({ beforeVersion = Number.MAX_SAFE_INTEGER, limit }: AuditQuery): Promise<readonly AuditLine[]> {
    const rows = this.#db.prepare('SELECT * FROM audit WHERE version < ? ORDER BY version DESC LIMIT ?')
    return rows.all(beforeVersion, limit).map((row) => ({
      version: Number(row.version),
      atMs: Number(row.at_ms),
      actor: String(row.actor),
      kind: row.kind as DocumentKind,
      id: String(row.id),
      before: parseJson(row.before),
      after: parseJson(row.after),
    }))
  }
}

/** Throws TypeError for a field that would have to be quoted. */
function fieldOf(field: string): string {
  if (!/^[a-z_]+$/.test(field)) throw new TypeError(`Documents cannot be narrowed by ${field}.`)
  return field
}

function documentOf(kind: DocumentKind, row: Record<string, SQLOutputValue>): Document {
  return { kind, id: String(row.id), value: parseJson(row.value), version: Number(row.version) }
}

function parseJson(text: SQLOutputValue | undefined): unknown {
  return typeof text === 'string' ? JSON.parse(text) : null
}
