// Anthropic.

import Anthropic, { APIError } from '@anthropic-ai/sdk'
import { Forward } from './forward.ts'
import { pooledFetch } from './pooled-fetch.ts'
import { type Outgoing, type Provider, type ProviderSettings, secretOf } from './provider.ts'
import { rawAnswer, SdkCall, type SdkRequest } from './sdk-call.ts'

/** ceil(w / 28) × ceil(h / 28) at the largest size an image is scaled to, for the newest models; older ones take 1,568. */
const IMAGE_TOKENS = 4_784

export function anthropic(settings: ProviderSettings): Provider {
  const forward = new Forward({ baseUrl: settings.baseUrl, credentials: ['x-api-key', settings.apiKey] })
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
    sendTranslated: (outgoing, listener) => new SdkCall(sdkRequest(forward, settings, outgoing), listener),
    retire: () => forward.retire(),
    close: () => forward.close(),
  }
}

/** Calls are cut by their own deadline, and this comes after it. */
const SDK_TIMEOUT_MS = 86_400_000

function sdkRequest(forward: Forward, settings: ProviderSettings, outgoing: Outgoing): SdkRequest {
  return {
    async ask(signal, started) {
      const client = new Anthropic({
        apiKey: outgoing.callerKey ? secretOf(outgoing.callerKey) : settings.apiKey,
        authToken: null,
        baseURL: settings.baseUrl,
        maxRetries: 0,
        timeout: SDK_TIMEOUT_MS,
        logLevel: 'off',
        fetch: pooledFetch(forward, started),
      })
      const headers = { 'content-type': 'application/json' }
      return rawAnswer(await client.post(outgoing.path, { body: outgoing.body, headers, signal }).asResponse())
    },
    answerIn(error) {
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
