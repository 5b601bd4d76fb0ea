// Memory registry: documents and the audit in memory. Both end with the process.

import { Ring } from '../../core/ring.ts'
import type { AuditLine, Document, DocumentDraft, DocumentKind, Registry, WriteOrigin } from '../registry.ts'
import { Watchers } from '../watchers.ts'

const MAX_AUDIT_LINES = 10_000

/** A registry for tests and for `DATABASE_URL=memory:`. It keeps the newest 10,000 audit lines. */
export class MemoryRegistry implements Registry {
  readonly #documents = new Map<string, Document>()
  readonly #watchers = new Watchers()
  readonly #auditLines = new Ring<AuditLine>(MAX_AUDIT_LINES)
  #version = 0

  async read(kind: DocumentKind, id?: string): Promise<readonly Document[]> {
    const found = [...this.#documents.values()].filter(
      (document) => document.kind === kind && document.value !== null && (id === undefined || document.id === id),
    )
    return structuredClone(found)
  }

  async write({ kind, id, value }: DocumentDraft, { actor, atMs, audit }: WriteOrigin): Promise<Document> {
    const name = `${kind}/${id}`
    const before = this.#documents.get(name)?.value ?? null
    const document: Document = { kind, id, value: JSON.parse(JSON.stringify(value ?? null)), version: ++this.#version }
    this.#documents.set(name, document)
    if (audit)
      this.#auditLines.push({ version: document.version, atMs, actor, kind, id, before, after: document.value })
    this.#watchers.notify(document)
    return document
  }

  watch(kind: DocumentKind, changed: (document: Document) => void): () => void {
    return this.#watchers.add(kind, changed)
  }

  async audit(limit: number): Promise<readonly AuditLine[]> {
    return this.#auditLines.newest(limit)
  }
}
