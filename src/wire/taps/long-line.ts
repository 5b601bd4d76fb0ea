// Long line: the structure of a line that is too long to be kept whole. It keeps little of what its strings hold.

import { ChunkBuffer, EMPTY_BUFFER } from './chunk-buffer.ts'
import { Shortener } from './shortener.ts'

/** Takes the bytes of one line. Memory stays below `maxBytes`, however long the line is. */
export class LongLine {
  readonly #shortener = new Shortener()
  readonly #kept = new ChunkBuffer()
  readonly #maxBytes: number
  #isTooLong = false

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes
  }

  push(bytes: Buffer): void {
    if (this.#isTooLong) return
    this.#kept.push(this.#shortener.push(bytes))
    this.#isTooLong = this.#kept.length > this.#maxBytes
    if (this.#isTooLong) this.#kept.take()
  }

  /** The shortened line; empty if even its structure is too long. */
  take(): Buffer {
    return this.#isTooLong ? EMPTY_BUFFER : this.#kept.take()
  }
}
