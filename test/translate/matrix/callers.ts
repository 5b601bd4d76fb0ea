// Callers: clients that hold a conversation through the gateway with the official SDKs of OpenAI, Anthropic and Google.

import Anthropic from '@anthropic-ai/sdk'
import {
  ApiError,
  type Content,
  type GenerateContentParameters,
  type GenerateContentResponse,
  GoogleGenAI,
  type Part,
} from '@google/genai'
import OpenAI from 'openai'
import { isRecord, recordOf } from '../../../src/core/json-values.ts'
import { KEY } from './upstreams.ts'

/** What the client asks for, beside the turn itself. */
export interface CallerOptions {
  readonly model: string
  readonly tools?: boolean
  readonly schema?: boolean
  readonly thinks?: boolean
  /** Further fields of the request, in the caller's dialect. */
  readonly extraFields?: object
  readonly signal?: AbortSignal
}

export interface ToolResult {
  readonly call: ReceivedToolCall
  readonly text: string
}

/** What the client asks: text, with or without an image, or the results of tool calls. */
export type Turn = { readonly text: string; readonly image?: string } | { readonly results: readonly ToolResult[] }

export interface ReceivedToolCall {
  /** Gemini can leave it out. */
  readonly id: string | undefined
  readonly name: string
  readonly args: unknown
}

/** A response as the SDK returns it. */
export interface CallerAnswer {
  readonly text: string
  readonly thought: string
  readonly calls: readonly ReceivedToolCall[]
  /** The stop reason as the dialect names it. */
  readonly stop: string
  /** The number of choices. */
  readonly answers: number
  /** `input` includes cached tokens, `output` includes reasoning. */
  readonly usage: {
    readonly input: number
    readonly cached: number
    readonly output: number
    readonly reasoning: number
  }
  readonly callId: string
  readonly headers: Headers
}

export type PieceKind = 'text' | 'thought' | 'call' | 'arguments'
/** Called with each piece of a stream as it arrives. */
export type PieceListener = (kind: PieceKind, text: string) => void

export interface Conversation {
  whole(turn: Turn, options: CallerOptions): Promise<CallerAnswer>
  streamed(turn: Turn, options: CallerOptions, listener: PieceListener): Promise<CallerAnswer>
}

/** What a user of the SDK can read in its error. */
export interface CallerError {
  readonly type: string
  readonly status: number | undefined
  /** The body of the error response. */
  readonly body: unknown
}

export interface Caller {
  readonly name: 'openai' | 'anthropic' | 'gemini'
  readonly dialect: string
  /** The stop reasons of the dialect. */
  readonly stops: { readonly end: string; readonly calls: string }
  startConversation(url: string): Conversation
  /** Undefined for an error that is not the SDK's own. */
  readError(error: unknown): CallerError | undefined
}

export const SCHEMA = {
  type: 'object',
  properties: { city: { type: 'string' }, days: { type: 'integer' } },
  required: ['city', 'days'],
  additionalProperties: false,
}
const ZONE = { type: 'object', properties: { zone: { type: 'string' } }, required: ['zone'] }
export const TOOLS = [
  { name: 'weather', description: 'The weather in a city.', schema: SCHEMA },
  { name: 'time', description: 'The time in a zone.', schema: ZONE },
]
const SYSTEM_PROMPT = 'You are brief.'
const CAP_TOKENS = 3_000
const THINKING_TOKENS = 2_000

/** Records the headers of the last response. */
class HeaderRecorder {
  headers = new Headers()

  readonly fetch = async (input: string | URL | Request, init?: RequestInit): Promise<Response> => {
    const response = await fetch(input, init)
    this.headers = response.headers
    return response
  }

  get headerFields() {
    return { headers: this.headers, callId: this.headers.get('x-bursar-call-id') ?? '' }
  }
}

class OpenaiConversation extends HeaderRecorder implements Conversation {
  readonly #messages: OpenAI.ChatCompletionMessageParam[] = [{ role: 'system', content: SYSTEM_PROMPT }]
  readonly #client: OpenAI

  constructor(url: string) {
    super()
    this.#client = new OpenAI({ apiKey: KEY, baseURL: `${url}/v1`, maxRetries: 0, fetch: this.fetch })
  }

