// Document tap: an answer that is one JSON document, kept whole until it ends, since its usage is needed before its headers go out.

import type { AnswerUsage, Tap } from '../dialect.ts'
import { ChunkBuffer } from './chunk-buffer.ts'

const EMPTY_BUFFER = Buffer.alloc(0)

/** Reads the usage of a whole document. Throws on anything it cannot read. */
export type DocumentUsageReader = (document: Buffer) => AnswerUsage | undefined

/**
 * The bytes given here are kept by reference; who pushes them bounds how many. Nothing is held back from the caller by this
 * tap itself.
 */
export class DocumentTap implements Tap {
  readonly #read: DocumentUsageReader
  readonly #document = new ChunkBuffer()
  #chunkCount = 0
  #answerUsage: AnswerUsage | undefined
  #isReadable = false

  constructor(read: DocumentUsageReader) {
    this.#read = read
  }

  readonly isDocument = true
  readonly terminated = false
  readonly failed = false

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
    } catch {
      this.#isReadable = false
    }
    return EMPTY_BUFFER
  }
}
