// Gemini's model: the path names it, and some bodies name it again.

import type { Edits } from '../dialect.ts'
import type { ByteRange, JsonCursor } from '../json/cursor.ts'
import { applySplices } from '../json/edit.ts'
import { invalidField } from '../json/errors.ts'
import type { ObjectLayout } from '../request-body.ts'
import type { RequestDraft } from '../request-reader.ts'

/** Google takes a hundred requests in a batch. */
const MAX_REQUESTS = 10_000

/** The positions of the model's name in a body. */
export interface ModelsLayout extends ObjectLayout {
  readonly models: ByteRange[]
}

export function newModelsLayout(): ModelsLayout {
  return { membersStart: 0, isEmpty: false, models: [] }
}

/**
 * Reads a model that the body names, and keeps where. Throws Problem unless it is the path's model, which `draft` has: the
 * gateway must meter what is run.
 */
export function readBodyModel(json: JsonCursor, draft: RequestDraft, { models }: ModelsLayout): void {
  const range = json.range()
  if (json.text(range) === 'null') return
  const named = json.stringAt(range, 'model')
  if (lastPart(named) !== lastPart(draft.model)) throw invalidField('model', 'must be the model that the path names')
  if (models.length === MAX_REQUESTS) throw invalidField('requests', `must be at most ${MAX_REQUESTS}`)
  models.push(range)
}

/** The body with each of its models replaced by the provider's name, if that differs. */
export function replaceModels(body: Buffer, { models }: ModelsLayout, { model }: Edits): Buffer {
  const text = JSON.stringify(`models/${model}`)
  return applySplices(body, model === undefined ? [] : models.map((range) => ({ ...range, text })))
}

function lastPart(name: string): string {
  return name.slice(name.lastIndexOf('/') + 1)
}
