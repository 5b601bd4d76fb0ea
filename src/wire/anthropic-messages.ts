// Anthropic messages: POST /v1/messages.

import type { LevelView } from '../core/meter.ts'
import type { Problem } from '../core/problem.ts'
import type { Refusal } from '../core/refusal.ts'
import { countOf, type Usage, usageOf } from '../core/usage.ts'
import type { Dialect, Edits, ErrorContext, HeaderList, Metered, Reading } from './dialect.ts'
import { DocumentTap } from './document.ts'
import { type Draft, draftOf, eachField, eachObject, isRecord, readMedia, recordOf } from './draft.ts'
import { inserted, type Splice, spliced } from './edit.ts'
import { refusalDetails, tightest, timeText } from './figures.ts'
import { forwardedQuery } from './headers.ts'
import { Fields, invalid, JsonCursor, type Range } from './json.ts'
import { type EventMeter, hasValue, SseTap } from './sse.ts'
import { normalisedBytes } from './text.ts'

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
  'context_management',
)
const METADATA = new Fields('user_id')
const MESSAGE = new Fields('content')
const BLOCK = new Fields('type', 'source', 'content', 'cache_control')
const TOOL = new Fields('type', 'cache_control')
const CACHE = new Fields('ttl')

/** Tools that the provider runs itself: what they bring back is input that the body does not show. */
const HOSTED_TOOL = /^(web_search|web_fetch|code_execution|tool_search|mcp_toolset|advisor)/
/** Parts whose presence alone means the provider may run more than one pass. */
const UNBOUNDED_PARTS = new Set(['mcp_servers', 'container', 'context_management'])

interface Spots {
  readonly opened: number
  isEmpty: boolean
  model: Range | null
  cap: Range | null
  speed: string | null
  geo: string | null
}

/** Speed and place have prices of their own, and no service tier names them: the price book knows them by these words. */
function dearerTier(speed: unknown, geo: unknown): string | null {
  const parts = [speed === 'fast' ? 'fast' : '', geo === 'us' ? 'us' : ''].filter((part) => part !== '')
  return parts.length > 0 ? parts.join('+') : null
}

export const anthropicMessages: Dialect = {
  name: 'anthropic.messages',
  breaksAfterError: false,
  requestIdHeader: 'request-id',
  read,
  upstreamPath: (_model, line) => `/v1/messages${forwardedQuery(line.query)}`,
  tap: (streaming, contentType) =>
    streaming && contentType.includes('event-stream')
      ? new SseTap(new MessageEvents(), false)
      : new DocumentTap(readMessage),
  refusalBody,
  problemBody,
  streamError: (problem, context) => `event: error\ndata: ${problemBody(problem, context)}\n\n`,
  rateHeaders,
}

function read(body: Buffer): Reading {
  const json = new JsonCursor(body)
  const draft = draftOf(normalisedBytes(body))
  const spots: Spots = { opened: json.position + 1, isEmpty: false, model: null, cap: null, speed: null, geo: null }
  const members = eachField(json, BODY, (field) => readMember(json, BODY.names[field] ?? '', draft, spots))
  json.finish()
  spots.isEmpty = members === 0
  draft.serviceTier = dearerTier(spots.speed, spots.geo) ?? draft.serviceTier
  if (draft.model === '') throw invalid('model', 'is required')
  return { ask: draft, asksForUsage: true, edit: (edits) => edit(body, spots, edits) }
}

function readMember(json: JsonCursor, name: string, draft: Draft, spots: Spots): void {
  if (UNBOUNDED_PARTS.has(name)) {
    const value = json.text(json.skip())
    if (value !== 'null' && value !== '[]') draft.unbounded.push(name)
    return
  }
  switch (name) {
    case 'model':
      spots.model = json.skip()
      draft.model = json.stringAt(spots.model, name)
      return
    case 'messages':
      if (json.peek() !== '[') throw invalid(name, 'must be an array')
      return eachObject(json, () => {
        draft.messages++
        eachField(json, MESSAGE, () => readContent(json, draft))
      })
    case 'system':
      return readContent(json, draft)
    case 'max_tokens':
      spots.cap = json.skip()
      // 0 is allowed: it fills the cache and writes nothing.
      draft.outputCap = json.countAt(spots.cap, name, 0)
      return
    case 'stream':
      draft.stream = json.boolean(name)
      return
    case 'tools':
      return eachObject(json, () => readTool(json, draft))
    case 'metadata':
      if (json.peek() === '{') eachField(json, METADATA, () => (draft.user = json.stringOrNull()))
      else json.skip()
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
      readCacheControl(json, draft)
  }
}

/** A string, or blocks; blocks may hold blocks (tool results). The cursor bounds how deep. */
function readContent(json: JsonCursor, draft: Draft): void {
  eachObject(json, () => {
    let type: string | null = null
    let sourceBytes = 0
    eachField(json, BLOCK, (field) => {
      const name = BLOCK.names[field]
      if (name === 'type') type = json.stringOrNull()
      else if (name === 'content') readContent(json, draft)
      else if (name === 'cache_control') readCacheControl(json, draft)
      else {
        const before = draft.textBytes
        readMedia(json, draft)
        sourceBytes = before - draft.textBytes
      }
    })
    if (type === 'image') draft.images++
    else if (type === 'document' || type === 'container_upload') draft.unsizedInput = true
    else draft.textBytes += sourceBytes
  })
}

