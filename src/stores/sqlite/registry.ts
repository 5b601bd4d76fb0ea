// SQLite registry: documents and who changed them, in the ledger's own file. People write it, so writes are rare.

import type { DatabaseSync, SQLOutputValue } from 'node:sqlite'
import type { Timers } from '../../core/clock.ts'
import type { AuditLine, Document, DocumentDraft, DocumentKind, Registry, WriteOrigin } from '../registry.ts'
import { StoreUnavailable } from '../store.ts'
import { Watchers } from '../watchers.ts'
import { isBusy } from './file.ts'
import type { LedgerHealth } from './ledger-health.ts'
import { sleep } from './sleep.ts'

const BUSY_RETRY_MS = 5
const MAX_BUSY_RETRIES = 400

/** A registry on the store's connection. Reads see every write before them; the audit is kept without end. */
export class SqliteRegistry implements Registry {
  readonly #db: DatabaseSync
  readonly #timers: Timers
  readonly #health: Pick<LedgerHealth, 'isLost'>
  readonly #watchers = new Watchers()
  #version: number

  /** @param db the store's connection, which the store closes */
  constructor(db: DatabaseSync, timers: Timers, health: Pick<LedgerHealth, 'isLost'>) {
    this.#db = db
    this.#timers = timers
    this.#health = health
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

  async write({ kind, id, value }: DocumentDraft, origin: WriteOrigin): Promise<Document> {
    const after = value === null || value === undefined ? null : JSON.stringify(value)
    const version = await this.#retryWhileBusy(() => this.#save(kind, id, after, origin))
    const document: Document = { kind, id, value: parseJson(after), version }
    this.#watchers.notify(document)
    return document
  }

  /** One transaction in one turn, so that the store cannot write in between. Returns the new version. */
  #save(kind: DocumentKind, id: string, after: string | null, origin: WriteOrigin): number {
    if (this.#health.isLost) throw new Error('The ledger is lost.')
    this.#db.exec('BEGIN IMMEDIATE')
    try {
      const version = this.#version + 1
      if (origin.audit) {
        const before = this.#db.prepare('SELECT value FROM document WHERE kind = ? AND id = ?').get(kind, id)
        const line = this.#db.prepare('INSERT INTO audit VALUES (?, ?, ?, ?, ?, ?, ?)')
        line.run(version, origin.atMs, origin.actor, kind, id, before?.value ?? null, after)
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
    for (let attempt = 1; ; attempt++) {
      try {
        return save()
      } catch (error) {
        if (!isBusy(error) || attempt === MAX_BUSY_RETRIES) {
          throw new StoreUnavailable('The registry could not be written.', { cause: error })
        }
      }
      await sleep(this.#timers, BUSY_RETRY_MS)
    }
  }

  watch(kind: DocumentKind, changed: (document: Document) => void): () => void {
    return this.#watchers.add(kind, changed)
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
