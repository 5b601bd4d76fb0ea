// JsonCursor: reads a few fields out of a JSON body without building the rest.

import { Problem } from '../../core/problem.ts'
import { internedString } from './interned-string.ts'
import { backslashesBefore, Quotes } from './quotes.ts'

/** Returned by `nextField` for a key that is not in the table. */
export const UNKNOWN_FIELD = -1
/** Returned by `nextField` at the end of the object. */
export const END_OF_OBJECT = -2

const QUOTE = 0x22
const BACKSLASH = 0x5c
const COMMA = 0x2c
const MINUS = 0x2d
const LETTER_N = 0x6e
const LETTER_T = 0x74
const OPEN_BRACE = 0x7b
const OPEN_BRACKET = 0x5b
const CASE_BIT = 0x20
const EMPTY_SLOT = -1
const MAX_SLOTS = 4096
const DIGIT_ZERO = 0x30
/** So many always make a safe integer. */
const MAX_SAFE_DIGITS = 15
const MAX_DEPTH = 256
/** Most strings are short: so much is looked at byte by byte, and not in a native search. */
const NEARBY_BYTES = 16
/** In a text as long as this it pays to find all quotes beforehand. */
const MIN_LONG_TEXT_BYTES = 2048

/** The keys a reader knows in one kind of object. Their positions are what `nextField` returns. */
export class Fields {
  readonly names: readonly string[]
  readonly #bytes: readonly Buffer[]
  /** Positions of names, by their hashes: no two share a slot. */
  readonly #slots: Int8Array
  readonly #indexByFoldedName = new Map<string, number>()
  #isExact = false

  constructor(...names: string[]) {
    this.names = names
    this.#bytes = names.map((name) => Buffer.from(name))
    this.#slots = slotsOf(this.#bytes.map((name) => hashOf(name, 0, name.length)))
    for (const [index, name] of names.entries()) this.#indexByFoldedName.set(foldKey(name), index)
  }

  /** Of an answer's own figures, as JSON.parse has them: keys that differ by case are other keys, of equal ones the last counts. */
  static exact(...names: string[]): Fields {
    const fields = new Fields(...names)
    fields.#isExact = true
    return fields
  }

  get isExact(): boolean {
    return this.#isExact
  }

