// The simulated provider's words: what it answers to a request, whole or in pieces, in each dialect's own shape.

import { isRecord, recordOf } from '../../core/json-values.ts'
import type { UpstreamRequest } from '../provider.ts'
import type { AnswerContent, AnswerFormat, PartialToolCall, RequestBody, ToolCall } from './answer-format.ts'
import { ANTHROPIC_FORMAT } from './anthropic.ts'
import { COMPLETIONS_FORMAT } from './completions.ts'
import { GEMINI_FORMAT } from './gemini.ts'
import { inputTokens } from './media.ts'
import { OPENAI_FORMAT } from './openai.ts'
import { RESPONSES_FORMAT } from './responses.ts'
import { callsFor, jsonFor } from './tools.ts'
import { geminiVectors, openaiVectors } from './vectors.ts'

/** An answer as it goes over the wire. */
export interface SimulatedAnswer {
  readonly status: number
  readonly contentType: string
  /** What is sent, one write each. */
  readonly pieces: readonly string[]
}

const DEFAULT_CAP_TOKENS = 1_024
/** Where tools are called. */
const CHAT_DIALECTS = new Set(['openai.chat', 'anthropic.messages', 'gemini.generateContent'])

/** The answer to a request. Same request, same answer. */
export function simulateAnswer(outgoing: UpstreamRequest, fault: string): SimulatedAnswer {
  const shape = ANSWER_FORMATS[outgoing.dialect] ?? OPENAI_FORMAT
  const asked = parseBody(outgoing.body)
  const status = Number(/^error-(\d{3})$/.exec(fault)?.[1] ?? 200)
  if (status !== 200)
    return { status, contentType: 'application/json', pieces: [shape.error(status, `Simulated error ${status}.`)] }
  if (fault === 'garbage')
    return { status, contentType: 'application/json', pieces: ['{"choices":[{"me\u0000ssage', '\ufffd\ufffd'] }
  if (fault === 'html') return { status, contentType: 'text/html', pieces: ['<!doctype html><title>Simulated</title>'] }
  const speech = contentOf(outgoing, asked, fault)
  if (!outgoing.stream) return { status, contentType: 'application/json', pieces: [shape.whole(speech, asked)] }
  const events = !outgoing.path.includes(':stream') || /[?&]alt=sse(&|$)/.test(outgoing.path)
  const pieces = shape.stream(speech, asked)
  return events
    ? { status, contentType: 'text/event-stream', pieces }
    : { status, contentType: 'application/json; charset=UTF-8', pieces: toJsonArray(pieces) }
}

function contentOf(outgoing: UpstreamRequest, asked: RequestBody, fault: string): AnswerContent {
  const cap = capIn(asked)
  const id = idOf(outgoing.body)
  const wanted = Number(/^long-(\d{1,6})$/.exec(fault)?.[1] ?? 0)
  const told = { last: lastMessageText(asked), all: conversationText(asked) }
  const calls =
    wanted > 0 || !CHAT_DIALECTS.has(outgoing.dialect)
      ? []
      : callsFor(asked, told, Number(/^tools-(\d{1,3})$/.exec(fault)?.[1] ?? 1), id)
  const json = wanted > 0 || calls.length > 0 ? undefined : jsonFor(asked, told)
  const text = wanted > 0 ? 'word '.repeat(wanted).trim() : `You said: ${told.last === '' ? 'nothing' : told.last}`
  const words = calls.length > 0 ? [] : json === undefined ? (text.match(/\s*\S+/g) ?? []) : piecesOf(json)
  const said = words.slice(0, cap)
  const spoken = truncateCalls(calls, cap)
  const pieces = spoken.reduce((sum, call) => sum + call.pieces.length, 0)
  return {
    id,
    model: outgoing.model,
    words: said,
    calls: spoken,
    inputTokens: inputTokens(outgoing.body.length, asked),
    outputTokens: said.length + pieces,
    isTruncated:
      said.length < words.length || spoken.length < calls.length || spoken.some(({ isComplete }) => !isComplete),
    withUsage: fault !== 'no-usage',
  }
}

/** JSON in pieces of a token each. */
function piecesOf(json: string): string[] {
  return json.match(/.{1,4}/gsu) ?? []
}

