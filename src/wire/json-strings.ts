// JSON strings: strings of a body that hold JSON themselves. Measures what a server that reads such JSON can make of it. Builds nothing,
// and takes time in proportion to the string.

import {
  MAX_EXPONENT_GROWTH_BYTES,
  MAX_LONG_NUMBER_GROWTH_BYTES,
  MAX_STABLE_NUMBER_CHARACTERS,
} from './number-growth.ts'

const DIGIT_ZERO = 0x30
const DIGIT_NINE = 0x39
const CASE_BIT = 0x20
const LOWER_E = 0x65
const PLUS = 0x2b
const MINUS = 0x2d
const DOT = 0x2e
const COMMA = 0x2c
const COLON = 0x3a
const SPACE = 0x20
const OPEN_BRACKET = 0x5b
const CLOSE_BRACKET = 0x5d
const QUOTE = 0x22
const BACKSLASH = 0x5c
const OPEN_BRACE = 0x7b
const CLOSE_BRACE = 0x7d
const LETTER_U = 0x75
/** Stands for a character beyond ASCII, whichever it is. */
const BEYOND_ASCII = 0x80
const SHORT_ESCAPES: ReadonlyMap<number, number> = new Map(
  [...'bfnrt'].map((letter, index) => [letter.charCodeAt(0), '\b\f\n\r\t'.charCodeAt(index)]),
)

/** What JSON inside of a string holds: the arguments of a call that a model made, or what a tool answered. */
export interface StringMeasure {
  /** The bytes by which its numbers can grow, at most. */
  readonly grownBytes: number
  /** Commas and colons, also those in strings. */
  readonly separators: number
}

/**
 * @param bytes of the string, with its escapes
 * @param structure follows the characters, if members and levels are to be counted
 */
export function measureJsonString(bytes: Buffer, structure?: JsonStructure): StringMeasure {
  let grownBytes = 0
  let separators = 0
  let last = 0
  /** The characters so far of what can be a number; -1 within anything else. */
  let length = 0
  for (let position = 1; position < bytes.length; position++) {
    let byte = bytes[position] ?? 0
    if (byte === BACKSLASH) {
      const letter = bytes[++position] ?? 0
      if (letter === LETTER_U) {
        byte = asciiOfHex(bytes, position + 1)
        position += 4
      } else byte = SHORT_ESCAPES.get(letter) ?? letter
    }
    structure?.add(byte)
    const isExponent = (byte | CASE_BIT) === LOWER_E && isDigit(last)
    if (byte === COMMA || byte === COLON) separators++
    if (isDigit(byte) || byte === DOT || byte === MINUS || byte === PLUS || isExponent) {
      if (length >= 0) length++
      if (length > 0 && isExponent) grownBytes += MAX_EXPONENT_GROWTH_BYTES
      if (length === MAX_STABLE_NUMBER_CHARACTERS + 1) grownBytes += MAX_LONG_NUMBER_GROWTH_BYTES
    } else length = startsValue(byte) ? 0 : -1
    last = byte
  }
  return { grownBytes, separators }
}

/** Follows JSON character by character, and counts levels and the members of the outermost object. */
export class JsonStructure {
  /** Members of the outermost object, without those of objects in it. */
  members = 0
  /** Levels of nesting. */
  maxDepth = 0
  #depth = 0
  #isInString = false
  #isEscaped = false

  add(character: number): void {
    if (this.#isInString) {
      if (this.#isEscaped) this.#isEscaped = false
      else if (character === BACKSLASH) this.#isEscaped = true
      else if (character === QUOTE) this.#isInString = false
    } else if (character === QUOTE) this.#isInString = true
    else if (character === OPEN_BRACE || character === OPEN_BRACKET) {
      if (++this.#depth > this.maxDepth) this.maxDepth = this.#depth
    } else if (character === CLOSE_BRACE || character === CLOSE_BRACKET) this.#depth--
    else if (character === COLON && this.#depth === 1) this.members++
  }
}

/** The character of four digits of hex, if it is ASCII. */
function asciiOfHex(bytes: Buffer, from: number): number {
  if (bytes[from] !== DIGIT_ZERO || bytes[from + 1] !== DIGIT_ZERO) return BEYOND_ASCII
  return Number.parseInt(bytes.toString('latin1', from + 2, from + 4), 16) || 0
}

/** Whether a number can begin behind this byte. Numbers in quotes within the string stay as they are. */
function startsValue(byte: number): boolean {
  return byte === COMMA || byte === COLON || byte === OPEN_BRACKET || byte <= SPACE
}

/** Whether a string, or a list of parts, can hold JSON whose numbers grow. Told by its first bytes. @param bytes quotes included */
export function beginsLikeJson(bytes: Buffer): boolean {
  if (bytes[0] === OPEN_BRACKET) return true
  const start = skipSpace(bytes, 1)
  const first = bytes[start] ?? 0
  // Any other escape may stand for a bracket.
  if (first === OPEN_BRACE || first === OPEN_BRACKET || first === BACKSLASH) return true
  return (first === MINUS || isDigit(first)) && isNumber(bytes, start)
}

/** True if the rest of the string is one number. A text that only begins with digits, such as numbered lines, is no JSON. */
function isNumber(bytes: Buffer, start: number): boolean {
  let end = start
  for (let byte = bytes[end] ?? 0; isDigit(byte) || NUMBER_SIGNS.has(byte); byte = bytes[end] ?? 0) end++
  end = skipSpace(bytes, end)
  return bytes[end] === BACKSLASH || end >= bytes.length - 1
}

const NUMBER_SIGNS: ReadonlySet<number> = new Set([DOT, PLUS, MINUS, LOWER_E, LOWER_E - CASE_BIT])
/** The letters of the escapes of white space. */
const SPACE_ESCAPES: ReadonlySet<number> = new Set([...'nrt'].map((letter) => letter.charCodeAt(0)))

function skipSpace(bytes: Buffer, from: number): number {
  let position = from
  for (;;) {
    const byte = bytes[position]
    if (byte === undefined) return position
    if (byte <= SPACE) position++
    else if (byte === BACKSLASH && SPACE_ESCAPES.has(bytes[position + 1] ?? 0)) position += 2
    else return position
  }
}

function isDigit(byte: number): boolean {
  return byte >= DIGIT_ZERO && byte <= DIGIT_NINE
}
