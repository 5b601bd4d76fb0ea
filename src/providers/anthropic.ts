// Anthropic, or the endpoint that ANTHROPIC_BASE_URL names in its place.

import { dialectNamesOf } from '../wire/index.ts'
import { defineProvider } from './definition.ts'
import { HttpForwarder, overHttp } from './transport/http-forwarder.ts'
import { SdkCall } from './transport/sdk-call.ts'
import { createSdkRequests, type SdkAdapter } from './transport/sdk-post.ts'

/** ceil(w / 28) × ceil(h / 28) at the largest size an image is scaled to, for the newest models. Older models take 1,568. */
const IMAGE_TOKENS = 4_784

export const anthropic = defineProvider({
  name: 'anthropic',
  settings: {
    apiKey: { variable: 'ANTHROPIC_API_KEY', defaultText: '', about: 'Your Anthropic key.' },
    baseUrl: {
      variable: 'ANTHROPIC_BASE_URL',
      defaultText: 'https://api.anthropic.com',
      about: 'The base URL of Anthropic, without /v1.',
    },
    model: { variable: 'ANTHROPIC_MODEL', defaultText: 'claude-sonnet-5-5', about: 'The model shown as the default.' },
  },
  open(settings) {
    const forwarder = new HttpForwarder({ baseUrl: settings.baseUrl, credentials: ['x-api-key', settings.apiKey] })
    const requestOf = createSdkRequests(SDK, forwarder, settings)
    return {
      dialects: dialectNamesOf('anthropic'),
      probe: { path: '/v1/models?limit=1', headers: ['anthropic-version', '2023-06-01'] },
      rules: {
        tokensPerCall: 64,
        tokensPerMessage: 16,
        // Tools add a system prompt of 159 to 530 tokens, and more if the provider runs them.
        tokensWithTools: 1_000,
        imageTokens: () => IMAGE_TOKENS,
        capCoversReasoning: true,
        cachesAutomatically: false,
      },
      countingMethod: 'endpoint',
      capField: 'max_tokens',
      knowsStreamOptions: false,
      freeStatuses: new Set([400, 402, 405, 409, 415, 503, 529]),
      ...overHttp(forwarder),
      sendTranslated: (outgoing, listener) => new SdkCall(requestOf(outgoing), listener),
    }
  },
})

const SDK: SdkAdapter = {
  newClient: async (options) => {
    const { default: Anthropic } = await import('@anthropic-ai/sdk')
    // The key is in the same header as in untranslated calls.
    const defaultHeaders = { 'x-api-key': options.apiKey, authorization: null }
    return new Anthropic({ ...options, authToken: null, defaultHeaders })
  },
  // The version that the translator writes. Later versions leave fields out.
  headers: { 'anthropic-version': '2023-06-01' },
  errorBody: (kept) => kept,
}
