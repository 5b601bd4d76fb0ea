// SSE tap: finds the few events of a stream that matter, whatever way the bytes were cut. Parses nothing else.

import type { AnswerUsage, Tap } from '../dialect.ts'
import { ChunkBuffer } from './chunk-buffer.ts'

const LINE_FEED = 0x0a
const CARRIAGE_RETURN = 0x0d
const EMPTY_BUFFER = Buffer.alloc(0)
const DATA_PREFIX = Buffer.from('data:')

/** A line longer than this is passed on unread: no event that matters is as long. */
const MAX_LINE_BYTES = 1_048_576
/** The same where events are held back until they are whole: a usage event is under two kilobytes. */
const MAX_HELD_BYTES = 65_536

/** What a dialect makes of the data lines of its streams. */
export interface EventUsageReader {
  /** True when a chunk may hold something that matters. Only saves time: may be wrong in that direction alone. */
  mayMatter(chunk: Buffer): boolean
  /** One data line's payload. Returns true to hide its event from the caller. Never throws. */
  readData(payload: Buffer): boolean
  answerUsage(): AnswerUsage | undefined
  readonly terminated: boolean
  readonly finished: boolean
  readonly failed: boolean
}

/**
 * Splits a stream into lines and shows data lines to the meter. Chunks without anything that matters, the great majority,
 * cost a few searches. With `hides`, events are passed on whole, so that one can be left out.
 */
export class SseTap implements Tap {
  readonly isDocument = false
  readonly #reader: EventUsageReader
  readonly #hides: boolean
  /** The unfinished line (or, with `hides`, unfinished event) at the end of what has come. Joined only when it is finished. */
  readonly #pending = new ChunkBuffer()
  /** Inside a line that grew too long; bytes up to its end are not looked at. */
  #inLongLine = false
  /** How the first line ended. After a return alone all is read, and what is held back passed on, with feeds in its place. */
  #lineEnd: 'feed' | 'return' | undefined
  #endedWithReturn = false
  #eventCount = 0

  constructor(meter: EventUsageReader, hides: boolean) {
    this.#reader = meter
    this.#hides = hides
  }

  get terminated(): boolean {
    return this.#reader.terminated
  }

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
    if (this.#lineEnd !== 'return') return this.#push(chunk)
    const read = this.#push(replaceReturns(chunk))
    return this.#hides ? read : chunk
  }

  #push(chunk: Buffer): Buffer {
    if (this.#inLongLine) return this.#skipLongLine(chunk)
    if (this.#pending.length === 0 && endsEvent(chunk) && !this.#reader.mayMatter(chunk)) {
      this.#eventCount += countOccurrences(chunk, DATA_PREFIX)
      return chunk
    }
    if (!chunk.includes(LINE_FEED))
      return this.#hasBareReturn(chunk) ? this.#pushBareReturns(chunk) : this.#holdBack(chunk)
    this.#lineEnd ??= 'feed'
    const bytes = this.#takePending(chunk)
    return this.#hides ? this.#pushEvents(bytes) : this.#pushLines(bytes, chunk)
  }

  /** A stream may end without a line feed: what is left is a line all the same. */
  end(): Buffer {
    const rest = this.#takePending(EMPTY_BUFFER)
    const hidden = this.#readLines(rest)
    return this.#hides && !hidden ? rest : EMPTY_BUFFER
  }

  /** Of a chunk without line feeds. Its last byte may be half of a line end. */
  #hasBareReturn(chunk: Buffer): boolean {
    if (this.#lineEnd || chunk.length === 0) return false
    const followed = this.#endedWithReturn
    const at = chunk.indexOf(CARRIAGE_RETURN)
    this.#endedWithReturn = at === chunk.length - 1
    return followed || (at >= 0 && !this.#endedWithReturn)
  }

  #pushBareReturns(chunk: Buffer): Buffer {
    this.#lineEnd = 'return'
    const read = this.#push(replaceReturns(this.#takePending(chunk)))
    return this.#hides ? read : chunk
  }

