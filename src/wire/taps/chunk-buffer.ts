// Pile: bytes that come in pieces and are wanted whole. Costs about their length, however small the pieces.

const NOTHING = Buffer.alloc(0)

/** Pieces left by themselves: each costs a hundred bytes beside its own, so as many are joined into one. */
const MOST_LOOSE = 256

/** Pieces are kept by reference until they are joined. */
export class Pile {
  #pieces: Buffer[] = []
  #loose = 0
  #length = 0

  /** Bytes on it. */
  get length(): number {
    return this.#length
  }

  push(piece: Buffer): void {
    if (piece.length === 0) return
    this.#length += piece.length
    this.#pieces.push(piece)
    if (++this.#loose < MOST_LOOSE) return
    this.#pieces.push(Buffer.concat(this.#pieces.splice(-MOST_LOOSE)))
    this.#loose = 0
  }

  /** Everything on it, in one; the pile is empty then. */
  take(): Buffer {
    const [first = NOTHING] = this.#pieces
    const whole = this.#pieces.length > 1 ? Buffer.concat(this.#pieces, this.#length) : first
    this.#pieces = []
    this.#loose = 0
    this.#length = 0
    return whole
  }
}