  async whole(turn: Turn, options: CallerOptions): Promise<CallerAnswer> {
    const body = this.#body(turn, options)
    return this.#readAnswer(await this.#client.chat.completions.create(body, requestOptions(options)))
  }

  async streamed(turn: Turn, options: CallerOptions, listener: PieceListener): Promise<CallerAnswer> {
    const body = { ...this.#body(turn, options), stream: true as const, stream_options: { include_usage: true } }
    const stream = this.#client.chat.completions.stream(body, requestOptions(options))
    let thoughts = ''
    for await (const { choices } of stream) {
      for (const { delta } of choices) {
        if (delta.content) listener('text', delta.content)
        const thought = 'reasoning_content' in delta ? delta.reasoning_content : undefined
        if (typeof thought === 'string' && thought !== '') {
          listener('thought', thought)
          thoughts += thought
        }
        for (const { function: calls } of delta.tool_calls ?? []) {
          if (calls?.name) listener('call', calls.name)
          if (calls?.arguments) listener('arguments', calls.arguments)
        }
      }
    }
    // Of fields that it does not know, the SDK keeps only the last piece.
    return this.#readAnswer(await stream.finalChatCompletion(), thoughts)
  }

  #body(
    turn: Turn,
    { model, tools, schema, thinks, extraFields }: CallerOptions,
  ): OpenAI.ChatCompletionCreateParamsNonStreaming {
    if ('results' in turn) {
      for (const { call, text } of turn.results)
        this.#messages.push({ role: 'tool', tool_call_id: call.id ?? '', content: text })
    } else {
      const { text, image } = turn
      const url = `data:image/png;base64,${image}`
      this.#messages.push({
        role: 'user',
        content: image
          ? [
              { type: 'text', text },
              { type: 'image_url', image_url: { url } },
            ]
          : text,
      })
    }
    const functions = TOOLS.map(({ schema: parameters, ...tool }) => ({
      type: 'function' as const,
      function: { ...tool, parameters },
    }))
    const json_schema = { name: 'weather', schema: SCHEMA, strict: true }
    return {
      model,
      messages: this.#messages,
      max_completion_tokens: CAP_TOKENS,
      ...(tools ? { tools: functions } : {}),
      ...(schema ? { response_format: { type: 'json_schema', json_schema } } : {}),
      ...(thinks ? { reasoning_effort: 'low' } : {}),
      ...extraFields,
    }
  }

  #readAnswer({ choices, usage }: OpenAI.ChatCompletion, thoughts = ''): CallerAnswer {
    const [choice] = choices
    if (!choice || !usage) throw new Error('the response has no choice or no usage')
    const { finish_reason: stop } = choice
    const message = { ...choice.message, ...(thoughts === '' ? {} : { reasoning_content: thoughts }) }
    // Agents send back a message exactly as they received it.
    this.#messages.push(message)
    const calls = (message.tool_calls ?? []).filter((call) => call.type === 'function')
    return {
      text: message.content ?? '',
      thought: 'reasoning_content' in message ? String(message.reasoning_content) : '',
      calls: calls.map(({ id, function: { name, arguments: args } }) => ({ id, name, args: JSON.parse(args) })),
      stop,
      answers: choices.length,
      usage: {
        input: usage.prompt_tokens,
        cached: usage.prompt_tokens_details?.cached_tokens ?? 0,
        output: usage.completion_tokens,
        reasoning: usage.completion_tokens_details?.reasoning_tokens ?? 0,
      },
      ...this.headerFields,
    }
  }
}

const requestOptions = ({ signal }: CallerOptions) => (signal ? { signal } : {})

class AnthropicConversation extends HeaderRecorder implements Conversation {
  readonly #messages: Anthropic.MessageParam[] = []
  readonly #client: Anthropic

  constructor(url: string) {
    super()
    this.#client = new Anthropic({ apiKey: KEY, baseURL: url, maxRetries: 0, fetch: this.fetch })
  }

  async whole(turn: Turn, options: CallerOptions): Promise<CallerAnswer> {
    return this.#readAnswer(await this.#client.messages.create(this.#body(turn, options), requestOptions(options)))
  }