function readTool(json: JsonCursor, draft: Draft): void {
  draft.tools = true
  eachField(json, TOOL, (field) => {
    if (TOOL.names[field] === 'cache_control') return readCacheControl(json, draft)
    const type = json.stringOrNull()
    if (type !== null && HOSTED_TOOL.test(type)) draft.unbounded.push(type.slice(0, 64))
  })
}

function readCacheControl(json: JsonCursor, draft: Draft): void {
  if (json.peek() !== '{') {
    json.skip()
    return
  }
  if (draft.cacheWrite === 'none') draft.cacheWrite = '5m'
  eachField(json, CACHE, () => {
    if (json.stringOrNull() === '1h') draft.cacheWrite = '1h'
  })
}

function edit(body: Buffer, spots: Spots, edits: Edits): Buffer {
  const splices: Splice[] = []
  if (edits.model !== undefined && spots.model) splices.push({ ...spots.model, text: JSON.stringify(edits.model) })
  if (edits.cap) {
    const text = String(edits.cap.tokens)
    splices.push(spots.cap ? { ...spots.cap, text } : inserted(spots.opened, `"max_tokens":${text}`, spots.isEmpty))
  }
  return spliced(body, splices)
}

const ANSWER = new Fields('usage', 'model', 'type')

function readMessage(document: Buffer): Metered | undefined {
  const json = new JsonCursor(document)
  let usage: unknown
  let model: string | null = null
  eachField(json, ANSWER, (field) => {
    const name = ANSWER.names[field]
    if (name === 'usage') usage = JSON.parse(json.text(json.skip()))
    else if (name === 'model') model = json.stringOrNull()
    else json.skip()
  })
  json.finish()
  return isRecord(usage) ? normalise(usage, model) : undefined
}

/** Anthropic's input classes are disjoint already. Cache writes it does not split by lifetime are five-minute ones. */
function normalise(counts: Readonly<Record<string, unknown>>, model: string | null): Metered {
  const written = countOf(counts.cache_creation_input_tokens)
  const lifetimes = recordOf(counts.cache_creation)
  const cacheWrite1h = Math.min(countOf(lifetimes.ephemeral_1h_input_tokens), Math.max(written, 0))
  const usage: Usage = usageOf({
    input: countOf(counts.input_tokens),
    cacheRead: countOf(counts.cache_read_input_tokens),
    cacheWrite5m: written - cacheWrite1h,
    cacheWrite1h,
    output: countOf(counts.output_tokens),
    webSearches: countOf(recordOf(counts.server_tool_use).web_search_requests),
    requests: 1,
  })
  return {
    usage,
    reasoningTokens: countOf(recordOf(counts.output_tokens_details).thinking_tokens),
    model,
    serviceTier:
      dearerTier(counts.speed, counts.inference_geo) ??
      (typeof counts.service_tier === 'string' ? counts.service_tier : null),
  }
}

const USAGE = Buffer.from('"usage"')
const STOP = Buffer.from('message_stop')
const ERROR = Buffer.from('"error"')

class MessageEvents implements EventMeter {
  terminated = false
  finished = false
  failed = false
  /** Usage as last said, field by field: later events repeat some, are null in others, and never add up. */
  #counts: Record<string, unknown> | undefined
  #model: string | null = null

  mayMatter(chunk: Buffer): boolean {
    return hasValue(chunk, USAGE) || chunk.includes(STOP) || chunk.includes(ERROR)
  }

  data(payload: Buffer): boolean {
    if (!this.mayMatter(payload)) return false
    try {
      this.#event(JSON.parse(payload.toString()))
    } catch {
      // Not an event: passed on as it is.
    }
    return false
  }

  metered(): Metered | undefined {
    return this.#counts ? normalise(this.#counts, this.#model) : undefined
  }

  #event(event: unknown): void {
    if (!isRecord(event)) return
    if (event.type === 'message_start') {
      const message = recordOf(event.message)
      this.#model = typeof message.model === 'string' ? message.model : null
      this.#overwrite(message.usage)
    } else if (event.type === 'message_delta') {
      this.#overwrite(event.usage)
      this.finished ||= typeof recordOf(event.delta).stop_reason === 'string'
    } else if (event.type === 'message_stop') this.terminated = this.finished = true
    else if (event.type === 'error') this.failed = true
  }

  #overwrite(usage: unknown): void {
    if (!isRecord(usage)) return
    const said = Object.entries(usage).filter(([, value]) => value !== null)
    this.#counts = { ...this.#counts, ...Object.fromEntries(said) }
  }
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

function rateHeaders(levels: readonly LevelView[], wallMs: number, headers: HeaderList): void {
  for (const what of ['requests', 'tokens'] as const) {
    const level = tightest(levels, what)
    if (!level) continue
    headers.push(`anthropic-ratelimit-${what}-limit`, `${level.capacity}`)
    headers.push(`anthropic-ratelimit-${what}-remaining`, `${level.free}`)
    headers.push(`anthropic-ratelimit-${what}-reset`, timeText(wallMs + level.resetMs))
  }
}
