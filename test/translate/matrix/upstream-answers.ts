// Upstream answers: how each provider says the same content, whole and streamed, and how it fails.

import { recordOf } from '../../../src/core/json-values.ts'
import { type Json, listOf, type Provider, SIGNATURES } from './request-rules.ts'

export interface ToolCall {
  readonly name: string
  readonly args: Json
}

/** What the provider says, in no dialect. */
export interface AnswerContent {
  readonly thought: string
  readonly text: string
  readonly calls: readonly ToolCall[]
  /** The number of choices with this content. */
  readonly answers: number
}

/** The usage that every response reports. `input` excludes cached tokens. */
export const REPORTED_USAGE = { input: 21, cached: 100, output: 9, reasoning: 4 }
const TOTAL_INPUT_TOKENS = REPORTED_USAGE.input + REPORTED_USAGE.cached

/** Events in order. Those from `holdAt` on are held until the client has received some of the others. */
export interface EventSequence {
  readonly events: readonly string[]
  readonly holdAt: number
}

/** The parts of a request that tests check, in no dialect. */
export interface RequestSummary {
  readonly images: readonly unknown[]
  readonly schema: unknown
  readonly results: readonly string[]
  readonly tools: readonly { readonly name: unknown; readonly description: unknown; readonly schema: unknown }[]
}

export interface UpstreamAnswers {
  whole(content: AnswerContent, model: string): string
  stream(content: AnswerContent, model: string, body: Json): EventSequence
  /** Whether the response to this request shows thoughts. */
  showsThoughts(body: Json): boolean
  summarizeRequest(body: Json): RequestSummary
  readonly type: string
  refusal(status: number): string
  /** An error event in the middle of a stream. */
  readonly errorEvent: string
}

const MESSAGE = 'The provider says no.'

function halves(text: string): [string, string] {
  const letters = [...text]
  const middle = letters.length >> 1
  return [letters.slice(0, middle).join(''), letters.slice(middle).join('')]
}

const argumentsOf = ({ args }: ToolCall) => JSON.stringify(args)

/** A text in four pieces. */
const quarters = (text: string) => halves(text).flatMap(halves)

