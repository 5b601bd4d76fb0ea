// OpenAI responses: reads and writes a whole completion, and what its chunks share with it.

import type { ChatChoice, ChatError, ChatResponse, ChatUsage, JsonObject, Part, StopReason } from '../../core/chat.ts'
import { isRecord, recordOf } from '../../core/json-values.ts'
import { inputTokens, outputTokens, unitsOf } from '../../core/usage.ts'
import { readName } from '../dialect-fields.ts'
import type { ResponseContext } from '../translator.ts'
import { googleExtra, readCall } from './calls.ts'
import { DIALECT } from './dialect-fields.ts'
import { readError } from './errors.ts'
import { picturesIn, urlOf } from './parts.ts'
import { isThinkingBlock, joinText, readThinkingBlocks, writeThinkingBlock } from './thoughts.ts'

/** Finish reasons of many servers. An unknown reason counts as a normal end. */
const STOP_REASONS: ReadonlyMap<unknown, StopReason> = new Map([
  ['length', 'length'],
  ['max_tokens', 'length'],
  ['model_length', 'context'],
  ['tool_calls', 'toolCalls'],
  ['function_call', 'toolCalls'],
  ['content_filter', 'filtered'],
])

/** Reasons of routers and of Google's endpoint after which there is no answer. */
const FAILURE = /^(?:error|malformed_function_call|function_call_filter.*)$/i

/** Why a choice is no answer; undefined if it is one. */
export function failureOf({ finish_reason: reason, error }: JsonObject): ChatError | undefined {
  if (typeof reason !== 'string' || !FAILURE.test(reason)) return undefined
  if (isRecord(error)) return readError(0, { error })
  return {
    status: 0,
    kind: 'server',
    message: `The model gave up with ${reason.slice(0, 256)}.`,
    code: reason.slice(0, 100),
  }
}

/** Never throws: what cannot be read is left out. */
export function readResponse(body: JsonObject): ChatResponse {
  const id = readName(body.id)
  const choices = Array.isArray(body.choices) ? body.choices.filter(isRecord) : []
  const failures = choices.map(failureOf)
  const [failure] = failures
  const hasFailed = failure !== undefined && failures.every((other) => other !== undefined)
  return {
    ...(hasFailed && { failure }),
    id,
    model: readName(body.model),
    choices: choices.map((choice, index) => readChoice(choice, `call_${id || 'answer'}_${index}`)),
  }
}

function readChoice(choice: JsonObject, idPrefix: string): ChatChoice {
  const message = recordOf(choice.message)
  const calls = callsIn(message).map((call, index) => dialectCall(call) ?? readCall(call, `${idPrefix}_${index}`))
  const parts = [
    ...readThoughts(message),
    ...(textOf(message.content) === '' ? [] : [{ kind: 'text', text: textOf(message.content) } as const]),
    ...(typeof message.refusal === 'string' && message.refusal !== ''
      ? [{ kind: 'refusal', text: message.refusal } as const]
      : []),
    ...picturesIn(message),
    ...calls.filter((call) => call !== undefined),
  ]
  const kinds = new Set(parts.map(({ kind }) => kind))
  const stop = stopOf(choice, kinds.has('toolCall'), kinds.has('refusal'))
  return { parts, ...stop }
}

/** The tool calls of a message or of a delta. Some servers use the older field for a single call. */
export function callsIn(message: JsonObject): unknown[] {
  if (Array.isArray(message.tool_calls) && message.tool_calls.length > 0) return message.tool_calls
  return isRecord(message.function_call) ? [{ function: message.function_call }] : []
}

function dialectCall(call: unknown): Part | undefined {
  if (!isRecord(call) || !isRecord(call.custom) || isRecord(call.function)) return undefined
  return { kind: 'dialect', dialect: DIALECT, name: 'custom', value: call }
}

/** Why the model stopped. A call that `tool_choice` names has the reason `stop`. vLLM names the stop sequence in `stop_reason`. */
export function stopOf(
  { finish_reason: reason, stop_reason: stopSequence }: JsonObject,
  hasCalls: boolean,
  hasRefused: boolean,
): { readonly stop: StopReason; readonly stopSequence?: string } {
  const mapped = STOP_REASONS.get(reason)
  if (mapped) return { stop: mapped }
  if (hasCalls) return { stop: 'toolCalls' }
  if (hasRefused) return { stop: 'refusal' }
  if (reason === 'stop' && typeof stopSequence === 'string' && stopSequence !== '')
    return { stop: 'stopSequence', stopSequence }
  return { stop: 'end' }
}

/** @param hasRefused true: the response holds a refusal in words, so the reason need not tell it */
export function finishReason(stop: StopReason, hasRefused: boolean): string {
  if (stop === 'length' || stop === 'context') return 'length'
  if (stop === 'toolCalls') return 'tool_calls'
  if (stop === 'filtered') return 'content_filter'
  return stop === 'refusal' && !hasRefused ? 'content_filter' : 'stop'
}

