// OpenAI chat completions: POST /v1/chat/completions, and every API that copies it.

import type { Dialect, Edits, ParsedRequest } from '../dialect.ts'
import { postEndpoint } from '../endpoint.ts'
import { forwardedQuery } from '../headers.ts'
import type { ByteRange, JsonCursor } from '../json/cursor.ts'
import { applySplices, memberInsertion, type Splice } from '../json/edit.ts'
import { invalidField } from '../json/errors.ts'
import { countMembers, eachObject, handlersFor, lengthOf, ObjectReader } from '../json/object-reader.ts'
import { addModelSplice, type ObjectLayout, readBody, requireModel } from '../request-body.ts'
import {
  MODEL_CHOICES,
  type ModelLayout,
  markHostedTool,
  markToolUnlessNull,
  markUnbounded,
  markUnboundedUnlessEmpty,
  markUnboundedUnlessNull,
  measureResult,
  newDraft,
  PROMPT_FEATURES,
  type RequestDraft,
  readAnswers,
  readArguments,
  readMedia,
  readMetadata,
  readModalities,
  readModel,
  readServiceTier,
  readStream,
  readUser,
  TOOL_FIELDS,
  TOOL_PLACES,
} from '../request-reader.ts'
import { readCacheLifetime } from './cache-options.ts'
import { createChatTap } from './chat-answer.ts'
import { chatDocumentEvents } from './document-events.ts'
import { OPENAI_REFUSALS, openaiProblemBody } from './errors.ts'
import { readProviderChoice } from './provider-choice.ts'
import { readTools } from './repeated-descriptions.ts'

/** Searches of OpenAI, and what servers add to the API. */
const CHAT_TOOL_FIELDS = ['web_search_options', ...TOOL_FIELDS]

export const openaiChat: Dialect<'openai.chat'> = {
  ...OPENAI_REFUSALS,
  name: 'openai.chat',
  // Some servers do: see `AnswerUsage.extrasFields`.
  listsExtras: false,
  endpoint: postEndpoint('/v1/chat/completions', '/chat/completions'),
  hostedTools: { ...TOOL_PLACES, fields: CHAT_TOOL_FIELDS, readTool },
  readRequest: readChatRequest,
  upstreamPath: (_model, line) => `/chat/completions${forwardedQuery(line.query)}`,
  createTap: createChatTap,
  documentEvents: chatDocumentEvents,
  streamError: (problem, context) => `data: ${openaiProblemBody(problem, context)}\n\n`,
}

/** The positions of the parts of a body that can be edited. */
export interface ChatLayout extends ObjectLayout, ModelLayout {
  /** Servers differ in which of the two fields they read. */
  readonly caps: Record<'max_tokens' | 'max_completion_tokens', ByteRange | null>
  /** `members` is -1 for null. For an object the range is its opening brace. */
  streamOptions: (ByteRange & { readonly members: number }) | null
  includeUsage: ByteRange | null
  requestsUsage: boolean
}

export function newChatLayout(): ChatLayout {
  return {
    membersStart: 0,
    isEmpty: false,
    model: null,
    caps: { max_tokens: null, max_completion_tokens: null },
    streamOptions: null,
    includeUsage: null,
    requestsUsage: false,
  }
}

const BODY = new ObjectReader<RequestDraft, ChatLayout>({
  model: readModel,
  messages(json, draft) {
    if (!json.isArray()) throw invalidField('messages', 'must be an array')
    const messages = eachObject(json, readMessage, draft)
    draft.messages += messages
  },
  stream: readStream,
  stream_options: readStreamOptions,
  max_tokens(json, draft, layout) {
    layout.caps.max_tokens = readCap(json, draft, 'max_tokens')
  },
  max_completion_tokens(json, draft, layout) {
    layout.caps.max_completion_tokens = readCap(json, draft, 'max_completion_tokens')
  },
  n(json, draft, _layout, name) {
    draft.answers = readAnswers(json, name)
  },
  tools(json, draft) {
    readTools(json, draft, readTool)
  },
  functions(json, draft) {
    readTools(json, draft, readFunction)
  },
  service_tier: readServiceTier,
  user: readUser,
  metadata: readMetadata,
  modalities: readModalities,
  prompt_cache_options: readCacheLifetime,
  cache_control: readCacheLifetime,
  prediction(json, draft) {
    const isObject = json.isObject()
    const bytes = lengthOf(json.range())
    draft.predictionBytes = isObject ? bytes : 0
  },
  provider: readProviderChoice,
  ...handlersFor(CHAT_TOOL_FIELDS, markToolUnlessNull),
  ...handlersFor(MODEL_CHOICES, markUnboundedUnlessNull),
  // `extra_body`, where Gemini's OpenAI API and some proxies expect any field of theirs.
  ...handlersFor([...PROMPT_FEATURES, 'extra_body'], markUnboundedUnlessEmpty),
})

function readChatRequest(body: Buffer): ParsedRequest {
  const draft = newDraft(body.length)
  const layout = newChatLayout()
  readBody(body, BODY, draft, layout)
  requireModel(draft)
  return { facts: draft, requestsUsage: layout.requestsUsage, edit: (edits) => editChat(body, layout, edits) }
}

/** If both caps are given, the larger one bounds the answer. Returns the position of the cap. */
function readCap(json: JsonCursor, draft: RequestDraft, name: string): ByteRange {
  const range = json.range()
  const cap = json.countAt(range, name, 1)
  if (cap !== null) draft.outputCap = Math.max(draft.outputCap ?? 0, cap)
  return range
}

const STREAM_OPTIONS = new ObjectReader<ChatLayout>({
  include_usage(json, layout) {
    layout.includeUsage = json.range()
    layout.requestsUsage = json.text(layout.includeUsage) === 'true'
  },
})

