// Document tap: an answer that is one JSON document. It is kept until it ends: its usage is needed before its headers go out.

import type { AnswerUsage, Tap } from '../dialect.ts'
import { ChunkBuffer, EMPTY_BUFFER } from './chunk-buffer.ts'

/** Reads the usage of a whole document. Throws on anything it cannot read. */
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

  constructor(read: DocumentUsageReader) {
    this.#read = read
  }

  readonly isDocument = true
  readonly terminated = false
  readonly failed = false
  readonly isUsageFinal = true

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