  /**
   * The field that `bytes[start, end)` names. A key that differs from a known one only by case is refused: servers disagree
   * on whether such keys are the same, and what is metered must be what is run.
   */
  find(bytes: Buffer, start: number, end: number): number {
    const index = this.#slots[hashOf(bytes, start, end) & (this.#slots.length - 1)] ?? EMPTY_SLOT
    // Asking an array for what stands at -1 takes as long as all the rest.
    const name = index === EMPTY_SLOT ? undefined : this.#bytes[index]
    if (name === undefined || name.length !== end - start) return UNKNOWN_FIELD
    let differs = 0
    for (let at = 0; at < name.length; at++) {
      const byte = name[at] ?? 0
      const difference = (bytes[start + at] ?? 0) ^ byte
      if (difference !== 0 && (difference !== CASE_BIT || !isLetter(byte))) return UNKNOWN_FIELD
      differs |= difference
    }
    if (differs === 0) return index
    if (!this.#isExact) throw caseVariantProblem(bytes.toString('utf8', start, end), this.names[index] ?? '')
    return UNKNOWN_FIELD
  }

  /** As `find`, for a key with escapes or letters beyond ASCII (`ſtream` folds to `stream`). */
  findDecoded(key: string): number {
    const index = this.#indexByFoldedName.get(foldKey(key))
    if (index === undefined) return UNKNOWN_FIELD
    if (this.names[index] === key) return index
    if (!this.#isExact) throw caseVariantProblem(key, this.names[index] ?? '')
    return UNKNOWN_FIELD
  }
}

/** Of a key's length and three of its bytes, which tells known keys apart; the same for letters of both cases. */
function hashOf(bytes: Buffer, start: number, end: number): number {
  const first = (bytes[start] ?? 0) | CASE_BIT
  const middle = (bytes[(start + end) >>> 1] ?? 0) | CASE_BIT
  const last = (bytes[end - 1] ?? 0) | CASE_BIT
  return Math.imul(Math.imul(Math.imul(end - start, 31) + first, 31) + middle, 31) + last
}

/** As many slots as it takes for each hash to have its own. */
function slotsOf(hashes: readonly number[]): Int8Array {
  for (let size = 8; size <= MAX_SLOTS; size *= 2) {
    const slots = new Int8Array(size).fill(EMPTY_SLOT)
    for (const [index, hash] of hashes.entries()) slots[hash & (size - 1)] = index
    if (slots.filter((slot) => slot !== EMPTY_SLOT).length === hashes.length) return slots
  }
  throw new Error('two fields cannot be told apart: hash more of their bytes')
}

/** Where a value lies in the body: `[start, end)`, in bytes. */
export interface ByteRange {
  readonly start: number
  readonly end: number
}

/**
 * A pull parser over one body. Call `enterObject` and `nextField`, or `enterArray` and `nextElement`, and consume each value
 * with `skipValue`, `range`, `value`, `string`, `count`, `boolean`, or by entering it.
 * The body must not change meanwhile. Throws Problem `invalid_json` on broken structure. What is inside skipped strings and
 * numbers is the provider's to judge.
 */
export class JsonCursor {
  readonly #bytes: Buffer
  readonly #quotes: Quotes | undefined
  #position = 0
  /** True right after `{` or `[`, where no comma is due. */
  #isAtFirst = false
  #depth = 0

  constructor(bytes: Buffer) {
    this.#bytes = bytes
    this.#quotes = bytes.length < MIN_LONG_TEXT_BYTES ? undefined : Quotes.of(bytes)
    this.#position = spaceEnd(bytes, 0)
  }

  /** The first byte of the next value, as a character: `{`, `[`, `"`, a digit, `t`, `f`, `n`, or '' at the end. */
  peek(): string {
    return this.#position < this.#bytes.length ? String.fromCharCode(this.#bytes[this.#position] ?? 0) : ''
  }

  get position(): number {
    return this.#position
  }

  enterObject(): void {
    this.#enter(OPEN_BRACE, 'an object')
  }

  enterArray(): void {
    this.#enter(OPEN_BRACKET, 'an array')
  }

  /** The next key's position in `fields`, OTHER, or END. The cursor then stands at the key's value. */
  nextField(fields: Fields): number {
    if (!this.#nextMember(0x7d)) return END_OF_OBJECT
    if (this.#bytes[this.#position] !== QUOTE) throw this.#syntaxProblem('a key')
    const bytes = this.#bytes
    const start = this.#position + 1
    let end = start
    let plain = true
    for (let byte = bytes[end]; byte !== QUOTE; byte = bytes[++end]) {
      if (byte === undefined) throw this.#syntaxProblem('the end of a key')
      if (byte < 0x80 && byte !== BACKSLASH) continue
      plain = false
      if (byte === BACKSLASH) end++
    }
    this.#position = colonEnd(bytes, end + 1)
    return plain ? fields.find(bytes, start, end) : fields.findDecoded(this.#decode(start - 1, end + 1))
  }

  /** True when the cursor stands at another element of the array. */
  nextElement(): boolean {
    return this.#nextMember(0x5d)
  }

  /** Skips any value. */
  skipValue(): void {
    this.#endValue(this.#valueEnd(this.#position, this.#depth))
  }

  /** Skips any value. Returns where it was. */
  range(): ByteRange {
    const start = this.#position
    const end = this.#valueEnd(start, this.#depth)
    this.#endValue(end)
    return { start, end }
  }

  /** Any value, parsed. Throws SyntaxError where JSON.parse does. */
  value(): unknown {
    return JSON.parse(this.text(this.range()))
  }

  /** As `value`; quicker for a whole number. */
  numberValue(): unknown {
    const { start, end } = this.range()
    return parseWholeNumber(this.#bytes, start, end) ?? JSON.parse(this.text({ start, end }))
  }

  /** The bytes of a value, as they came. */
  text({ start, end }: ByteRange): string {
    return this.#bytes.toString('utf8', start, end)
  }

  /** The string at a range that `range` returned. */
  stringAt({ start, end }: ByteRange, name: string): string {
    if (this.#bytes[start] !== QUOTE) throw invalidField(name, 'must be a string')
    return this.#decode(start, end)
  }

  string(name: string): string {
    return this.stringAt(this.range(), name)
  }

  /** Any string; anything else gives null. */
  stringOrNull(): string | null {
    const at = this.range()
    return this.#bytes[at.start] === QUOTE ? this.#decode(at.start, at.end) : null
  }

  /** `true` or `false`; null counts as false. */
  boolean(name: string): boolean {
    const first = this.peek()
    if (first !== 't' && first !== 'f' && first !== 'n') throw invalidField(name, 'must be true or false')
    this.skipValue()
    return first === 't'
  }

  /** The whole number, of at least `least`, at a range that `range` returned; null gives null. */
  countAt({ start, end }: ByteRange, name: string, least: number): number | null {
    const first = this.#bytes[start] ?? 0
    if (first === LETTER_N) return null
    const value = parseWholeNumber(this.#bytes, start, end) ?? this.#numberAt(start, end)
    if (!Number.isSafeInteger(value) || value < least)
      throw invalidField(name, `must be a whole number of at least ${least}`)
    return value
  }

  #numberAt(start: number, end: number): number {
    const first = this.#bytes[start] ?? 0
    const digit = first === MINUS ? (this.#bytes[start + 1] ?? 0) : first
    return isDigit(digit) ? Number(this.#bytes.toString('latin1', start, Math.min(end, start + 40))) : Number.NaN
  }

  count(name: string, least: number): number | null {
    return this.countAt(this.range(), name, least)
  }

  /** After the outermost value: nothing but space may follow. */
  finish(): void {
    if (this.#position < this.#bytes.length) throw this.#syntaxProblem('the end')
  }

  #enter(bracket: number, what: string): void {
    if (this.#bytes[this.#position] !== bracket) throw this.#syntaxProblem(what)
    if (++this.#depth > MAX_DEPTH) throw tooDeepProblem()
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
      if (byte !== COMMA) throw this.#syntaxProblem('a comma or the end of it')
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

  /** Where the value that starts at `at` ends. @param depth of what holds it */
  #valueEnd(at: number, depth: number): number {
    const byte = this.#bytes[at]
    if (byte === QUOTE) return this.#stringEnd(at)
    if (byte === OPEN_BRACE || byte === OPEN_BRACKET) return this.#containerEnd(at, byte, depth + 1)
    return scalarEnd(this.#bytes, at)
  }

  #containerEnd(from: number, opening: number, depth: number): number {
    if (depth > MAX_DEPTH) throw tooDeepProblem()
    const bytes = this.#bytes
    const closing = opening + 2
    let at = spaceEnd(bytes, from + 1)
    if (bytes[at] === closing) return at + 1
    for (;;) {
      if (opening === OPEN_BRACE) {
        if (bytes[at] !== QUOTE) throw this.#syntaxProblem('a key', at)
        at = colonEnd(bytes, this.#stringEnd(at))
      }
      at = spaceEnd(bytes, this.#valueEnd(at, depth))
      const byte = bytes[at]
      if (byte === closing) return at + 1
      if (byte !== COMMA) throw this.#syntaxProblem('a comma or the end of it', at)
      at = spaceEnd(bytes, at + 1)
    }
  }

  /** After the quote that is not escaped. */
  #stringEnd(from: number): number {
    const at = this.#quotes ? this.#quotes.firstFrom(from + 1) : closingQuote(this.#bytes, from + 1)
    if (at < 0) throw this.#syntaxProblem('the end of a string', this.#bytes.length)
    return at + 1
  }

  /** The string literal at `[start, end)`, quotes included, decoded. */
  #decode(start: number, end: number): string {
    const text = internedString(this.#bytes, start + 1, end - 1)
    if (!text.includes('\\')) return text
    try {
      return String(JSON.parse(`"${text}"`))
    } catch {
      throw this.#syntaxProblem('a well-formed string', start)
    }
  }

  #syntaxProblem(expected: string, at = this.#position): Problem {
    return syntaxProblem(this.#bytes, expected, at)
  }
}

/** The first quote from `from` on, inside a string, that is not escaped; or -1. */
function closingQuote(bytes: Buffer, from: number): number {
  const near = Math.min(from + NEARBY_BYTES, bytes.length)
  let at = from
  while (at < near && bytes[at] !== QUOTE) at++
  if (at >= near) at = bytes.indexOf(QUOTE, at)
  while (at > 0 && backslashesBefore(bytes, at) % 2 === 1) at = bytes.indexOf(QUOTE, at + 1)
  return at
}

/** Of a number or a literal. A number's digits are the provider's to judge. */
function scalarEnd(bytes: Buffer, from: number): number {
  let at = from
  let byte = bytes[at] ?? 0
  if (isDigit(byte) || byte === MINUS) {
    do byte = bytes[++at] ?? 0
    while (isDigit(byte) || byte === 0x2e || byte === 0x2b || byte === MINUS || (byte | 0x20) === 0x65)
    return at
  }
  const literal = byte === LETTER_N ? NULL : byte === LETTER_T ? TRUE : FALSE
  for (let index = 0; index < literal.length; index++)
    if (bytes[at++] !== literal[index]) throw syntaxProblem(bytes, 'a value', from)
  return at
}

/** Undefined for what is more than some digits. */
function parseWholeNumber(bytes: Buffer, start: number, end: number): number | undefined {
  if (end - start > MAX_SAFE_DIGITS || (bytes[start] === DIGIT_ZERO && end - start > 1)) return undefined
  let value = 0
  for (let at = start; at < end; at++) {
    const byte = bytes[at] ?? 0
    if (!isDigit(byte)) return undefined
    value = value * 10 + (byte - DIGIT_ZERO)
  }
  return value
}

/** After the colon that follows a key, and the space around it. */
function colonEnd(bytes: Buffer, from: number): number {
  const at = spaceEnd(bytes, from)
  if (bytes[at] !== 0x3a) throw syntaxProblem(bytes, 'a colon', at)
  return spaceEnd(bytes, at + 1)
}

function spaceEnd(bytes: Buffer, from: number): number {
  let at = from
  while (at < bytes.length && isSpace(bytes[at] ?? 0)) at++
  return at
}

function isSpace(byte: number): boolean {
  return byte <= 0x20 && (byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09)
}

function syntaxProblem(bytes: Buffer, expected: string, at: number): Problem {
  const where = at >= bytes.length ? 'at its end' : `at byte ${at}`
  return new Problem('invalid_json', `The request body is not valid JSON: expected ${expected} ${where}.`)
}

export function invalidField(name: string, what: string): Problem {
  return new Problem('invalid_request', `Invalid value for '${name}': it ${what}.`, name)
}

/** A known field that appears twice: which of the two counts differs between servers. */
export function markSeen(seen: number, field: number, fields: Fields): number {
  if (field < 0 || fields.isExact) return seen
  const bit = 1 << field
  if (seen & bit)
    throw new Problem('invalid_request', `Duplicate field '${fields.names[field]}'.`, fields.names[field] ?? null)
  return seen | bit
}

function caseVariantProblem(key: string, name: string): Problem {
  return new Problem('invalid_request', `Unknown field '${key.slice(0, 64)}'. Did you mean '${name}'?`, name)
}

function tooDeepProblem(): Problem {
  return new Problem('invalid_json', `The request body is nested more than ${MAX_DEPTH} levels deep.`)
}

const TRUE = Buffer.from('true')
const FALSE = Buffer.from('false')
const NULL = Buffer.from('null')

function isDigit(byte: number): boolean {
  return byte >= 0x30 && byte <= 0x39
}

function isLetter(byte: number): boolean {
  const lower = byte | 0x20
  return lower >= 0x61 && lower <= 0x7a
}

function foldKey(key: string): string {
  return key.normalize('NFKC').toUpperCase().toLowerCase()
}
