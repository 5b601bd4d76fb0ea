// Anthropic responses: reads and writes a whole message, and what its events share with it.

import type {
  ChatChoice,
  ChatResponse,
  ChatUsage,
  JsonObject,
  Part,
  ReasoningPart,
  StopReason,
} from '../../core/chat.ts'
import { inputTokens, outputTokens, unitsOf, usageOf } from '../../core/usage.ts'
import { parseJsonObject } from '../arguments.ts'
import { ownExtras, readName } from '../dialect-fields.ts'
import type { ResponseContext } from '../translator.ts'
import { ANTHROPIC_EXTRAS, DIALECT, legalId } from './dialect-fields.ts'
import { readBlock } from './read-parts.ts'

const STOP_REASONS: Readonly<Record<string, StopReason>> = {
  end_turn: 'end',
  max_tokens: 'length',
  tool_use: 'toolCalls',
  stop_sequence: 'stopSequence',
  refusal: 'refusal',
  pause_turn: 'paused',
  compaction: 'paused',
  model_context_window_exceeded: 'context',
}

/** An unknown reason counts as a normal end. */
export function readStopReason(reason: unknown): StopReason {
  return typeof reason === 'string' && Object.hasOwn(STOP_REASONS, reason) ? (STOP_REASONS[reason] ?? 'end') : 'end'
}

const ANTHROPIC_STOP_REASONS: Readonly<Record<StopReason, string>> = {
  end: 'end_turn',
  length: 'max_tokens',
  toolCalls: 'tool_use',
  stopSequence: 'stop_sequence',
  filtered: 'refusal',
  refusal: 'refusal',
  context: 'model_context_window_exceeded',
  paused: 'pause_turn',
}

/** Some providers report `end` after a forced tool call, or after a refusal in words. */
export function writeStopReason(reason: StopReason, hasCalls: boolean, hasRefused: boolean): string {
  if (reason !== 'end') return ANTHROPIC_STOP_REASONS[reason]
  return hasCalls ? 'tool_use' : hasRefused ? 'refusal' : 'end_turn'
}

/** Never throws: what cannot be read is left out. */
export function readResponse(body: JsonObject): ChatResponse {
  const { id, model, content, stop_reason: reason, stop_sequence: sequence } = body
  const choice: ChatChoice = {
    parts: Array.isArray(content) ? content.flatMap(readPart) : [],
    stop: readStopReason(reason),
    ...(typeof sequence === 'string' ? { stopSequence: sequence } : {}),
  }
  return {
    id: readName(id),
    model: readName(model),
    choices: [choice],
  }
}

/** A block that cannot be read is left out. */
function readPart(block: unknown): Part[] {
  try {
    return [readBlock(block, 'content', new Map())]
  } catch {
    return []
  }
}

/** Writes the first choice: this dialect cannot request more than one. @param used absent if the provider reported no usage */
export function writeResponse(
  response: ChatResponse,
  used: ChatUsage | undefined,
  context: ResponseContext,
): JsonObject {
  const { parts, stop, stopSequence }: ChatChoice = response.choices[0] ?? { parts: [], stop: 'end' }
  const hasCalls = parts.some(({ kind }) => kind === 'toolCall')
  const hasRefused = parts.some(({ kind }) => kind === 'refusal')
  return {
    ...messageHead(response.model, context),
    content: parts.flatMap(writePart),
    stop_reason: writeStopReason(stop, hasCalls, hasRefused),
    stop_sequence: stopSequence ?? null,
    usage: writeUsage(used),
  }
}

/** The fields that a whole message and the event `message_start` begin with. */
export function messageHead(model: string, context: ResponseContext): JsonObject {
  return { id: `msg_${context.callId}`, type: 'message', role: 'assistant', model: model || context.model }
}

/** A response of this dialect holds no media and no parts of other dialects: these are left out. */
function writePart(part: Part): JsonObject[] {
  switch (part.kind) {
    case 'text':
      return part.text === ''
        ? []
        : [{ citations: null, ...ownExtras(part.extras, ANTHROPIC_EXTRAS), type: 'text', text: part.text }]
    case 'refusal':
      return part.text === '' ? [] : [{ citations: null, type: 'text', text: part.text }]
    case 'reasoning':
      return writeThinking(part)
    case 'toolCall':
      return [{ type: 'tool_use', id: legalId(part.id), name: part.name, input: parseJsonObject(part.arguments) ?? {} }]
    case 'dialect':
      return part.dialect === DIALECT ? [part.value] : []
    case 'media':
    case 'toolResult':
      return []
  }
}

/** Signatures of other dialects are left out: sent back, they would be taken for Anthropic's. */
function writeThinking(part: ReasoningPart): JsonObject[] {
  const isOurs = part.signedIn === DIALECT
  if (part.redacted !== undefined) return isOurs ? [{ type: 'redacted_thinking', data: part.redacted }] : []
  const signature = isOurs ? (part.signature ?? '') : ''
  return part.text === '' && signature === '' ? [] : [{ type: 'thinking', thinking: part.text, signature }]
}

/** Unknown usage is written as zeros, since SDKs add up these fields without a check. */
export function writeUsage(used: ChatUsage | undefined): JsonObject {
  const usage = used?.usage ?? usageOf()
  const cacheRead = usage.cacheRead + unitsOf(usage, 'audioCacheRead')
  // Anthropic's longest life is an hour.
  const cacheWrite1h = unitsOf(usage, 'cacheWrite1h') + unitsOf(usage, 'cacheWrite12h')
  const cacheWrite = usage.cacheWrite5m + cacheWrite1h
  const webSearches = unitsOf(usage, 'webSearches')
  return {
    input_tokens: inputTokens(usage) - cacheRead - cacheWrite,
    cache_creation_input_tokens: cacheWrite,
    cache_read_input_tokens: cacheRead,
    cache_creation: {
      ephemeral_5m_input_tokens: usage.cacheWrite5m,
      ephemeral_1h_input_tokens: cacheWrite1h,
    },
    output_tokens: outputTokens(usage),
    output_tokens_details: { thinking_tokens: Math.min(used?.reasoningTokens ?? 0, outputTokens(usage)) },
    server_tool_use: webSearches > 0 ? { web_search_requests: webSearches } : null,
    service_tier: null,
  }
}
