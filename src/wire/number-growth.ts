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
