// Anthropic.

import type Anthropic from '@anthropic-ai/sdk'
import { Forward } from './forward.ts'
import { pooledFetch, type Told } from './pooled-fetch.ts'
import { type Outgoing, type Provider, type ProviderSettings, secretOf } from './provider.ts'
import { rawAnswer, SdkCall, type SdkRequest } from './sdk-call.ts'

/** ceil(w / 28) × ceil(h / 28) at the largest size an image is scaled to, for the newest models; older ones take 1,568. */
const IMAGE_TOKENS = 4_784

export function anthropic(settings: ProviderSettings): Provider {
  const forward = new Forward({ baseUrl: settings.baseUrl, credentials: ['x-api-key', settings.apiKey] })
  const clientOf = clientsOf(forward, settings)
  return {
    name: 'anthropic',
    dialects: ['anthropic.messages', 'anthropic.countTokens'],
    simulated: false,
    configured: settings.apiKey !== '' || settings.callerKeys === true,
    callerKeys: settings.callerKeys === true,
    priceName: 'anthropic',
    defaultModel: settings.model,
    setupGuide: 'Set ANTHROPIC_API_KEY in .env file',
    rules: {
      tokensPerCall: 64,
      tokensPerMessage: 16,
      // Tools bring a system prompt of 159 to 530 tokens with them, more where the provider runs them.
      tokensWithTools: 1_000,
      imageTokens: () => IMAGE_TOKENS,
      capCoversReasoning: true,
      cachesUnasked: false,
    },
    counts: 'endpoint',
    capField: 'max_tokens',
    knowsStreamOptions: false,
    freeStatuses: new Set([400, 402, 405, 409, 415, 503, 529]),
    send: (outgoing, listener) => forward.send(outgoing, listener),
    sendTranslated: (outgoing, listener) => new SdkCall(sdkRequest(clientOf, outgoing), listener),
    retire: () => forward.retire(),
    close: () => forward.close(),
  }
}

/** Calls are cut by their own deadline, and this comes after it. */
const SDK_TIMEOUT_MS = 86_400_000

let sdk: Promise<typeof import('@anthropic-ai/sdk')> | undefined

/** Loaded with the first call that needs it: a start without it is shorter, and takes less memory. */
function loadSdk(): Promise<typeof import('@anthropic-ai/sdk')> {
  sdk ??= import('@anthropic-ai/sdk')
  return sdk
}

type ClientOf = (outgoing: Outgoing) => Promise<Anthropic>

/** The client for a call: one for all calls with our key, another for each that brings its own. */
function clientsOf(forward: Forward, { apiKey, baseUrl }: ProviderSettings): ClientOf {
  const fetch = pooledFetch(forward)
  const clientFor = async (key: string) => {
    const { default: Anthropic } = await loadSdk()
    return new Anthropic({
      apiKey: key,
      authToken: null,
      baseURL: baseUrl,
      maxRetries: 0,
      timeout: SDK_TIMEOUT_MS,
      logLevel: 'off',
      fetch,
    })
  }
  let ours: Promise<Anthropic> | undefined
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
      // The version that the translator writes for; later ones leave fields out.
      const headers = { 'content-type': 'application/json', 'anthropic-version': '2023-06-01' }
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
        body: JSON.stringify(error.error ?? { error: { message: error.message } }),
      }
    },
  }
}