/** As many calls as the cap has tokens for, the last one maybe in part. */
function truncateCalls(calls: readonly ToolCall[], cap: number): PartialToolCall[] {
  const spoken: PartialToolCall[] = []
  let left = cap
  for (const call of calls) {
    const all = piecesOf(JSON.stringify(call.arguments))
    const pieces = all.slice(0, left)
    if (pieces.length > 0) spoken.push({ ...call, pieces, isComplete: pieces.length === all.length })
    left -= pieces.length
  }
  return spoken
}

const ANSWER_FORMATS: Readonly<Record<string, AnswerFormat>> = {
  'openai.chat': OPENAI_FORMAT,
  'anthropic.messages': ANTHROPIC_FORMAT,
  'gemini.generateContent': GEMINI_FORMAT,
  'openai.completions': { ...OPENAI_FORMAT, ...COMPLETIONS_FORMAT },
  'openai.responses': { ...OPENAI_FORMAT, ...RESPONSES_FORMAT },
  'openai.embeddings': { ...OPENAI_FORMAT, whole: (speech, asked) => openaiVectors(asked, speech) },
  'gemini.embedContent': { ...GEMINI_FORMAT, whole: (speech, asked) => geminiVectors(asked, speech) },
  'anthropic.countTokens': {
    ...ANTHROPIC_FORMAT,
    whole: ({ inputTokens: input }) => JSON.stringify({ input_tokens: input }),
  },
  'gemini.countTokens': { ...GEMINI_FORMAT, whole: ({ inputTokens: input }) => JSON.stringify({ totalTokens: input }) },
}

/** Events as Gemini sends them without `alt=sse`: one JSON array. */
function toJsonArray(events: readonly string[]): string[] {
  return [...events.map((event, at) => `${at === 0 ? '[' : ',\r\n'}${event.slice('data: '.length).trim()}\n`), ']']
}

function parseBody(body: Buffer): RequestBody {
  const value: unknown = JSON.parse(body.toString())
  return isRecord(value) ? value : {}
}

function capIn(asked: RequestBody): number {
  const config = isRecord(asked.generationConfig) ? asked.generationConfig : {}
  const caps = [asked.max_tokens, asked.max_completion_tokens, asked.max_output_tokens, config.maxOutputTokens].filter(
    (cap) => typeof cap === 'number',
  )
  return caps.length > 0 ? Math.min(...caps) : DEFAULT_CAP_TOKENS
}

/** The text of the last message, whatever the dialect calls it. */
function lastMessageText(asked: RequestBody): string {
  for (const text of [asked.prompt, asked.input]) if (typeof text === 'string') return text
  return messageText(messagesIn(asked).at(-1))
}

/** The rules and all messages. */
function conversationText(asked: RequestBody): string {
  const rules = [asked.system, recordOf(asked.systemInstruction ?? asked.system_instruction).parts, asked.instructions]
  return [...rules.map(textOf), ...messagesIn(asked).map(messageText)].filter((text) => text !== '').join('\n')
}

function messagesIn(asked: RequestBody): readonly unknown[] {
  return [asked.messages, asked.contents, asked.input].find((some) => Array.isArray(some)) ?? []
}

function messageText(message: unknown): string {
  return isRecord(message) ? textOf(message.content ?? message.parts ?? message.output) : ''
}

/** Results of tools are words, too. */
function textOf(content: unknown): string {
  if (typeof content === 'string') return content
  if (Array.isArray(content))
    return content
      .map(textOf)
      .filter((text) => text !== '')
      .join(' ')
  if (!isRecord(content)) return ''
  if (typeof content.text === 'string') return content.text
  if (content.type === 'tool_result') return textOf(content.content)
  return isRecord(content.functionResponse) ? JSON.stringify(content.functionResponse.response ?? {}) : ''
}

/** A short id that depends on the request alone (FNV-1a). */
function idOf(body: Buffer): string {
  let hash = 0x811c9dc5
  for (const byte of body.subarray(0, 4096)) hash = Math.imul(hash ^ byte, 0x01000193) >>> 0
  return hash.toString(16).padStart(8, '0')
}
