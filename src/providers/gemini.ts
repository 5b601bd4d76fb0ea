// Gemini, over the Generative Language API.

import { dialectNamesOf } from '../wire/index.ts'
import { type Provider, type ProviderSettings, secretOf } from './provider.ts'
import { HttpForwarder } from './transport/http-forwarder.ts'

/** Gemini 3 at its highest media resolution; Gemini 2 cuts images of at most 3072 × 3072 into 768 × 768 tiles of 258. */
const IMAGE_TOKENS = 258 * 17

export function gemini(settings: ProviderSettings): Provider {
  const forward = new HttpForwarder({ baseUrl: settings.baseUrl, credentials: ['x-goog-api-key', settings.apiKey] })
  return {
    name: 'gemini',
    dialects: dialectNamesOf('gemini'),
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
      cachesAutomatically: false,
    },
    countingMethod: 'endpoint',
    capField: 'maxOutputTokens',
    knowsStreamOptions: false,
    freeStatuses: new Set([400, 402, 405, 409, 415, 503]),
    send: (outgoing, listener) => forward.send(outgoing, listener),
    // Not through Google's SDK: its own transport follows redirects with the key, and holds all of an answer in memory.
    sendTranslated: (outgoing, listener) => {
      const { callerKey } = outgoing
      const key = callerKey && { headers: ['x-goog-api-key', secretOf(callerKey)], query: '' }
      return forward.send({ ...outgoing, headers: ['content-type', 'application/json'], callerKey: key }, listener)
    },
    retire: () => forward.retire(),
    close: () => forward.close(),
  }
}