  async streamed(turn: Turn, options: CallerOptions, listener: PieceListener): Promise<CallerAnswer> {
    const stream = this.#client.messages.stream(this.#body(turn, options), requestOptions(options))
    for await (const event of stream) {
      if (event.type === 'content_block_start' && event.content_block.type === 'tool_use')
        listener('call', event.content_block.name)
      if (event.type !== 'content_block_delta') continue
      const { delta } = event
      if (delta.type === 'text_delta') listener('text', delta.text)
      else if (delta.type === 'thinking_delta') listener('thought', delta.thinking)
      else if (delta.type === 'input_json_delta' && delta.partial_json !== '') listener('arguments', delta.partial_json)
    }
    return this.#readAnswer(await stream.finalMessage())
  }

  #body(
    turn: Turn,
    { model, tools, schema, thinks, extraFields }: CallerOptions,
  ): Anthropic.MessageCreateParamsNonStreaming {
    this.#messages.push({ role: 'user', content: anthropicContent(turn) })
    const described = TOOLS.map(({ schema: input, ...tool }) => ({
      ...tool,
      input_schema: { ...input, type: 'object' as const },
    }))
    return {
      model,
      system: SYSTEM_PROMPT,
      messages: this.#messages,
      max_tokens: CAP_TOKENS,
      ...(tools ? { tools: described } : {}),
      ...(schema ? { output_config: { format: { type: 'json_schema', schema: SCHEMA } } } : {}),
      ...(thinks ? { thinking: { type: 'enabled', budget_tokens: THINKING_TOKENS } } : {}),
      ...extraFields,
    }
  }

  #readAnswer({ content, stop_reason: stop, usage }: Anthropic.Message): CallerAnswer {
    this.#messages.push({ role: 'assistant', content })
    const cached = usage.cache_read_input_tokens ?? 0
    return {
      text: content.map((block) => (block.type === 'text' ? block.text : '')).join(''),
      thought: content.map((block) => (block.type === 'thinking' ? block.thinking : '')).join(''),
      calls: content.flatMap((block) =>
        block.type === 'tool_use' ? [{ id: block.id, name: block.name, args: block.input }] : [],
      ),
      stop: stop ?? '',
      answers: 1,
      usage: {
        input: usage.input_tokens + cached + (usage.cache_creation_input_tokens ?? 0),
        cached,
        output: usage.output_tokens,
        reasoning: usage.output_tokens_details?.thinking_tokens ?? 0,
      },
      ...this.headerFields,
    }
  }
}

function anthropicContent(turn: Turn): Anthropic.MessageParam['content'] {
  if ('results' in turn) {
    return turn.results.map(({ call, text }) => ({
      type: 'tool_result' as const,
      tool_use_id: call.id ?? '',
      content: text,
    }))
  }
  if (!turn.image) return turn.text
  const source = { type: 'base64' as const, media_type: 'image/png' as const, data: turn.image }
  return [
    { type: 'text', text: turn.text },
    { type: 'image', source },
  ]
}

class GeminiConversation implements Conversation {
  readonly #contents: Content[] = []
  readonly #models: GoogleGenAI['models']

  constructor(url: string) {
    this.#models = new GoogleGenAI({ apiKey: KEY, httpOptions: { baseUrl: url } }).models
  }

  async whole(turn: Turn, options: CallerOptions): Promise<CallerAnswer> {
    return this.#readAnswer([await this.#models.generateContent(this.#body(turn, options))])
  }

  async streamed(turn: Turn, options: CallerOptions, listener: PieceListener): Promise<CallerAnswer> {
    const answers: GenerateContentResponse[] = []
    for await (const answer of await this.#models.generateContentStream(this.#body(turn, options))) {
      answers.push(answer)
      for (const part of answer.candidates?.[0]?.content?.parts ?? []) {
        if (part.functionCall) listener('call', part.functionCall.name ?? '')
        else if (part.text) listener(part.thought ? 'thought' : 'text', part.text)
      }
    }
    return this.#readAnswer(answers)
  }

