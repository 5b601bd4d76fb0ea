// JsonCursor: reads a few fields out of a JSON body. It never builds the rest, and keeps nothing of the body's size.

import { invalidField, MAX_DEPTH, syntaxProblem, tooDeepProblem } from './errors.ts'
import type { Fields } from './fields.ts'
import { internedString } from './interned-string.ts'
import { Quotes } from './quotes.ts'
import {
  BACKSLASH,
  CLOSE_BRACE,
  CLOSE_BRACKET,
  COMMA,
  closingQuote,
  colonEnd,
  isDigit,
  LETTER_F,
  LETTER_N,
  LETTER_T,
  OPEN_BRACE,
  OPEN_BRACKET,
  type Passed,
  parseNumber,
  parseWholeNumber,
  QUOTE,
  scalarEnd,
  spaceEnd,
} from './scan.ts'
import { containerEnd, expectedAfterValue, stringEnd } from './value-end.ts'

/** Returned by `nextField` at the end of the object. */
export const END_OF_OBJECT = -2

/** In a text as long as this it pays to find all quotes beforehand. */
const MIN_LONG_TEXT_BYTES = 2048
const FIRST_NON_ASCII = 0x80
/** Stands for the byte behind the last one, which is no ASCII either. */
const END_OF_TEXT = 0x100

/** The position of a value in the body: `[start, end)`, in bytes. */
export interface ByteRange {
  readonly start: number
  readonly end: number
}

/**
 * A pull parser over one body. Call `enterObject` and `nextField`, or `enterArray` and `nextElement`, and consume each value
 * with `skipValue`, `range`, `value`, `stringOrNull`, `count`, `boolean`, or by entering it.
 *
 * The body must not change meanwhile. Throws Problem `invalid_json` on broken structure. The provider judges what is inside
 * skipped strings and numbers.
 * @example
 * const fields = new Fields('model')
 * const json = new JsonCursor(Buffer.from('{"messages":[],"model":"gpt-4o"}'))
 * json.enterObject()
 * for (let field = json.nextField(fields); field !== END_OF_OBJECT; field = json.nextField(fields))
 *   if (field === 0) json.stringOrNull() // 'gpt-4o'
 *   else json.skipValue()
 */
export class JsonCursor {
  readonly #bytes: Buffer
  readonly #quotes: Quotes | undefined
  #position = 0
  /** True right after `{` or `[`, where no comma is due. */
  #isAtFirst = false
  #depth = 0
  readonly #passed: Passed = { grownBytes: 0, separators: 0, depth: 0 }

  constructor(bytes: Buffer) {
    this.#bytes = bytes
    this.#quotes = bytes.length < MIN_LONG_TEXT_BYTES ? undefined : Quotes.of(bytes)
    this.#position = spaceEnd(bytes, 0)
  }

  /** True if the next value is an object; so do the others tell what comes next. Nothing is consumed. */
  isObject(): boolean {
    return this.#bytes[this.#position] === OPEN_BRACE
  }

  isArray(): boolean {
    return this.#bytes[this.#position] === OPEN_BRACKET
  }

  isString(): boolean {
    return this.#bytes[this.#position] === QUOTE
  }

  isNull(): boolean {
    return this.#bytes[this.#position] === LETTER_N
  }

