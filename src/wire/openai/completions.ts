// OpenAI completions: POST /v1/completions, the older endpoint for text. It never reads messages or tools.

import type { Dialect, Edits, ParsedRequest } from '../dialect.ts'
import { postEndpoint } from '../endpoint.ts'
import { forwardedQuery } from '../headers.ts'
import type { JsonCursor } from '../json/cursor.ts'
import { handlersFor, ObjectReader } from '../json/object-reader.ts'
import { readBody, requireModel } from '../request-body.ts'
import {
  MODEL_CHOICES,
  markToolUnlessNull,
  markUnboundedUnlessEmpty,
  markUnboundedUnlessNull,
  newDraft,
  PROMPT_FEATURES,
  type RequestDraft,
  readAnswers,
  readModel,
  readStream,
  readUser,
  TOOL_FIELDS,
} from '../request-reader.ts'
import { type ChatLayout, editChat, newChatLayout, openaiChat, readStreamOptions } from './chat.ts'
import { completionDocumentEvents } from './document-events.ts'
import { readPrompts } from './prompts.ts'
import { readProviderChoice } from './provider-choice.ts'

/** The only field that caps output here, even for providers that read another one in chat. */
const CAP_FIELD = 'max_tokens'
/** The API's default. It is put into the body, so that a server with another default keeps to it. */
const DEFAULT_CAP_TOKENS = 16

/** Its answers and refusals have the form of chat completions. */
export const openaiCompletions: Dialect<'openai.completions'> = {
  ...openaiChat,
  name: 'openai.completions',
  endpoint: postEndpoint('/v1/completions'),
  translatedPath: '/v1/chat/completions',
  readRequest: readCompletionsRequest,
  upstreamPath: (_model, line) => `/completions${forwardedQuery(line.query)}`,
  documentEvents: completionDocumentEvents,
}

const BODY = new ObjectReader<RequestDraft, ChatLayout>({
  model: readModel,
  prompt(json, draft, _layout, name) {
    if (json.isNull()) json.skipValue()
    else readPrompts(json, name, draft)
  },
  stream: readStream,
  stream_options: readStreamOptions,
  [CAP_FIELD](json, draft, layout) {
    const range = json.range()
    layout.caps[CAP_FIELD] = range
    // A cap of 0 repeats the prompt with its probabilities.
    draft.outputCap = json.countAt(range, CAP_FIELD, 0)
  },
  n: readMoreAnswers,
  best_of: readMoreAnswers,
  user: readUser,
  provider: readProviderChoice,
  ...handlersFor(TOOL_FIELDS, markToolUnlessNull),
  ...handlersFor(MODEL_CHOICES, markUnboundedUnlessNull),
  ...handlersFor([...PROMPT_FEATURES, 'extra_body'], markUnboundedUnlessEmpty),
})

/** All of `best_of` are written and billed, and `n` of them are returned. */
function readMoreAnswers(json: JsonCursor, draft: RequestDraft, _layout: unknown, name: string): void {
  draft.answers = Math.max(draft.answers, readAnswers(json, name))
}

function readCompletionsRequest(body: Buffer): ParsedRequest {
  const draft = newDraft(body.length)
  const layout = newChatLayout()
  readBody(body, BODY, draft, layout)
  requireModel(draft)
  const isCapped = draft.outputCap !== null
  draft.outputCap ??= DEFAULT_CAP_TOKENS
  draft.answers *= draft.prompts
  return { facts: draft, requestsUsage: layout.requestsUsage, edit: (edits) => editBody(body, layout, edits, isCapped) }
}

function editBody(body: Buffer, layout: ChatLayout, edits: Edits, isCapped: boolean): Buffer {
  const tokens = edits.cap?.tokens ?? (isCapped ? undefined : DEFAULT_CAP_TOKENS)
  return editChat(body, layout, tokens === undefined ? edits : { ...edits, cap: { field: CAP_FIELD, tokens } })
}
