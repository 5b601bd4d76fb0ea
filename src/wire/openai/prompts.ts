// Prompts: what OpenAI's older endpoints are given to read: a text, token ids, or a list of either.

import { invalidField, type JsonCursor } from '../json/cursor.ts'
import type { RequestDraft } from '../request-reader.ts'

/**
 * Counts the prompts of a body into `draft.prompts`. An id takes two bytes with its comma, so the body's bytes bound ids as
 * they bound text. Objects are pictures or sound, which some servers embed. Throws Problem for what is no prompt.
 */
export function readPrompts(json: JsonCursor, name: string, draft: RequestDraft): void {
  if (json.peek() === '"') {
    json.skipValue()
    return
  }
  if (json.peek() !== '[') throw invalidField(name, 'must be a string or an array')
  let prompts = 0
  let ids = 0
  json.enterArray()
  while (json.nextElement()) {
    const isId = isDigit(json.peek())
    if (isId) ids = 1
    else prompts++
    if (json.peek() === '[') readParts(json, draft)
    else readPart(json, draft)
  }
  draft.prompts = Math.max(1, prompts + ids)
}

function readParts(json: JsonCursor, draft: RequestDraft): void {
  json.enterArray()
  while (json.nextElement()) readPart(json, draft)
}

function readPart(json: JsonCursor, draft: RequestDraft): void {
  if (json.peek() === '{') draft.unsizedInput = draft.audioInput = true
  json.skipValue()
}

function isDigit(first: string): boolean {
  return first >= '0' && first <= '9'
}