/** The text of a content: a string, or Mistral's array of text parts and thoughts. */
export function textOf(content: unknown): string {
  if (!Array.isArray(content)) return typeof content === 'string' ? content : ''
  return joinText(content.filter((part) => isRecord(part) && part.type === 'text'))
}

/** The thoughts of a message or of a delta. Some servers repeat the same text in several fields, so the first one counts. */
export function reasoningTextOf(message: JsonObject): string {
  const { reasoning_content: content, reasoning, reasoning_details: details } = message
  for (const text of [content, reasoning]) if (typeof text === 'string' && text !== '') return text
  if (Array.isArray(message.content)) {
    const thoughts = message.content.filter((part) => isRecord(part) && part.type === 'thinking')
    return thoughts.map((part) => joinText(recordOf(part).thinking)).join('')
  }
  if (!Array.isArray(details)) return ''
  const texts = details.map((detail) => [recordOf(detail).text, recordOf(detail).summary])
  return texts
    .flat()
    .filter((text) => typeof text === 'string')
    .join('')
}

function readThoughts(message: JsonObject): Part[] {
  const blocks = readThinkingBlocks(message.thinking_blocks)
  if (blocks.length > 0) return blocks
  const text = reasoningTextOf(message)
  return text === '' ? [] : [{ kind: 'reasoning', text }]
}

export function writePicture(mediaType: string, base64: string, index: number): JsonObject {
  return { type: 'image_url', image_url: { url: urlOf({ mediaType, source: { base64 } }) }, index }
}

/** Unix time in seconds. */
export function createdAt(context: ResponseContext): number {
  return Math.floor(context.nowMs / 1_000)
}

/** @param usage absent if the provider reported none */
export function writeResponse(
  response: ChatResponse,
  usage: ChatUsage | undefined,
  context: ResponseContext,
): JsonObject {
  return {
    id: `chatcmpl-${context.callId}`,
    object: 'chat.completion',
    created: createdAt(context),
    model: response.model || context.model,
    choices: response.choices.map(writeChoice),
    ...(usage && { usage: writeUsage(usage) }),
  }
}

function writeChoice({ parts, stop }: ChatChoice, index: number): JsonObject {
  const texts = parts.filter((part) => part.kind === 'text')
  const refusals = parts.filter((part) => part.kind === 'refusal')
  const pictures = parts
    .filter((part) => part.kind === 'media')
    .flatMap(({ mediaType, source }, index) =>
      'base64' in source ? [writePicture(mediaType, source.base64, index)] : [],
    )
  const calls = parts.flatMap((part) => writeResponseCall(part))
  const message = {
    role: 'assistant',
    content: texts.length > 0 ? texts.map(({ text }) => text).join('') : null,
    refusal: refusals.length > 0 ? refusals.map(({ text }) => text).join('') : null,
    ...writeThoughts(parts),
    ...(pictures.length > 0 && { images: pictures }),
    ...(calls.length > 0 && { tool_calls: calls }),
  }
  return { index, message, logprobs: null, finish_reason: finishReason(stop, refusals.length > 0) }
}

function writeResponseCall(part: Part): JsonObject[] {
  if (part.kind === 'dialect' && part.dialect === DIALECT && isRecord(part.value.custom)) return [part.value]
  if (part.kind !== 'toolCall') return []
  const extra = part.signature === undefined ? {} : { extra_content: googleExtra(part.signature) }
  return [{ id: part.id, type: 'function', function: { name: part.name, arguments: part.arguments }, ...extra }]
}

/** Thoughts as text for people, and as blocks that the caller can send back. */
function writeThoughts(parts: readonly Part[]): JsonObject {
  const thoughts = parts.filter((part) => part.kind === 'reasoning')
  const text = thoughts.map((part) => part.text).join('')
  return {
    ...(text !== '' && { reasoning_content: text }),
    ...(thoughts.some(isThinkingBlock) && {
      thinking_blocks: thoughts.filter(isThinkingBlock).map(writeThinkingBlock),
    }),
  }
}

/** OpenAI's totals include the tokens that the details list. */
export function writeUsage({ usage, reasoningTokens }: ChatUsage): JsonObject {
  const [input, output] = [inputTokens(usage), outputTokens(usage)]
  const cacheWrites = usage.cacheWrite5m + unitsOf(usage, 'cacheWrite1h') + unitsOf(usage, 'cacheWrite12h')
  return {
    prompt_tokens: input,
    completion_tokens: output,
    total_tokens: input + output,
    prompt_tokens_details: {
      cached_tokens: usage.cacheRead + unitsOf(usage, 'audioCacheRead'),
      audio_tokens: unitsOf(usage, 'audioInput') + unitsOf(usage, 'audioCacheRead'),
      ...(cacheWrites > 0 && { cache_write_tokens: cacheWrites }),
    },
    completion_tokens_details: {
      reasoning_tokens: Math.min(reasoningTokens, usage.output),
      audio_tokens: unitsOf(usage, 'audioOutput'),
    },
  }
}
