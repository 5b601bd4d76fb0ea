// OpenAI chat, answer: a whole one, both ways, and what its pieces share with it.

import type { ChatChoice, ChatResponse, ChatUsage, JsonObject, Part, StopReason } from '../../core/chat.ts'
import { isRecord, recordOf } from '../../core/json-values.ts'
import { inputTokens, outputTokens } from '../../core/usage.ts'
import { readName } from '../dialect-fields.ts'
import type { ResponseContext } from '../translator.ts'
import { isThinkingBlock, joinText, readThinkingBlocks, writeThinkingBlock } from './messages.ts'
import { DIALECT, googleExtra, inlineOf, readCall, urlOf } from './parts.ts'

/** Words of many servers; one that is not here says that the answer has ended. */
const STOP_REASONS: ReadonlyMap<unknown, StopReason> = new Map([
  ['length', 'length'],
  ['max_tokens', 'length'],
  ['model_length', 'context'],
  ['tool_calls', 'toolCalls'],
  ['function_call', 'toolCalls'],
  ['content_filter', 'filtered'],
])

/** Never throws: what cannot be read is left out. */
export function readResponse(body: JsonObject): ChatResponse {
  const id = readName(body.id)
  const choices = Array.isArray(body.choices) ? body.choices.filter(isRecord) : []
  return {
    id,
    model: readName(body.model),
    choices: choices.map((choice, at) => readChoice(choice, `call_${id || 'answer'}_${at}`)),
  }
}

function readChoice(choice: JsonObject, idPrefix: string): ChatChoice {
  const message = recordOf(choice.message)
  const calls = callsIn(message).map((call, at) => readCall(call, `${idPrefix}_${at}`) ?? dialectCall(call))
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

/** With the older field for a single call, of servers that fill it. */
export function callsIn(message: JsonObject): unknown[] {
  if (Array.isArray(message.tool_calls) && message.tool_calls.length > 0) return message.tool_calls
  return isRecord(message.function_call) ? [{ function: message.function_call }] : []
}

function dialectCall(call: unknown): Part | undefined {
  if (!isRecord(call) || !isRecord(call.custom)) return undefined
  return { kind: 'own', dialect: DIALECT, name: 'custom', value: call }
}

/** Why it stopped. A named tool is called under the reason `stop`; vLLM names the stop sequence beside it. */
export function stopOf(
  { finish_reason: reason, stop_reason: met }: JsonObject,
  calls: boolean,
  refused: boolean,
): { readonly stop: StopReason; readonly stopSequence?: string } {
  const known = STOP_REASONS.get(reason)
  if (known) return { stop: known }
  if (calls) return { stop: 'toolCalls' }
  if (refused) return { stop: 'refusal' }
  if (reason === 'stop' && typeof met === 'string' && met !== '') return { stop: 'stopSequence', stopSequence: met }
  return { stop: 'end' }
}

/** @param refused said so in words, which the dialect shows by themselves */
export function finishReason(stop: StopReason, refused: boolean): string {
  if (stop === 'length' || stop === 'context') return 'length'
  if (stop === 'toolCalls') return 'tool_calls'
  if (stop === 'filtered') return 'content_filter'
  return stop === 'refusal' && !refused ? 'content_filter' : 'stop'
}

/** One string, or, from Mistral, parts of text among thoughts. */
export function textOf(content: unknown): string {
  if (!Array.isArray(content)) return typeof content === 'string' ? content : ''
  return joinText(content.filter((part) => isRecord(part) && part.type === 'text'))
}

/** The same words come in several fields from some servers: the first that has any says them all. */
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

/** OpenRouter's field for pictures in answers. */
export function picturesIn(message: JsonObject): { kind: 'media'; mediaType: string; source: { base64: string } }[] {
  if (!Array.isArray(message.images)) return []
  return message.images.flatMap((image: unknown) => {
    const { url } = recordOf(recordOf(image).image_url)
    const inline = typeof url === 'string' ? inlineOf(url) : undefined
    return inline ? [{ kind: 'media' as const, ...inline }] : []
  })
}

export function writePicture(mediaType: string, base64: string, index: number): JsonObject {
  return { type: 'image_url', image_url: { url: urlOf({ mediaType, source: { base64 } }) }, index }
}

export function createdAt(context: ResponseContext): number {
  return Math.floor(context.nowMs / 1_000)
}

export function writeResponse(answer: ChatResponse, used: ChatUsage | undefined, context: ResponseContext): JsonObject {
  return {
    id: `chatcmpl-${context.callId}`,
    object: 'chat.completion',
    created: createdAt(context),
    model: answer.model || context.model,
    choices: answer.choices.map(writeChoice),
    ...(used && { usage: writeUsage(used) }),
  }
}

function writeChoice({ parts, stop }: ChatChoice, index: number): JsonObject {
  const texts = parts.filter((part) => part.kind === 'text')
  const refusals = parts.filter((part) => part.kind === 'refusal')
  const pictures = parts
    .filter((part) => part.kind === 'media')
    .flatMap(({ mediaType, source }, at) => ('base64' in source ? [writePicture(mediaType, source.base64, at)] : []))
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
  if (part.kind === 'own' && part.dialect === DIALECT && isRecord(part.value.custom)) return [part.value]
  if (part.kind !== 'toolCall') return []
  const extra = part.signature === undefined ? {} : { extra_content: googleExtra(part.signature) }
  return [{ id: part.id, type: 'function', function: { name: part.name, arguments: part.arguments }, ...extra }]
}

/** Once for people, and once as it can be handed back. */
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

/** OpenAI's totals hold their parts inside. */
export function writeUsage({ usage, reasoningTokens }: ChatUsage): JsonObject {
  const [input, output] = [inputTokens(usage), outputTokens(usage)]
  const cacheWrites = usage.cacheWrite5m + usage.cacheWrite1h
  return {
    prompt_tokens: input,
    completion_tokens: output,
    total_tokens: input + output,
    prompt_tokens_details: {
      cached_tokens: usage.cacheRead + usage.audioCacheRead,
      audio_tokens: usage.audioInput + usage.audioCacheRead,
      ...(cacheWrites > 0 && { cache_write_tokens: cacheWrites }),
    },
    completion_tokens_details: {
      reasoning_tokens: Math.min(reasoningTokens, usage.output),
      audio_tokens: usage.audioOutput,
    },
  }
}