  /** Every line that is finished is read; the chunk goes on as it came. */
  #pushLines(bytes: Buffer, chunk: Buffer): Buffer {
    const end = bytes.lastIndexOf(LINE_FEED) + 1
    this.#readLines(bytes.subarray(0, end))
    this.#holdBack(bytes.subarray(end))
    return chunk
  }

  /** Every event that is finished is read and, unless hidden, goes on; the rest is held back. */
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

  /** Returns what of `rest` can go on at once: all of it when nothing is hidden here, or when it is too long to hold back. */
  #holdBack(rest: Buffer): Buffer {
    this.#pending.push(rest)
    if (this.#pending.length <= (this.#hides ? MAX_HELD_BYTES : MAX_LINE_BYTES))
      return this.#hides ? EMPTY_BUFFER : rest
    this.#inLongLine = true
    const held = this.#takePending(EMPTY_BUFFER)
    return this.#hides ? held : rest
  }

  #takePending(chunk: Buffer): Buffer {
    if (this.#pending.length === 0) return chunk
    this.#pending.push(chunk)
    return this.#pending.take()
  }

  #skipLongLine(chunk: Buffer): Buffer {
    const feed = chunk.indexOf(LINE_FEED)
    if (feed < 0) return chunk
    this.#inLongLine = false
    this.#lineEnd ??= 'feed'
    const rest = this.#push(chunk.subarray(feed + 1))
    return this.#hides ? Buffer.concat([chunk.subarray(0, feed + 1), rest]) : chunk
  }

  /** Shows every data line to the meter. True when one of them is to be hidden. */
  #readLines(bytes: Buffer): boolean {
    let hide = false
    for (let from = 0; from < bytes.length; ) {
      const feed = bytes.indexOf(LINE_FEED, from)
      const next = feed < 0 ? bytes.length : feed + 1
      let end = feed < 0 ? bytes.length : feed
      if (bytes[end - 1] === CARRIAGE_RETURN) end--
      if (startsWithData(bytes, from, end)) {
        this.#eventCount++
        hide = this.#reader.readData(bytes.subarray(from + DATA_PREFIX.length, end)) || hide
      }
      from = next
    }
    return hide && this.#hides
  }
}

/** A copy with line feeds for returns. */
function replaceReturns(chunk: Buffer): Buffer {
  const bytes = Buffer.from(chunk)
  for (let at = bytes.indexOf(CARRIAGE_RETURN); at >= 0; at = bytes.indexOf(CARRIAGE_RETURN, at + 1))
    bytes[at] = LINE_FEED
  return bytes
}

function startsWithData(bytes: Buffer, from: number, end: number): boolean {
  if (end - from <= DATA_PREFIX.length) return false
  for (let at = 0; at < DATA_PREFIX.length; at++) if (bytes[from + at] !== DATA_PREFIX[at]) return false
  return true
}

/** True when a chunk ends with a blank line, as one that holds whole events does. */
function endsEvent(chunk: Buffer): boolean {
  const last = chunk.length - 1
  if (chunk[last] !== LINE_FEED) return false
  return chunk[last - 1] === LINE_FEED || (chunk[last - 1] === CARRIAGE_RETURN && chunk[last - 2] === LINE_FEED)
}

/** Right after the blank line that ends the event at `from`, or 0 when it is unfinished. A blank line there stands alone. */
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
  for (let at = bytes.indexOf(needle); at >= 0; at = bytes.indexOf(needle, at + needle.length)) count++
  return count
}

/**
 * True when some `"key"` in the chunk has a value other than null: `"usage":{`, `"finish_reason":"stop"`. The key is given
 * with the quote that ends it, which inside a string would be escaped, and without the one before it: a search would stop at
 * every quote there is.
 */
export function hasValue(chunk: Buffer, keyWithQuote: Buffer): boolean {
  for (let at = chunk.indexOf(keyWithQuote); at >= 0; at = chunk.indexOf(keyWithQuote, at + 1)) {
    let next = at + keyWithQuote.length
    while (chunk[next] === 0x20 || chunk[next] === 0x3a) next++
    if (chunk[next] !== 0x6e) return true
  }
  return false
}
