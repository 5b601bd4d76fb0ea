// The simulated provider's words: what it answers to a request, whole or in pieces, in each dialect's own shape.

import { isRecord } from '../wire/draft.ts'
import type { Outgoing } from './provider.ts'
import { COMPLETIONS } from './simulated-completions.ts'
import { RESPONSES } from './simulated-responses.ts'
import type { Shape, Speech } from './simulated-shape.ts'
import { geminiVectors, openaiVectors } from './simulated-vectors.ts'

/** An answer as it goes over the wire. */
export interface SimulatedAnswer {
  readonly status: number
  readonly contentType: string
  /** What is sent, one write each. */
  readonly pieces: readonly string[]
}

const USUAL_CAP = 1_024
const BYTES_PER_TOKEN = 4

/** The answer to a request. Same request, same answer. */
export function scriptOf(outgoing: Outgoing, fault: string): SimulatedAnswer {
  const shape = SHAPES[outgoing.dialect] ?? OPENAI
  const asked = parsed(outgoing.body)
  const status = Number(/^error-(\d{3})$/.exec(fault)?.[1] ?? 200)
  if (status !== 200)
    return { status, contentType: 'application/json', pieces: [shape.error(status, `Simulated error ${status}.`)] }
  if (fault === 'garbage')
    return { status, contentType: 'application/json', pieces: ['{"choices":[{"me\u0000ssage', '\ufffd\ufffd'] }
  if (fault === 'html') return { status, contentType: 'text/html', pieces: ['<!doctype html><title>Simulated</title>'] }
  const speech = speechOf(outgoing, asked, fault)
  if (!outgoing.stream) return { status, contentType: 'application/json', pieces: [shape.whole(speech, asked)] }
  const events = !outgoing.path.includes(':stream') || /[?&]alt=sse(&|$)/.test(outgoing.path)
  const pieces = shape.stream(speech, asked)
  return events
    ? { status, contentType: 'text/event-stream', pieces }
    : { status, contentType: 'application/json; charset=UTF-8', pieces: asArray(pieces) }
}

function speechOf(outgoing: Outgoing, asked: Readonly<Record<string, unknown>>, fault: string): Speech {
  const cap = capIn(asked)
  const told = lastTold(asked)
  const wanted = Number(/^long-(\d{1,6})$/.exec(fault)?.[1] ?? 0)
  const text = wanted > 0 ? 'word '.repeat(wanted).trim() : `You said: ${told === '' ? 'nothing' : told}`
  const words = text.match(/\s*\S+/g) ?? []
  const said = words.slice(0, cap)
  return {
    id: idOf(outgoing.body),
    model: outgoing.model,
    words: said,
    input: Math.ceil(outgoing.body.length / BYTES_PER_TOKEN),
    output: said.length,
    cut: said.length < words.length,
    withUsage: fault !== 'no-usage',
  }
}

const OPENAI: Shape = {
  whole: (speech) =>
    JSON.stringify({
      id: `chatcmpl-${speech.id}`,
      object: 'chat.completion',
      created: 0,
      model: speech.model,
      choices: [
        {
          index: 0,
          message: { role: 'assistant', content: speech.words.join(''), refusal: null },
          logprobs: null,
          finish_reason: speech.cut ? 'length' : 'stop',
        },
      ],
      ...(speech.withUsage ? { usage: openaiUsage(speech) } : {}),
    }),
  stream: (speech, asked) => {
    const options = asked.stream_options
    const asksForUsage = speech.withUsage && isRecord(options) && options.include_usage === true
    const chunk = (choices: unknown[], usage: unknown = null) =>
      `data: ${JSON.stringify({ id: `chatcmpl-${speech.id}`, object: 'chat.completion.chunk', created: 0, model: speech.model, choices, ...(asksForUsage ? { usage } : {}) })}\n\n`
    const delta = (delta: unknown, reason: string | null) => chunk([{ index: 0, delta, finish_reason: reason }])
    return [
      delta({ role: 'assistant', content: '' }, null),
      ...speech.words.map((content) => delta({ content }, null)),
      delta({}, speech.cut ? 'length' : 'stop'),
      ...(asksForUsage ? [chunk([], openaiUsage(speech))] : []),
      'data: [DONE]\n\n',
    ]
  },
  error: (status, message) =>
    JSON.stringify({
      error: {
        message,
        type: status === 429 ? 'requests' : 'server_error',
        param: null,
        code: status === 429 ? 'rate_limit_exceeded' : null,
      },
    }),
}

const ANTHROPIC: Shape = {
  whole: (speech) =>
    JSON.stringify({
      id: `msg_${speech.id}`,
      type: 'message',
      role: 'assistant',
      model: speech.model,
      content: [{ type: 'text', text: speech.words.join('') }],
      stop_reason: speech.cut ? 'max_tokens' : 'end_turn',
      stop_sequence: null,
      ...(speech.withUsage ? { usage: anthropicUsage(speech) } : {}),
    }),
  stream: (speech) => {
    const event = (type: string, more: Readonly<Record<string, unknown>>) =>
      `event: ${type}\ndata: ${JSON.stringify({ type, ...more })}\n\n`
    const message = {
      id: `msg_${speech.id}`,
      type: 'message',
      role: 'assistant',
      model: speech.model,
      content: [],
      stop_reason: null,
      stop_sequence: null,
    }
    const usage = speech.withUsage ? { usage: { ...anthropicUsage(speech), output_tokens: 1 } } : {}
    return [
      event('message_start', { message: { ...message, ...usage } }),
      event('content_block_start', { index: 0, content_block: { type: 'text', text: '' } }),
      event('ping', {}),
      ...speech.words.map((text) => event('content_block_delta', { index: 0, delta: { type: 'text_delta', text } })),
      event('content_block_stop', { index: 0 }),
      event('message_delta', {
        delta: { stop_reason: speech.cut ? 'max_tokens' : 'end_turn', stop_sequence: null },
        ...(speech.withUsage ? { usage: { output_tokens: speech.output } } : {}),
      }),
      event('message_stop', {}),
    ]
  },
  error: (status, message) =>
    JSON.stringify({
      type: 'error',
      error: { type: status === 429 ? 'rate_limit_error' : 'api_error', message },
      request_id: 'req_simulated',
    }),
}

