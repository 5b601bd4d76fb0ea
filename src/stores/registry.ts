// Registry: the contract for what is configured rather than counted.

/** Kinds of documents a registry holds. */
export type DocumentKind = 'key' | 'limit' | 'price' | 'alert' | 'cursor'

export interface Document {
  readonly kind: DocumentKind
  readonly id: string
  /** JSON. Null once deleted. */
  readonly value: unknown
  /** Grows with every write of any document. */
  readonly version: number
}

export interface AuditLine {
  readonly version: number
  readonly atMs: number
  /** Who wrote it: a key id, `admin`, `bursar.json`, `gateway`. */
  readonly actor: string
  readonly kind: DocumentKind
  readonly id: string
  readonly before: unknown
  readonly after: unknown
}

/** What is configured rather than counted: keys, limits, prices, alert state, export cursors, and who changed them. */
export interface Registry {
  /** All documents of a kind, or the one with that id, without deleted ones. */
  read(kind: DocumentKind, id?: string): Promise<readonly Document[]>
  /** Null deletes. `audit` false for state the gateway writes for itself (cursors, alert state). */
  write(
    document: { readonly kind: DocumentKind; readonly id: string; readonly value: unknown },
    by: { readonly actor: string; readonly atMs: number; readonly audit: boolean },
  ): Promise<Document>
  /** Calls back after every write of a kind, in order. Returns the way to stop. */
  watch(kind: DocumentKind, changed: (document: Document) => void): () => void
  /** Newest first. */
  audit(limit: number): Promise<readonly AuditLine[]>
}
