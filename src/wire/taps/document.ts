// Document tap: an answer that is one JSON document, kept whole until it ends, since its usage is needed before its headers go out.

import type { Metered, Tap } from '../dialect.ts'
import { Pile } from './chunk-buffer.ts'

const NOTHING = Buffer.alloc(0)

/** Reads the usage of a whole document. Throws on anything it cannot read. */
export type DocumentMeter = (document: Buffer) => Metered | undefined

/**
 * The bytes given here are kept by reference; who pushes them bounds how many. Nothing is held back from the caller by this
 * tap itself.
 */
export class DocumentTap implements Tap {
  readonly #read: DocumentMeter
  readonly #document = new Pile()
  #chunks = 0
  #metered: Metered | undefined
  #readable = false

  constructor(read: DocumentMeter) {
    this.#read = read
  }

  readonly whole = true
  readonly terminated = false
  readonly failed = false

  get finished(): boolean {
    return this.#readable
  }

  get events(): number {
    return this.#chunks
  }

  metered(): Metered | undefined {
    return this.#metered
  }

  push(chunk: Buffer): Buffer {
    this.#document.push(chunk)
    this.#chunks++
    return chunk
  }

  end(): Buffer {
    try {
      this.#metered = this.#read(this.#document.take())
      this.#readable = true
    } catch {
      this.#readable = false
    }
    return NOTHING
  }
}