/** @param isOpenai false: a compatible server, which shows thoughts, has other ids of calls, and interleaves calls in a stream */
function chatAnswers(isOpenai: boolean): UpstreamAnswers {
  const idOf = (index: number) => (isOpenai ? `call_rI3WKPYvVwlOgCGRjsPP2hE${index}` : `functions.tool:${index}`)
  const usage = ({ thought }: AnswerContent) => ({
    prompt_tokens: TOTAL_INPUT_TOKENS,
    completion_tokens: REPORTED_USAGE.output,
    total_tokens: TOTAL_INPUT_TOKENS + REPORTED_USAGE.output,
    prompt_tokens_details: { cached_tokens: REPORTED_USAGE.cached, audio_tokens: 0 },
    completion_tokens_details: { reasoning_tokens: thought === '' ? 0 : REPORTED_USAGE.reasoning, audio_tokens: 0 },
  })
  const shown = (thought: string) => (isOpenai || thought === '' ? {} : { reasoning_content: thought })
  const reasonOf = ({ calls }: AnswerContent) => (calls.length > 0 ? 'tool_calls' : 'stop')
  const frame = (object: string, model: string) => ({ id: 'chatcmpl-CyCSIMmw', object, created: 1_795_348_800, model })
  return {
    type: 'text/event-stream; charset=utf-8',
    whole(content, model) {
      const { thought, text, calls, answers } = content
      const called = calls.map((call, index) => ({
        id: idOf(index),
        type: 'function',
        function: { name: call.name, arguments: argumentsOf(call) },
      }))
      const message = {
        role: 'assistant',
        content: text === '' ? null : text,
        refusal: null,
        annotations: [],
        ...shown(thought),
        ...(called.length > 0 ? { tool_calls: called } : {}),
      }
      const choices = Array.from({ length: answers }, (_, index) => ({
        index,
        message,
        logprobs: null,
        finish_reason: reasonOf(content),
      }))
      return JSON.stringify({ ...frame('chat.completion', model), choices, usage: usage(content) })
    },
    stream(content, model, { stream_options: options }) {
      const { thought, text, calls, answers } = content
      const tells = !isOpenai || recordOf(options).include_usage === true
      const chunk = (choices: readonly unknown[], used: unknown = null) =>
        `data: ${JSON.stringify({ ...frame('chat.completion.chunk', model), choices, ...(tells ? { usage: used } : {}) })}\n\n`
      const delta = (content: Json, finish_reason: string | null = null) =>
        chunk(Array.from({ length: answers }, (_, index) => ({ index, delta: content, logprobs: null, finish_reason })))
      const head = ({ name }: ToolCall, index: number) =>
        delta({ tool_calls: [{ index, id: idOf(index), type: 'function', function: { name, arguments: '' } }] })
      const piece = (index: number, part: string) => delta({ tool_calls: [{ index, function: { arguments: part } }] })
      const pieces = calls.map((call, index) => halves(argumentsOf(call)).map((part) => piece(index, part)))
      const heads = calls.map(head)
      const beginnings = isOpenai
        ? calls.flatMap((_, index) => [
            heads[index] ?? '',
            pieces[index]?.[0] ?? '',
            ...(index === calls.length - 1 ? [] : [pieces[index]?.[1] ?? '']),
          ])
        : [...heads, ...pieces.map(([first = '']) => first)]
      const endings = isOpenai ? [pieces.at(-1)?.[1] ?? ''] : pieces.map(([, second = '']) => second)
      const words = quarters(text).filter((part) => part !== '')
      const thoughts = isOpenai
        ? []
        : quarters(thought)
            .filter((part) => part !== '')
            .map((part) => delta(shown(part)))
      const texts = words.map((content) => delta({ content }))
      const hasCalls = calls.length > 0
      const before = [
        delta({ role: 'assistant', content: hasCalls ? null : '', refusal: null }),
        ...thoughts,
        ...(hasCalls ? [...texts, ...beginnings] : texts.slice(0, 2)),
      ]
      const rest = [
        ...(hasCalls ? endings.filter((event) => event !== '') : texts.slice(2)),
        delta({}, reasonOf(content)),
        ...(tells ? [chunk([], usage(content))] : []),
        'data: [DONE]\n\n',
      ]
      return { events: [...before, ...rest], holdAt: before.length }
    },
    showsThoughts: (body) => body.reasoning_effort !== undefined,
    summarizeRequest: ({ messages, tools, response_format: format }) => ({
      tools: listOf(tools).map((tool) => {
        const { name, description, parameters: schema } = recordOf(tool.function)
        return { name, description, schema }
      }),
      images: listOf(messages).flatMap(({ content }) =>
        listOf(content).flatMap(({ image_url: image }) => (image ? [recordOf(image).url] : [])),
      ),
      schema: recordOf(recordOf(format).json_schema).schema,
      results: listOf(messages).flatMap(({ role, content }) => (role === 'tool' ? [textOf(content)] : [])),
    }),
    refusal: (status) =>
      JSON.stringify({
        error: { message: MESSAGE, type: OPENAI_TYPES[status] ?? 'server_error', param: null, code: null },
      }),
    errorEvent: `data: ${JSON.stringify({ error: { message: MESSAGE, type: 'server_error', param: null, code: null } })}\n\n`,
  }
}

const OPENAI_TYPES: Readonly<Record<number, string>> = {
  400: 'invalid_request_error',
  401: 'invalid_request_error',
  429: 'requests',
}

const textOf = (content: unknown): string =>
  typeof content === 'string'
    ? content
    : listOf(content)
        .map(({ text }) => text)
        .join('')

