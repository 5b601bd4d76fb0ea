// Gemini's model: named by the path, and by some bodies once more.

import type { Edits } from '../dialect.ts'
import { type ByteRange, invalidField, type JsonCursor } from '../json/cursor.ts'
import { applySplices } from '../json/edit.ts'

/** Google takes a hundred requests in a batch. */
const MAX_REQUESTS = 10_000

/**
 * Reads the model that a body names beside the path, and keeps where. Throws Problem where it is another one: what is
 * metered must be what is run.
 * @param model the path's
 */
export function readBodyModel(json: JsonCursor, model: string, spots: ByteRange[]): void {
  const at = json.range()
  if (json.text(at) === 'null') return
  const named = json.stringAt(at, 'model')
  if (lastPart(named) !== lastPart(model)) throw invalidField('model', 'must be the model that the path names')
  if (spots.length === MAX_REQUESTS) throw invalidField('requests', `must be at most ${MAX_REQUESTS}`)
  spots.push(at)
}

/** The body with each of these named as the provider does, where that is another name. */
export function replaceModels(body: Buffer, spots: readonly ByteRange[], { model }: Edits): Buffer {
  const text = JSON.stringify(`models/${model}`)
  return applySplices(body, model === undefined ? [] : spots.map((at) => ({ ...at, text })))
}

function lastPart(name: string): string {
  return name.slice(name.lastIndexOf('/') + 1)
}
