// OpenAI embeddings: POST /v1/embeddings, and every API that copies it.

import { recordOf } from '../../core/json-values.ts'
import { countOf, usageOf } from '../../core/usage.ts'
import type { AnswerUsage, Dialect, Edits, ParsedRequest } from '../dialect.ts'
import { forwardedQuery } from '../headers.ts'
import { type ByteRange, Fields, invalidField, JsonCursor } from '../json/cursor.ts'
import { applySplices } from '../json/edit.ts'
import { eachField, newDraft } from '../request-reader.ts'
import { DocumentTap } from '../taps/document.ts'
import { openaiChat } from './chat.ts'
import { readPrompts } from './prompts.ts'

const BODY = new Fields('model', 'input', 'user')

/** Says no as chat completions do. */
export const openaiEmbeddings: Dialect = {
  ...openaiChat,
  name: 'openai.embeddings',
  readRequest: readBody,
  upstreamPath: (_model, line) => `/embeddings${forwardedQuery(line.query)}`,
  createTap: () => new DocumentTap(readVectorUsage),
}

function readBody(body: Buffer): ParsedRequest {
  const json = new JsonCursor(body)
  const draft = newDraft(body.length)
  draft.kind = 'embed'
  const models: ByteRange[] = []
  let hasInput = false
  eachField(json, BODY, (field) => {
    const name = BODY.names[field]
    if (name === 'model') {
      const at = json.range()
      models.push(at)
      draft.model = json.stringAt(at, name)
    } else if (name === 'input') {
      hasInput = true
      readPrompts(json, name, draft)
    } else draft.user = json.stringOrNull()
  })
  json.finish()
  if (draft.model === '') throw invalidField('model', 'is required')
  if (!hasInput) throw invalidField('input', 'is required')
  const edit = ({ model }: Edits) =>
    applySplices(body, model === undefined ? [] : models.map((at) => ({ ...at, text: JSON.stringify(model) })))
  return { facts: draft, asksForUsage: true, edit }
}

const ANSWER = new Fields('usage', 'model')

/** Undefined when it counts nothing: no input is as short as that. Some servers give the total alone. */
function readVectorUsage(document: Buffer): AnswerUsage | undefined {
  const json = new JsonCursor(document)
  let counts: Readonly<Record<string, unknown>> = {}
  let model: string | null = null
  eachField(json, ANSWER, (field) => {
    if (ANSWER.names[field] === 'model') model = json.stringOrNull()
    else counts = recordOf(json.value())
  })
  json.finish()
  const input = Math.max(countOf(counts.prompt_tokens), countOf(counts.total_tokens))
  if (input === 0) return undefined
  return { usage: usageOf({ input, requests: 1 }), reasoningTokens: 0, model, serviceTier: null }
}
