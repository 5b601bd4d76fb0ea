// Document tap: an answer that is one JSON document, kept whole until it ends, since its usage is needed before its headers go out.

import type { Metered, Tap } from './dialect.ts'

const NOTHING = Buffer.alloc(0)

/** Reads the usage of a whole document. Throws on anything it cannot read. */
export type DocumentMeter = (document: Buffer) => Metered | undefined

/**
 * The bytes given here are kept by reference; who pushes them bounds how many. Nothing is held back from the caller by this
 * tap itself.
 */
export class DocumentTap implements Tap {
  readonly #read: DocumentMeter
  #chunks: Buffer[] = []
  #metered: Metered | undefined
  #readable = false

  constructor(read: DocumentMeter) {
    this.#read = read
  }

  readonly terminated = false
  readonly failed = false

  get finished(): boolean {
    return this.#readable
  }

  get events(): number {
    return this.#chunks.length
  }

  metered(): Metered | undefined {
    return this.#metered
  }

  push(chunk: Buffer): Buffer {
    this.#chunks.push(chunk)
    return chunk
  }

  end(): Buffer {
    try {
      const [first] = this.#chunks
      this.#metered = this.#read(this.#chunks.length === 1 && first ? first : Buffer.concat(this.#chunks))
      this.#readable = true
    } catch {
      this.#readable = false
    }
    this.#chunks = []
    return NOTHING
  }
}
