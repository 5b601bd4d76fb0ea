// Frameworks: LangChain and the AI SDK, over each provider, as Clients.

import { createAnthropic } from '@ai-sdk/anthropic'
import { createGoogle } from '@ai-sdk/google'
import { createOpenAI } from '@ai-sdk/openai'
import { ChatAnthropic } from '@langchain/anthropic'
import { ChatOpenAI } from '@langchain/openai'
import {
  APICallError,
  generateText,
  jsonSchema,
  type LanguageModel,
  RetryError,
  streamText,
  type ToolSet,
  tool,
} from 'ai'
import type { DialectName } from '../call/dialect-fixtures.ts'
import {
  type ApiErrorLike,
  CAP,
  type Client,
  type ClientRequest,
  codeIn,
  FUNCTION,
  headers,
  modelOf,
  PARAMETERS,
  PROMPT,
  retries,
  sdkFailure,
  signal,
  TOOL,
} from './client-request.ts'

/** What a LangChain model has in common whichever provider answers. */
interface Runnable {
  invoke(prompt: string, options: { readonly signal?: AbortSignal }): Promise<Message>
  stream(prompt: string, options: { readonly signal?: AbortSignal }): Promise<AsyncIterable<Message>>
}

interface Message {
  readonly content: unknown
  readonly tool_calls?: unknown
  readonly usage_metadata?: unknown
  readonly response_metadata: unknown
}

/** LangChain brings copies of the SDKs of its own, whose classes are known by name only. */
function isApiError(error: unknown): error is ApiErrorLike {
  for (let of = error; of instanceof Error; of = Object.getPrototypeOf(of)) {
    if (of.constructor.name === 'APIError') return true
  }
  return false
}

function langchain(name: string, dialect: DialectName, modelFor: (ask: ClientRequest) => Runnable): Client {
  const read = ({ content, tool_calls, usage_metadata, response_metadata }: Message) => ({
    content,
    tool_calls,
    usage_metadata,
    response_metadata,
  })
  return {
    name,
    dialect,
    whole: async (ask) => read(await modelFor(ask).invoke(ask.prompt ?? PROMPT, signal(ask))),
    async *events(ask) {
      for await (const event of await modelFor(ask).stream(ask.prompt ?? PROMPT, signal(ask))) yield read(event)
    },
    failure: (error) => {
      if (!isApiError(error)) return undefined
      const failure = sdkFailure(error, error.errorCode ?? error.code ?? error.type)
      // LangChain names what it makes of a provider's error in the error's own name.
      const renamed = error.name !== 'Error' && error.name !== failure.type
      return renamed ? { ...failure, type: `${failure.type} ${error.name}` } : failure
    },
  }
}

function chatOpenai(ask: ClientRequest): Runnable {
  const model = new ChatOpenAI({
    model: modelOf('openai', ask),
    apiKey: ask.key,
    maxTokens: CAP,
    configuration: { baseURL: `${ask.url}/v1`, defaultHeaders: headers(ask) },
    ...retries(ask),
  })
  return ask.tools ? model.bindTools([FUNCTION]) : model
}

function chatAnthropic(ask: ClientRequest): Runnable {
  const model = new ChatAnthropic({
    model: modelOf('anthropic', ask),
    apiKey: ask.key,
    maxTokens: CAP,
    anthropicApiUrl: ask.url,
    clientOptions: { defaultHeaders: headers(ask) },
    ...retries(ask),
  })
  return ask.tools ? model.bindTools([{ ...TOOL, input_schema: { ...PARAMETERS, required: ['city'] } }]) : model
}

function aiSdk(name: string, dialect: DialectName, modelFor: (ask: ClientRequest) => LanguageModel): Client {
  const body = (ask: ClientRequest) => ({
    model: modelFor(ask),
    prompt: ask.prompt ?? PROMPT,
    maxOutputTokens: CAP,
    tools: ask.tools ? AI_TOOLS : {},
    ...(ask.signal ? { abortSignal: ask.signal } : {}),
    ...retries(ask),
  })
  return {
    name,
    dialect,
    whole: async (ask) => {
      const { content, finishReason, usage, providerMetadata, response } = await generateText(body(ask))
      return { content, finishReason, usage, providerMetadata, id: response.id, body: response.body }
    },
    async *events(ask) {
      for await (const part of streamText({ ...body(ask), onError: () => {} }).fullStream) {
        if (part.type === 'error') throw part.error
        if (part.type === 'start-step') continue
        if (part.type === 'finish-step') yield { ...part, response: part.response.id, performance: undefined }
        else yield part
      }
    },
    failure: (error) => {
      const last = RetryError.isInstance(error) ? error.lastError : error
      if (!APICallError.isInstance(last)) return undefined
      const { statusCode, responseHeaders, data } = last
      return {
        type: last === error ? last.name : 'AI_RetryError',
        status: statusCode,
        code: codeIn(data),
        requestId: responseHeaders?.['x-request-id'] ?? responseHeaders?.['request-id'],
        retryAfter: responseHeaders?.['retry-after'] ?? null,
      }
    },
  }
}

const AI_TOOLS: ToolSet = {
  weather: tool({ description: TOOL.description, inputSchema: jsonSchema({ ...PARAMETERS, required: ['city'] }) }),
}

const aiSettings = (ask: ClientRequest) => ({ apiKey: ask.key, headers: headers(ask) })

export const langchainOpenai = langchain('@langchain/openai', 'openai', chatOpenai)
export const langchainAnthropic = langchain('@langchain/anthropic', 'anthropic', chatAnthropic)

export const aiOpenai = aiSdk('@ai-sdk/openai', 'openai', (ask) =>
  createOpenAI({ ...aiSettings(ask), baseURL: `${ask.url}/v1` }).chat(modelOf('openai', ask)),
)
export const aiAnthropic = aiSdk('@ai-sdk/anthropic', 'anthropic', (ask) =>
  createAnthropic({ ...aiSettings(ask), baseURL: `${ask.url}/v1` })(modelOf('anthropic', ask)),
)
export const aiGoogle = aiSdk('@ai-sdk/google', 'gemini', (ask) =>
  createGoogle({ ...aiSettings(ask), baseURL: `${ask.url}/v1beta` })(modelOf('gemini', ask)),
)
