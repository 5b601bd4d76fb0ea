// Provider answers: what the three vendors answer to an ordinary request, as close to their real answers as a test needs.

import { recordOf } from '../../src/core/json-values.ts'
import type { ReportedUsage } from '../call/dialect-fixtures.ts'
import type { ProviderAnswer, ProviderRequest } from './provider.ts'

/** The text of every answer, piece by piece, and the tool that is called instead if the request has tools. */
export const WORDS: readonly string[] = ['Grüße', ' aus', ' Köln', ' \u{1f44b}', '.']
export const CITY = { name: 'weather', arguments: { city: 'Köln' } }
const TEXT = WORDS.join('')
const ARGUMENTS = JSON.stringify(CITY.arguments)

/** What the vendor answers that a request is for: whole or as a stream, in words or as a call of a tool. */
export function vendorAnswer(request: ProviderRequest, spent: ReportedUsage): ProviderAnswer {
  const { dialect, path, json: body } = request
  const tool = Array.isArray(body.tools) && body.tools.length > 0
  const stream = dialect === 'gemini' ? path.includes(':stream') : body.stream === true
  const events = stream && (dialect !== 'gemini' || path.includes('alt=sse'))
  const type = events ? 'text/event-stream; charset=utf-8' : 'application/json'
  const answers = { openai, anthropic, gemini }[dialect]
  const pieces = stream ? answers.stream(spent, tool, body) : [JSON.stringify(answers.whole(spent, tool))]
  const asArray = stream && !events
  return {
    status: 200,
    headers: { 'content-type': type, 'set-cookie': '__cf_bm=cookie; path=/', ...answers.headers },
    pieces: asArray
      ? [...pieces.map((piece, index) => `${index ? ',\r\n' : '['}${piece.slice(6).trim()}\n`), ']']
      : pieces,
  }
}

interface DialectAnswers {
  readonly headers: Readonly<Record<string, string>>
  whole(spent: ReportedUsage, tool: boolean): unknown
  stream(spent: ReportedUsage, tool: boolean, body: Readonly<Record<string, unknown>>): string[]
}

const openai: DialectAnswers = {
  headers: {
    'x-request-id': 'req_upstream',
    'openai-organization': 'the-owner',
    'openai-processing-ms': '401',
    'openai-version': '2020-10-01',
    'x-ratelimit-limit-requests': '5000',
    'x-ratelimit-remaining-requests': '4999',
    'x-ratelimit-reset-requests': '12ms',
  },
  whole: (spent, tool) => {
    const plain = { role: 'assistant', content: tool ? null : TEXT, refusal: null, annotations: [] }
    const call = { id: 'call_1', type: 'function', function: { name: CITY.name, arguments: ARGUMENTS } }
    const message = tool ? { ...plain, tool_calls: [call] } : plain
    const choice = { index: 0, message, logprobs: null, finish_reason: tool ? 'tool_calls' : 'stop' }
    return { ...openaiFrame, object: 'chat.completion', choices: [choice], usage: openaiUsage(spent) }
  },
  stream: (spent, tool, { stream_options: options }) => {
    const withUsage = recordOf(options).include_usage === true
    const chunk = (choices: unknown[], usage: unknown = null) =>
      `data: ${JSON.stringify({ ...openaiFrame, object: 'chat.completion.chunk', choices, ...(withUsage ? { usage } : {}), obfuscation: 'aJ3x' })}\n\n`
    const delta = (delta: unknown, finish_reason: string | null = null) =>
      chunk([{ index: 0, delta, logprobs: null, finish_reason }])
    const call = (part: unknown) => delta({ tool_calls: [{ index: 0, ...(part as object) }] })
    const opening = { id: 'call_1', type: 'function', function: { name: CITY.name, arguments: '' } }
    return [
      delta({ role: 'assistant', content: tool ? null : '', refusal: null }),
      ...(tool ? [call(opening)] : []),
      ...(tool ? halves(ARGUMENTS).map((part) => call({ function: { arguments: part } })) : []),
      ...(tool ? [] : WORDS.map((content) => delta({ content }))),
      delta({}, tool ? 'tool_calls' : 'stop'),
      ...(withUsage ? [chunk([], openaiUsage(spent))] : []),
      'data: [DONE]\n\n',
    ]
  },
}