const GEMINI: Shape = {
  whole: (speech) => JSON.stringify(geminiResponse(speech, speech.words.join(''), true)),
  stream: (speech) => [
    ...speech.words.map((text) => `data: ${JSON.stringify(geminiResponse(speech, text, false))}\r\n\r\n`),
    `data: ${JSON.stringify(geminiResponse(speech, '', true))}\r\n\r\n`,
  ],
  error: (status, message) =>
    JSON.stringify({ error: { code: status, message, status: status === 429 ? 'RESOURCE_EXHAUSTED' : 'INTERNAL' } }),
}

const SHAPES: Readonly<Record<string, Shape>> = {
  'openai.chat': OPENAI,
  'anthropic.messages': ANTHROPIC,
  'gemini.generateContent': GEMINI,
  'openai.completions': { ...OPENAI, ...COMPLETIONS },
  'openai.responses': { ...OPENAI, ...RESPONSES },
  'openai.embeddings': { ...OPENAI, whole: (speech, asked) => openaiVectors(asked, speech) },
  'gemini.embedContent': { ...GEMINI, whole: (speech, asked) => geminiVectors(asked, speech) },
  'anthropic.countTokens': { ...ANTHROPIC, whole: ({ input }) => JSON.stringify({ input_tokens: input }) },
  'gemini.countTokens': { ...GEMINI, whole: ({ input }) => JSON.stringify({ totalTokens: input }) },
}

function openaiUsage(speech: Speech) {
  return {
    prompt_tokens: speech.input,
    completion_tokens: speech.output,
    total_tokens: speech.input + speech.output,
    prompt_tokens_details: { cached_tokens: 0, audio_tokens: 0 },
    completion_tokens_details: { reasoning_tokens: 0, audio_tokens: 0 },
  }
}

function anthropicUsage(speech: Speech) {
  return {
    input_tokens: speech.input,
    cache_creation_input_tokens: 0,
    cache_read_input_tokens: 0,
    output_tokens: speech.output,
    service_tier: 'standard',
  }
}

function geminiResponse(speech: Speech, text: string, last: boolean) {
  const finish = last ? { finishReason: speech.cut ? 'MAX_TOKENS' : 'STOP' } : {}
  const counted = last
    ? { candidatesTokenCount: speech.output, totalTokenCount: speech.input + speech.output }
    : { totalTokenCount: speech.input }
  return {
    candidates: [{ content: { parts: [{ text }], role: 'model' }, ...finish, index: 0 }],
    ...(speech.withUsage ? { usageMetadata: { promptTokenCount: speech.input, ...counted } } : {}),
    modelVersion: speech.model,
    responseId: speech.id,
  }
}

/** Events as Gemini sends them without `alt=sse`: one JSON array. */
function asArray(events: readonly string[]): string[] {
  return [...events.map((event, at) => `${at === 0 ? '[' : ',\r\n'}${event.slice('data: '.length).trim()}\n`), ']']
}

function parsed(body: Buffer): Readonly<Record<string, unknown>> {
  const value: unknown = JSON.parse(body.toString())
  return isRecord(value) ? value : {}
}

function capIn(asked: Readonly<Record<string, unknown>>): number {
  const config = isRecord(asked.generationConfig) ? asked.generationConfig : {}
  const caps = [asked.max_tokens, asked.max_completion_tokens, asked.max_output_tokens, config.maxOutputTokens].filter(
    (cap) => typeof cap === 'number',
  )
  return caps.length > 0 ? Math.min(...caps) : USUAL_CAP
}

/** The text of the last message, whatever the dialect calls it. */
function lastTold(asked: Readonly<Record<string, unknown>>): string {
  for (const text of [asked.prompt, asked.input]) if (typeof text === 'string') return text
  const messages = [asked.messages, asked.contents, asked.input].find((some) => Array.isArray(some)) ?? []
  const last: unknown = messages.at(-1)
  if (!isRecord(last)) return ''
  return textOf(last.content ?? last.parts ?? last.output)
}

function textOf(content: unknown): string {
  if (typeof content === 'string') return content
  if (Array.isArray(content))
    return content
      .map(textOf)
      .filter((text) => text !== '')
      .join(' ')
  return isRecord(content) && typeof content.text === 'string' ? content.text : ''
}

/** A short id that depends on the request alone (FNV-1a). */
function idOf(body: Buffer): string {
  let hash = 0x811c9dc5
  for (const byte of body.subarray(0, 4096)) hash = Math.imul(hash ^ byte, 0x01000193) >>> 0
  return hash.toString(16).padStart(8, '0')
}
