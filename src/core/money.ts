// Money: bigint nano-dollars inside, decimal dollars at the edges. Arithmetic never uses a float.

/** Nano-dollars in a dollar. */
export const NANO_PER_USD = 1_000_000_000n

const DECIMAL_PATTERN = /^(\d{1,12})(?:\.(\d{1,9}))?$/

/**
 * Decimal dollars (`"0.50"`, `"10"`) to nano-dollars. Undefined for anything else: a sign, an exponent, or more than nine
 * decimals, which nano-dollars cannot hold.
 */
export function parseUsd(text: string): bigint | undefined {
  const match = DECIMAL_PATTERN.exec(text)
  if (!match) return undefined
  return BigInt(match[1] ?? '0') * NANO_PER_USD + BigInt((match[2] ?? '').padEnd(9, '0'))
}

/** `parseUsd`, for text or a JSON number. A number stands for its shortest exact decimal: `1e-9` is a nano-dollar. */
export function usdOf(value: unknown): bigint | undefined {
  if (typeof value === 'string') return parseUsd(value)
  return typeof value === 'number' ? parseUsd(decimalOf(value)) : undefined
}

/** The digits of a number without an exponent, as far as dollars are below a trillion. */
function decimalOf(value: number): string {
  const [, digits = '', fraction = '', exponent] = /^(\d)(?:\.(\d+))?e-(\d+)$/.exec(String(value)) ?? []
  return exponent === undefined ? String(value) : `0.${'0'.repeat(Number(exponent) - 1)}${digits}${fraction}`
}

/** The largest amount that the ledger holds, in 64 bits: nine billion dollars. Sums stop there, in memory as in the file. */
export const MAX_NANO_USD = 2n ** 63n - 1n

/** The most that a call is quoted and booked at: a million dollars. So thousands of absurd calls do not reach the largest sum. */
export const MAX_CALL_NANO_USD = 10n ** 15n

/** The cost of one call, or of a part of it, as far as it can be booked. */
export function capCallNanoUsd(nanoUsd: bigint): bigint {
  return nanoUsd > MAX_CALL_NANO_USD ? MAX_CALL_NANO_USD : nanoUsd
}

/** An amount within what the ledger holds. */
export function saturateNanoUsd(nanoUsd: bigint): bigint {
  return nanoUsd > MAX_NANO_USD ? MAX_NANO_USD : nanoUsd < -MAX_NANO_USD ? -MAX_NANO_USD : nanoUsd
}

/** Nano-dollars to the shortest exact decimal: `1_500_000_000n` → `"1.5"`. */
export function formatUsd(nanoUsd: bigint): string {
  if (nanoUsd < 0n) return `-${formatUsd(-nanoUsd)}`
  const digits = nanoUsd.toString().padStart(10, '0')
  const whole = digits.slice(0, -9)
  let end = digits.length
  while (digits.charCodeAt(end - 1) === 0x30 && end > whole.length) end--
  return end === whole.length ? whole : `${whole}.${digits.slice(whole.length, end)}`
}

/** Dollars that `JSON.stringify` writes as a number with every digit of the integer. */
export interface UsdJson {
  readonly rawJSON: string
}

declare global {
  interface JSON {
    /** A value that `JSON.stringify` writes as this text (ECMAScript proposal: JSON.parse source text access). */
    rawJSON(text: string): UsdJson
  }
}

/** Nano-dollars as a JSON number of dollars, for `JSON.stringify`. Keeps every digit; a double loses nano-dollars over $9M. */
export function jsonUsd(nanoUsd: bigint): UsdJson {
  return JSON.rawJSON(formatUsd(nanoUsd))
}

/** The quotient, rounded up. The dividend must not be negative. */
export function divideUp(dividend: bigint, divisor: bigint): bigint {
  return (dividend + divisor - 1n) / divisor
}

/** A double in dollars to nano-dollars: exactly its shortest decimal, with fractions of a nano-dollar rounded up. */
export function nanoUsdOf(dollars: number): bigint {
  const [digits = '', exponent = '0'] = String(dollars).split('e')
  const [whole = '', fraction = ''] = digits.split('.')
  const excessDigits = fraction.length - Number(exponent) - 9
  const value = BigInt(whole + fraction)
  return excessDigits <= 0 ? value * 10n ** BigInt(-excessDigits) : divideUp(value, 10n ** BigInt(excessDigits))
}
