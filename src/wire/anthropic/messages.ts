// Anthropic messages: POST /v1/messages.

import type { Dialect, ParsedRequest, RequestLine } from '../dialect.ts'
import { postEndpoint } from '../endpoint.ts'
import { forwardedQuery } from '../headers.ts'
import type { JsonCursor } from '../json/cursor.ts'
import { invalidField } from '../json/errors.ts'
import { eachObject, eachObjectOrOne, handlersFor, ObjectReader } from '../json/object-reader.ts'
import { type BodyLayout, editModelAndCap, newBodyLayout, readBody, requireModel } from '../request-body.ts'
import {
  markHostedTool,
  markUnbounded,
  newDraft,
  type RequestDraft,
  readCapOrZero,
  readModel,
  readServiceTier,
  readStream,
  readUser,
} from '../request-reader.ts'
import { maxNormalisedBytes } from '../text-bound.ts'
import { anthropicCountRequest } from './count-request.ts'
import { messageDocumentEvents } from './document-events.ts'
import { ANTHROPIC_REFUSALS } from './errors.ts'
import { createMessageTap, premiumTier } from './usage.ts'

const CAP_FIELD = 'max_tokens'
/** The one beta that lifts a bound without a word in the body: answers longer than the model's usual maximum. */
const LONG_OUTPUT_BETA = /output-300k[\w-]{0,32}/

export const anthropicMessages: Dialect<'anthropic.messages'> = {
  ...ANTHROPIC_REFUSALS,
  name: 'anthropic.messages',
  listsExtras: true,
  endpoint: postEndpoint('/v1/messages'),
  isNearestTo: (path) => path.includes('/messages'),
  countRequest: anthropicCountRequest,
  hostedTools: { fields: ['mcp_servers'], lists: ['tools'], choices: ['tool_choice'], readTool },
  readRequest: readMessagesRequest,
  upstreamPath: (_model, line) => `/v1/messages${forwardedQuery(line.query)}`,
  createTap: createMessageTap,
  documentEvents: messageDocumentEvents,
}

interface MessagesLayout extends BodyLayout {
  speed: string | null
  geo: string | null
}

const BODY = new ObjectReader<RequestDraft, MessagesLayout>({
  model: readModel,
  messages(json, draft, _layout, name) {
    if (!json.isArray()) throw invalidField(name, 'must be an array')
    draft.messages = eachObject(json, readMessage, draft)
  },
  system: readContent,
  // A cap of 0 fills the cache and writes nothing.
  [CAP_FIELD]: readCapOrZero,
  stream: readStream,
  tools(json, draft) {
    eachObject(json, readTool, draft)
  },
  metadata(json, draft) {
    METADATA.readIfObject(json, draft)
  },
  service_tier: readServiceTier,
  speed(json, _draft, layout) {
    layout.speed = json.stringOrNull()
  },
  inference_geo(json, _draft, layout) {
    layout.geo = json.stringOrNull()
  },
  cache_control: readCacheControl,
  // With any of these the provider may run more than one pass, or another model.
  ...handlersFor(
    ['container', 'fallbacks', 'compaction'],
    (json, draft: RequestDraft, _layout: MessagesLayout, name) => {
      if (saysSomething(json)) markUnbounded(draft, name)
    },
  ),
  mcp_servers(json, draft, _layout, name) {
    if (saysSomething(json)) markHostedTool(draft, name)
  },
  context_management(json, draft) {
    CONTEXT_MANAGEMENT.readIfObject(json, draft)
  },
  thread(json, draft) {
    THREAD.readIfObject(json, draft)
  },
})

function saysSomething(json: JsonCursor): boolean {
  const value = json.text(json.range())
  return value !== 'null' && value !== '[]'
}

function readMessagesRequest(body: Buffer, line: RequestLine): ParsedRequest {
  const draft = newDraft(maxNormalisedBytes(body))
  const layout: MessagesLayout = { ...newBodyLayout(), speed: null, geo: null }
  readBody(body, BODY, draft, layout)
  const longOutput = LONG_OUTPUT_BETA.exec(line.header('anthropic-beta') ?? '')
  if (longOutput) markUnbounded(draft, longOutput[0])
  draft.serviceTier = premiumTier(layout.speed, layout.geo) ?? draft.serviceTier
  requireModel(draft)
  return { facts: draft, requestsUsage: true, edit: (edits) => editModelAndCap(body, layout, edits, CAP_FIELD) }
}

const METADATA = new ObjectReader<RequestDraft>({ user_id: readUser })

const MESSAGE = new ObjectReader<RequestDraft>({ content: readContent })

function readMessage(json: JsonCursor, draft: RequestDraft): void {
  MESSAGE.read(json, draft)
}

/** A string, blocks, or one block. Blocks may hold blocks (tool results); the cursor bounds how deep. */
function readContent(json: JsonCursor, draft: RequestDraft): void {
  eachObjectOrOne(json, readBlock, draft)
}

const CONTAINER_UPLOAD = 'container_upload'