  /** True if the next value is a number that is not negative. */
  isUnsigned(): boolean {
    return isDigit(this.#bytes[this.#position] ?? 0)
  }

  get position(): number {
    return this.#position
  }

  /** What the cursor has passed so far. */
  get passed(): Readonly<Passed> {
    return this.#passed
  }

  enterObject(): void {
    this.#enter(OPEN_BRACE, 'an object')
  }

  enterArray(): void {
    this.#enter(OPEN_BRACKET, 'an array')
  }

  /** The next key's position in `fields`, UNKNOWN_FIELD, or END_OF_OBJECT. The cursor then stands at the key's value. */
  nextField(fields: Fields): number {
    if (!this.#nextMember(CLOSE_BRACE)) return END_OF_OBJECT
    const bytes = this.#bytes
    const start = this.#position + 1
    if (bytes[start - 1] !== QUOTE) throw syntaxProblem(bytes, 'a key', this.#position)
    let end = start
    let byte = bytes[end] ?? END_OF_TEXT
    while (byte !== QUOTE && byte !== BACKSLASH && byte < FIRST_NON_ASCII) byte = bytes[++end] ?? END_OF_TEXT
    if (byte !== QUOTE) return this.#nextUnusualField(fields, start)
    this.#passed.separators++
    this.#position = colonEnd(bytes, end + 1)
    return fields.find(bytes, start, end)
  }

  /** For a key with escapes or characters beyond ASCII. */
  #nextUnusualField(fields: Fields, start: number): number {
    const end = closingQuote(this.#bytes, start)
    if (end < 0) throw syntaxProblem(this.#bytes, 'the end of a key', this.#position)
    this.#passed.separators++
    this.#position = colonEnd(this.#bytes, end + 1)
    return fields.findDecoded(this.#decode(start - 1, end + 1))
  }

  /** True when the cursor stands at another element of the array. */
  nextElement(): boolean {
    return this.#nextMember(CLOSE_BRACKET)
  }

  /** Skips any value. */
  skipValue(): void {
    this.#endValue(this.#valueEnd(this.#position))
  }

  /** Skips any value. Returns where it was. */
  range(): ByteRange {
    const start = this.#position
    const end = this.#valueEnd(start)
    this.#endValue(end)
    return { start, end }
  }

  /** Any value, parsed. Throws SyntaxError where JSON.parse does. */
  value(): unknown {
    return JSON.parse(this.text(this.range()))
  }

  /** Like `value`, but quicker for a whole number. */
  numberValue(): unknown {
    const start = this.#position
    const end = this.#valueEnd(start)
    this.#endValue(end)
    return parseWholeNumber(this.#bytes, start, end) ?? JSON.parse(this.#bytes.toString('utf8', start, end))
  }

  /** The bytes of a value, as they came. */
  text({ start, end }: ByteRange): string {
    return this.#bytes.toString('utf8', start, end)
  }

  /** The bytes of a value, not copied. */
  bytesAt({ start, end }: ByteRange): Buffer {
    return this.#bytes.subarray(start, end)
  }

  /** The string at a range that `range` returned. */
  stringAt({ start, end }: ByteRange, name: string): string {
    if (this.#bytes[start] !== QUOTE) throw invalidField(name, 'must be a string')
    return this.#decode(start, end)
  }

  /** Any string; anything else gives null. */
  stringOrNull(): string | null {
    const { start, end } = this.range()
    return this.#bytes[start] === QUOTE ? this.#decode(start, end) : null
  }

  /** `true` or `false`; null counts as false. */
  boolean(name: string): boolean {
    const first = this.#bytes[this.#position]
    if (first !== LETTER_T && first !== LETTER_F && first !== LETTER_N)
      throw invalidField(name, 'must be true or false')
    this.skipValue()
    return first === LETTER_T
  }

  /** The whole number of at least `min` at a range that `range` returned; null gives null. */
  countAt({ start, end }: ByteRange, name: string, min: number): number | null {
    if (this.#bytes[start] === LETTER_N) return null
    const value = parseWholeNumber(this.#bytes, start, end) ?? parseNumber(this.#bytes, start, end)
    if (!Number.isSafeInteger(value) || value < min)
      throw invalidField(name, `must be a whole number of at least ${min}`)
    return value
  }

  count(name: string, min: number): number | null {
    return this.countAt(this.range(), name, min)
  }

  /** After the outermost value: nothing but space may follow. */
  finish(): void {
    if (this.#position < this.#bytes.length) throw syntaxProblem(this.#bytes, 'the end', this.#position)
  }

  #enter(bracket: number, expected: string): void {
    if (this.#bytes[this.#position] !== bracket) throw syntaxProblem(this.#bytes, expected, this.#position)
    if (++this.#depth > MAX_DEPTH) throw tooDeepProblem()
    if (this.#depth > this.#passed.depth) this.#passed.depth = this.#depth
    this.#position = spaceEnd(this.#bytes, this.#position + 1)
    this.#isAtFirst = true
  }

  /** Steps over the comma to the next member, or out of the container. */
  #nextMember(closing: number): boolean {
    const byte = this.#bytes[this.#position]
    if (byte === closing) {
      this.#depth--
      this.#endValue(this.#position + 1)
      return false
    }
    if (!this.#isAtFirst) {
      if (byte !== COMMA) throw syntaxProblem(this.#bytes, expectedAfterValue(closing), this.#position)
      this.#passed.separators++
      this.#position = spaceEnd(this.#bytes, this.#position + 1)
    }
    this.#isAtFirst = false
    return true
  }

  /** A value ended here. */
  #endValue(end: number): void {
    this.#isAtFirst = false
    this.#position = spaceEnd(this.#bytes, end)
  }

  /** The position after the value that starts at `start`. */
  #valueEnd(start: number): number {
    const byte = this.#bytes[start]
    if (byte === QUOTE) return stringEnd(this.#bytes, this.#quotes, start)
    if (byte === OPEN_BRACE || byte === OPEN_BRACKET)
      return containerEnd(this.#bytes, this.#quotes, start, byte, this.#depth + 1, this.#passed)
    return scalarEnd(this.#bytes, start, this.#passed)
  }

  /** The string literal at `[start, end)`, quotes included, decoded. */
  #decode(start: number, end: number): string {
    const text = internedString(this.#bytes, start + 1, end - 1)
    if (!text.includes('\\')) return text
    try {
      return String(JSON.parse(`"${text}"`))
    } catch {
      throw syntaxProblem(this.#bytes, 'a well-formed string', start)
    }
  }
}
