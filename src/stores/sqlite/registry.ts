// SQLite registry: keys, limits, prices and who changed them, in the ledger's own file. Written by people, so seldom.

import type { DatabaseSync, SQLOutputValue } from 'node:sqlite'
import { setTimeout } from 'node:timers/promises'
import type { AuditLine, Document, DocumentKind, Registry } from '../registry.ts'
import { StoreUnavailable } from '../store.ts'
import { isBusy } from './file.ts'

const BUSY_RETRY_MS = 5
const MAX_BUSY_RETRIES = 400

type WriteOrigin = Parameters<Registry['write']>[1]

export class SqliteRegistry implements Registry {
  readonly #db: DatabaseSync
  readonly #watchers = new Map<DocumentKind, Set<(document: Document) => void>>()
  #version: number

  /** @param db the store's connection, closed by the store */
  constructor(db: DatabaseSync) {
    this.#db = db
    const last = db.prepare(`SELECT max((SELECT coalesce(max(version), 0) FROM document),
      (SELECT coalesce(max(version), 0) FROM audit)) AS version`)
    this.#version = Number(last.get()?.version)
  }

  async read(kind: DocumentKind, id?: string): Promise<readonly Document[]> {
    const where = id === undefined ? '' : 'AND id = ?'
    const rows = this.#db.prepare(`SELECT * FROM document WHERE kind = ? AND value IS NOT NULL ${where} ORDER BY id`)
    return (id === undefined ? rows.all(kind) : rows.all(kind, id)).map((row) => ({
      kind,
      id: String(row.id),
      value: parseJson(row.value),
      version: Number(row.version),
    }))
  }

  async write(
    { kind, id, value }: { readonly kind: DocumentKind; readonly id: string; readonly value: unknown },
    by: WriteOrigin,
  ): Promise<Document> {
    const after = value === null || value === undefined ? null : JSON.stringify(value)
    const version = await this.#retryWhileBusy(() => this.#save(kind, id, after, by))
    const document: Document = { kind, id, value: parseJson(after), version }
    for (const changed of this.#watchers.get(kind) ?? []) changed(document)
    return document
  }

  /** One transaction, without a pause in which the store could write. Returns the version it made. */
  #save(kind: DocumentKind, id: string, after: string | null, by: WriteOrigin): number {
    this.#db.exec('BEGIN IMMEDIATE')
    try {
      const version = this.#version + 1
      if (by.audit) {
        const before = this.#db.prepare('SELECT value FROM document WHERE kind = ? AND id = ?').get(kind, id)
        const line = this.#db.prepare('INSERT INTO audit VALUES (?, ?, ?, ?, ?, ?, ?)')
        line.run(version, by.atMs, by.actor, kind, id, before?.value ?? null, after)
      }
      const save = this.#db.prepare(`INSERT INTO document VALUES (?, ?, ?, ?)
        ON CONFLICT DO UPDATE SET value = excluded.value, version = excluded.version`)
      save.run(kind, id, after, version)
      this.#db.exec('COMMIT')
      this.#version = version
      return version
    } catch (error) {
      if (this.#db.isTransaction) this.#db.exec('ROLLBACK')
      throw error
    }
  }

  async #retryWhileBusy(save: () => number): Promise<number> {
    for (let times = 1; ; times++) {
      try {
        return save()
      } catch (error) {
        if (!isBusy(error) || times === MAX_BUSY_RETRIES) {
          throw new StoreUnavailable('the registry could not be written', { cause: error })
        }
      }
      await setTimeout(BUSY_RETRY_MS)
    }
  }

  watch(kind: DocumentKind, changed: (document: Document) => void): () => void {
    const watchers = this.#watchers.get(kind) ?? new Set()
    this.#watchers.set(kind, watchers)
    watchers.add(changed)
    return () => watchers.delete(changed)
  }

  async audit(limit: number): Promise<readonly AuditLine[]> {
    const rows = this.#db.prepare('SELECT * FROM audit ORDER BY version DESC LIMIT ?').all(limit)
    return rows.map((row) => ({
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

function parseJson(text: SQLOutputValue | undefined): unknown {
  return typeof text === 'string' ? JSON.parse(text) : null
}
