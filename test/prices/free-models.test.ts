// Free models: the price file has no model as free that is not known to be free. Where nobody knows a price, the model has none.

import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { mergePrices } from '../../scripts/prices/merge.ts'
import { isFree } from '../../src/core/prices.ts'
import { createPriceBook } from '../../src/prices/price-book.ts'
import { type FileModel, isPricedModel, readPriceFile } from '../../src/prices/price-file.ts'

const NOW_MS = Date.parse('2026-11-30')
const FILE = readPriceFile(readFileSync(new URL('../../src/prices/prices.json', import.meta.url), 'utf8'))

/** Names that end in `:free` are free wherever they are listed: OpenRouter's rule for names. */
const isNamedFree = ({ id }: FileModel) => id.endsWith(':free')

/** Every other free model, with its reason. */
const FREE: Readonly<Record<string, readonly string[]>> = {
  // Included in every subscription, and never billed by the token.
  'github-copilot': ['gpt-3.5-turbo', 'gpt-4.1', 'gpt-4o', 'gpt-4o-mini'],
  // Gemma has no paid tier at Gemini's API.
  google: ['gemma-3', 'gemma-3n', 'gemma-4-26b-a4b-it', 'gemma-4-31b-it'],
  // $0 on Mistral's model card.
  mistral: ['labs-leanstral-1-5', 'labs-leanstral-1-5-1'],
}

test('the free models of each provider are those that are known to be free', () => {
  const free = Object.entries(FILE.providers).map(([provider, { models }]) => {
    const ids = models.filter((model) => !isPricedModel(model) && !isNamedFree(model)).map(({ id }) => id)
    return [provider, ids.sort()] as const
  })
  expect(Object.fromEntries(free.filter(([, ids]) => ids.length > 0))).toEqual(FREE)
})

test('a model with a period or a step that is free costs nothing at any time', () => {
  const isZero = (model: FileModel, index: number) =>
    !isPricedModel({ ...model, spans: model.spans.slice(index, index + 1) })
  const partly = Object.values(FILE.providers).flatMap(({ models }) =>
    models.filter((model) => isPricedModel(model) && model.spans.some((_span, index) => isZero(model, index))),
  )
  expect(partly).toEqual([])
})

test.each([
  ['gemini', 'gemini-exp-1206'],
  ['gemini', 'gemini-exp-1114'],
  ['gemini', 'learnlm-1.5-pro-experimental'],
  ['gemini', 'lyria-realtime-exp'],
  ['openrouter', 'stealth/crouton-alpha'],
  ['openrouter', 'google/lyria-3-pro-preview'],
])('%s/%s has no price', (provider, model) => {
  expect(createPriceBook().find(provider, model, NOW_MS).price).toBeUndefined()
})

test.each(['ft:gpt-4o-mini:acme:moderation:abc123', 'ft:gpt-4.1:acme:chat-moderation:abc123'])(
  '%s is not free',
  (model) => {
    const { price } = createPriceBook().find('openai', model, NOW_MS)
    expect(price && isFree(price)).toBe(false)
  },
)

/** A price file of these rows of litellm's map and no other source. */
function merged(litellm: Readonly<Record<string, object>>): readonly FileModel[] {
  const { providers } = mergePrices({
    date: '2026-11-30',
    versions: {},
    genai: [{ id: 'google', fallbacks: [], models: [] }],
    litellm: litellm as Parameters<typeof mergePrices>[0]['litellm'],
    corrections: [],
    providers: {},
    limits: {},
  })
  return providers.google?.models ?? []
}

const FREE_TOKENS = { mode: 'chat', input_cost_per_token: 0, output_cost_per_token: 0 }

test.each([
  ['nothing else', {}],
  ['images', { output_cost_per_image: 0.04 }],
  ['seconds', { output_cost_per_second: 0.01 }],
  ['searches alone', { input_cost_per_query: 0.01 }],
])('a row of the map with free tokens that bills %s is no model with a price', (_units, costs) => {
  expect(merged({ 'gemini/some-model': { ...FREE_TOKENS, ...costs } })).toEqual([])
})

test.each([
  ['film', { output_cost_per_video_token: 12e-6 }, { input: 0, output: 0, imageOutput: 12 }],
  [
    'film and images, each with a price',
    { output_cost_per_image_token: 3e-5, output_cost_per_video_token: 12e-6 },
    { input: 0, output: 0, imageOutput: 30 },
  ],
  ['film as input', { input_cost_per_video_token: 2e-6 }, { input: 0, output: 0, imageInput: 2 }],
])('a row of the map that bills %s has the price of images', (_units, costs, rates) => {
  expect(merged({ 'gemini/some-model': { ...FREE_TOKENS, ...costs } })[0]?.spans).toEqual([{ rates }])
})
