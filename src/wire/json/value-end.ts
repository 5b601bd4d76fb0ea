// Where a JSON value ends: how the cursor skips what no reader asks for. Structure is checked, nothing is built.

import { MAX_DEPTH, syntaxProblem, tooDeepProblem } from './errors.ts'
import type { Quotes } from './quotes.ts'
import {
  CLOSE_BRACE,
  COMMA,
  closingQuote,
  colonEnd,
  OPEN_BRACE,
  OPEN_BRACKET,
  QUOTE,
  scalarEnd,
  spaceEnd,
} from './scan.ts'

/**
 * Where the object or array at `from` ends. Throws Problem `invalid_json` on broken structure.
 * @param quotes those of `bytes`, if they are known
 * @param opening its bracket
 * @param depth its own, 1 for the outermost
 */
export function containerEnd(
  bytes: Buffer,
  quotes: Quotes | undefined,
  from: number,
  opening: number,
  depth: number,
): number {
  if (depth > MAX_DEPTH) throw tooDeepProblem()
  const closing = opening + 2
  let at = spaceEnd(bytes, from + 1)
  if (bytes[at] === closing) return at + 1
  for (;;) {
    if (opening === OPEN_BRACE) {
      if (bytes[at] !== QUOTE) throw syntaxProblem(bytes, 'a key', at)
      at = colonEnd(bytes, stringEnd(bytes, quotes, at))
    }
    const first = bytes[at]
    if (first === QUOTE) at = stringEnd(bytes, quotes, at)
    else if (first === OPEN_BRACE || first === OPEN_BRACKET) at = containerEnd(bytes, quotes, at, first, depth + 1)
    else at = scalarEnd(bytes, at)
    at = spaceEnd(bytes, at)
    const byte = bytes[at]
    if (byte === closing) return at + 1
    if (byte !== COMMA) throw syntaxProblem(bytes, expectedAfterValue(closing), at)
    at = spaceEnd(bytes, at + 1)
  }
}

/** Right after the quote that ends the string at `from`. */
export function stringEnd(bytes: Buffer, quotes: Quotes | undefined, from: number): number {
  const at = quotes ? quotes.firstFrom(from + 1) : closingQuote(bytes, from + 1)
  if (at < 0) throw syntaxProblem(bytes, 'the end of a string', bytes.length)
  return at + 1
}

/** @param closing the bracket that ends the container */
export function expectedAfterValue(closing: number): string {
  return `a comma or the end of the ${closing === CLOSE_BRACE ? 'object' : 'array'}`
}
