// OpenAI completions: POST /v1/completions, the older way to ask for text.

import type { Dialect, Edits, ParsedRequest } from '../dialect.ts'
import { forwardedQuery } from '../headers.ts'
import { Fields, invalidField, JsonCursor } from '../json/cursor.ts'
import { eachField, newDraft, readAnswers } from '../request-reader.ts'
import { type BodyLayout, editChat, newBodyLayout, openaiChat, readStreamOptions } from './chat.ts'
import { readPrompts } from './prompts.ts'

const BODY = new Fields('model', 'prompt', 'stream', 'stream_options', 'max_tokens', 'n', 'best_of', 'user')

/** The only field that caps output here, whatever the provider reads in chat. */
const CAP_FIELD = 'max_tokens'
/** What the API writes where no cap is set. It is put into the body, so that a server with another default keeps to it. */
const DEFAULT_CAP_TOKENS = 16

/** Answers, whole and streamed, and refusals are built as those of chat completions. */
export const openaiCompletions: Dialect = {
  ...openaiChat,
  name: 'openai.completions',
  readRequest: readBody,
  upstreamPath: (_model, line) => `/completions${forwardedQuery(line.query)}`,
}

function readBody(body: Buffer): ParsedRequest {
  const json = new JsonCursor(body)
  const draft = newDraft(body.length)
  const spots = newBodyLayout(json.position)
  let answers = 1
  eachField(json, BODY, (field) => {
    const name = BODY.names[field] ?? ''
    if (name === 'model') {
      spots.model = json.range()
      draft.model = json.stringAt(spots.model, name)
    } else if (name === 'prompt') {
      if (json.peek() === 'n') json.skipValue()
      else readPrompts(json, name, draft)
    } else if (name === 'stream') draft.stream = json.boolean(name)
    else if (name === 'stream_options') readStreamOptions(json, spots)
    else if (name === CAP_FIELD) {
      const at = json.range()
      spots.caps[name] = at
      // 0 is allowed: it says back the prompt with its probabilities.
      draft.outputCap = json.countAt(at, name, 0)
    } else if (name === 'user') draft.user = json.stringOrNull()
    // All of `best_of` are written and billed, and `n` of them are returned.
    else answers = Math.max(answers, readAnswers(json, name))
  })
  json.finish()
  if (draft.model === '') throw invalidField('model', 'is required')
  const isCapped = draft.outputCap !== null
  draft.outputCap ??= DEFAULT_CAP_TOKENS
  draft.answers = answers * draft.prompts
  return { facts: draft, asksForUsage: spots.asksForUsage, edit: (edits) => editBody(body, spots, edits, isCapped) }
}

function editBody(body: Buffer, spots: BodyLayout, edits: Edits, isCapped: boolean): Buffer {
  const tokens = edits.cap?.tokens ?? (isCapped ? undefined : DEFAULT_CAP_TOKENS)
  return editChat(body, spots, tokens === undefined ? edits : { ...edits, cap: { field: CAP_FIELD, tokens } })
}
