// Byte edits: a body with a few ranges replaced. Everything else stays as it came.

import type { ByteRange } from './cursor.ts'

/** A range and what takes its place. */
export interface Splice extends ByteRange {
  readonly text: string
}

/**
 * `body` with each range replaced by its text; `body` itself if there are none. Ranges may come in any order, and must not
 * overlap.
 */
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

/** Puts members in front of an object's first member. @param start right after the object's brace */
export function memberInsertion(start: number, members: string, objectIsEmpty: boolean): Splice {
  return { start, end: start, text: objectIsEmpty ? members : `${members},` }
}
