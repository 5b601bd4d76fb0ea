// Gemini's count of tokens: POST /v1beta/models/{model}:countTokens. It takes a request, and no money.

import type { Dialect, ParsedRequest, RequestLine } from '../dialect.ts'
import type { JsonCursor } from '../json/cursor.ts'
import { ObjectReader } from '../json/object-reader.ts'
import { readBody } from '../request-body.ts'
import { newDraft, type RequestDraft } from '../request-reader.ts'
import { createCountTap } from '../taps/count.ts'
import { GEMINI_REFUSALS } from './errors.ts'
import { type ModelsLayout, newModelsLayout, readBodyModel, replaceModels } from './model.ts'
import { modelEndpoint, modelInPath, upstreamPath } from './path.ts'
import { inBothSpellings } from './spellings.ts'

export const geminiCountTokens: Dialect<'gemini.countTokens'> = {
  ...GEMINI_REFUSALS,
  name: 'gemini.countTokens',
  listsExtras: true,
  endpoint: modelEndpoint('countTokens'),
  readRequest: readCountRequest,
  upstreamPath,
  createTap: createCountTap,
}

const BODY = new ObjectReader<RequestDraft, ModelsLayout>(
  inBothSpellings({
    generateContentRequest(json: JsonCursor, draft: RequestDraft, layout: ModelsLayout) {
      REQUEST.readIfObject(json, draft, layout)
    },
  }),
)

const REQUEST = new ObjectReader<RequestDraft, ModelsLayout>({ model: readBodyModel })

/** A count costs nothing, so only the body's form and model matter. */
function readCountRequest(body: Buffer, line: RequestLine): ParsedRequest {
  const draft = newDraft(body.length)
  draft.kind = 'count'
  draft.model = modelInPath(line.path)
  const layout = newModelsLayout()
  readBody(body, BODY, draft, layout)
  return { facts: draft, requestsUsage: true, edit: (edits) => replaceModels(body, layout, edits) }
}
