// Gemini's count of tokens: POST /v1beta/models/{model}:countTokens. It takes a request, and no money.

import type { Dialect, ParsedRequest, RequestLine } from '../dialect.ts'
import { type ByteRange, Fields, JsonCursor } from '../json/cursor.ts'
import { eachField, newDraft } from '../request-reader.ts'
import { countingTap } from '../taps/count.ts'
import { geminiGenerate, modelInPath } from './generate.ts'
import { readBodyModel, replaceModels } from './model.ts'

const BODY = new Fields('generateContentRequest', 'generate_content_request')
const REQUEST = new Fields('model')

export const geminiCountTokens: Dialect = {
  ...geminiGenerate,
  name: 'gemini.countTokens',
  readRequest: readBody,
  createTap: countingTap,
}

/** Whatever is to be counted costs nothing, so of the body only its form and its model matter. */
function readBody(body: Buffer, line: RequestLine): ParsedRequest {
  const json = new JsonCursor(body)
  const draft = newDraft(body.length)
  draft.kind = 'count'
  draft.model = modelInPath(line.path)
  const models: ByteRange[] = []
  eachField(json, BODY, () => {
    if (json.peek() === '{') eachField(json, REQUEST, () => readBodyModel(json, draft.model, models))
    else json.skipValue()
  })
  json.finish()
  return { facts: draft, asksForUsage: true, edit: (edits) => replaceModels(body, models, edits) }
}
