// Number growth: how much longer numbers get where a provider reads a body and writes its values anew.

/**
 * The longest way in which JavaScript, Python, Rust or Go write a double has 25 characters; the shortest number with an exponent
 * has three. Measured with their JSON libraries, November 2026.
 */
export const MAX_EXPONENT_GROWTH_BYTES = 22
/** Without an exponent: `10000000000000001.5`, 19 characters, is a double that Python writes as `1.0000000000000002e+16`. */
export const MAX_LONG_NUMBER_GROWTH_BYTES = 3
/** Numbers of no more characters do not grow without an exponent. */
export const MAX_STABLE_NUMBER_CHARACTERS = 16

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
const QUOTE = 0x22
const BACKSLASH = 0x5c
const OPEN_BRACE = 0x7b

/** What JSON inside of a string holds: the arguments of a call that a model made, or what a tool answered. */
export interface StringMeasure {
  /** The bytes by which its numbers can grow, at most. */
  readonly grownBytes: number
  /** Commas and colons, also those in strings. */
  readonly separators: number
}

/** @param bytes of the string, with its escapes */
export function measureJsonString(bytes: Buffer): StringMeasure {
  let grownBytes = 0
  let separators = 0
  let last = 0
  /** The characters so far of what can be a number; -1 within anything else. */
  let length = 0
  for (const byte of bytes) {
    const isExponent = (byte | CASE_BIT) === LOWER_E && isDigit(last)
    if (byte === COMMA || byte === COLON) separators++
    if (isDigit(byte) || byte === DOT || byte === MINUS || byte === PLUS || isExponent) {
      if (length >= 0) length++
      if (length > 0 && isExponent) grownBytes += MAX_EXPONENT_GROWTH_BYTES
      if (length === MAX_STABLE_NUMBER_CHARACTERS + 1) grownBytes += MAX_LONG_NUMBER_GROWTH_BYTES
    } else length = startsValue(byte, last) ? 0 : -1
    last = byte
  }
  return { grownBytes, separators }
}

/** Whether a number can begin behind this byte, which may end an escape such as \\n. Numbers in quotes within the string stay as they are. */
function startsValue(byte: number, last: number): boolean {
  if (byte === QUOTE) return last === 0
  return byte === COMMA || byte === COLON || byte === OPEN_BRACKET || byte <= SPACE || last === BACKSLASH
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
