// Anthropic messages: POST /v1/messages.

import type { LevelView } from '../../core/meter.ts'
import type { Problem } from '../../core/problem.ts'
import type { Refusal } from '../../core/refusal.ts'
import type { Dialect, Edits, ErrorContext, HeaderList, ParsedRequest, RequestLine } from '../dialect.ts'
import { forwardedQuery } from '../headers.ts'
import { type ByteRange, Fields, invalidField, JsonCursor } from '../json/cursor.ts'
import { applySplices, memberInsertion, type Splice } from '../json/edit.ts'
import { formatTime, refusalDetails, tightestLevel } from '../limit-headers.ts'
import { eachField, eachObject, markUnbounded, newDraft, type RequestDraft, readMedia } from '../request-reader.ts'
import { DocumentTap } from '../taps/document.ts'
import { SseTap } from '../taps/sse.ts'
import { maxNormalisedBytes } from '../text-bound.ts'
import { MessageEvents, premiumTier, readMessageUsage } from './usage.ts'

const BODY = new Fields(
  'model',
  'messages',
  'system',
  'max_tokens',
  'stream',
  'tools',
  'metadata',
  'service_tier',
  'speed',
  'inference_geo',
  'cache_control',
  'mcp_servers',
  'container',
  'fallbacks',
  'compaction',
  'context_management',
  'thread',
)
const METADATA = new Fields('user_id')
const MESSAGE = new Fields('content')
const BLOCK = new Fields('type', 'source', 'content', 'cache_control', 'tool')
const TOOL = new Fields('type', 'cache_control')
const TOOL_ADDITION = new Fields('definition')
const CACHE = new Fields('ttl')
const CONTEXT_MANAGEMENT = new Fields('edits')
const TYPE_FIELD = new Fields('type')

/**
 * Tools that the caller runs. All others are the provider's, the ones not yet known too: what they bring back is input that
 * the body does not show, and they may cost more than one pass.
 */
const CALLER_RUN_TOOL = /^(custom$|bash_|text_editor_|computer_|browser_toolset_|memory_)/
/** What the provider's own description of one such tool takes, at most: published figures reach 735, with 499 of prompt. */
const TOOL_DESCRIPTION_TOKENS = 1_500
/** A set of some twenty-five tools under one name. No figure is published. */
const TOOLSET_DESCRIPTION_TOKENS = 10_000
/** Parts whose presence alone means the provider may run more than one pass, or another model. */
const UNBOUNDED_PARTS = new Set(['mcp_servers', 'container', 'fallbacks', 'compaction'])
/** Edits of the context that only leave things out. Compaction is a pass of its own. */
const CLEARING_EDIT = /^clear_/
/** The one beta that lifts a bound without a word in the body: answers longer than the model's usual maximum. */
const LONG_OUTPUT_BETA = /output-300k[\w-]{0,32}/

interface BodyLayout {
  readonly membersStart: number
  isEmpty: boolean
  model: ByteRange | null
  cap: ByteRange | null
  speed: string | null
  geo: string | null
}

export const anthropicMessages: Dialect = {
  name: 'anthropic.messages',
  breaksAfterError: false,
  requestIdHeader: 'request-id',
  readRequest: readBody,
  upstreamPath: (_model, line) => `/v1/messages${forwardedQuery(line.query)}`,
  createTap: (streaming, contentType) =>
    streaming && contentType.includes('event-stream')
      ? new SseTap(new MessageEvents(), false)
      : new DocumentTap(readMessageUsage),
  refusalBody,
  problemBody,
  streamError: (problem, context) => `event: error\ndata: ${problemBody(problem, context)}\n\n`,
  addRateHeaders,
}

