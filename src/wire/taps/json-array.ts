// Array tap: a JSON array sent element by element, as Gemini streams without `alt=sse`. A reader gets each element.

import type { EventUsageReader } from './answer-events.ts'
import { ChunkBuffer, EMPTY_BUFFER } from './chunk-buffer.ts'
import { MeteredTap } from './metered-tap.ts'

const QUOTE = 0x22
const BACKSLASH = 0x5c
const OPEN_BRACE = 0x7b
const CLOSE_BRACE = 0x7d
const OPEN_BRACKET = 0x5b
const CLOSE_BRACKET = 0x5d
/** An element longer than this is passed on unread. Only inline images come near. */
const MAX_ELEMENT_BYTES = 16_777_216

/** Passes all bytes on unchanged, and gives each complete element to `source`. An error comes as one object in place of the array. */
export class ArrayTap extends MeteredTap<EventUsageReader> {
  readonly isDocument = false
  /** The number of open brackets. */
  #depth = 0
  /** The number of open brackets inside an element: one less if an object comes in place of the array. */
  #elementDepth = 2
  #inString = false
  /** Inside a string: the byte before was a backslash that escapes. */
  #escaped = false
  /** What has arrived of the unfinished element. */
  readonly #element = new ChunkBuffer()
  /** The element grew too long: its bytes are not read. */
  #isTooLong = false
  #eventCount = 0

  get eventCount(): number {
    return this.#eventCount
  }

  push(chunk: Buffer): Buffer {
    let elementFrom = this.#depth >= this.#elementDepth ? 0 : -1
    for (let position = 0; position < chunk.length; position++) {
      if (this.#inString) {
        position = this.#endOfString(chunk, position)
        continue
      }
      const byte = chunk[position]
      if (byte === QUOTE) this.#inString = true
      else if (byte === OPEN_BRACE || byte === OPEN_BRACKET) {
        if (this.#depth++ === 0) this.#elementDepth = byte === OPEN_BRACE ? 1 : 2
        if (this.#depth === this.#elementDepth) elementFrom = position
      } else if (byte === CLOSE_BRACE || byte === CLOSE_BRACKET) {
        if (--this.#depth < this.#elementDepth && elementFrom >= 0) {
          this.#appendToElement(chunk.subarray(elementFrom, position + 1))
          this.#finishElement()
          elementFrom = -1
        }
      }
    }
    if (elementFrom >= 0) this.#appendToElement(chunk.subarray(elementFrom))
    return chunk
  }

  /** The end of the array is no event. */
  end(): Buffer {
    return EMPTY_BUFFER
  }

  /** The position of the quote that ends the string, or the chunk's end if the string goes on. */
  #endOfString(chunk: Buffer, from: number): number {
    let position = from
    if (this.#escaped) {
      this.#escaped = false
      position++
    }
    for (; position < chunk.length; position++) {
      const byte = chunk[position]
      if (byte === QUOTE) {
        this.#inString = false
        return position
      }
      if (byte === BACKSLASH) {
        this.#escaped = position + 1 >= chunk.length
        position++
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
    if (!this.#isTooLong) this.source.readData(this.#element.take())
    this.#isTooLong = false
  }
}
