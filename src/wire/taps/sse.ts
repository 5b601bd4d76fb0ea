// SSE tap: finds the few events of a stream that matter, however the bytes were cut. It parses nothing else.

import type { EventUsageReader } from './answer-events.ts'
import { ChunkBuffer, EMPTY_BUFFER } from './chunk-buffer.ts'
import { LongLine } from './long-line.ts'
import { MeteredTap } from './metered-tap.ts'

const LINE_FEED = 0x0a
const CARRIAGE_RETURN = 0x0d
const SPACE = 0x20
const COLON = 0x3a
const LETTER_N = 0x6e
const DATA_PREFIX = Buffer.from('data:')

/** Of a longer line, only the structure is kept and read: an image can stand beside the usage. */
const MAX_LINE_BYTES = 1_048_576
/** A longer event is not held back until it is whole: a usage event takes less than two kilobytes. */
const MAX_HELD_BYTES = 65_536

/**
 * Splits a stream into lines and hands data lines to the reader. Most chunks hold nothing that matters, and cost a few searches.
 * If the tap hides events, it passes events on whole, so that it can leave one out.
 */
export class SseTap extends MeteredTap<EventUsageReader> {
  readonly isDocument = false
  readonly #hides: boolean
  /** The unfinished line (if the tap hides: unfinished event) at the end of what has arrived. Joined when it is finished. */
  readonly #pending = new ChunkBuffer()
  /** Set inside a line that grew too long. Its bytes are passed on at once. */
  #longLine: LongLine | undefined
  /** How the first line ended. After a bare return everything is read, and what was held back is passed on, with feeds in its place. */
  #lineEnd: 'feed' | 'return' | undefined
  #endedWithReturn = false
  #eventCount = 0

  constructor(reader: EventUsageReader, hides: boolean) {
    super(reader)
    this.#hides = hides
  }

  get eventCount(): number {
    return this.#eventCount
  }

  push(chunk: Buffer): Buffer {
    if (this.#lineEnd !== 'return') return this.#push(chunk)
    const read = this.#push(replaceReturns(chunk))
    return this.#hides ? read : chunk
  }

  #push(chunk: Buffer): Buffer {
    if (this.#longLine) return this.#pushLongLine(this.#longLine, chunk)
    if (this.#pending.length === 0 && endsEvent(chunk) && !this.source.mayMatter(chunk)) {
      this.#eventCount += countOccurrences(chunk, DATA_PREFIX)
      return chunk
    }
    if (!chunk.includes(LINE_FEED))
      return this.#hasBareReturn(chunk) ? this.#pushBareReturns(chunk) : this.#holdBack(chunk)
    this.#lineEnd ??= 'feed'
    const bytes = this.#takePending(chunk)
    return this.#hides ? this.#pushEvents(bytes) : this.#pushLines(bytes, chunk)
  }

  /** A stream may end without a line feed: the rest is a line, too. */
  end(): Buffer {
    if (this.#longLine) this.#readLines(this.#longLine.take())
    const rest = this.#takePending(EMPTY_BUFFER)
    const hidden = this.#readLines(rest)
    return this.#hides && !hidden ? rest : EMPTY_BUFFER
  }

  /** For a chunk without line feeds. Its last byte may be half of a line end. */
  #hasBareReturn(chunk: Buffer): boolean {
    if (this.#lineEnd || chunk.length === 0) return false
    const followed = this.#endedWithReturn
    const position = chunk.indexOf(CARRIAGE_RETURN)
    this.#endedWithReturn = position === chunk.length - 1
    return followed || (position >= 0 && !this.#endedWithReturn)
  }

  #pushBareReturns(chunk: Buffer): Buffer {
    this.#lineEnd = 'return'
    const read = this.#push(replaceReturns(this.#takePending(chunk)))
    return this.#hides ? read : chunk
  }

  /** Reads every finished line; the chunk is passed on as it came. */
  #pushLines(bytes: Buffer, chunk: Buffer): Buffer {
    const end = bytes.lastIndexOf(LINE_FEED) + 1
    this.#readLines(bytes.subarray(0, end))
    this.#holdBack(bytes.subarray(end))
    return chunk
  }

  /** Reads every finished event, and passes it on unless it is hidden; holds the rest back. */
  #pushEvents(bytes: Buffer): Buffer {
    const passed: Buffer[] = []
    let from = 0
    for (let end = eventEnd(bytes, from); end > 0; end = eventEnd(bytes, from)) {
      const event = bytes.subarray(from, end)
      if (!this.#readLines(event)) passed.push(event)
      from = end
    }
    passed.push(this.#holdBack(bytes.subarray(from)))
    return Buffer.concat(passed)
  }

  /** Returns what of `rest` can be passed on at once: all of it if this tap hides nothing, or if it is too long to hold back. */
  #holdBack(rest: Buffer): Buffer {
    this.#pending.push(rest)
    const maxBytes = this.#hides ? MAX_HELD_BYTES : MAX_LINE_BYTES
    if (this.#pending.length <= maxBytes) return this.#hides ? EMPTY_BUFFER : rest
    const held = this.#takePending(EMPTY_BUFFER)
    this.#longLine = new LongLine(maxBytes)
    this.#longLine.push(held)
    return this.#hides ? held : rest
  }

  #takePending(chunk: Buffer): Buffer {
    if (this.#pending.length === 0) return chunk
    this.#pending.push(chunk)
    return this.#pending.take()
  }

  #pushLongLine(line: LongLine, chunk: Buffer): Buffer {
    const end = chunk.indexOf(LINE_FEED) + 1
    line.push(end === 0 ? chunk : chunk.subarray(0, end))
    if (end === 0) return chunk
    this.#longLine = undefined
    this.#lineEnd ??= 'feed'
    this.#readLines(line.take())
    const rest = this.#push(chunk.subarray(end))
    return this.#hides ? Buffer.concat([chunk.subarray(0, end), rest]) : chunk
  }

  /** Hands every data line to the reader. True if one of them must be hidden. */
  #readLines(bytes: Buffer): boolean {
    let hide = false
    for (let from = 0; from < bytes.length; ) {
      const feed = bytes.indexOf(LINE_FEED, from)
      const next = feed < 0 ? bytes.length : feed + 1
      let end = feed < 0 ? bytes.length : feed
      if (bytes[end - 1] === CARRIAGE_RETURN) end--
      if (startsWithData(bytes, from, end)) {
        this.#eventCount++
        hide = this.source.readData(bytes.subarray(from + DATA_PREFIX.length, end)) || hide
      }
      from = next
    }
    return hide && this.#hides
  }
}

