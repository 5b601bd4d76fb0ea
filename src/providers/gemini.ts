// Gemini, over the Generative Language API.

import { type GenerateContentRequest, GoogleGenerativeAI, GoogleGenerativeAIFetchError } from '@google/generative-ai'
import { isRecord } from '../wire/draft.ts'
import { Forward } from './forward.ts'
import { type Outgoing, type Provider, type ProviderSettings, secretOf } from './provider.ts'
import { type SdkAnswer, SdkCall, type SdkRequest } from './sdk-call.ts'

/** Gemini 3 at its highest media resolution; Gemini 2 cuts images of at most 3072 × 3072 into 768 × 768 tiles of 258. */
const IMAGE_TOKENS = 258 * 17

export function gemini(settings: ProviderSettings): Provider {
  const forward = new Forward({ baseUrl: settings.baseUrl, credentials: ['x-goog-api-key', settings.apiKey] })
  return {
    name: 'gemini',
    dialects: ['gemini.generateContent', 'gemini.countTokens', 'gemini.embedContent'],
    simulated: false,
    configured: settings.apiKey !== '' || settings.callerKeys === true,
    callerKeys: settings.callerKeys === true,
    priceName: 'gemini',
    defaultModel: settings.model,
    setupGuide: 'Set GEMINI_API_KEY in .env file',
    rules: {
      tokensPerCall: 64,
      tokensPerMessage: 16,
      tokensWithTools: 256,
      imageTokens: () => IMAGE_TOKENS,
      capCoversReasoning: true,
      cachesUnasked: false,
    },
    counts: 'endpoint',
    capField: 'maxOutputTokens',
    knowsStreamOptions: false,
    freeStatuses: new Set([400, 402, 405, 409, 415, 503]),
    send: (outgoing, listener) => forward.send(outgoing, listener),
    sendTranslated: (outgoing, listener) => new SdkCall(sdkRequest(settings, outgoing), listener),
    retire: () => forward.retire(),
    close: () => forward.close(),
  }
}

/** The SDK keeps all of an answer until it ends: more than this is not read. */
const MOST_ANSWER_BYTES = 33_554_432

/** The SDK has a transport of its own, and shows answers parsed. */
function sdkRequest(settings: ProviderSettings, outgoing: Outgoing): SdkRequest {
  return {
    async ask(signal, started) {
      const apiKey = outgoing.callerKey ? secretOf(outgoing.callerKey) : settings.apiKey
      const model = new GoogleGenerativeAI(apiKey).getGenerativeModel(
        { model: `models/${segment(outgoing.model)}` },
        { baseUrl: settings.baseUrl },
      )
      const request: unknown = JSON.parse(outgoing.body.toString())
      if (!isRequest(request)) throw new TypeError('the request has no contents')
      started()
      if (!outgoing.stream) {
        const { response } = await model.generateContent(request, { signal })
        return answerOf('application/json', once(JSON.stringify(response)))
      }
      const { stream, response } = await model.generateContentStream(request, { signal })
      // Of a stream that breaks the SDK tells twice.
      response.catch(() => {})
      return answerOf('text/event-stream', eventsOf(stream))
    },
    answerIn(error) {
      if (!(error instanceof GoogleGenerativeAIFetchError) || error.status === undefined) return undefined
      const { status, statusText = '', errorDetails = [] } = error
      // What the server said comes after the address and the status, and has the details at its end.
      const said = error.message.split(`[${status} ${statusText}] `).slice(1).join('')
      const message = said.replace(` ${JSON.stringify(errorDetails)}`, '')
      const body = JSON.stringify({ error: { code: status, message, details: errorDetails } })
      return { status, headers: ['content-type', 'application/json'], body }
    },
  }
}

/** Checked by the dialect's reader before. */
function isRequest(value: unknown): value is GenerateContentRequest {
  return isRecord(value) && Array.isArray(value.contents)
}

function answerOf(contentType: string, body: AsyncIterable<Uint8Array>): SdkAnswer {
  return { status: 200, headers: ['content-type', contentType], body }
}

async function* once(text: string): AsyncGenerator<Uint8Array> {
  yield Buffer.from(text)
}

async function* eventsOf(chunks: AsyncIterable<unknown>): AsyncGenerator<Uint8Array> {
  let bytes = 0
  for await (const chunk of chunks) {
    const event = Buffer.from(`data: ${JSON.stringify(chunk)}\r\n\r\n`)
    bytes += event.length
    if (bytes > MOST_ANSWER_BYTES) throw new RangeError('the answer is too large')
    yield event
  }
}

/** One segment of a path, whatever the caller calls its model: dots alone would lead elsewhere. */
function segment(model: string): string {
  return encodeURIComponent(model.toWellFormed()).replace(/^\.+$/, '_')
}