  #body(turn: Turn, { model, tools, schema, thinks, extraFields, signal }: CallerOptions): GenerateContentParameters {
    this.#contents.push({ role: 'user', parts: geminiParts(turn) })
    const declared = TOOLS.map(({ schema: parametersJsonSchema, ...tool }) => ({ ...tool, parametersJsonSchema }))
    return {
      model,
      contents: this.#contents,
      config: {
        systemInstruction: SYSTEM_PROMPT,
        maxOutputTokens: CAP_TOKENS,
        ...(tools ? { tools: [{ functionDeclarations: declared }] } : {}),
        ...(schema ? { responseMimeType: 'application/json', responseJsonSchema: SCHEMA } : {}),
        ...(thinks ? { thinkingConfig: { thinkingBudget: THINKING_TOKENS, includeThoughts: true } } : {}),
        ...(signal ? { abortSignal: signal } : {}),
        ...extraFields,
      },
    }
  }

  #readAnswer(answers: readonly GenerateContentResponse[]): CallerAnswer {
    const candidates = answers.flatMap((answer) => answer.candidates ?? [])
    const first = candidates.filter(({ index = 0 }) => index === 0)
    const parts = first.flatMap(({ content }) => content?.parts ?? [])
    this.#contents.push({ role: 'model', parts })
    const usage = answers.findLast(({ usageMetadata }) => usageMetadata)?.usageMetadata ?? {}
    const { thoughtsTokenCount: reasoning = 0 } = usage
    const headers = new Headers(answers[0]?.sdkHttpResponse?.headers)
    return {
      text: parts.map(({ text, thought }) => (thought ? '' : (text ?? ''))).join(''),
      thought: parts.map(({ text, thought }) => (thought ? (text ?? '') : '')).join(''),
      calls: parts.flatMap(({ functionCall: call }) =>
        call ? [{ id: call.id, name: call.name ?? '', args: call.args }] : [],
      ),
      stop: first.findLast(({ finishReason }) => finishReason)?.finishReason ?? '',
      answers: new Set(candidates.map(({ index = 0 }) => index)).size,
      usage: {
        input: usage.promptTokenCount ?? 0,
        cached: usage.cachedContentTokenCount ?? 0,
        output: (usage.candidatesTokenCount ?? 0) + reasoning,
        reasoning,
      },
      headers,
      callId: headers.get('x-bursar-call-id') ?? '',
    }
  }
}

function geminiParts(turn: Turn): Part[] {
  if ('results' in turn) {
    return turn.results.map(({ call: { id, name }, text }) => ({
      functionResponse: { ...(id === undefined ? {} : { id }), name, response: { result: text } },
    }))
  }
  const { text, image } = turn
  return [{ text }, ...(image ? [{ inlineData: { mimeType: 'image/png', data: image } }] : [])]
}

export const CALLERS: readonly Caller[] = [
  {
    name: 'openai',
    dialect: 'openai.chat',
    stops: { end: 'stop', calls: 'tool_calls' },
    startConversation: (url) => new OpenaiConversation(url),
    readError: (error) =>
      error instanceof OpenAI.APIError
        ? { type: error.constructor.name, status: error.status, body: error.error }
        : undefined,
  },
  {
    name: 'anthropic',
    dialect: 'anthropic.messages',
    stops: { end: 'end_turn', calls: 'tool_use' },
    startConversation: (url) => new AnthropicConversation(url),
    readError: (error) =>
      error instanceof Anthropic.APIError
        ? { type: error.constructor.name, status: error.status, body: error.error }
        : undefined,
  },
  {
    name: 'gemini',
    dialect: 'gemini.generateContent',
    stops: { end: 'STOP', calls: 'STOP' },
    startConversation: (url) => new GeminiConversation(url),
    readError: (error) =>
      error instanceof ApiError
        ? { type: error.constructor.name, status: error.status, body: bodyIn(error.message) }
        : undefined,
  },
]

/** The error that the SDK raises. Throws if it raises none, or one that is not its own. */
export async function errorRaisedBy(caller: Caller, answer: Promise<unknown>): Promise<CallerError> {
  const error: unknown = await answer.then(
    () => undefined,
    (thrown: unknown) => thrown,
  )
  const raised = caller.readError(error)
  if (!raised) throw new Error('expected an error of the SDK', { cause: error })
  return raised
}

/** Google's SDK puts the body into the message. */
function bodyIn(message: string): unknown {
  const [json = '{}'] = /{.*/s.exec(message) ?? []
  const body: unknown = JSON.parse(json)
  const inner = recordOf(recordOf(body).error).message
  return typeof inner === 'string' && inner.startsWith('{') ? JSON.parse(inner) : isRecord(body) ? body : {}
}