const anthropic: UpstreamAnswers = {
  type: 'text/event-stream; charset=utf-8',
  whole: (content, model) =>
    JSON.stringify({
      ...anthropicFrame(model),
      content: blocksOf(content).map(({ block, deltas: _ }) => block),
      stop_reason: content.calls.length > 0 ? 'tool_use' : 'end_turn',
      usage: anthropicUsage(content),
    }),
  stream(content, model) {
    const event = (type: string, fields: object = {}) =>
      `event: ${type}\ndata: ${JSON.stringify({ type, ...fields })}\n\n`
    const blocks = blocksOf(content).map(({ head, deltas }, index) => [
      event('content_block_start', { index, content_block: head }),
      ...deltas.map((delta) => event('content_block_delta', { index, delta })),
      event('content_block_stop', { index }),
    ])
    const message = {
      ...anthropicFrame(model),
      content: [],
      stop_reason: null,
      usage: { ...anthropicUsage(content), output_tokens: 1 },
    }
    const before = [
      event('message_start', { message }),
      event('ping'),
      ...blocks.slice(0, -1).flat(),
      ...(blocks.at(-1)?.slice(0, 3) ?? []),
    ]
    const delta = { stop_reason: content.calls.length > 0 ? 'tool_use' : 'end_turn', stop_sequence: null }
    const rest = [
      ...(blocks.at(-1)?.slice(3) ?? []),
      event('message_delta', { delta, usage: { output_tokens: REPORTED_USAGE.output } }),
      event('message_stop'),
    ]
    return { events: [...before, ...rest], holdAt: before.length }
  },
  showsThoughts: ({ thinking }) => recordOf(thinking).type === 'enabled',
  summarizeRequest: ({ messages, tools, output_config: config }) => {
    const blocks = listOf(messages).flatMap(({ content }) => listOf(content))
    return {
      tools: listOf(tools).map(({ name, description, input_schema: schema }) => ({ name, description, schema })),
      images: blocks.flatMap(({ type, source }) => (type === 'image' ? [recordOf(source).data] : [])),
      schema: recordOf(recordOf(config).format).schema,
      results: blocks.flatMap(({ type, content }) => (type === 'tool_result' ? [textOf(content)] : [])),
    }
  },
  refusal: (status) => JSON.stringify({ type: 'error', error: { type: ANTHROPIC_TYPES[status], message: MESSAGE } }),
  errorEvent: `event: error\ndata: ${JSON.stringify({ type: 'error', error: { type: 'overloaded_error', message: MESSAGE } })}\n\n`,
}

const ANTHROPIC_TYPES: Readonly<Record<number, string>> = {
  400: 'invalid_request_error',
  401: 'authentication_error',
  429: 'rate_limit_error',
  503: 'overloaded_error',
  529: 'overloaded_error',
}

function blocksOf({ thought, text, calls }: AnswerContent) {
  const thinking = { type: 'thinking', thinking: thought, signature: SIGNATURES.anthropic }
  const thoughts = quarters(thought).map((piece) => ({ type: 'thinking_delta', thinking: piece }))
  const sign = { type: 'signature_delta', signature: SIGNATURES.anthropic }
  return [
    ...(thought === ''
      ? []
      : [{ block: thinking, head: { ...thinking, thinking: '', signature: '' }, deltas: [...thoughts, sign] }]),
    ...(text === ''
      ? []
      : [
          {
            block: { type: 'text', text, citations: null },
            head: { type: 'text', text: '' },
            deltas: quarters(text).map((piece) => ({ type: 'text_delta', text: piece })),
          },
        ]),
    ...calls.map((call, index) => {
      const block = { type: 'tool_use', id: `toolu_01KPaKTJSqAK${index}`, name: call.name, input: call.args }
      const deltas = quarters(argumentsOf(call)).map((piece) => ({ type: 'input_json_delta', partial_json: piece }))
      return { block, head: { ...block, input: {} }, deltas }
    }),
  ]
}

const anthropicFrame = (model: string) => ({
  model,
  id: 'msg_01KPaKTJSqAK',
  type: 'message',
  role: 'assistant',
  stop_sequence: null,
})

const anthropicUsage = ({ thought }: AnswerContent) => ({
  input_tokens: REPORTED_USAGE.input,
  cache_creation_input_tokens: 0,
  cache_read_input_tokens: REPORTED_USAGE.cached,
  cache_creation: { ephemeral_5m_input_tokens: 0, ephemeral_1h_input_tokens: 0 },
  output_tokens: REPORTED_USAGE.output,
  ...(thought === '' ? {} : { output_tokens_details: { thinking_tokens: REPORTED_USAGE.reasoning } }),
  service_tier: 'standard',
})

