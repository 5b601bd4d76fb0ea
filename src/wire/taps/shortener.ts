// Shortener: keeps the structure of lines that are too long to be kept whole, and drops the insides of their long strings.

import { ChunkBuffer } from './chunk-buffer.ts'

const LINE_FEED = 0x0a
const QUOTE = 0x22
const BACKSLASH = 0x5c
const LETTER_U = 0x75

/** Shorter lines stay as they are. */
const LONG_LINE_BYTES = 65_536
/** How much is kept of each string in the rest of a longer line: more than any name or count has. */
const MAX_KEPT_STRING_BYTES = 512
/** A letter and four digits after the backslash. */
const MAX_ESCAPE_BYTES = 5
const NEARBY_BYTES = 256

/**
 * Shortens a stream of lines, most of which are JSON, however its bytes were cut. A long line stays the same JSON, except that
 * long strings end early: images, and the words of an answer.
 */
export class Shortener {
  /** The current line from its beginning, while it is not long. */
  readonly #line = new ChunkBuffer()
  #isLong = false
  #inString = false
  /** How many bytes of an escape can still follow. An escape is kept or dropped whole. */
  #escapeBytesLeft = 0
  #keepsEscape = true
  /** Length of the current string so far. */
  #stringBytes = 0

  /** Returns the chunk, or what is kept of it. */
  push(chunk: Buffer): Buffer {
    if (this.#isLong) return this.#pushLong(chunk)
    const from = chunk.lastIndexOf(LINE_FEED) + 1
    if (from > 0) this.#line.take()
    const rest = chunk.subarray(from)
    if (this.#line.length + rest.length <= LONG_LINE_BYTES) {
      this.#line.push(rest)
      return chunk
    }
    this.#isLong = true
    this.#inString = false
    this.#escapeBytesLeft = 0
    this.#shorten(this.#line.take())
    // The line so far was passed on whole: an escape that began in it must be finished.
    this.#keepsEscape = true
    return Buffer.concat([chunk.subarray(0, from), this.#shorten(rest)])
  }

  #pushLong(chunk: Buffer): Buffer {
    const end = chunk.indexOf(LINE_FEED) + 1
    if (end === 0) return this.#shorten(chunk)
    const kept = this.#shorten(chunk.subarray(0, end))
    this.#isLong = false
    return Buffer.concat([kept, this.push(chunk.subarray(end))])
  }

  /** Returns a copy: a view would keep all dropped bytes alive. */
  #shorten(bytes: Buffer): Buffer {
    const kept = Buffer.allocUnsafe(bytes.length)
    let end = 0
    for (let index = 0; index < bytes.length; index++) {
      if (this.#inString && this.#stringBytes >= MAX_KEPT_STRING_BYTES && this.#escapeBytesLeft === 0)
        index = nextSpecial(bytes, index)
      const byte = bytes[index]
      if (byte !== undefined && this.#shouldKeep(byte)) kept[end++] = byte
    }
    return Buffer.from(kept.subarray(0, end))
  }

  #shouldKeep(byte: number): boolean {
    if (!this.#inString) {
      this.#inString = byte === QUOTE
      this.#stringBytes = 0
      return true
    }
    if (this.#escapeBytesLeft > 0) {
      this.#escapeBytesLeft =
        this.#escapeBytesLeft < MAX_ESCAPE_BYTES
          ? this.#escapeBytesLeft - 1
          : byte === LETTER_U
            ? MAX_ESCAPE_BYTES - 1
            : 0
      return this.#keepsEscape
    }
    if (byte === QUOTE) {
      this.#inString = false
      return true
    }
    const keeps = this.#stringBytes++ < MAX_KEPT_STRING_BYTES
    if (byte === BACKSLASH) {
      this.#escapeBytesLeft = MAX_ESCAPE_BYTES
      this.#keepsEscape = keeps
    }
    return keeps
  }
}

/** The next position at which the string can end or an escape can begin. Nearby bytes are read first: escapes come in rows. */
function nextSpecial(bytes: Buffer, from: number): number {
  for (let to = from + NEARBY_BYTES; ; to += to - from) {
    const near = bytes.subarray(from, to)
    const quote = near.indexOf(QUOTE)
    const backslash = (quote < 0 ? near : near.subarray(0, quote)).indexOf(BACKSLASH)
    if (backslash >= 0) return from + backslash
    if (quote >= 0) return from + quote
    if (to >= bytes.length) return bytes.length
  }
}
