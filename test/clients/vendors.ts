// Vendors: the official SDKs of OpenAI, Anthropic and Google, each as a Client.

import Anthropic from '@anthropic-ai/sdk'
import { ApiError, GoogleGenAI } from '@google/genai'
import { GoogleGenerativeAI, GoogleGenerativeAIFetchError, SchemaType } from '@google/generative-ai'
import OpenAI7 from 'openai'
import OpenAI6 from 'openai-6'
import {
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

const openaiOptions = (ask: ClientRequest) => ({
  apiKey: ask.key,
  baseURL: `${ask.url}/v1`,
  defaultHeaders: headers(ask),
  ...retries(ask),
})

function openaiBody(ask: ClientRequest) {
  return {
    model: modelOf('openai', ask),
    messages: [{ role: 'user' as const, content: ask.prompt ?? PROMPT }],
    max_completion_tokens: CAP,
    ...(ask.tools ? { tools: [FUNCTION] } : {}),
  }
}

export const openai7: Client = {
  name: 'openai 7',
  dialect: 'openai',
  whole: (ask) => new OpenAI7(openaiOptions(ask)).chat.completions.create(openaiBody(ask), signal(ask)),
  async *events(ask) {
    const { completions } = new OpenAI7(openaiOptions(ask)).chat
    yield* await completions.create({ ...openaiBody(ask), stream: true }, signal(ask))
  },
  failure: (error) => (error instanceof OpenAI7.APIError ? sdkFailure(error, error.code ?? error.type) : undefined),
}

export const openai6: Client = {
  name: 'openai 6',
  dialect: 'openai',
  whole: (ask) => new OpenAI6(openaiOptions(ask)).chat.completions.create(openaiBody(ask), signal(ask)),
  async *events(ask) {
    const { completions } = new OpenAI6(openaiOptions(ask)).chat
    yield* await completions.create({ ...openaiBody(ask), stream: true }, signal(ask))
  },
  failure: (error) => (error instanceof OpenAI6.APIError ? sdkFailure(error, error.code ?? error.type) : undefined),
}

export const anthropic: Client = {
  name: '@anthropic-ai/sdk',
  dialect: 'anthropic',
  whole: (ask) => anthropicOf(ask).messages.create(anthropicBody(ask), signal(ask)),
  async *events(ask) {
    yield* await anthropicOf(ask).messages.create({ ...anthropicBody(ask), stream: true }, signal(ask))
  },
  failure: (error) =>
    error instanceof Anthropic.APIError ? sdkFailure(error, error.errorCode ?? error.type) : undefined,
}

function anthropicOf(ask: ClientRequest) {
  return new Anthropic({ apiKey: ask.key, baseURL: ask.url, defaultHeaders: headers(ask), ...retries(ask) })
}

function anthropicBody(ask: ClientRequest) {
  return {
    model: modelOf('anthropic', ask),
    max_tokens: CAP,
    messages: [{ role: 'user' as const, content: ask.prompt ?? PROMPT }],
    ...(ask.tools ? { tools: [{ ...TOOL, input_schema: { ...PARAMETERS, required: ['city'] } }] } : {}),
  }
}

export const generativeAi: Client = {
  name: '@google/generative-ai',
  dialect: 'gemini',
  whole: async (ask) => (await generativeModel(ask).generateContent(ask.prompt ?? PROMPT, signal(ask))).response,
  async *events(ask) {
    const answer = await generativeModel(ask).generateContentStream(ask.prompt ?? PROMPT, signal(ask))
    // The whole answer fails beside its stream.
    answer.response.catch(() => {})
    yield* answer.stream
  },
  failure: (error) =>
    error instanceof GoogleGenerativeAIFetchError
      ? { type: error.constructor.name, status: error.status, code: reasonIn(error.errorDetails) }
      : undefined,
}

function generativeModel(ask: ClientRequest) {
  const parameters = { type: SchemaType.OBJECT, properties: { city: { type: SchemaType.STRING } } } as const
  return new GoogleGenerativeAI(ask.key).getGenerativeModel(
    {
      model: modelOf('gemini', ask),
      generationConfig: { maxOutputTokens: CAP },
      ...(ask.tools ? { tools: [{ functionDeclarations: [{ ...TOOL, parameters }] }] } : {}),
    },
    { baseUrl: ask.url, customHeaders: headers(ask) },
  )
}

/** The reason that google.rpc.ErrorInfo gives. */
function reasonIn(details: readonly { readonly reason?: string }[] | undefined): unknown {
  return details?.find((detail) => detail.reason !== undefined)?.reason
}

export const genai: Client = {
  name: '@google/genai',
  dialect: 'gemini',
  whole: async (ask) => ({ ...(await genaiOf(ask).generateContent(genaiBody(ask))), sdkHttpResponse: undefined }),
  async *events(ask) {
    const stream = await genaiOf(ask).generateContentStream(genaiBody(ask))
    for await (const event of stream) yield { ...event, sdkHttpResponse: undefined }
  },
  failure: (error) =>
    error instanceof ApiError
      ? {
          type: error.constructor.name,
          status: error.status,
          code: codeIn(JSON.parse(/{.*/s.exec(error.message)?.[0] ?? '{}')),
        }
      : undefined,
}

function genaiOf(ask: ClientRequest) {
  return new GoogleGenAI({ apiKey: ask.key, httpOptions: { baseUrl: ask.url, headers: headers(ask) } }).models
}

function genaiBody(ask: ClientRequest) {
  const declarations = [{ ...TOOL, parametersJsonSchema: PARAMETERS }]
  return {
    model: modelOf('gemini', ask),
    contents: ask.prompt ?? PROMPT,
    config: {
      maxOutputTokens: CAP,
      ...(ask.tools ? { tools: [{ functionDeclarations: declarations }] } : {}),
      ...(ask.signal ? { abortSignal: ask.signal } : {}),
    },
  }
}
