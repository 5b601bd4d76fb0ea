// Chunk buffer: bytes that arrive in chunks and are wanted whole. The cost depends on their length, however small the chunks.

/** The one empty buffer: most calls pass some on. */
export const EMPTY_BUFFER = Buffer.alloc(0)

/** A loose chunk takes a hundred bytes more than its own: this many are joined into one. */
const MAX_LOOSE_CHUNKS = 256

/** Keeps chunks by reference until they are joined. */
export class ChunkBuffer {
  #chunks: Buffer[] = []
  #looseCount = 0
  #length = 0

  /** In bytes. */
  get length(): number {
    return this.#length
  }

  push(chunk: Buffer): void {
    if (chunk.length === 0) return
    this.#length += chunk.length
    this.#chunks.push(chunk)
    if (++this.#looseCount < MAX_LOOSE_CHUNKS) return
    this.#chunks.push(Buffer.concat(this.#chunks.splice(-MAX_LOOSE_CHUNKS)))
    this.#looseCount = 0
  }

  /** Returns all bytes in one buffer, and empties this one. */
  take(): Buffer {
    const [first = EMPTY_BUFFER] = this.#chunks
    const whole = this.#chunks.length > 1 ? Buffer.concat(this.#chunks, this.#length) : first
    this.#chunks = []
    this.#looseCount = 0
    this.#length = 0
    return whole
  }
}
