// Anthropic.

import { dialectNamesOf } from '../wire/index.ts'
import type { Provider, ProviderSettings } from './provider.ts'
import { HttpForwarder } from './transport/http-forwarder.ts'
import { SdkCall } from './transport/sdk-call.ts'
import { createSdkRequests, type SdkAdapter } from './transport/sdk-post.ts'

/** ceil(w / 28) × ceil(h / 28) at the largest size an image is scaled to, for the newest models; older ones take 1,568. */
const IMAGE_TOKENS = 4_784

export function anthropic(settings: ProviderSettings): Provider {
  const forward = new HttpForwarder({ baseUrl: settings.baseUrl, credentials: ['x-api-key', settings.apiKey] })
  const requestOf = createSdkRequests(SDK, forward, settings)
  return {
    name: 'anthropic',
    dialects: dialectNamesOf('anthropic'),
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
      cachesAutomatically: false,
    },
    countingMethod: 'endpoint',
    capField: 'max_tokens',
    knowsStreamOptions: false,
    freeStatuses: new Set([400, 402, 405, 409, 415, 503, 529]),
    send: (outgoing, listener) => forward.send(outgoing, listener),
    sendTranslated: (outgoing, listener) => new SdkCall(requestOf(outgoing), listener),
    retire: () => forward.retire(),
    close: () => forward.close(),
  }
}

const SDK: SdkAdapter = {
  newClient: async (options) => {
    const { default: Anthropic } = await import('@anthropic-ai/sdk')
    // The key goes where untranslated calls have it.
    const defaultHeaders = { 'x-api-key': options.apiKey, authorization: null }
    return new Anthropic({ ...options, authToken: null, defaultHeaders })
  },
  // The version that the translator writes for; later ones leave fields out.
  headers: { 'anthropic-version': '2023-06-01' },
  errorBody: (kept) => kept,
}
