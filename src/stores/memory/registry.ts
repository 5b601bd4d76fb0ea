// The registry in memory.

import { Ring } from '../../core/ring.ts'
import type { AuditLine, Document, DocumentKind, Registry } from '../registry.ts'

export class MemoryRegistry implements Registry {
  readonly #documents = new Map<string, Document>()
  readonly #watchers = new Map<DocumentKind, Set<(document: Document) => void>>()
  readonly #auditLines = new Ring<AuditLine>(10_000)
  #version = 0

  async read(kind: DocumentKind, id?: string): Promise<readonly Document[]> {
    const found = [...this.#documents.values()].filter(
      (document) => document.kind === kind && document.value !== null && (id === undefined || document.id === id),
    )
    return structuredClone(found)
  }

  async write(
    { kind, id, value }: { readonly kind: DocumentKind; readonly id: string; readonly value: unknown },
    by: { readonly actor: string; readonly atMs: number; readonly audit: boolean },
  ): Promise<Document> {
    const name = `${kind}/${id}`
    const before = this.#documents.get(name)?.value ?? null
    const document: Document = { kind, id, value: JSON.parse(JSON.stringify(value ?? null)), version: ++this.#version }
    this.#documents.set(name, document)
    const { actor, atMs } = by
    if (by.audit)
      this.#auditLines.push({ version: document.version, atMs, actor, kind, id, before, after: document.value })
    for (const changed of this.#watchers.get(kind) ?? []) changed(document)
    return document
  }

  watch(kind: DocumentKind, changed: (document: Document) => void): () => void {
    const watchers = this.#watchers.get(kind) ?? new Set()
    this.#watchers.set(kind, watchers)
    watchers.add(changed)
    return () => watchers.delete(changed)
  }

  async audit(limit: number): Promise<readonly AuditLine[]> {
    return this.#auditLines.newest(limit)
  }
}
