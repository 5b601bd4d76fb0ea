// Gemini's count of tokens: POST /v1beta/models/{model}:countTokens. It takes a request, and no money.

import { draftOf, eachField } from '../ask-reader.ts'
import type { Dialect, Reading, RequestLine } from '../dialect.ts'
import { Fields, JsonCursor, type Range } from '../json/cursor.ts'
import { countingTap } from '../taps/count.ts'
import { geminiGenerate, modelInPath } from './generate.ts'
import { readModelAgain, withModel } from './model.ts'

const BODY = new Fields('generateContentRequest', 'generate_content_request')
const REQUEST = new Fields('model')

export const geminiCountTokens: Dialect = {
  ...geminiGenerate,
  name: 'gemini.countTokens',
  read,
  tap: countingTap,
}

/** Whatever is to be counted costs nothing, so of the body only its form and its model matter. */
function read(body: Buffer, line: RequestLine): Reading {
  const json = new JsonCursor(body)
  const draft = draftOf(body.length)
  draft.kind = 'count'
  draft.model = modelInPath(line.path)
  const models: Range[] = []
  eachField(json, BODY, () => {
    if (json.peek() === '{') eachField(json, REQUEST, () => readModelAgain(json, draft.model, models))
    else json.skipValue()
  })
  json.finish()
  return { ask: draft, asksForUsage: true, edit: (edits) => withModel(body, models, edits) }
}
