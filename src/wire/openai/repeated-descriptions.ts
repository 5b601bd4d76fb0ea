// Repeated descriptions: what OpenAI's renderer writes twice of the tools of a request. It builds nothing.

import { END_OF_OBJECT, JsonCursor } from '../json/cursor.ts'
import { Fields } from '../json/fields.ts'
import { eachObject, lengthOf } from '../json/object-reader.ts'
import { measureTools, type RequestDraft } from '../request-reader.ts'

const OBJECT = Buffer.from('"object"')
const ESCAPE = Buffer.from('\\u')

/** Reads a list of tools, and measures what they take. */
export function readTools(
  json: JsonCursor,
  draft: RequestDraft,
  read: (json: JsonCursor, draft: RequestDraft) => void,
): void {
  const start = json.position
  let count = 0
  measureTools(json, draft, () => {
    count = eachObject(json, read, draft)
  })
  draft.repeatedBytes += repeatedDescriptionBytes(json.bytesAt({ start, end: json.position }), count)
}

/**
 * The bytes of the descriptions of schemas that are objects, which the renderer of openai-harmony writes above and inside of the type.
 * @param tools JSON that has been read without a Problem
 * @param count how many tools there are: each has one object, its parameters, whose description is written once
 */
function repeatedDescriptionBytes(tools: Buffer, count: number): number {
  if (!hasMoreObjects(tools, count)) return 0
  return repeatedIn(new JsonCursor(tools))
}

/** False for nearly all tools, and told by a search. An escape may hide a word. */
function hasMoreObjects(tools: Buffer, count: number): boolean {
  let objects = 0
  for (let at = tools.indexOf(OBJECT); at >= 0; at = tools.indexOf(OBJECT, at + OBJECT.length))
    if (++objects > count) return true
  return tools.includes(ESCAPE)
}

const FIELDS = Fields.exact('type', 'description', 'properties')
const [TYPE, DESCRIPTION, PROPERTIES] = [0, 1, 2]

/** Of the value at the cursor and of all values in it. A schema without a type is an object if it has properties. */
function repeatedIn(json: JsonCursor): number {
  let bytes = 0
  if (json.isArray()) {
    json.enterArray()
    while (json.nextElement()) bytes += repeatedIn(json)
  } else if (json.isObject()) {
    let description = 0
    let [isObject, isTyped] = [false, false]
    json.enterObject()
    for (let field = json.nextField(FIELDS); field !== END_OF_OBJECT; field = json.nextField(FIELDS)) {
      if (field === DESCRIPTION && json.isString()) description = Math.max(description, lengthOf(json.range()))
      else if (field === TYPE && !json.isObject()) {
        isTyped = true
        isObject = /object|\\u/.test(json.text(json.range()))
      } else {
        if (field === PROPERTIES && !isTyped) isObject = true
        bytes += repeatedIn(json)
      }
    }
    if (isObject) bytes += description
  } else json.skipValue()
  return bytes
}
