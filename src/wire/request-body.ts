// Request bodies: where in a body the parts lie that may be edited, and the edits that several dialects share.

import type { Edits } from './dialect.ts'
import { type ByteRange, JsonCursor } from './json/cursor.ts'
import { applySplices, memberInsertion, type Splice } from './json/edit.ts'
import { invalidField } from './json/errors.ts'
import type { ObjectReader } from './json/object-reader.ts'
import type { CapLayout, ModelLayout, RequestDraft } from './request-reader.ts'

/** The position at which members can be added to a body. */
export interface ObjectLayout {
  /** Right after the outermost brace. */
  membersStart: number
  isEmpty: boolean
}

/** The positions of the parts that the edits of most dialects change. */
export interface BodyLayout extends ObjectLayout, ModelLayout, CapLayout {}

/** The layout of a body in which nothing has been found yet. */
export function newBodyLayout(): BodyLayout {
  return { membersStart: 0, isEmpty: false, model: null, cap: null }
}

/** Reads a body that is one object. Throws Problem for anything else. */
export function readBody<Layout extends ObjectLayout>(
  body: Buffer,
  reader: ObjectReader<RequestDraft, Layout>,
  draft: RequestDraft,
  layout: Layout,
): void {
  const json = new JsonCursor(body)
  layout.membersStart = json.position + 1
  layout.isEmpty = reader.read(json, draft, layout) === 0
  json.finish()
  draft.grownBytes += json.passed.grownBytes
  draft.depth = Math.max(draft.depth, json.passed.depth)
}

/** Throws Problem for a body without a model. */
export function requireModel({ model }: RequestDraft): void {
  if (model === '') throw invalidField('model', 'is required')
}

/** Puts the model in the place of the body's own. */
export function addModelSplice(splices: Splice[], range: ByteRange | null, { model }: Edits): void {
  if (model !== undefined && range) splices.push({ ...range, text: JSON.stringify(model) })
}

/** Edits the model and the output cap. @param capField the dialect's one field for a cap */
export function editModelAndCap(body: Buffer, layout: BodyLayout, edits: Edits, capField: string): Buffer {
  const splices: Splice[] = []
  addModelSplice(splices, layout.model, edits)
  if (edits.cap) {
    const text = String(edits.cap.tokens)
    if (layout.cap) splices.push({ ...layout.cap, text })
    else splices.push(memberInsertion(layout.membersStart, `"${capField}":${text}`, layout.isEmpty))
  }
  return applySplices(body, splices)
}