interface Block {
  type: string | null
  sourceBytes: number
  /** True if the block's media is in the request, or in an uploaded file: neither can change before the call. */
  isFixed: boolean
}

const BLOCK = new ObjectReader<Block, RequestDraft>({
  type(json, block) {
    block.type = json.stringOrNull()
  },
  source(json, block) {
    const start = json.position
    block.isFixed = readIsFixed(json)
    block.sourceBytes = json.position - start
  },
  content(json, _block, draft) {
    readContent(json, draft)
  },
  cache_control(json, _block, draft) {
    readCacheControl(json, draft)
  },
  // A tool that joins in the middle of a conversation, or the name of a tool that leaves it.
  tool(json, _block, draft) {
    TOOL_ADDITION.readIfObject(json, draft)
  },
})

function readBlock(json: JsonCursor, draft: RequestDraft): void {
  const block: Block = { type: null, sourceBytes: 0, isFixed: false }
  BLOCK.read(json, block, draft)
  const { type } = block
  const isMedia = type === 'image' || type === 'document' || type === CONTAINER_UPLOAD
  if (!isMedia) return
  draft.textBytes -= block.sourceBytes
  if (!block.isFixed) draft.uncountableInput = true
  if (type === 'image') draft.images++
  else draft.unsizedInput = true
  // Its container is billed even if no code runs.
  if (type === CONTAINER_UPLOAD) markUnbounded(draft, type)
}

interface Source {
  type: string | null
  holdsChangeable: boolean
}

/** Sources whose content is in the request, or in an uploaded file. Behind any other, such as a URL, the content can change. */
const FIXED_SOURCES: ReadonlySet<string | null> = new Set(['base64', 'text', 'content', 'file'])

const SOURCE = new ObjectReader<Source>({
  type(json, source) {
    source.type = json.stringOrNull()
  },
  // A document made of blocks, which may hold images.
  content(json, source) {
    eachObject(json, readSourceBlock, source)
  },
})

const SOURCE_BLOCK = new ObjectReader<Source>({
  source(json, outer) {
    if (!readIsFixed(json)) outer.holdsChangeable = true
  },
})

function readSourceBlock(json: JsonCursor, outer: Source): void {
  SOURCE_BLOCK.read(json, outer)
}

function readIsFixed(json: JsonCursor): boolean {
  const source: Source = { type: null, holdsChangeable: false }
  SOURCE.readIfObject(json, source)
  return FIXED_SOURCES.has(source.type) && !source.holdsChangeable
}

/**
 * Tools that the caller runs. The provider runs all others, unknown ones included: what they bring back is input that the body
 * does not show, and they may cost more than one pass.
 */
const CALLER_RUN_TOOL = /^(custom$|bash_|text_editor_|computer_|browser_toolset_|memory_)/
/** The provider's own description of one such tool takes at most so many: published figures reach 735, with 499 of prompt. */
const TOOL_DESCRIPTION_TOKENS = 1_500
/** For a set of some twenty-five tools under one name. No figure is published. */
const TOOLSET_DESCRIPTION_TOKENS = 10_000

const TOOL_ADDITION = new ObjectReader<RequestDraft>({ definition: readTool })

const TOOL = new ObjectReader<RequestDraft>({
  type(json, draft) {
    const type = json.stringOrNull()
    if (type === null || type === 'custom') return
    if (!CALLER_RUN_TOOL.test(type)) markHostedTool(draft, type)
    draft.addedTokens += type.includes('_toolset') ? TOOLSET_DESCRIPTION_TOKENS : TOOL_DESCRIPTION_TOKENS
  },
  cache_control: readCacheControl,
})

function readTool(json: JsonCursor, draft: RequestDraft): void {
  draft.tools = true
  TOOL.readIfObject(json, draft)
}

/** Edits of the context that only leave things out. Compaction is a pass of its own. */
const CLEARING_EDIT = /^clear_/

const CONTEXT_MANAGEMENT = new ObjectReader<RequestDraft>({
  edits(json, draft) {
    eachObject(json, readContextEdit, draft)
  },
})

const CONTEXT_EDIT = new ObjectReader<RequestDraft>({
  type(json, draft) {
    const type = json.stringOrNull()
    if (type !== null && !CLEARING_EDIT.test(type)) markUnbounded(draft, type)
  },
})

function readContextEdit(json: JsonCursor, draft: RequestDraft): void {
  CONTEXT_EDIT.read(json, draft)
}

/** A thread that goes on: what it already holds is input that the body does not show. */
const THREAD = new ObjectReader<RequestDraft>({
  type(json, draft) {
    if (json.stringOrNull() !== 'create') draft.unsizedInput = draft.uncountableInput = true
  },
})

const CACHE = new ObjectReader<RequestDraft>({
  ttl(json, draft) {
    if (json.stringOrNull() === '1h') draft.cacheWrite = '1h'
  },
})

function readCacheControl(json: JsonCursor, draft: RequestDraft): void {
  if (json.isObject() && draft.cacheWrite === 'none') draft.cacheWrite = '5m'
  CACHE.readIfObject(json, draft)
}
