// Draft: an ask while it is being read, and the little every dialect's reader needs.

import type { RequestFacts } from '../core/quote.ts'
import { type ByteRange, type Fields, invalidField, JsonCursor, markSeen, UNKNOWN_FIELD } from './json/cursor.ts'

export type RequestDraft = { -readonly [Part in keyof RequestFacts]: RequestFacts[Part] } & { unbounded: string[] }

/** An ask for nothing, of a body this long. */
export function newDraft(textBytes: number): RequestDraft {
  return {
    kind: 'generate',
    model: '',
    stream: false,
    textBytes,
    messages: 0,
    addedTokens: 0,
    outputCap: null,
    answers: 1,
    prompts: 1,
    predictionBytes: 0,
    tools: false,
    images: 0,
    unsizedInput: false,
    audioInput: false,
    audioOutput: false,
    cacheWrite: 'none',
    unbounded: [],
    serviceTier: null,
    user: null,
  }
}

/** Names of what makes a call unboundable are for people: a few tell enough. A request may hold any number of them. */
const MAX_UNBOUNDED_NAMES = 8
const MAX_NAME_CHARACTERS = 64

export function markUnbounded(draft: RequestDraft, name: string): void {
  const short = name.slice(0, MAX_NAME_CHARACTERS)
  if (draft.unbounded.length < MAX_UNBOUNDED_NAMES && !draft.unbounded.includes(short)) draft.unbounded.push(short)
}

/** Answers asked of one prompt, at most: beyond this no provider goes. */
const MAX_ANSWERS = 128

export function readAnswers(json: JsonCursor, name: string): number {
  const answers = json.count(name, 1) ?? 1
  if (answers > MAX_ANSWERS) throw invalidField(name, `must be at most ${MAX_ANSWERS}`)
  return answers
}

/** Inline media: its bytes are no text. */
export function readMedia(json: JsonCursor, draft: RequestDraft): void {
  draft.textBytes -= lengthOf(json.range())
}

export function lengthOf({ start, end }: ByteRange): number {
  return end - start
}

/** Calls `read` at each member's value; known fields may come once, but for exact ones. Returns how many members there are. */
export function eachField(json: JsonCursor, fields: Fields, read: (field: number) => void): number
/** @param into is handed to `read`, which so need not be made anew for each object */
export function eachField<Into>(
  json: JsonCursor,
  fields: Fields,
  read: (field: number, json: JsonCursor, into: Into) => void,
  into: Into,
): number
export function eachField(
  json: JsonCursor,
  fields: Fields,
  read: (field: number, json: JsonCursor, into: unknown) => void,
  into?: unknown,
): number {
  json.enterObject()
  let seen = 0
  let members = 0
  for (let field = json.nextField(fields); field >= UNKNOWN_FIELD; field = json.nextField(fields)) {
    seen = markSeen(seen, field, fields)
    members++
    if (field === UNKNOWN_FIELD) json.skipValue()
    else read(field, json, into)
  }
  return members
}

/** Reads a document that is one object: `read` puts its members `into` what is returned. Throws on what cannot be read. */
export function readInto<Into>(
  document: Buffer,
  fields: Fields,
  read: (field: number, json: JsonCursor, into: Into) => void,
  into: Into,
): Into {
  const json = new JsonCursor(document)
  eachField(json, fields, read, into)
  json.finish()
  return into
}

/**
 * Calls `read` at each element that is an object; skips others. A value that is no array is skipped whole. Returns how many
 * objects there are.
 */
export function eachObject<Into>(json: JsonCursor, read: (json: JsonCursor, into: Into) => void, into: Into): number {
  let objects = 0
  if (json.peek() !== '[') {
    json.skipValue()
    return objects
  }
  json.enterArray()
  while (json.nextElement()) {
    if (json.peek() === '{') {
      objects++
      read(json, into)
    } else json.skipValue()
  }
  return objects
}

const SILENT_MODALITIES = new Set(['text', 'image', 'TEXT', 'IMAGE'])

/** True when an answer is asked for in another modality than these; Google takes them by number too. */
export function readAudioOutput(json: JsonCursor): boolean {
  if (json.peek() !== '[') return isAudible(json)
  let audible = false
  json.enterArray()
  while (json.nextElement()) audible = isAudible(json) || audible
  return audible
}

function isAudible(json: JsonCursor): boolean {
  const isNull = json.peek() === 'n'
  const modality = json.stringOrNull()
  return !isNull && (modality === null || !SILENT_MODALITIES.has(modality))
}