function readBody(body: Buffer, line: RequestLine): ParsedRequest {
  const json = new JsonCursor(body)
  const draft = newDraft(maxNormalisedBytes(body))
  const spots: BodyLayout = {
    membersStart: json.position + 1,
    isEmpty: false,
    model: null,
    cap: null,
    speed: null,
    geo: null,
  }
  const members = eachField(json, BODY, (field) => readMember(json, BODY.names[field] ?? '', draft, spots))
  json.finish()
  spots.isEmpty = members === 0
  const longOutput = LONG_OUTPUT_BETA.exec(line.header('anthropic-beta') ?? '')
  if (longOutput) markUnbounded(draft, longOutput[0])
  draft.serviceTier = premiumTier(spots.speed, spots.geo) ?? draft.serviceTier
  if (draft.model === '') throw invalidField('model', 'is required')
  return { facts: draft, asksForUsage: true, edit: (edits) => editBody(body, spots, edits) }
}

function readMember(json: JsonCursor, name: string, draft: RequestDraft, spots: BodyLayout): void {
  if (UNBOUNDED_PARTS.has(name)) {
    const value = json.text(json.range())
    if (value !== 'null' && value !== '[]') markUnbounded(draft, name)
    return
  }
  switch (name) {
    case 'model':
      spots.model = json.range()
      draft.model = json.stringAt(spots.model, name)
      return
    case 'messages':
      if (json.peek() !== '[') throw invalidField(name, 'must be an array')
      draft.messages = eachObject(json, readTurn, draft)
      return
    case 'system':
      return readContent(json, draft)
    case 'max_tokens':
      spots.cap = json.range()
      // 0 is allowed: it fills the cache and writes nothing.
      draft.outputCap = json.countAt(spots.cap, name, 0)
      return
    case 'stream':
      draft.stream = json.boolean(name)
      return
    case 'tools':
      eachObject(json, readTool, draft)
      return
    case 'metadata':
      if (json.peek() === '{') eachField(json, METADATA, () => (draft.user = json.stringOrNull()))
      else json.skipValue()
      return
    case 'service_tier':
      draft.serviceTier = json.stringOrNull()
      return
    case 'speed':
      spots.speed = json.stringOrNull()
      return
    case 'inference_geo':
      spots.geo = json.stringOrNull()
      return
    case 'cache_control':
      return readCacheControl(json, draft)
    case 'context_management':
      return readContextManagement(json, draft)
    case 'thread':
      return readThread(json, draft)
  }
}

function readTurn(json: JsonCursor, draft: RequestDraft): void {
  eachField(json, MESSAGE, readMessageContent, draft)
}

function readMessageContent(_field: number, json: JsonCursor, draft: RequestDraft): void {
  readContent(json, draft)
}

/** A string, blocks, or one block; blocks may hold blocks (tool results). The cursor bounds how deep. */
function readContent(json: JsonCursor, draft: RequestDraft): void {
  if (json.peek() === '{') readBlock(json, draft)
  else eachObject(json, readBlock, draft)
}

function readBlock(json: JsonCursor, draft: RequestDraft): void {
  let type: string | null = null
  let sourceBytes = 0
  eachField(json, BLOCK, (field) => {
    const name = BLOCK.names[field]
    if (name === 'type') type = json.stringOrNull()
    else if (name === 'content') readContent(json, draft)
    else if (name === 'cache_control') readCacheControl(json, draft)
    else if (name === 'tool') readToolChange(json, draft)
    else {
      const before = draft.textBytes
      readMedia(json, draft)
      sourceBytes = before - draft.textBytes
    }
  })
  if (type === 'image') draft.images++
  else if (type === 'document' || type === 'container_upload') draft.unsizedInput = true
  else draft.textBytes += sourceBytes
}

/** A tool that joins in the middle of a conversation, or one named that leaves it. */
function readToolChange(json: JsonCursor, draft: RequestDraft): void {
  if (json.peek() === '{') eachField(json, TOOL_ADDITION, () => readTool(json, draft))
  else json.skipValue()
}

