// Pile: bytes that come in pieces and are wanted whole. Costs about their length, however small the pieces.

const EMPTY_BUFFER = Buffer.alloc(0)

/** Pieces left by themselves: each costs a hundred bytes beside its own, so as many are joined into one. */
const MAX_LOOSE_CHUNKS = 256

/** Pieces are kept by reference until they are joined. */
export class ChunkBuffer {
  #chunks: Buffer[] = []
  #looseCount = 0
  #length = 0

  /** Bytes on it. */
  get length(): number {
    return this.#length
  }

  push(piece: Buffer): void {
    if (piece.length === 0) return
    this.#length += piece.length
    this.#chunks.push(piece)
    if (++this.#looseCount < MAX_LOOSE_CHUNKS) return
    this.#chunks.push(Buffer.concat(this.#chunks.splice(-MAX_LOOSE_CHUNKS)))
    this.#looseCount = 0
  }

  /** Everything on it, in one; the pile is empty then. */
  take(): Buffer {
    const [first = EMPTY_BUFFER] = this.#chunks
    const whole = this.#chunks.length > 1 ? Buffer.concat(this.#chunks, this.#length) : first
    this.#chunks = []
    this.#looseCount = 0
    this.#length = 0
    return whole
  }
}
