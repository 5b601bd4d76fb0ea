// OpenAI Responses: POST /v1/responses, and every API that copies it.

import type { Problem } from '../../core/problem.ts'
import type { Dialect, Edits, ErrorContext, ParsedRequest } from '../dialect.ts'
import { forwardedQuery } from '../headers.ts'
import { type ByteRange, Fields, invalidField, JsonCursor } from '../json/cursor.ts'
import { applySplices, memberInsertion, type Splice } from '../json/edit.ts'
import {
  eachField,
  eachObject,
  lengthOf,
  markUnbounded,
  newDraft,
  type RequestDraft,
  readAudioOutput,
  readMedia,
} from '../request-reader.ts'
import { addOpenaiRateHeaders, openaiProblemBody, openaiRefusalBody } from './errors.ts'
import { responsesTap } from './responses-answer.ts'

const BODY = new Fields(
  'model',
  'input',
  'stream',
  'max_output_tokens',
  'tools',
  'service_tier',
  'user',
  'safety_identifier',
  'modalities',
  'prompt_cache_options',
  'background',
  'previous_response_id',
  'conversation',
  'prompt',
  'context_management',
)
const ITEM = new Fields('type', 'role', 'content', 'output', 'tools', 'encrypted_content', 'result')
const PART = new Fields(
  'type',
  'image_url',
  'input_audio',
  'file_id',
  'file_url',
  'file_data',
  'prompt_cache_breakpoint',
)
const TOOL = new Fields('type', 'tools', 'execution', 'environment', 'container')
const ENVIRONMENT = new Fields('type', 'memory_limit')
const CACHE = new Fields('ttl')

/** Items whose every word stands in the body. Others name what the provider keeps: its results, files, earlier answers. */
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
const TEXT_PARTS = new Set(['input_text', 'output_text', 'text', 'refusal', 'summary_text', 'reasoning_text'])
const IMAGE_PARTS = new Set(['input_image', 'computer_screenshot'])
/** Tools that the caller describes and runs. */
const CALLER_TOOLS = new Set(['function', 'custom', 'namespace'])
/** Tools that the caller runs and the provider describes, in words that the body does not show. */
const PROVIDER_DESCRIBED_TOOLS = new Set(['local_shell', 'apply_patch'])
/** More than any such description: a whole call with apply_patch was seen to take 642 tokens in. */
const TOOL_DESCRIPTION_TOKENS = 4_096
const EMPTY_STRING_JSON = '""'

/** Where in a body the things lie that may be edited. */
interface BodyLayout {
  /** Right after the outermost brace. */
  readonly membersStart: number
  isEmpty: boolean
  model: ByteRange | null
  cap: ByteRange | null
  safetyIdentifier: string | null
}

export const openaiResponses: Dialect = {
  name: 'openai.responses',
  breaksAfterError: false,
  requestIdHeader: 'x-request-id',
  readRequest: readBody,
  upstreamPath: (_model, line) => `/responses${forwardedQuery(line.query)}`,
  createTap: responsesTap,
  refusalBody: openaiRefusalBody,
  problemBody: openaiProblemBody,
  streamError,
  addRateHeaders: addOpenaiRateHeaders,
}

/** As documented, and under `error`, as OpenAI really sends it: SDKs raise an error for the one or for the other. */
function streamError(problem: Problem, context: ErrorContext): string {
  const { code, message, param } = problem
  const documented = JSON.stringify({ type: 'error', code, message, param, sequence_number: 0 })
  return `event: error\ndata: ${documented.slice(0, -1)},${openaiProblemBody(problem, context).slice(1)}\n\n`
}

function readBody(body: Buffer): ParsedRequest {
  const json = new JsonCursor(body)
  const draft = newDraft(body.length)
  const spots: BodyLayout = {
    membersStart: json.position + 1,
    isEmpty: false,
    model: null,
    cap: null,
    safetyIdentifier: null,
  }
  const members = eachField(json, BODY, (field) => readMember(json, BODY.names[field] ?? '', draft, spots))
  json.finish()
  spots.isEmpty = members === 0
  draft.messages = Math.max(1, draft.messages)
  draft.user ??= spots.safetyIdentifier
  if (draft.model === '') throw invalidField('model', 'is required')
  return { facts: draft, asksForUsage: true, edit: (edits) => editBody(body, spots, edits) }
}

function readMember(json: JsonCursor, name: string, draft: RequestDraft, spots: BodyLayout): void {
  switch (name) {
    case 'model':
      spots.model = json.range()
      draft.model = json.stringAt(spots.model, name)
      return
    case 'input':
      return readInput(json, draft)
    case 'stream':
      draft.stream = json.boolean(name)
      return
    case 'max_output_tokens':
      spots.cap = json.range()
      draft.outputCap = json.countAt(spots.cap, name, 1)
      return
    case 'tools':
      eachObject(json, readTool, draft)
      return
    case 'service_tier':
      draft.serviceTier = json.stringOrNull()
      return
    case 'user':
      draft.user = json.stringOrNull()
      return
    case 'safety_identifier':
      spots.safetyIdentifier = json.stringOrNull()
      return
    case 'modalities':
      draft.audioOutput = readAudioOutput(json)
      return
    case 'prompt_cache_options':
      return readCacheLifetime(json, draft)
    case 'background':
      if (json.boolean(name)) markUnbounded(draft, name)
      return
    default:
      readStored(json, name, draft)
  }
}

/** What the provider keeps: earlier answers are input, and templates and compaction bring tools and passes of their own. */
function readStored(json: JsonCursor, name: string, draft: RequestDraft): void {
  if (json.peek() !== 'n') {
    draft.unsizedInput = true
    if (name === 'prompt' || name === 'context_management') markUnbounded(draft, name)
  }
  json.skipValue()
}

