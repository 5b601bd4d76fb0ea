// Callers: the official SDKs of OpenAI, Anthropic and Google, each holding a conversation through the gateway in its own dialect.

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

/** What is asked for, beside what is said. */
export interface CallerOptions {
  readonly model: string
  readonly tools?: boolean
  readonly schema?: boolean
  readonly thinks?: boolean
  /** More fields, in the caller's own words. */
  readonly more?: object
  readonly signal?: AbortSignal
}

export interface ToolResult {
  readonly call: ReceivedToolCall
  readonly text: string
}

/** What is said: words, with or without a picture, or what tools found out. */
export type Turn = { readonly text: string; readonly image?: string } | { readonly results: readonly ToolResult[] }

export interface ReceivedToolCall {
  /** Gemini may give none. */
  readonly id: string | undefined
  readonly name: string
  readonly args: unknown
}

/** An answer as its SDK hands it out. */
export interface CallerAnswer {
  readonly text: string
  readonly thought: string
  readonly calls: readonly ReceivedToolCall[]
  /** Why it stopped, in the dialect's word. */
  readonly stop: string
  readonly answers: number
  /** `input` is all input, `output` all output. */
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
/** Hears of each piece of a stream as it comes. */
export type PieceListener = (kind: PieceKind, text: string) => void

export interface Conversation {
  whole(turn: Turn, wish: CallerOptions): Promise<CallerAnswer>
  streamed(turn: Turn, wish: CallerOptions, hear: PieceListener): Promise<CallerAnswer>
}

/** What a user of the SDK can read from its error. */
export interface CallerError {
  readonly type: string
  readonly status: number | undefined
  /** The body's own words. */
  readonly body: unknown
}

export interface Caller {
  readonly name: 'openai' | 'anthropic' | 'gemini'
  readonly dialect: string
  /** Why answers stop. */
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

/** Remembers the headers of the last answer. */
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

  async whole(turn: Turn, wish: CallerOptions): Promise<CallerAnswer> {
    const body = this.#body(turn, wish)
    return this.#readAnswer(await this.#client.chat.completions.create(body, options(wish)))
  }

  async streamed(turn: Turn, wish: CallerOptions, hear: PieceListener): Promise<CallerAnswer> {
    const body = { ...this.#body(turn, wish), stream: true as const, stream_options: { include_usage: true } }
    const stream = this.#client.chat.completions.stream(body, options(wish))
    let thoughts = ''
    for await (const { choices } of stream) {
      for (const { delta } of choices) {
        if (delta.content) hear('text', delta.content)
        const thought = 'reasoning_content' in delta ? delta.reasoning_content : undefined
        if (typeof thought === 'string' && thought !== '') {
          hear('thought', thought)
          thoughts += thought
        }
        for (const { function: called } of delta.tool_calls ?? []) {
          if (called?.name) hear('call', called.name)
          if (called?.arguments) hear('arguments', called.arguments)
        }
      }
    }
    // Of fields it does not know, the SDK keeps the last piece alone.
    return this.#readAnswer(await stream.finalChatCompletion(), thoughts)
  }

  #body(
    turn: Turn,
    { model, tools, schema, thinks, more }: CallerOptions,
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
      ...more,
    }
  }

  #readAnswer({ choices, usage }: OpenAI.ChatCompletion, thoughts = ''): CallerAnswer {
    const [choice] = choices
    if (!choice || !usage) throw new Error('there is no choice, or no usage')
    const { finish_reason: stop } = choice
    const message = { ...choice.message, ...(thoughts === '' ? {} : { reasoning_content: thoughts }) }
    // Agents hand back what they got, as they got it.
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

const options = ({ signal }: CallerOptions) => (signal ? { signal } : {})

class AnthropicConversation extends HeaderRecorder implements Conversation {
  readonly #messages: Anthropic.MessageParam[] = []
  readonly #client: Anthropic

  constructor(url: string) {
    super()
    this.#client = new Anthropic({ apiKey: KEY, baseURL: url, maxRetries: 0, fetch: this.fetch })
  }

  async whole(turn: Turn, wish: CallerOptions): Promise<CallerAnswer> {
    return this.#readAnswer(await this.#client.messages.create(this.#body(turn, wish), options(wish)))
  }

  async streamed(turn: Turn, wish: CallerOptions, hear: PieceListener): Promise<CallerAnswer> {
    const stream = this.#client.messages.stream(this.#body(turn, wish), options(wish))
    for await (const event of stream) {
      if (event.type === 'content_block_start' && event.content_block.type === 'tool_use')
        hear('call', event.content_block.name)
      if (event.type !== 'content_block_delta') continue
      const { delta } = event
      if (delta.type === 'text_delta') hear('text', delta.text)
      else if (delta.type === 'thinking_delta') hear('thought', delta.thinking)
      else if (delta.type === 'input_json_delta' && delta.partial_json !== '') hear('arguments', delta.partial_json)
    }
    return this.#readAnswer(await stream.finalMessage())
  }

  #body(turn: Turn, { model, tools, schema, thinks, more }: CallerOptions): Anthropic.MessageCreateParamsNonStreaming {
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
      ...more,
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

  async whole(turn: Turn, wish: CallerOptions): Promise<CallerAnswer> {
    return this.#readAnswer([await this.#models.generateContent(this.#body(turn, wish))])
  }

  async streamed(turn: Turn, wish: CallerOptions, hear: PieceListener): Promise<CallerAnswer> {
    const answers: GenerateContentResponse[] = []
    for await (const answer of await this.#models.generateContentStream(this.#body(turn, wish))) {
      answers.push(answer)
      for (const part of answer.candidates?.[0]?.content?.parts ?? []) {
        if (part.functionCall) hear('call', part.functionCall.name ?? '')
        else if (part.text) hear(part.thought ? 'thought' : 'text', part.text)
      }
    }
    return this.#readAnswer(answers)
  }

  #body(turn: Turn, { model, tools, schema, thinks, more, signal }: CallerOptions): GenerateContentParameters {
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
        ...more,
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

/** Throws where nothing is raised, or no error of the SDK's own. */
export async function errorRaisedBy(caller: Caller, answer: Promise<unknown>): Promise<CallerError> {
  const error: unknown = await answer.then(
    () => undefined,
    (thrown: unknown) => thrown,
  )
  const raised = caller.readError(error)
  if (!raised) throw new Error('nothing was raised, or no error of the SDK', { cause: error })
  return raised
}

/** Google's SDK puts the body into its words. */
function bodyIn(message: string): unknown {
  const [json = '{}'] = /{.*/s.exec(message) ?? []
  const body: unknown = JSON.parse(json)
  const inner = recordOf(recordOf(body).error).message
  return typeof inner === 'string' && inner.startsWith('{') ? JSON.parse(inner) : isRecord(body) ? body : {}
}
