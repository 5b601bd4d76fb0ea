// Number growth: how much longer numbers get where a provider reads a body and writes its values anew.

/**
 * The longest way in which JavaScript, Python, Rust or Go write a double has 25 characters; the shortest number with an exponent
 * has three. Measured with their JSON libraries, November 2026.
 */
export const MAX_EXPONENT_GROWTH_BYTES = 22

const DIGIT_ZERO = 0x30
const DIGIT_NINE = 0x39
const CASE_BIT = 0x20
const LOWER_E = 0x65
const COMMA = 0x2c
const COLON = 0x3a

/** What JSON inside of a string holds: the arguments of a call that a model made. */
export interface StringMeasure {
  /** At least as many as there are numbers with an exponent. */
  readonly exponents: number
  /** Commas and colons, also those in strings. */
  readonly separators: number
}

/** @param bytes of the string, with its escapes */
export function measureJsonString(bytes: Buffer): StringMeasure {
  let exponents = 0
  let separators = 0
  let last = 0
  for (const byte of bytes) {
    if ((byte | CASE_BIT) === LOWER_E && last >= DIGIT_ZERO && last <= DIGIT_NINE) exponents++
    else if (byte === COMMA || byte === COLON) separators++
    last = byte
  }
  return { exponents, separators }
}