const openaiFrame = {
  id: 'chatcmpl-CyCSIMmw6M95',
  created: 1_795_348_800,
  model: 'gpt-4o-2024-08-06',
  service_tier: 'default',
  system_fingerprint: 'fp_a0e9480a2f',
}

function openaiUsage({ input, output }: ReportedUsage) {
  return {
    prompt_tokens: input,
    completion_tokens: output,
    total_tokens: input + output,
    prompt_tokens_details: { cached_tokens: 0, audio_tokens: 0 },
    completion_tokens_details: { reasoning_tokens: 0, audio_tokens: 0 },
  }
}

const anthropic: DialectAnswers = {
  headers: {
    'request-id': 'req_upstream',
    'anthropic-organization-id': 'the-owner',
    'anthropic-ratelimit-requests-limit': '50',
    'anthropic-ratelimit-requests-remaining': '49',
    'anthropic-ratelimit-requests-reset': '2026-11-22T12:00:01Z',
  },
  whole: (spent, tool) => ({
    ...anthropicFrame,
    content: [tool ? { ...anthropicCall, input: CITY.arguments } : { type: 'text', text: TEXT }],
    stop_reason: tool ? 'tool_use' : 'end_turn',
    usage: anthropicUsage(spent),
  }),
  stream: (spent, tool) => {
    const event = (type: string, fields: object = {}) =>
      `event: ${type}\ndata: ${JSON.stringify({ type, ...fields })}\n\n`
    const delta = (delta: unknown) => event('content_block_delta', { index: 0, delta })
    const usage = { ...anthropicUsage(spent), output_tokens: 1 }
    return [
      event('message_start', { message: { ...anthropicFrame, content: [], stop_reason: null, usage } }),
      event('content_block_start', { index: 0, content_block: tool ? anthropicCall : { type: 'text', text: '' } }),
      event('ping'),
      ...(tool
        ? halves(ARGUMENTS).map((part) => delta({ type: 'input_json_delta', partial_json: part }))
        : WORDS.map((text) => delta({ type: 'text_delta', text }))),
      event('content_block_stop', { index: 0 }),
      event('message_delta', {
        delta: { stop_reason: tool ? 'tool_use' : 'end_turn', stop_sequence: null },
        usage: { output_tokens: spent.output },
      }),
      event('message_stop'),
    ]
  },
}

const anthropicCall = { type: 'tool_use', id: 'toolu_1', name: CITY.name, input: {} }
const anthropicFrame = {
  model: 'claude-sonnet-5',
  id: 'msg_01KPaKTJSqAK',
  type: 'message',
  role: 'assistant',
  stop_sequence: null,
}

function anthropicUsage({ input, output }: ReportedUsage) {
  return {
    input_tokens: input,
    cache_creation_input_tokens: 0,
    cache_read_input_tokens: 0,
    cache_creation: { ephemeral_5m_input_tokens: 0, ephemeral_1h_input_tokens: 0 },
    output_tokens: output,
    service_tier: 'standard',
    inference_geo: 'not_available',
  }
}

const gemini: DialectAnswers = {
  headers: { 'server-timing': 'gfet4t7; dur=610', 'x-content-type-options': 'nosniff' },
  whole: (spent, tool) => geminiResponse([tool ? geminiCall : { text: TEXT }], spent, true),
  stream: (spent, tool) => {
    const parts = tool ? [geminiCall] : WORDS.map((text) => ({ text }))
    return parts.map((part, index) => {
      const response = geminiResponse([part], spent, index === parts.length - 1)
      return `data: ${JSON.stringify(response)}\r\n\r\n`
    })
  },
}

const geminiCall = { functionCall: { id: 'fc_1', name: CITY.name, args: CITY.arguments } }

function geminiResponse(parts: readonly unknown[], { input, output }: ReportedUsage, last: boolean) {
  const counted = last ? { candidatesTokenCount: output, totalTokenCount: input + output } : { totalTokenCount: input }
  return {
    candidates: [{ content: { parts, role: 'model' }, ...(last ? { finishReason: 'STOP' } : {}), index: 0 }],
    usageMetadata: {
      promptTokenCount: input,
      ...counted,
      promptTokensDetails: [{ modality: 'TEXT', tokenCount: input }],
    },
    modelVersion: 'gemini-2.5-flash',
    responseId: 'RdkEauOIL66dqtsP',
  }
}

function halves(text: string): string[] {
  const middle = text.length >> 1
  return [text.slice(0, middle), text.slice(middle)]
}
