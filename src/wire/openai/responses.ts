// OpenAI Responses: POST /v1/responses, and every API that copies it.

import type { Problem } from '../../core/problem.ts'
import type { Dialect, ErrorContext, ParsedRequest } from '../dialect.ts'
import { postEndpoint } from '../endpoint.ts'
import { forwardedQuery } from '../headers.ts'
import type { JsonCursor } from '../json/cursor.ts'
import { invalidField } from '../json/errors.ts'
import { eachObject, eachObjectOrOne, handlersFor, lengthOf, ObjectReader } from '../json/object-reader.ts'
import { type BodyLayout, editModelAndCap, newBodyLayout, readBody, requireModel } from '../request-body.ts'
import {
  MODEL_CHOICES,
  markToolUnlessNull,
  markUnbounded,
  markUnboundedUnlessEmpty,
  markUnboundedUnlessNull,
  newDraft,
  PROMPT_FEATURES,
  type RequestDraft,
  readArguments,
  readCap,
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
import { OPENAI_REFUSALS, openaiProblemBody } from './errors.ts'
import { readProviderChoice } from './provider-choice.ts'
import { readTools } from './repeated-descriptions.ts'
import { createResponsesTap } from './responses-answer.ts'
import { responseDocumentEvents } from './responses-document-events.ts'
import { readTool } from './responses-tools.ts'

const CAP_FIELD = 'max_output_tokens'

export const openaiResponses: Dialect<'openai.responses'> = {
  ...OPENAI_REFUSALS,
  name: 'openai.responses',
  listsExtras: true,
  endpoint: postEndpoint('/v1/responses', '/responses'),
  translatedPath: '/v1/chat/completions',
  hostedTools: { ...TOOL_PLACES, fields: TOOL_FIELDS, readTool },
  readRequest: readResponsesRequest,
  upstreamPath: (_model, line) => `/responses${forwardedQuery(line.query)}`,
  createTap: createResponsesTap,
  documentEvents: responseDocumentEvents,
  streamError,
}

/** The error stands at the top, as documented, and under `error`, as OpenAI sends it: SDKs read either. */
function streamError(problem: Problem, context: ErrorContext): string {
  const { code, message, param } = problem
  const documented = JSON.stringify({ type: 'error', code, message, param, sequence_number: 0 })
  return `event: error\ndata: ${documented.slice(0, -1)},${openaiProblemBody(problem, context).slice(1)}\n\n`
}

interface ResponsesLayout extends BodyLayout {
  /** Stands in for `user`, which it replaces in newer versions of the API. */
  safetyIdentifier: string | null
}

const BODY = new ObjectReader<RequestDraft, ResponsesLayout>({
  model: readModel,
  input(json, draft, _layout, name) {
    if (json.isArray()) eachObject(json, readItem, draft)
    else if (json.isString() || json.isNull()) json.skipValue()
    else throw invalidField(name, 'must be a string or an array')
  },
  stream: readStream,
  [CAP_FIELD]: readCap,
  tools(json, draft) {
    readTools(json, draft, readTool)
  },
  service_tier: readServiceTier,
  user: readUser,
  metadata: readMetadata,
  safety_identifier(json, _draft, layout) {
    layout.safetyIdentifier = json.stringOrNull()
  },
  modalities: readModalities,
  prompt_cache_options: readCacheLifetime,
  background(json, draft, _layout, name) {
    if (json.boolean(name)) markUnbounded(draft, name)
  },
  provider: readProviderChoice,
  ...handlersFor(TOOL_FIELDS, markToolUnlessNull),
  ...handlersFor(MODEL_CHOICES, markUnboundedUnlessNull),
  ...handlersFor([...PROMPT_FEATURES, 'extra_body'], markUnboundedUnlessEmpty),
  // The provider keeps these: earlier answers are input that the body does not show.
  ...handlersFor(['previous_response_id', 'conversation'], readStored),
  // These also bring tools and passes of their own.
  ...handlersFor(['prompt', 'context_management'], (json, draft: RequestDraft, layout: ResponsesLayout, name) => {
    if (!json.isNull()) markUnbounded(draft, name)
    readStored(json, draft, layout, name)
  }),
})

function readStored(json: JsonCursor, draft: RequestDraft, _layout: unknown, _name: string): void {
  if (!json.isNull()) draft.unsizedInput = true
  json.skipValue()
}

function readResponsesRequest(body: Buffer): ParsedRequest {
  const draft = newDraft(body.length)
  const layout: ResponsesLayout = { ...newBodyLayout(), safetyIdentifier: null }
  readBody(body, BODY, draft, layout)
  draft.messages = Math.max(1, draft.messages)
  draft.user ??= layout.safetyIdentifier
  requireModel(draft)
  return { facts: draft, requestsUsage: true, edit: (edits) => editModelAndCap(body, layout, edits, CAP_FIELD) }
}

/** What tells how much of an item the body shows. */
interface Item {
  type: string | null
  hasRole: boolean
  hasContent: boolean
  resultBytes: number
}

/** Items that the body shows whole. Others name what the provider keeps: its results, files, earlier answers. */
const SIZED_ITEMS = new Set([
  'message',
  'additional_tools',
  'configuration_update',
  'function_call',
  'function_call_output',
  'custom_tool_call',
  'custom_tool_call_output',
  'local_shell_call',
  'local_shell_call_output',
  'shell_call',
  'shell_call_output',
  'apply_patch_call',
  'apply_patch_call_output',
  'tool_search_call',
  'tool_search_output',
])
const EMPTY_STRING_JSON = '""'

const ITEM = new ObjectReader<Item, RequestDraft>({
  type(json, item) {
    item.type = json.stringOrNull()
  },
  role(json, item) {
    item.hasRole = json.stringOrNull() !== null
  },
  ...handlersFor(['content', 'output'], (json, item: Item, draft: RequestDraft) => {
    item.hasContent = readContent(json, draft) || item.hasContent
  }),
  tools(json, _item, draft) {
    readTools(json, draft, readTool)
  },
  arguments(json, _item, draft) {
    readArguments(json, draft)
  },
  encrypted_content(json, item) {
    // The provider looks up reasoning that is not sent along by its id.
    const isText = json.isString()
    item.hasContent = (lengthOf(json.range()) > EMPTY_STRING_JSON.length && isText) || item.hasContent
  },
  result(json, item) {
    item.resultBytes = lengthOf(json.range())
  },
})

function readItem(json: JsonCursor, draft: RequestDraft): void {
  const item: Item = { type: null, hasRole: false, hasContent: false, resultBytes: 0 }
  ITEM.read(json, item, draft)
  const type = item.type ?? (item.hasRole ? 'message' : 'item_reference')
  draft.messages++
  if (type === 'compaction_trigger') markUnbounded(draft, type)
  if (type === 'image_generation_call') {
    draft.images++
    draft.textBytes -= item.resultBytes
  } else if (type === 'reasoning' ? !item.hasContent : !SIZED_ITEMS.has(type)) draft.unsizedInput = true
}

/** A string, parts, or one part. Returns whether there is any content. */
function readContent(json: JsonCursor, draft: RequestDraft): boolean {
  const isText = json.isString()
  return eachObjectOrOne(json, readPart, draft) > 0 || isText
}

interface Part {
  type: string | null
  hasImage: boolean
  hasFile: boolean
}

const TEXT_PARTS = new Set(['input_text', 'output_text', 'text', 'refusal', 'summary_text', 'reasoning_text'])
const IMAGE_PARTS = new Set(['input_image', 'computer_screenshot'])

const PART = new ObjectReader<Part, RequestDraft>({
  type(json, part) {
    part.type = json.stringOrNull()
  },
  image_url(json, part, draft) {
    part.hasImage = !json.isNull()
    readMedia(json, draft)
  },
  input_audio(json, part, draft) {
    if (!json.isNull()) part.hasFile = draft.audioInput = true
    json.skipValue()
  },
  ...handlersFor(['file_id', 'file_url', 'file_data'], (json, part: Part) => {
    if (!json.isNull()) part.hasFile = true
    json.skipValue()
  }),
  prompt_cache_breakpoint(json, _part, draft) {
    readCacheLifetime(json, draft)
  },
})

function readPart(json: JsonCursor, draft: RequestDraft): void {
  const part: Part = { type: null, hasImage: false, hasFile: false }
  PART.read(json, part, draft)
  const isImage = part.type !== null && IMAGE_PARTS.has(part.type)
  const isText = part.type === null || TEXT_PARTS.has(part.type)
  if (isImage || part.hasImage) draft.images++
  if (!isImage && (part.hasFile || !isText)) draft.unsizedInput = true
}
