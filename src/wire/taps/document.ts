// Document tap: an answer that is one JSON document. It is kept until it ends: its usage is needed before its headers go out.

import { firstOfList } from '../answer-errors.ts'
import type { AnswerUsage, Tap } from '../dialect.ts'
import { ChunkBuffer, EMPTY_BUFFER } from './chunk-buffer.ts'

/** Thrown for a document that is an error and no answer, though its status says otherwise. */
export class ErrorDocument extends Error {
  readonly usage: AnswerUsage | undefined
  readonly hasContent: boolean

  /**
   * @param usage that the error reports nevertheless
   * @param hasContent true if the document also holds a part of an answer
   */
  constructor(usage?: AnswerUsage, hasContent = false) {
    super('the document is an error')
    this.usage = usage
    this.hasContent = hasContent
  }
}

/** Reads the usage of a whole document. Throws on anything it cannot read, and ErrorDocument. */
type DocumentUsageReader = (document: Buffer) => AnswerUsage | undefined

/**
 * Keeps the bytes by reference; the code that pushes them bounds how many. The tap itself holds nothing back from the caller.
 */
export class DocumentTap implements Tap {
  readonly #read: DocumentUsageReader
  readonly #document = new ChunkBuffer()
  #chunkCount = 0
  #answerUsage: AnswerUsage | undefined
  #isReadable = false
  #error: { readonly json: Buffer; readonly hasContent: boolean } | undefined

  constructor(read: DocumentUsageReader) {
    this.#read = read
  }

  readonly isDocument = true
  readonly terminated = false
  readonly isUsageFinal = true

  get failed(): boolean {
    return this.#error !== undefined
  }

  get hasContent(): boolean {
    return this.#error?.hasContent !== false
  }

  get errorJson(): Buffer | undefined {
    return this.#error?.json
  }

  get finished(): boolean {
    return this.#isReadable
  }

  get eventCount(): number {
    return this.#chunkCount
  }

  answerUsage(): AnswerUsage | undefined {
    return this.#answerUsage
  }

  push(chunk: Buffer): Buffer {
    this.#document.push(chunk)
    this.#chunkCount++
    return chunk
  }

  end(): Buffer {
    let document = this.#document.take()
    try {
      const first = firstOfList(document)
      document = first ?? document
      const usage = this.#read(document)
      // A list holds errors; no answer is one.
      if (first) return EMPTY_BUFFER
      this.#answerUsage = usage
      this.#isReadable = true
    } catch (error) {
      if (!(error instanceof ErrorDocument)) return EMPTY_BUFFER
      this.#error = { json: document, hasContent: error.hasContent }
      this.#answerUsage = error.usage
    }
    return EMPTY_BUFFER
  }
}
