// OpenAI, or the endpoint that OPENAI_BASE_URL names in its place.

import { dialectNamesOf } from '../wire/index.ts'
import { defineProvider } from './definition.ts'
import { HttpForwarder, overHttp } from './transport/http-forwarder.ts'
import { SdkCall } from './transport/sdk-call.ts'
import { createSdkRequests, type SdkAdapter } from './transport/sdk-post.ts'

/** The most tokens of one image by model family. The first match counts. From OpenAI's vision guide, November 2026. */
const IMAGE_TOKENS: readonly (readonly [RegExp, number])[] = [
  [/^gpt-4o-mini/, 48_169],
  [/^gpt-(5\.[6-9]|[6-9])/, 36_000],
  [/^gpt-5\.5/, 12_000],
  [/^gpt-5\.4/, 3_000],
  [/^(gpt-4\.1-(mini|nano)|gpt-5(\.\d)?-(mini|nano)|o4-mini|gpt-5\.[23])/, 15_115],
  [/^(gpt-4o|gpt-4\.1|gpt-4-|gpt-5|o1|o3)/, 1_445],
]
const MAX_IMAGE_TOKENS = 48_169

export const openai = defineProvider({
  name: 'openai',
  settings: {
    apiKey: { variable: 'OPENAI_API_KEY', defaultText: '', about: 'Your OpenAI key.' },
    baseUrl: {
      variable: 'OPENAI_BASE_URL',
      defaultText: 'https://api.openai.com/v1',
      about: 'The base URL of OpenAI, with /v1.',
    },
    model: { variable: 'OPENAI_MODEL', defaultText: 'gpt-6-luna', about: 'The model shown as the default.' },
  },
  open(settings) {
    const forwarder = new HttpForwarder({
      baseUrl: settings.baseUrl,
      credentials: ['authorization', `Bearer ${settings.apiKey}`],
    })
    const requestOf = createSdkRequests(SDK, forwarder, settings)
    return {
      dialects: dialectNamesOf('openai'),
      probe: { path: '/models', headers: [] },
      rules: {
        // Framing of messages and of the call: 3 or 4 tokens in every published count, with room to spare.
        tokensPerCall: 64,
        tokensPerMessage: 16,
        tokensWithTools: 128,
        imageTokens: (model) => IMAGE_TOKENS.find(([family]) => family.test(model))?.[1] ?? MAX_IMAGE_TOKENS,
        capCoversReasoning: true,
        // From GPT-5.6 on, cache writes are billed without being requested. Before, their rate is the input rate.
        cachesAutomatically: true,
      },
      countingMethod: 'tokenizer',
      capField: 'max_completion_tokens',
      knowsStreamOptions: true,
      freeStatuses: new Set([400, 402, 405, 409, 415, 503]),
      ...overHttp(forwarder),
      sendTranslated: (outgoing, listener) => new SdkCall(requestOf(outgoing), listener),
    }
  },
})

const SDK: SdkAdapter = {
  newClient: async (options) => {
    const { default: OpenAI } = await import('openai')
    return new OpenAI({ ...options, organization: null, project: null })
  },
  headers: {},
  errorBody: (kept) => ({ error: kept }),
}
