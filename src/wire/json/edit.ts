// Byte edits: a body with a few ranges replaced, everything else untouched.

import type { ByteRange } from './cursor.ts'

export interface Splice extends ByteRange {
  readonly text: string
}

/** `body` with each range replaced by its text. Ranges may come in any order, and must not overlap. */
export function applySplices(body: Buffer, splices: readonly Splice[]): Buffer {
  if (splices.length === 0) return body
  const parts: Buffer[] = []
  let from = 0
  for (const { start, end, text } of splices.toSorted((a, b) => a.start - b.start)) {
    parts.push(body.subarray(from, start), Buffer.from(text))
    from = end
  }
  parts.push(body.subarray(from))
  return Buffer.concat(parts)
}

/** Puts members in front of an object's first one. `at` is right after its brace. */
export function memberInsertion(at: number, members: string, objectIsEmpty: boolean): Splice {
  return { start: at, end: at, text: objectIsEmpty ? members : `${members},` }
}
