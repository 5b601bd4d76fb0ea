// Registry: the contract for what is configured rather than counted. It interprets no document.

/**
 * Kinds of documents. A `key-secret` finds the key of a digest. A `limit-seed` marks a limit whose windows have started from the
 * ledger's sums. An `alert-state` says which receiver wants no more alerts. A `session-secret` is what a `session` is found and checked by.
 */
export type DocumentKind =
  | 'key'
  | 'key-secret'
  | 'limit'
  | 'limit-seed'
  | 'price'
  | 'price-file'
  | 'provider'
  | 'provider-secret'
  | 'setting'
  | 'adjustment'
  | 'alert'
  | 'alert-secret'
  | 'alert-state'
  | 'cursor'
  | 'metrics-epoch'
  | 'session'
  | 'session-secret'

/** Digests of secrets, and secrets that are encrypted: the audit never holds them. */
export const SECRET_KINDS: ReadonlySet<DocumentKind> = new Set<DocumentKind>([
  'key-secret',
  'provider-secret',
  'alert-secret',
  'session-secret',
])

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
export interface DocumentDraft extends Omit<Document, 'version'> {
  /** The version that the draft was made from, 0 for a document that must not exist. Absent: whatever is there is replaced. */
  readonly replaces?: number
}

/** Another writer was faster: the document has another version than the draft was made from. Nothing was written. */
export class DocumentChanged extends Error {
  override name = 'DocumentChanged'
}

/** A page of documents, in the order of their ids. */
export interface PageQuery {
  /** Only documents with a larger id. */
  readonly afterId?: string
  /** The most documents to return. */
  readonly limit: number
  /** Only documents whose value has this text in this field. */
  readonly where?: { readonly field: string; readonly text: string }
}

/** Which audit lines to read. */
export interface AuditQuery {
  /** Only lines with a smaller version. */
  readonly beforeVersion?: number
  /** The most lines to return. */
  readonly limit: number
}

/** Who writes a document, and when. */
export interface WriteOrigin {
  /** A key id, `admin`, `bursar.json`, or `gateway`. */
  readonly actor: string
  /** Epoch milliseconds. */
  readonly atMs: number
  /** False for state that the gateway writes for itself: cursors and seeds. */
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
 * Documents: keys, limits, prices, receivers of alerts, cursors of exports, and who changed them. Do not use a registry after its
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
  /**
   * A page of the documents of a kind.
   *
   * - documents are read in pages by id, narrowed by a field
   */
  page(kind: DocumentKind, query: PageQuery): Promise<readonly Document[]>
  /** Rejects with DocumentChanged, and with StoreUnavailable if the document cannot be written. */
  write(draft: DocumentDraft, origin: WriteOrigin): Promise<Document>
  /**
   * Writes all of the documents or none. Rejects as `write` does.
   *
   * - documents of a list are written together or not at all
   * - a draft of an older version is refused, and nothing is written
   */
  writeAll(drafts: readonly DocumentDraft[], origin: WriteOrigin): Promise<readonly Document[]>
  /**
   * Calls back after every write of a kind. Returns the function that stops this.
   *
   * - watchers are called for their kind, in order, until they stop
   */
  watch(kind: DocumentKind, changed: (document: Document) => void): () => void
  /**
   * Audit lines, newest first.
   *
   * - the audit shows who changed what, newest first, in pages, without secrets and the gateway's own state
   */
  audit(query: AuditQuery): Promise<readonly AuditLine[]>
}
