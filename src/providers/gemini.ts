// Gemini, over the Generative Language API.

import { dialectNamesOf } from '../wire/index.ts'
import { defineProvider } from './definition.ts'
import { secretOf } from './provider.ts'
import { HttpForwarder, overHttp } from './transport/http-forwarder.ts'

/** Gemini 3 at its highest media resolution. Gemini 2 cuts images of at most 3072 × 3072 into 768 × 768 tiles of 258 tokens. */
const IMAGE_TOKENS = 258 * 17

export const gemini = defineProvider({
  name: 'gemini',
  settings: {
    apiKey: { variable: 'GEMINI_API_KEY', defaultText: '', about: 'Your Gemini key.' },
    baseUrl: {
      variable: 'GEMINI_BASE_URL',
      defaultText: 'https://generativelanguage.googleapis.com',
      about: 'The base URL of Gemini, without /v1beta.',
    },
    model: { variable: 'GEMINI_MODEL', defaultText: 'gemini-3.5-flash-lite', about: 'The model shown as the default.' },
  },
  open(settings) {
    const forwarder = new HttpForwarder({ baseUrl: settings.baseUrl, credentials: ['x-goog-api-key', settings.apiKey] })
    return {
      dialects: dialectNamesOf('gemini'),
      rules: {
        tokensPerCall: 64,
        tokensPerMessage: 16,
        tokensWithTools: 256,
        imageTokens: () => IMAGE_TOKENS,
        capCoversReasoning: true,
        cachesAutomatically: false,
      },
      countingMethod: 'endpoint',
      capField: 'maxOutputTokens',
      knowsStreamOptions: false,
      freeStatuses: new Set([400, 402, 405, 409, 415, 503]),
      ...overHttp(forwarder),
      // Google's SDK is not used: its transport follows redirects with the key, and holds a whole answer in memory.
      sendTranslated: (outgoing, listener) => {
        const { callerKey } = outgoing
        const key = callerKey && { headers: ['x-goog-api-key', secretOf(callerKey)], query: '' }
        return forwarder.send({ ...outgoing, headers: ['content-type', 'application/json'], callerKey: key }, listener)
      },
    }
  },
})
