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
  /** Members of the outermost object, without those of objects in it. */
  readonly members: number
  /** Levels of nesting. */
  readonly depth: number
}

/** @param bytes of the string, with its escapes */
export function measureJsonString(bytes: Buffer): StringMeasure {
  const structure = new Structure()
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
    structure.add(byte)
    const isExponent = (byte | CASE_BIT) === LOWER_E && isDigit(last)
    if (byte === COMMA || byte === COLON) separators++
    if (isDigit(byte) || byte === DOT || byte === MINUS || byte === PLUS || isExponent) {
      if (length >= 0) length++
      if (length > 0 && isExponent) grownBytes += MAX_EXPONENT_GROWTH_BYTES
      if (length === MAX_STABLE_NUMBER_CHARACTERS + 1) grownBytes += MAX_LONG_NUMBER_GROWTH_BYTES
    } else length = startsValue(byte) ? 0 : -1
    last = byte
  }
  return { grownBytes, separators, members: structure.members, depth: structure.maxDepth }
}

/** Follows JSON character by character, and counts levels and the members of the outermost object. */
class Structure {
  members = 0
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

/** Whether a string, or a list of parts, can hold JSON. @param bytes of the value, quotes included */
export function beginsLikeJson(bytes: Buffer): boolean {
  const first = bytes[0] === OPEN_BRACKET ? OPEN_BRACKET : (bytes[1] ?? 0)
  const isBracket = first === OPEN_BRACKET || first === OPEN_BRACE
  return isBracket || first === MINUS || first === BACKSLASH || first <= SPACE || isDigit(first)
}

function isDigit(byte: number): boolean {
  return byte >= DIGIT_ZERO && byte <= DIGIT_NINE
}
