// Prompts: the input of OpenAI's older endpoints, which is a text, a list of token ids, or a list of either.

import type { JsonCursor } from '../json/cursor.ts'
import { invalidField } from '../json/errors.ts'
import type { RequestDraft } from '../request-reader.ts'

/**
 * Counts the prompts of a body into `draft.prompts`. An id takes at least two bytes with its comma, so the body's length
 * bounds ids as it bounds text. Objects are images or audio, which some servers embed. Throws Problem for anything else.
 */
export function readPrompts(json: JsonCursor, name: string, draft: RequestDraft): void {
  if (json.isString()) {
    json.skipValue()
    return
  }
  if (!json.isArray()) throw invalidField(name, 'must be a string or an array')
  let prompts = 0
  let hasIds = false
  json.enterArray()
  while (json.nextElement()) {
    if (json.isUnsigned()) hasIds = true
    else prompts++
    if (json.isArray()) readParts(json, draft)
    else readPart(json, draft)
  }
  // The ids of a list are one prompt.
  draft.prompts = Math.max(1, prompts + (hasIds ? 1 : 0))
}

function readParts(json: JsonCursor, draft: RequestDraft): void {
  json.enterArray()
  while (json.nextElement()) readPart(json, draft)
}

function readPart(json: JsonCursor, draft: RequestDraft): void {
  if (json.isObject()) draft.unsizedInput = draft.audioInput = true
  json.skipValue()
}
