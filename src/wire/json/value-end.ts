// Value end: finds the end of a JSON value, so that the cursor can skip values that no reader needs. It checks structure and
// builds nothing.

import { MAX_DEPTH, syntaxProblem, tooDeepProblem } from './errors.ts'
import type { Quotes } from './quotes.ts'
import {
  CLOSE_BRACE,
  COMMA,
  closingQuote,
  colonEnd,
  OPEN_BRACE,
  OPEN_BRACKET,
  type Passed,
  QUOTE,
  scalarEnd,
  spaceEnd,
} from './scan.ts'

/**
 * Returns the position after the object or array at `from`. Throws Problem `invalid_json` on broken structure.
 * @param quotes those of `bytes`, if they are known
 * @param opening its bracket
 * @param depth its own, 1 for the outermost
 * @param passed is added to
 */
export function containerEnd(
  bytes: Buffer,
  quotes: Quotes | undefined,
  from: number,
  opening: number,
  depth: number,
  passed: Passed,
): number {
  if (depth > MAX_DEPTH) throw tooDeepProblem()
  if (depth > passed.depth) passed.depth = depth
  const closing = opening + 2
  let position = spaceEnd(bytes, from + 1)
  if (bytes[position] === closing) return position + 1
  for (;;) {
    if (opening === OPEN_BRACE) {
      if (bytes[position] !== QUOTE) throw syntaxProblem(bytes, 'a key', position)
      position = colonEnd(bytes, stringEnd(bytes, quotes, position))
      passed.separators++
    }
    const first = bytes[position]
    if (first === QUOTE) position = stringEnd(bytes, quotes, position)
    else if (first === OPEN_BRACE || first === OPEN_BRACKET)
      position = containerEnd(bytes, quotes, position, first, depth + 1, passed)
    else position = scalarEnd(bytes, position, passed)
    position = spaceEnd(bytes, position)
    const byte = bytes[position]
    if (byte === closing) return position + 1
    if (byte !== COMMA) throw syntaxProblem(bytes, expectedAfterValue(closing), position)
    passed.separators++
    position = spaceEnd(bytes, position + 1)
  }
}

/** Right after the quote that ends the string at `from`. */
export function stringEnd(bytes: Buffer, quotes: Quotes | undefined, from: number): number {
  const position = quotes ? quotes.firstFrom(from + 1) : closingQuote(bytes, from + 1)
  if (position < 0) throw syntaxProblem(bytes, 'the end of a string', bytes.length)
  return position + 1
}

/** @param closing the bracket that ends the container */
export function expectedAfterValue(closing: number): string {
  return `a comma or the end of the ${closing === CLOSE_BRACE ? 'object' : 'array'}`
}
