// Gemini, over the Generative Language API.

import { dialectNamesOf } from '../wire/index.ts'
import { defineProvider } from './definition.ts'
import { secretOf } from './provider.ts'
import { HttpForwarder, overHttp } from './transport/http-forwarder.ts'

/** Of an image of 384 × 384, of a tile, and of a page of a PDF. */
const TILE_TOKENS = 258
/** Gemini 2 cuts images of at most 3072 × 3072 into 768 × 768 tiles. Gemini 3 takes fewer tokens at its highest media resolution. */
const MAX_TILES = 17

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
      probe: { path: '/v1beta/models?pageSize=1', headers: [] },
      rules: {
        tokensPerCall: 64,
        tokensPerMessage: 16,
        tokensWithTools: 256,
        imageTokens: () => TILE_TOKENS * MAX_TILES,
        capCoversReasoning: true,
        cachesAutomatically: false,
      },
      countingMethod: 'endpoint',
      // Its count can take an image or a page as one tile, whatever the model and the media resolution make of it.
      visualCountFactor: MAX_TILES,
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
