// Document tap: an answer that is one JSON document. It is kept until it ends: its usage is needed before its headers go out.

import type { AnswerUsage, Tap } from '../dialect.ts'
import { ChunkBuffer, EMPTY_BUFFER } from './chunk-buffer.ts'

/** Thrown for a document that is an error and no answer, though its status says otherwise. */
export class ErrorDocument extends Error {
  readonly usage: AnswerUsage | undefined

  /** @param usage that the error reports nevertheless */
  constructor(usage?: AnswerUsage) {
    super('the document is an error')
    this.usage = usage
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
  #isError = false

  constructor(read: DocumentUsageReader) {
    this.#read = read
  }

  readonly isDocument = true
  readonly terminated = false
  readonly isUsageFinal = true

  get failed(): boolean {
    return this.#isError
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
    try {
      this.#answerUsage = this.#read(this.#document.take())
      this.#isReadable = true
    } catch (error) {
      this.#isReadable = false
      if (!(error instanceof ErrorDocument)) return EMPTY_BUFFER
      this.#isError = true
      this.#answerUsage = error.usage
    }
    return EMPTY_BUFFER
  }
}
