// Memory registry: documents and the audit in memory. Both end with the process.

import { recordOf } from '../../core/json-values.ts'
import { Ring } from '../../core/ring.ts'
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
import { Watchers } from '../watchers.ts'

const MAX_AUDIT_LINES = 10_000

/** A registry for tests and for `DATABASE_URL=memory:`. It keeps the newest 10,000 audit lines. */
export class MemoryRegistry implements Registry {
  readonly #documents = new Map<string, Document>()
  readonly #watchers = new Watchers()
  readonly #auditLines = new Ring<AuditLine>(MAX_AUDIT_LINES)
  #version = 0

  async read(kind: DocumentKind, id?: string): Promise<readonly Document[]> {
    if (id === undefined) return structuredClone(this.#ofKind(kind))
    const document = this.#documents.get(`${kind}/${id}`)
    return document && document.value !== null ? [structuredClone(document)] : []
  }

  #ofKind(kind: DocumentKind): Document[] {
    return [...this.#documents.values()].filter((document) => document.kind === kind && document.value !== null)
  }

  async page(kind: DocumentKind, { afterId = '', limit, where }: PageQuery): Promise<readonly Document[]> {
    const found = this.#ofKind(kind)
      .filter(({ id, value }) => id > afterId && (!where || recordOf(value)[where.field] === where.text))
      .sort((a, b) => (a.id < b.id ? -1 : 1))
      .slice(0, limit)
    return structuredClone(found)
  }

  async write(draft: DocumentDraft, origin: WriteOrigin): Promise<Document> {
    const [document] = await this.writeAll([draft], origin)
    if (!document) throw new Error('A written document is returned.')
    return document
  }

  async writeAll(drafts: readonly DocumentDraft[], origin: WriteOrigin): Promise<readonly Document[]> {
    for (const draft of drafts) this.#assertCurrent(draft)
    return drafts.map((draft) => this.#writeOne(draft, origin))
  }

  #writeOne({ kind, id, value }: DocumentDraft, { actor, atMs, audit }: WriteOrigin): Document {
    const name = `${kind}/${id}`
    const before = this.#documents.get(name)?.value ?? null
    const document: Document = { kind, id, value: JSON.parse(JSON.stringify(value ?? null)), version: ++this.#version }
    this.#documents.set(name, document)
    if (audit && !SECRET_KINDS.has(kind))
      this.#auditLines.push({ version: document.version, atMs, actor, kind, id, before, after: document.value })
    this.#watchers.notify(document)
    return document
  }

  #assertCurrent({ kind, id, replaces }: DocumentDraft): void {
    if (replaces === undefined) return
    const document = this.#documents.get(`${kind}/${id}`)
    const version = document && document.value !== null ? document.version : 0
    if (version !== replaces) throw new DocumentChanged(`${kind} ${id} has changed.`)
  }

  watch(kind: DocumentKind, changed: (document: Document) => void): () => void {
    return this.#watchers.add(kind, changed)
  }

  async audit({ beforeVersion = Number.POSITIVE_INFINITY, limit }: AuditQuery): Promise<readonly AuditLine[]> {
    const lines = this.#auditLines.newest().filter(({ version }) => version < beforeVersion)
    return lines.slice(0, limit)
  }
}
