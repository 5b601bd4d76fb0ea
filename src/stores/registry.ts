// Registry: the contract for what is configured rather than counted. It interprets no document.

/** Kinds of documents. A `limit-seed` marks a limit whose windows have started from the ledger's sums. */
export type DocumentKind = 'key' | 'limit-seed' | 'price' | 'price-file' | 'adjustment' | 'alert' | 'cursor'

/** A configured value, stored as JSON. */
export interface Document {
  readonly kind: DocumentKind
  readonly id: string
  /** JSON. Null once the document is deleted. */
  readonly value: unknown
  /** Grows with every write of any document. */
  readonly version: number
}

/** A document to write. A null value deletes it. */
export type DocumentDraft = Omit<Document, 'version'>

/** Who writes a document, and when. */
export interface WriteOrigin {
  /** A key id, `admin`, `bursar.json`, or `gateway`. */
  readonly actor: string
  /** Epoch milliseconds. */
  readonly atMs: number
  /** False for state that the gateway writes for itself: cursors, seeds, the state of alerts. */
  readonly audit: boolean
}

/** One change of a document. `before` and `after` are JSON values; null if there was none. */
export interface AuditLine {
  readonly version: number
  readonly atMs: number
  readonly actor: string
  readonly kind: DocumentKind
  readonly id: string
  readonly before: unknown
  readonly after: unknown
}

/**
 * Documents: keys, limits, prices, the state of alerts, cursors of exports, and who changed them. Do not use a registry after its
 * store is closed. Each line of a list below is the name of a test in `test/stores/conformance`.
 *
 * - writing documents does not get in the way of calls
 */
export interface Registry {
  /**
   * All documents of a kind, or the document with that id.
   *
   * - a document that was written is read, and a deleted one is not
   */
  read(kind: DocumentKind, id?: string): Promise<readonly Document[]>
  /** Rejects with StoreUnavailable if the document cannot be written. */
  write(draft: DocumentDraft, origin: WriteOrigin): Promise<Document>
  /**
   * Calls back after every write of a kind. Returns the function that stops this.
   *
   * - watchers are called for their kind, in order, until they stop
   */
  watch(kind: DocumentKind, changed: (document: Document) => void): () => void
  /**
   * The newest audit lines, newest first.
   *
   * - the audit shows who changed what, newest first, without the gateway's own state
   */
  audit(limit: number): Promise<readonly AuditLine[]>
}