/** A copy with line feeds in place of returns. */
function replaceReturns(chunk: Buffer): Buffer {
  const bytes = Buffer.from(chunk)
  for (
    let position = bytes.indexOf(CARRIAGE_RETURN);
    position >= 0;
    position = bytes.indexOf(CARRIAGE_RETURN, position + 1)
  )
    bytes[position] = LINE_FEED
  return bytes
}

function startsWithData(bytes: Buffer, from: number, end: number): boolean {
  if (end - from <= DATA_PREFIX.length) return false
  for (let position = 0; position < DATA_PREFIX.length; position++)
    if (bytes[from + position] !== DATA_PREFIX[position]) return false
  return true
}

/** True if a chunk ends with a blank line, as a chunk of whole events does. */
function endsEvent(chunk: Buffer): boolean {
  const last = chunk.length - 1
  if (chunk[last] !== LINE_FEED) return false
  return chunk[last - 1] === LINE_FEED || (chunk[last - 1] === CARRIAGE_RETURN && chunk[last - 2] === LINE_FEED)
}

/** Right after the blank line that ends the event at `from`, or 0 if the event is unfinished. A blank line at `from` is an event. */
function eventEnd(bytes: Buffer, from: number): number {
  if (bytes[from] === LINE_FEED) return from + 1
  if (bytes[from] === CARRIAGE_RETURN && bytes[from + 1] === LINE_FEED) return from + 2
  for (let feed = bytes.indexOf(LINE_FEED, from); feed >= 0; feed = bytes.indexOf(LINE_FEED, feed + 1)) {
    if (bytes[feed + 1] === LINE_FEED) return feed + 2
    if (bytes[feed + 1] === CARRIAGE_RETURN && bytes[feed + 2] === LINE_FEED) return feed + 3
  }
  return 0
}

function countOccurrences(bytes: Buffer, needle: Buffer): number {
  let count = 0
  for (let position = bytes.indexOf(needle); position >= 0; position = bytes.indexOf(needle, position + needle.length))
    count++
  return count
}

/**
 * True if some `"key"` in the chunk has a value other than null: `"usage":{`, `"finish_reason":"stop"`.
 * @param keyWithQuote the key and the quote that ends it, which would be escaped inside a string. The quote before the key is
 * left out: the search would stop at every quote.
 */
export function hasValue(chunk: Buffer, keyWithQuote: Buffer): boolean {
  for (
    let position = chunk.indexOf(keyWithQuote);
    position >= 0;
    position = chunk.indexOf(keyWithQuote, position + 1)
  ) {
    let next = position + keyWithQuote.length
    while (chunk[next] === SPACE || chunk[next] === COLON) next++
    if (chunk[next] !== LETTER_N) return true
  }
  return false
}
