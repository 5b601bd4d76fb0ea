// Scanning of JSON bytes: where space, strings, numbers and literals end. Knows no structure and keeps no state.

import {
  MAX_EXPONENT_GROWTH_BYTES,
  MAX_LONG_NUMBER_GROWTH_BYTES,
  MAX_STABLE_NUMBER_CHARACTERS,
} from '../number-growth.ts'
import { syntaxProblem } from './errors.ts'
import { backslashesBefore } from './quotes.ts'

export const QUOTE = 0x22
export const BACKSLASH = 0x5c
export const COMMA = 0x2c
export const LETTER_F = 0x66
export const LETTER_N = 0x6e
export const LETTER_T = 0x74
export const OPEN_BRACE = 0x7b
export const CLOSE_BRACE = 0x7d
export const OPEN_BRACKET = 0x5b
export const CLOSE_BRACKET = 0x5d
/** The bit in which the two cases of an ASCII letter differ. */
export const CASE_BIT = 0x20
const SPACE = 0x20
const TAB = 0x09
const LINE_FEED = 0x0a
const CARRIAGE_RETURN = 0x0d
const COLON = 0x3a
const MINUS = 0x2d
const PLUS = 0x2b
const DOT = 0x2e
const LOWER_E = 0x65
const DIGIT_ZERO = 0x30
const DIGIT_NINE = 0x39
/** A whole number of so many digits is always a safe integer. */
const MAX_SAFE_DIGITS = 15
const MAX_NUMBER_CHARACTERS = 40
/** Most strings are short: the scan reads so many bytes one by one before it starts a native search. */
const NEARBY_BYTES = 16
const TRUE = Buffer.from('true')
const FALSE = Buffer.from('false')
const NULL = Buffer.from('null')

/** The first quote from `from` on, inside a string, that is not escaped; or -1. */
export function closingQuote(bytes: Buffer, from: number): number {
  const near = Math.min(from + NEARBY_BYTES, bytes.length)
  let position = from
  while (position < near && bytes[position] !== QUOTE) position++
  if (position >= near) position = bytes.indexOf(QUOTE, position)
  while (position > 0 && backslashesBefore(bytes, position) % 2 === 1) position = bytes.indexOf(QUOTE, position + 1)
  return position
}

/** What was passed while values were skipped and read. */
export interface Passed {
  /** The bytes by which numbers can grow, at most, where a server writes them anew. */
  grownBytes: number
  /** Commas and colons between tokens. */
  separators: number
  /** The deepest level; 1 is the outermost container's. */
  depth: number
}

/** The position after the number or literal at `from`. The provider judges whether a number's digits are valid. */
export function scalarEnd(bytes: Buffer, from: number, passed: Passed): number {
  let position = from
  let byte = bytes[position] ?? 0
  if (isDigit(byte) || byte === MINUS) {
    do {
      byte = bytes[++position] ?? 0
      if ((byte | CASE_BIT) === LOWER_E) passed.grownBytes += MAX_EXPONENT_GROWTH_BYTES
    } while (isDigit(byte) || byte === DOT || byte === PLUS || byte === MINUS || (byte | CASE_BIT) === LOWER_E)
    if (position - from > MAX_STABLE_NUMBER_CHARACTERS) passed.grownBytes += MAX_LONG_NUMBER_GROWTH_BYTES
    return position
  }
  const literal = byte === LETTER_N ? NULL : byte === LETTER_T ? TRUE : FALSE
  for (let index = 0; index < literal.length; index++)
    if (bytes[position++] !== literal[index]) throw syntaxProblem(bytes, 'a value', from)
  return position
}

/** After the colon that follows a key, and the space around it. */
export function colonEnd(bytes: Buffer, from: number): number {
  const position = spaceEnd(bytes, from)
  if (bytes[position] !== COLON) throw syntaxProblem(bytes, 'a colon', position)
  return spaceEnd(bytes, position + 1)
}

/** The first byte at `from` or behind it that is no space. */
export function spaceEnd(bytes: Buffer, from: number): number {
  return (bytes[from] ?? SPACE) > SPACE ? from : skipSpace(bytes, from)
}

function skipSpace(bytes: Buffer, from: number): number {
  let position = from
  while (position < bytes.length && isSpace(bytes[position] ?? 0)) position++
  return position
}

/**
 * The whole number of at most 15 digits at `[start, end)`; undefined for anything else. A number is not made into a string
 * first: docs/decisions/json-reading.md.
 */
export function parseWholeNumber(bytes: Buffer, start: number, end: number): number | undefined {
  if (end - start > MAX_SAFE_DIGITS || (bytes[start] === DIGIT_ZERO && end - start > 1)) return undefined
  let value = 0
  for (let position = start; position < end; position++) {
    const byte = bytes[position] ?? 0
    if (!isDigit(byte)) return undefined
    value = value * 10 + (byte - DIGIT_ZERO)
  }
  return value
}

/** Any number at `[start, end)`; NaN for anything else. */
export function parseNumber(bytes: Buffer, start: number, end: number): number {
  const first = bytes[start] ?? 0
  const digit = first === MINUS ? (bytes[start + 1] ?? 0) : first
  if (!isDigit(digit)) return Number.NaN
  return Number(bytes.toString('latin1', start, Math.min(end, start + MAX_NUMBER_CHARACTERS)))
}

export function isLetter(byte: number): boolean {
  const lower = byte | CASE_BIT
  return lower >= 0x61 && lower <= 0x7a
}

export function isDigit(byte: number): boolean {
  return byte >= DIGIT_ZERO && byte <= DIGIT_NINE
}

function isSpace(byte: number): boolean {
  return byte <= SPACE && (byte === SPACE || byte === LINE_FEED || byte === CARRIAGE_RETURN || byte === TAB)
}