export function readStreamOptions(json: JsonCursor, _draft: RequestDraft, layout: ChatLayout): void {
  const start = json.position
  if (!json.isObject()) {
    if (!json.isNull()) throw invalidField('stream_options', 'must be an object')
    layout.streamOptions = { ...json.range(), members: -1 }
    return
  }
  const members = STREAM_OPTIONS.read(json, layout)
  layout.streamOptions = { start, end: start + 1, members }
}

interface Message {
  isToolResult: boolean
  /** Where its content is. */
  content: ByteRange | null
}

const TOOL_ROLES: ReadonlySet<string | null> = new Set(['tool', 'function'])

const MESSAGE = new ObjectReader<Message, RequestDraft>({
  role(json, message) {
    message.isToolResult = TOOL_ROLES.has(json.stringOrNull())
  },
  tool_calls(json, _message, draft) {
    eachObject(json, readToolCall, draft)
  },
  function_call(json, _message, draft) {
    CALLED_FUNCTION.readIfObject(json, draft)
  },
  content(json, message, draft) {
    const start = json.position
    readContent(json, draft)
    message.content = { start, end: json.position }
  },
  audio(json, _message, draft) {
    // `audio` refers to an earlier spoken answer, whose length the body does not show.
    if (json.isObject()) draft.unsizedInput = draft.audioInput = true
    json.skipValue()
  },
})

const CALLED_FUNCTION = new ObjectReader<RequestDraft>({ arguments: readArguments })

const TOOL_CALL = new ObjectReader<RequestDraft>({
  function(json, draft) {
    CALLED_FUNCTION.readIfObject(json, draft)
  },
})

function readToolCall(json: JsonCursor, draft: RequestDraft): void {
  TOOL_CALL.read(json, draft)
}

function readMessage(json: JsonCursor, draft: RequestDraft): void {
  const message: Message = { isToolResult: false, content: null }
  MESSAGE.read(json, message, draft)
  if (message.isToolResult && message.content) measureResult(draft, json.bytesAt(message.content))
}

/** Parts whose size is bounded by their bytes in the body, and images, which are counted. */
const SIZED_PARTS: ReadonlySet<string | null> = new Set([
  'text',
  'input_text',
  'output_text',
  'refusal',
  'thinking',
  'reasoning',
  'image_url',
])

const PART = new ObjectReader<RequestDraft>({
  type(json, draft) {
    const type = json.stringOrNull()
    if (!SIZED_PARTS.has(type)) draft.unsizedInput = true
    // Mistral reads documents by its OCR, which has a price by the page.
    if (type === 'document_url') markUnbounded(draft, type)
  },
  image_url(json, draft) {
    draft.images++
    readMedia(json, draft)
  },
  input_audio(json, draft) {
    draft.unsizedInput = true
    draft.audioInput = true
    readMedia(json, draft)
  },
  file(json, draft) {
    draft.unsizedInput = true
    readMedia(json, draft)
  },
  prompt_cache_breakpoint: readCacheLifetime,
  cache_control: readCacheLifetime,
})

/**
 * Some servers accept texts where the API has parts, and write each like a message of its own. So an element that is no part counts
 * as a message; so does a member of an object in place of parts.
 */
function readContent(json: JsonCursor, draft: RequestDraft): void {
  if (json.isObject()) draft.messages += countMembers(json)
  else if (json.isArray()) {
    json.enterArray()
    while (json.nextElement()) {
      if (json.isObject()) PART.read(json, draft)
      else {
        draft.messages++
        json.skipValue()
      }
    }
  } else json.skipValue()
}

const TOOL = new ObjectReader<RequestDraft>({
  type(json, draft) {
    const type = json.stringOrNull()
    if (type !== null && type !== 'function' && type !== 'custom') markHostedTool(draft, type)
  },
})

/** The provider runs a tool that is neither a function nor a grammar, as often as the model likes. */
function readTool(json: JsonCursor, draft: RequestDraft): void {
  draft.tools = true
  TOOL.read(json, draft)
}

function readFunction(json: JsonCursor, draft: RequestDraft): void {
  draft.tools = true
  json.skipValue()
}

/** Edits a chat completion's body, or a completion's, which has the same fields. */
export function editChat(body: Buffer, layout: ChatLayout, edits: Edits): Buffer {
  const splices: Splice[] = []
  const added: string[] = []
  addModelSplice(splices, layout.model, edits)
  if (edits.cap) addCap(splices, added, layout, edits.cap)
  if (edits.includeUsage && !layout.requestsUsage) addIncludeUsage(splices, added, layout)
  if (added.length > 0) splices.push(memberInsertion(layout.membersStart, added.join(','), layout.isEmpty))
  return applySplices(body, splices)
}

function addCap(
  splices: Splice[],
  added: string[],
  { caps }: ChatLayout,
  { field, tokens, alone }: NonNullable<Edits['cap']>,
): void {
  let isPresent = false
  for (const [name, range] of Object.entries(caps)) {
    if (range && name === field) {
      isPresent = true
      splices.push({ ...range, text: String(tokens) })
    } else if (range && alone) splices.push({ ...range, text: 'null' })
  }
  if (!isPresent) added.push(`"${field}":${tokens}`)
}

function addIncludeUsage(splices: Splice[], added: string[], { includeUsage, streamOptions }: ChatLayout): void {
  const member = '"include_usage":true'
  if (includeUsage) splices.push({ ...includeUsage, text: 'true' })
  else if (!streamOptions) added.push(`"stream_options":{${member}}`)
  else if (streamOptions.members < 0) splices.push({ ...streamOptions, text: `{${member}}` })
  else splices.push(memberInsertion(streamOptions.end, member, streamOptions.members === 0))
}
