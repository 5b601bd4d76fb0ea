// OpenAI, or whatever OPENAI_BASE_URL points at in its place.

import type OpenAI from 'openai'
import { Forward } from './forward.ts'
import { pooledFetch, type Told } from './pooled-fetch.ts'
import { type Outgoing, type Provider, type ProviderSettings, secretOf } from './provider.ts'
import { rawAnswer, SdkCall, type SdkRequest } from './sdk-call.ts'

/** The most tokens of one image by model family, first match counts; OpenAI's vision guide, November 2026. */
const IMAGE_TOKENS: readonly (readonly [RegExp, number])[] = [
  [/^gpt-4o-mini/, 48_169],
  [/^gpt-(5\.[6-9]|[6-9])/, 36_000],
  [/^gpt-5\.5/, 12_000],
  [/^gpt-5\.4/, 3_000],
  [/^(gpt-4\.1-(mini|nano)|gpt-5(\.\d)?-(mini|nano)|o4-mini|gpt-5\.[23])/, 15_115],
  [/^(gpt-4o|gpt-4\.1|gpt-4-|gpt-5|o1|o3)/, 1_445],
]
const MOST_IMAGE_TOKENS = 48_169

export function openai(settings: ProviderSettings): Provider {
  const forward = new Forward({
    baseUrl: settings.baseUrl,
    credentials: ['authorization', `Bearer ${settings.apiKey}`],
  })
  const clientOf = clientsOf(forward, settings)
  return {
    name: 'openai',
    dialects: ['openai.chat', 'openai.completions', 'openai.embeddings', 'openai.responses', 'openai.stored'],
    simulated: false,
    configured: settings.apiKey !== '' || settings.callerKeys === true,
    callerKeys: settings.callerKeys === true,
    priceName: 'openai',
    defaultModel: settings.model,
    setupGuide: 'Set OPENAI_API_KEY in .env file',
    rules: {
      // Framing of messages and of the call: 3 or 4 tokens in every published count, with room to spare.
      tokensPerCall: 64,
      tokensPerMessage: 16,
      tokensWithTools: 128,
      imageTokens: (model) => IMAGE_TOKENS.find(([family]) => family.test(model))?.[1] ?? MOST_IMAGE_TOKENS,
      capCoversReasoning: true,
      // From GPT-5.6 on, cache writes are billed without being asked for; before, their rate is the input rate.
      cachesUnasked: true,
    },
    counts: 'tokenizer',
    capField: 'max_completion_tokens',
    knowsStreamOptions: true,
    freeStatuses: new Set([400, 402, 405, 409, 415, 503]),
    send: (outgoing, listener) => forward.send(outgoing, listener),
    sendTranslated: (outgoing, listener) => new SdkCall(sdkRequest(clientOf, outgoing), listener),
    retire: () => forward.retire(),
    close: () => forward.close(),
  }
}

/** Calls are cut by their own deadline, and this comes after it. */
const SDK_TIMEOUT_MS = 86_400_000

let sdk: Promise<typeof import('openai')> | undefined

/** Loaded with the first call that needs it: a start without it is shorter, and takes less memory. */
function loadSdk(): Promise<typeof import('openai')> {
  sdk ??= import('openai')
  return sdk
}

type ClientOf = (outgoing: Outgoing) => Promise<OpenAI>

/** The client for a call: one for all calls with our key, another for each that brings its own. */
function clientsOf(forward: Forward, { apiKey, baseUrl }: ProviderSettings): ClientOf {
  const fetch = pooledFetch(forward)
  const clientFor = async (key: string) => {
    const { default: OpenAI } = await loadSdk()
    return new OpenAI({
      apiKey: key,
      organization: null,
      project: null,
      baseURL: baseUrl,
      maxRetries: 0,
      timeout: SDK_TIMEOUT_MS,
      logLevel: 'off',
      fetch,
    })
  }
  let ours: Promise<OpenAI> | undefined
  return ({ callerKey }) => {
    if (callerKey) return clientFor(secretOf(callerKey))
    ours ??= clientFor(apiKey)
    return ours
  }
}

function sdkRequest(clientOf: ClientOf, outgoing: Outgoing): SdkRequest {
  return {
    async ask(signal, started) {
      const fetchOptions: Told = { started }
      const headers = { 'content-type': 'application/json' }
      const options = { body: outgoing.body, headers, signal, fetchOptions }
      const client = await clientOf(outgoing)
      return rawAnswer(await client.post(outgoing.path, options).asResponse())
    },
    async answerIn(error) {
      const { APIError } = await loadSdk()
      if (!(error instanceof APIError) || typeof error.status !== 'number') return undefined
      const headers = [...(error.headers ?? [])].flat()
      return {
        status: error.status,
        headers,
        body: JSON.stringify({ error: error.error ?? { message: error.message } }),
      }
    },
  }
}
