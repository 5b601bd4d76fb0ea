// Gemini's model: named by the path, and by some bodies once more.

import type { Edits } from '../dialect.ts'
import { invalid, type JsonCursor, type Range } from '../json/cursor.ts'
import { spliced } from '../json/edit.ts'

/** Google takes a hundred requests in a batch. */
const MOST_REQUESTS = 10_000

/**
 * Reads the model that a body names beside the path, and keeps where. Throws Problem where it is another one: what is
 * metered must be what is run.
 * @param model the path's
 */
export function readModelAgain(json: JsonCursor, model: string, spots: Range[]): void {
  const at = json.range()
  if (json.text(at) === 'null') return
  const named = json.stringAt(at, 'model')
  if (lastPart(named) !== lastPart(model)) throw invalid('model', 'must be the model that the path names')
  if (spots.length === MOST_REQUESTS) throw invalid('requests', `must be at most ${MOST_REQUESTS}`)
  spots.push(at)
}

/** The body with each of these named as the provider does, where that is another name. */
export function withModel(body: Buffer, spots: readonly Range[], { model }: Edits): Buffer {
  const text = JSON.stringify(`models/${model}`)
  return spliced(body, model === undefined ? [] : spots.map((at) => ({ ...at, text })))
}

function lastPart(name: string): string {
  return name.slice(name.lastIndexOf('/') + 1)
}