function readTool(json: JsonCursor, draft: RequestDraft): void {
  draft.tools = true
  if (json.peek() !== '{') {
    json.skipValue()
    return
  }
  eachField(json, TOOL, (field) => {
    if (TOOL.names[field] === 'cache_control') return readCacheControl(json, draft)
    const type = json.stringOrNull()
    if (type === null || type === 'custom') return
    if (!CALLER_RUN_TOOL.test(type)) markUnbounded(draft, type)
    draft.addedTokens += type.includes('_toolset') ? TOOLSET_DESCRIPTION_TOKENS : TOOL_DESCRIPTION_TOKENS
  })
}

function readContextManagement(json: JsonCursor, draft: RequestDraft): void {
  if (json.peek() !== '{') {
    json.skipValue()
    return
  }
  eachField(json, CONTEXT_MANAGEMENT, () => eachObject(json, readContextEdit, draft))
}

function readContextEdit(json: JsonCursor, draft: RequestDraft): void {
  eachField(json, TYPE_FIELD, () => {
    const type = json.stringOrNull()
    if (type !== null && !CLEARING_EDIT.test(type)) markUnbounded(draft, type)
  })
}

/** A thread that goes on: what it holds already is input that the body does not show. */
function readThread(json: JsonCursor, draft: RequestDraft): void {
  if (json.peek() !== '{') {
    json.skipValue()
    return
  }
  eachField(json, TYPE_FIELD, () => {
    if (json.stringOrNull() !== 'create') draft.unsizedInput = true
  })
}

function readCacheControl(json: JsonCursor, draft: RequestDraft): void {
  if (json.peek() !== '{') {
    json.skipValue()
    return
  }
  if (draft.cacheWrite === 'none') draft.cacheWrite = '5m'
  eachField(json, CACHE, () => {
    if (json.stringOrNull() === '1h') draft.cacheWrite = '1h'
  })
}

function editBody(body: Buffer, spots: BodyLayout, edits: Edits): Buffer {
  const splices: Splice[] = []
  if (edits.model !== undefined && spots.model) splices.push({ ...spots.model, text: JSON.stringify(edits.model) })
  if (edits.cap) {
    const text = String(edits.cap.tokens)
    splices.push(
      spots.cap ? { ...spots.cap, text } : memberInsertion(spots.membersStart, `"max_tokens":${text}`, spots.isEmpty),
    )
  }
  return applySplices(body, splices)
}

/** Types of errors by status, as Anthropic's own API names them. */
const ERROR_TYPES: Readonly<Record<number, string>> = {
  400: 'invalid_request_error',
  401: 'authentication_error',
  403: 'permission_error',
  404: 'not_found_error',
  413: 'request_too_large',
  415: 'invalid_request_error',
  503: 'overloaded_error',
  504: 'timeout_error',
}

function problemBody(problem: Problem, context: ErrorContext): string {
  return JSON.stringify({
    type: 'error',
    error: {
      type: ERROR_TYPES[problem.status] ?? (problem.status < 500 ? 'invalid_request_error' : 'api_error'),
      message: problem.message,
      details: { code: problem.code, param: problem.param },
    },
    request_id: context.callId || undefined,
  })
}

function refusalBody(refusal: Refusal, context: ErrorContext): string {
  const money = refusal.meter.what === 'cost' && refusal.kind !== 'inFlight'
  return JSON.stringify({
    type: 'error',
    error: {
      type: 'rate_limit_error',
      message: refusal.message,
      details: {
        ...(money ? { error_code: 'enforced_spend_limit_reached' } : {}),
        ...refusalDetails(refusal, context.nowMs),
      },
    },
    request_id: context.callId || undefined,
  })
}

function addRateHeaders(levels: readonly LevelView[], wallMs: number, headers: HeaderList): void {
  for (const what of ['requests', 'tokens'] as const) {
    const level = tightestLevel(levels, what)
    if (!level) continue
    headers.push(`anthropic-ratelimit-${what}-limit`, `${level.capacity}`)
    headers.push(`anthropic-ratelimit-${what}-remaining`, `${level.free}`)
    headers.push(`anthropic-ratelimit-${what}-reset`, formatTime(wallMs + level.resetMs))
  }
}