const gemini: UpstreamAnswers = {
  type: 'text/event-stream',
  whole: (answer, model) => {
    const content = { parts: geminiParts(answer, model), role: 'model' }
    const candidates = Array.from({ length: answer.answers }, (_, index) => ({ content, finishReason: 'STOP', index }))
    return JSON.stringify({ candidates, ...geminiFrame(answer, model, true) })
  },
  stream(answer, model) {
    const words = quarters(answer.text).filter((part) => part !== '')
    const parts = [
      ...geminiParts({ ...answer, text: '', calls: [] }, model),
      ...words.map((text) => ({ text })),
      ...geminiParts({ ...answer, text: '', thought: '' }, model),
    ]
    const events = parts.map((part, index) => {
      const isLast = index === parts.length - 1
      const content = { parts: [part], role: 'model' }
      const candidates = Array.from({ length: answer.answers }, (_, candidateIndex) => ({
        content,
        ...(isLast ? { finishReason: 'STOP' } : {}),
        index: candidateIndex,
      }))
      return `data: ${JSON.stringify({ candidates, ...geminiFrame(answer, model, isLast) })}\r\n\r\n`
    })
    return { events, holdAt: events.length - 1 }
  },
  showsThoughts: ({ generationConfig: config }) => recordOf(recordOf(config).thinkingConfig).includeThoughts === true,
  summarizeRequest: ({ contents, tools, generationConfig: config }) => {
    const parts = listOf(contents).flatMap((content) => listOf(content.parts))
    const declared = listOf(tools).flatMap(({ functionDeclarations: declarations }) => listOf(declarations))
    return {
      tools: declared.map(({ name, description, parametersJsonSchema: schema }) => ({ name, description, schema })),
      images: parts.flatMap(({ inlineData }) => (inlineData ? [recordOf(inlineData).data] : [])),
      schema: recordOf(config).responseJsonSchema,
      results: parts.flatMap(({ functionResponse: answer }) =>
        answer ? [textOf(recordOf(recordOf(answer).response).result)] : [],
      ),
    }
  },
  refusal: (status) => JSON.stringify({ error: { code: status, message: MESSAGE, status: GEMINI_NAMES[status] } }),
  errorEvent: `data: ${JSON.stringify({ error: { code: 503, message: MESSAGE, status: 'UNAVAILABLE' } })}\r\n\r\n`,
}

const GEMINI_NAMES: Readonly<Record<number, string>> = {
  400: 'INVALID_ARGUMENT',
  401: 'UNAUTHENTICATED',
  429: 'RESOURCE_EXHAUSTED',
  503: 'UNAVAILABLE',
}

/** Only the newest models sign calls. Calls have no ids. */
function geminiParts({ thought, text, calls }: AnswerContent, model: string): Json[] {
  const signs = model.startsWith('gemini-3')
  return [
    ...(thought === '' ? [] : [{ text: thought, thought: true }]),
    ...(text === '' ? [] : [{ text }]),
    ...calls.map(({ name, args }, index) => ({
      functionCall: { name, args },
      ...(signs && index === 0 ? { thoughtSignature: SIGNATURES.gemini } : {}),
    })),
  ]
}

function geminiFrame({ thought }: AnswerContent, model: string, isLast: boolean) {
  const thoughts = thought === '' ? 0 : REPORTED_USAGE.reasoning
  const counted = {
    candidatesTokenCount: REPORTED_USAGE.output - thoughts,
    ...(thoughts > 0 ? { thoughtsTokenCount: thoughts } : {}),
    totalTokenCount: TOTAL_INPUT_TOKENS + REPORTED_USAGE.output,
  }
  return {
    usageMetadata: {
      promptTokenCount: TOTAL_INPUT_TOKENS,
      cachedContentTokenCount: REPORTED_USAGE.cached,
      ...(isLast ? counted : { totalTokenCount: TOTAL_INPUT_TOKENS }),
    },
    modelVersion: model,
    responseId: 'RdkEauOIL66dqtsP',
  }
}

export const UPSTREAM_ANSWERS: Readonly<Record<Provider, UpstreamAnswers>> = {
  openai: chatAnswers(true),
  compatible: chatAnswers(false),
  anthropic,
  gemini,
}
