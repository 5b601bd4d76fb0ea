// Watchers: who is called back when a document of a kind changes. Keeps no documents.

import type { Document, DocumentKind } from './registry.ts'

type Watcher = (document: Document) => void

/** The watchers of a registry, by kind. */
export class Watchers {
  readonly #byKind = new Map<DocumentKind, Set<Watcher>>()

  /** Returns the function that removes the watcher. */
  add(kind: DocumentKind, watcher: Watcher): () => void {
    const watchers = this.#byKind.get(kind) ?? new Set()
    this.#byKind.set(kind, watchers)
    watchers.add(watcher)
    return () => watchers.delete(watcher)
  }

  notify(document: Document): void {
    for (const watcher of this.#byKind.get(document.kind) ?? []) watcher(document)
  }
}