function readInput(json: JsonCursor, draft: RequestDraft): void {
  const first = json.peek()
  if (first === '[') eachObject(json, readItem, draft)
  else if (first === '"' || first === 'n') json.skipValue()
  else throw invalidField('input', 'must be a string or an array')
}

/** What of an item says how much of it the body shows. */
interface Item {
  type: string | null
  hasRole: boolean
  hasContent: boolean
  resultBytes: number
}

function readItem(json: JsonCursor, draft: RequestDraft): void {
  const item: Item = { type: null, hasRole: false, hasContent: false, resultBytes: 0 }
  eachField(json, ITEM, (field) => readItemMember(json, ITEM.names[field] ?? '', draft, item))
  const type = item.type ?? (item.hasRole ? 'message' : 'item_reference')
  draft.messages++
  if (type === 'compaction_trigger') markUnbounded(draft, type)
  if (type === 'image_generation_call') {
    draft.images++
    draft.textBytes -= item.resultBytes
  } else if (type === 'reasoning' ? !item.hasContent : !SIZED_ITEMS.has(type)) draft.unsizedInput = true
}

function readItemMember(json: JsonCursor, name: string, draft: RequestDraft, item: Item): void {
  switch (name) {
    case 'type':
      item.type = json.stringOrNull()
      return
    case 'role':
      item.hasRole = json.stringOrNull() !== null
      return
    case 'content':
    case 'output':
      item.hasContent = readContent(json, draft) || item.hasContent
      return
    case 'tools':
      eachObject(json, readTool, draft)
      return
    case 'encrypted_content': {
      // Reasoning that is not sent along is looked up by its id.
      const isText = json.peek() === '"'
      item.hasContent = (lengthOf(json.range()) > EMPTY_STRING_JSON.length && isText) || item.hasContent
      return
    }
    case 'result':
      item.resultBytes = lengthOf(json.range())
  }
}

/** A string, parts, or one part. Returns whether there is any. */
function readContent(json: JsonCursor, draft: RequestDraft): boolean {
  const first = json.peek()
  if (first !== '{') return eachObject(json, readPart, draft) > 0 || first === '"'
  readPart(json, draft)
  return true
}

interface Part {
  type: string | null
  hasImage: boolean
  hasFile: boolean
}

function readPart(json: JsonCursor, draft: RequestDraft): void {
  const part: Part = { type: null, hasImage: false, hasFile: false }
  eachField(json, PART, (field) => readPartMember(json, PART.names[field] ?? '', draft, part))
  const isImage = part.type !== null && IMAGE_PARTS.has(part.type)
  const isText = part.type === null || TEXT_PARTS.has(part.type)
  if (isImage || part.hasImage) draft.images++
  if (!isImage && (part.hasFile || !isText)) draft.unsizedInput = true
}

function readPartMember(json: JsonCursor, name: string, draft: RequestDraft, part: Part): void {
  const isNull = json.peek() === 'n'
  switch (name) {
    case 'type':
      part.type = json.stringOrNull()
      return
    case 'image_url':
      part.hasImage = !isNull
      return readMedia(json, draft)
    case 'prompt_cache_breakpoint':
      return readCacheLifetime(json, draft)
    case 'input_audio':
      if (!isNull) draft.audioInput = true
  }
  part.hasFile ||= !isNull
  json.skipValue()
}

interface Tool {
  type: string | null
  execution: string | null
  environment: string | null
  memory: string | null
}

/** A tool that the caller does not run is run by the provider, as often as the model likes. */
function readTool(json: JsonCursor, draft: RequestDraft): void {
  const tool: Tool = { type: null, execution: null, environment: null, memory: null }
  draft.tools = true
  eachField(json, TOOL, (field) => {
    const name = TOOL.names[field]
    if (name === 'type') tool.type = json.stringOrNull()
    else if (name === 'execution') tool.execution = json.stringOrNull()
    else if (name === 'tools') eachObject(json, readTool, draft)
    else if (json.peek() !== '{') json.skipValue()
    else
      eachField(json, ENVIRONMENT, (part) => {
        const value = json.stringOrNull()
        if (ENVIRONMENT.names[part] === 'memory_limit') tool.memory = value ?? tool.memory
        else if (name === 'environment') tool.environment = value
      })
  })
  const { type, execution, environment, memory } = tool
  if (type === null || CALLER_TOOLS.has(type)) return
  const atCaller =
    PROVIDER_DESCRIBED_TOOLS.has(type) ||
    (type === 'shell' && environment === 'local') ||
    (type === 'tool_search' && execution === 'client')
  if (atCaller) draft.addedTokens += TOOL_DESCRIPTION_TOKENS
  else {
    markUnbounded(draft, type)
    if (memory !== null) markUnbounded(draft, `container_${memory}`)
  }
}

/** How long the cache is to keep what is written: half an hour, or twelve of them. */
function readCacheLifetime(json: JsonCursor, draft: RequestDraft): void {
  if (json.peek() !== '{') {
    json.skipValue()
    return
  }
  eachField(json, CACHE, () => {
    if (json.stringOrNull() === '12h') draft.cacheWrite = '1h'
  })
}

function editBody(body: Buffer, spots: BodyLayout, edits: Edits): Buffer {
  const splices: Splice[] = []
  if (edits.model !== undefined && spots.model) splices.push({ ...spots.model, text: JSON.stringify(edits.model) })
  if (edits.cap) {
    const text = String(edits.cap.tokens)
    const added = memberInsertion(spots.membersStart, `"max_output_tokens":${text}`, spots.isEmpty)
    splices.push(spots.cap ? { ...spots.cap, text } : added)
  }
  return applySplices(body, splices)
}
