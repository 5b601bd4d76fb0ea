// Array tap: a JSON array sent element by element, as Gemini streams without `alt=sse`. Shows each element to a meter.

import type { AnswerUsage, Tap } from '../dialect.ts'
import { ChunkBuffer } from './chunk-buffer.ts'
import type { EventUsageReader } from './sse.ts'

const EMPTY_BUFFER = Buffer.alloc(0)
const QUOTE = 0x22
const BACKSLASH = 0x5c
/** An element longer than this is passed on unread; inline images are the only ones that come near. */
const MAX_ELEMENT_BYTES = 16_777_216

export class ArrayTap implements Tap {
  readonly #reader: EventUsageReader
  /** Brackets open at this point; an element is what is inside the outermost one. */
  #depth = 0
  #inString = false
  /** Inside a string: the byte before was a backslash that escapes. */
  #escaped = false
  /** What has come of the unfinished element. */
  readonly #element = new ChunkBuffer()
  /** The element grew too long; bytes up to its end are not looked at. */
  #isTooLong = false
  #eventCount = 0

  constructor(meter: EventUsageReader) {
    this.#reader = meter
  }

  readonly isDocument = false
  readonly terminated = false

  get finished(): boolean {
    return this.#reader.finished
  }

  get failed(): boolean {
    return this.#reader.failed
  }

  get eventCount(): number {
    return this.#eventCount
  }

  answerUsage(): AnswerUsage | undefined {
    return this.#reader.answerUsage()
  }

  push(chunk: Buffer): Buffer {
    let elementFrom = this.#depth > 1 ? 0 : -1
    for (let at = 0; at < chunk.length; at++) {
      if (this.#inString) {
        at = this.#endOfString(chunk, at)
        continue
      }
      const byte = chunk[at]
      if (byte === QUOTE) this.#inString = true
      else if (byte === 0x7b || byte === 0x5b) {
        if (++this.#depth === 2) elementFrom = at
      } else if (byte === 0x7d || byte === 0x5d) {
        if (--this.#depth === 1 && elementFrom >= 0) {
          this.#appendToElement(chunk.subarray(elementFrom, at + 1))
          this.#finishElement()
          elementFrom = -1
        }
      }
    }
    if (elementFrom >= 0) this.#appendToElement(chunk.subarray(elementFrom))
    return chunk
  }

  /** A single object in the place of the array is how errors come. */
  end(): Buffer {
    return EMPTY_BUFFER
  }

  /** The position of the quote that ends the string, or the chunk's end when it goes on. */
  #endOfString(chunk: Buffer, from: number): number {
    let at = from
    if (this.#escaped) {
      this.#escaped = false
      at++
    }
    for (; at < chunk.length; at++) {
      const byte = chunk[at]
      if (byte === QUOTE) {
        this.#inString = false
        return at
      }
      if (byte === BACKSLASH) {
        this.#escaped = at + 1 >= chunk.length
        at++
      }
    }
    return chunk.length
  }

  #appendToElement(bytes: Buffer): void {
    this.#isTooLong ||= this.#element.length + bytes.length > MAX_ELEMENT_BYTES
    if (this.#isTooLong) this.#element.take()
    else this.#element.push(bytes)
  }

  #finishElement(): void {
    this.#eventCount++
    if (!this.#isTooLong) this.#reader.readData(this.#element.take())
    this.#isTooLong = false
  }
}
