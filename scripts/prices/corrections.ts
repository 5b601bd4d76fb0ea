// Corrections: prices that the lists have wrong or lack, each with who published the figures and the day they were read there.

import type { FileHours, FileSpan } from '../../src/prices/price-file.ts'
import type { Correction, GenaiPrice } from './sources.ts'

/** A rate that changes for the whole call once its input is over so many tokens. */
function over(edge: number, base: number, above: number): GenaiPrice {
  return { base, over: { [edge]: above } }
}

/** Rates of OpenAI's models since GPT-5.4: over 272,000 tokens, input costs twice and output one and a half times as much. */
function openaiRates(input: number, cacheRead: number, output: number): Readonly<Record<string, GenaiPrice>> {
  const edge = 272_000
  return {
    input: over(edge, input, input * 2),
    cacheRead: over(edge, cacheRead, cacheRead * 2),
    cacheWrite5m: over(edge, input * 1.25, input * 2.5),
    cacheWrite12h: over(edge, input * 2.5, input * 5),
    output: over(edge, output, output * 1.5),
    webSearches: 10,
  }
}

/** The tiers of GPT-6.2. Ultrafast has an introductory price until 2027-02-28. */
const GPT_6_2_TIERS = { priority: 200, fast: 200, flex: 50, batch: 50 }

function gpt62(model: string, input: number, cacheRead: number, output: number, source: string): Correction {
  const rates = openaiRates(input, cacheRead, output)
  return {
    provider: 'openai',
    model,
    spans: [
      { rates, tiers: { ...GPT_6_2_TIERS, ultrafast: 300 } },
      { from: '2027-03-01', rates, tiers: { ...GPT_6_2_TIERS, ultrafast: 600 } },
    ],
    uplifts: { regional: 110 },
    source,
    date: '2026-11-30',
  }
}

/** Monday to Friday outside public holidays, in Chinese time: 01:00 to 04:00 and 06:00 to 10:00 UTC. */
const DEEPSEEK_PEAK: FileHours = {
  utcOffsetMinutes: 480,
  daily: [
    ['09:00', '12:00'],
    ['14:00', '18:00'],
  ],
  weekdays: [1, 2, 3, 4, 5],
}

function deepseekSpans(from: string, input: number, cacheRead: number, output: number): FileSpan[] {
  return [
    { from, rates: { input, cacheRead, output } },
    { from, hours: DEEPSEEK_PEAK, rates: { input: input * 2, cacheRead: cacheRead * 2, output: output * 2 } },
  ]
}

const DEEPSEEK_FLASH_SPANS: FileSpan[] = [
  { rates: { input: 0.14, cacheRead: 0.0028, output: 0.28 } },
  ...deepseekSpans('2026-08-17', 0.22, 0.007, 0.66),
  ...deepseekSpans('2026-09-10', 0.15, 0.003, 0.6),
]

const DEEPSEEK = { provider: 'deepseek', source: "DeepSeek's price page, Chinese edition", date: '2026-11-30' }

/** Anthropic's long-context surcharge of the Sonnet 4 generation: double input, one and a half output. */
const SONNET_4_LONG_CONTEXT = {
  set: {
    input: over(200_000, 3, 6),
    cacheRead: over(200_000, 0.3, 0.6),
    cacheWrite5m: over(200_000, 3.75, 7.5),
    cacheWrite1h: over(200_000, 6, 12),
    output: over(200_000, 15, 22.5),
  },
  source: "Anthropic's price page",
  date: '2026-11-22',
}

/** Every call of these models searches. The fee is per call, and the usage does not report it. */
const SEARCH_PREVIEW = { provider: 'openai', set: { requests: 25 }, source: "OpenAI's price page", date: '2026-11-22' }

const OPENAI_NOVEMBER = { provider: 'openai', source: "OpenAI's price page", date: '2026-11-22' }
const GOOGLE_READERS = { provider: 'google', source: "Readers of Google's price page", date: '2026-11-30' }
const MISTRAL_NOVEMBER = { provider: 'mistral', source: "Mistral's model pages", date: '2026-11-22' }

/** Groq's browser on the models that have it. The map has the price of its searches, and litellm's code that of a visit. */
const GROQ_BROWSER: readonly Correction[] = [
  'openai/gpt-oss-120b',
  'openai/gpt-oss-20b',
  'openai/gpt-oss-safeguard-20b',
].map((model) => ({
  provider: 'groq',
  model,
  set: { pageVisits: 1 },
  source: "litellm's constants",
  date: '2026-11-30',
}))

const AZURE_EMBEDDINGS: readonly Correction[] = [
  ['ada', 0.11],
  ['text-embedding-3-large', 0.143],
  ['text-embedding-3-small', 0.022],
].map(([model, input]) => ({
  provider: 'azure',
  model: String(model),
  set: { input: Number(input) },
  source: "Azure's price page, as litellm has it",
  date: '2026-11-30',
}))

/** Models that draw, each with the price of the images of the model that it draws with: gpt-image-1, -1-mini and -2. */
const DRAWING_MODELS: readonly Correction[] = [
  ['gpt-5-image', 40],
  ['gpt-5-image-mini', 8],
  ['gpt-5.4-image-2', 30],
].map(([model, imageOutput]) => ({
  provider: 'openai',
  model: String(model),
  set: { imageOutput: Number(imageOutput) },
  source: 'The price of images of the model that it draws with',
  date: '2026-11-30',
}))

/** Names that a list has without a price. Previews that were free, and have ended or can end, are such names as well. */
const UNPRICED: readonly Correction[] = [
  ['openrouter', 'google/lyria-3-clip-preview'],
  ['openrouter', 'google/lyria-3-pro-preview'],
  ['openrouter', 'gemini-2.5-pro-exp-03-25'],
  ['openrouter', 'google/gemini-flash-1.5-8b-exp'],
  ['openrouter', 'stealth/crouton-alpha'],
  ['cerebras', 'qwen-3-coder-480b'],
  ['huggingface_together', 'ServiceNow-AI/Apriel-1.6-15b-Thinker'],
  ['huggingface_together', 'prism-ml/Ternary-Bonsai-27B-AWQ-4bit'],
  ['huggingface_together', 'prism-ml/Ternary-Bonsai-27B-gguf'],
  // Moderation is free, but its row has every name that contains the word, such as those of fine-tuned models.
  ['openai', 'moderation'],
].map(([provider = '', model = '']) => ({
  provider,
  model,
  isUnknown: true,
  source: 'Listed without a price',
  date: '2026-11-30',
}))

export const CORRECTIONS: readonly Correction[] = [
  // OpenAI
  gpt62('gpt-6.2-sol', 2, 0.1, 10, "OpenAI's model page of gpt-6.2-sol"),
  gpt62('gpt-6.2-astra', 8, 0.4, 40, "Readers of OpenAI's model page"),
  { ...OPENAI_NOVEMBER, model: 'gpt-4o-audio-preview', set: { audioInput: 40, audioOutput: 80 } },
  {
    ...OPENAI_NOVEMBER,
    model: 'gpt-4o-audio-preview-2024-10-01',
    as: 'gpt-4o-audio-preview',
    set: { audioInput: 100, audioOutput: 200 },
  },
  { ...OPENAI_NOVEMBER, model: 'gpt-4o-mini-audio-preview', set: { audioInput: 10, audioOutput: 20 } },
  { ...SEARCH_PREVIEW, model: 'gpt-4o-search-preview' },
  {
    ...SEARCH_PREVIEW,
    model: 'gpt-4o-mini-search-preview',
    otherNames: ['gpt-4o-mini-search-preview-2025-03-11'],
    as: 'gpt-4o-mini',
  },
  { ...OPENAI_NOVEMBER, model: 'gpt-5-search-api', set: { requests: 10 } },
  { ...OPENAI_NOVEMBER, model: 'gpt-5-search-api-2025-10-14', as: 'gpt-5-search-api' },
  { ...OPENAI_NOVEMBER, model: 'ft:gpt-4o', set: { cacheRead: 1.875 } },
  { ...OPENAI_NOVEMBER, model: 'ft:gpt-4o-mini', set: { cacheRead: 0.15 } },
  { ...OPENAI_NOVEMBER, model: 'ft:gpt-4.1', spans: [{ rates: { input: 3, cacheRead: 0.75, output: 12 } }] },
  { ...OPENAI_NOVEMBER, model: 'ft:gpt-4.1-mini', spans: [{ rates: { input: 0.8, cacheRead: 0.2, output: 3.2 } }] },
  { ...OPENAI_NOVEMBER, model: 'ft:gpt-4.1-nano', spans: [{ rates: { input: 0.2, cacheRead: 0.05, output: 0.8 } }] },
  { ...OPENAI_NOVEMBER, model: 'ft:o4-mini', spans: [{ rates: { input: 4, cacheRead: 1, output: 16 } }] },
  // Anthropic
  { ...SONNET_4_LONG_CONTEXT, provider: 'anthropic', model: 'claude-sonnet-4-0' },
  { ...SONNET_4_LONG_CONTEXT, provider: 'google', model: 'claude-4-sonnet' },
  {
    provider: 'anthropic',
    model: 'claude-sonnet-5-5',
    spans: [
      { rates: { input: 2, cacheRead: 0.2, cacheWrite5m: 2.5, cacheWrite1h: 4, output: 10, webSearches: 10 } },
      {
        from: '2026-10-07',
        rates: { input: 2, cacheRead: 0.1, cacheWrite5m: 2.5, cacheWrite1h: 4, output: 10, webSearches: 10 },
      },
    ],
    source: "Anthropic's price page",
    date: '2026-11-30',
  },
  // Google. Since 2026-12-01 it answers with newer models where 2.5 is asked for, and bills those.
  {
    ...GOOGLE_READERS,
    model: 'gemini-2.5-pro',
    laterSpans: [
      {
        from: '2027-01-01',
        rates: {
          input: over(200_000, 1.5, 2.5),
          cacheRead: over(200_000, 0.15, 0.25),
          output: over(200_000, 10, 15),
          webSearches: 35,
        },
      },
    ],
  },
  {
    ...GOOGLE_READERS,
    model: 'gemini-4-carbon',
    spans: [
      { rates: { input: 2, cacheRead: 0.1, output: 10, webSearches: 14 } },
      { from: '2026-12-01', rates: { input: 4, cacheRead: 0.2, output: 20, webSearches: 14 } },
    ],
  },
  {
    ...GOOGLE_READERS,
    model: 'gemini-4-hydrogen',
    spans: [{ rates: { input: 1.5, cacheRead: 0.075, output: 7.5, webSearches: 14 } }],
  },
  {
    ...GOOGLE_READERS,
    model: 'gemini-4-neon',
    spans: [{ rates: { input: 3, cacheRead: 0.15, output: 15, webSearches: 14 } }],
  },
  { ...GOOGLE_READERS, model: 'gemini-1.5-flash-8b', as: 'gemini-flash-1.5-8b', date: '2026-11-22' },
  // Embedded images have a price of their own, and video has a higher one: the answer's reader settles video under `…-video`.
  // Input that may be video is reserved at its price by way of cached audio, which embeddings never use.
  {
    ...GOOGLE_READERS,
    model: 'gemini-embedding-2-video',
    as: 'gemini-embedding-2',
    set: { imageInput: 12, audioCacheRead: 12 },
    date: '2026-11-22',
  },
  { ...GOOGLE_READERS, model: 'gemini-embedding-2', set: { imageInput: 0.45, audioCacheRead: 12 }, date: '2026-11-22' },
  // DeepSeek
  { ...DEEPSEEK, model: 'deepseek-flash', spans: DEEPSEEK_FLASH_SPANS },
  { ...DEEPSEEK, model: 'deepseek-v4-flash', spans: DEEPSEEK_FLASH_SPANS },
  { ...DEEPSEEK, model: 'deepseek-chat', spans: DEEPSEEK_FLASH_SPANS },
  { ...DEEPSEEK, model: 'deepseek-reasoner', spans: DEEPSEEK_FLASH_SPANS },
  {
    ...DEEPSEEK,
    model: 'deepseek-v4-pro',
    spans: [
      { rates: { input: 0.435, cacheRead: 0.003625, output: 0.87 } },
      ...deepseekSpans('2026-08-17', 0.66, 0.022, 1.98),
    ],
  },
  {
    ...DEEPSEEK,
    model: 'deepseek-v3.2',
    set: { input: 0.28, cacheRead: 0.028, output: 0.42 },
    source: 'litellm, llmgateway, model-prices',
  },
  // Groq
  ...GROQ_BROWSER,
  // xAI
  {
    provider: 'x-ai',
    model: 'grok-code-fast-1',
    as: 'grok-build-0.1',
    source: 'A report that the name is billed as grok-build-0.1, the more expensive of the two',
    date: '2026-11-30',
  },
  // Mistral
  { ...MISTRAL_NOVEMBER, model: 'mistral-large-latest', as: 'mistral-large-2512' },
  { ...MISTRAL_NOVEMBER, model: 'devstral-latest', as: 'devstral-2512' },
  { ...MISTRAL_NOVEMBER, model: 'devstral-medium-latest', as: 'devstral-2512' },
  { ...MISTRAL_NOVEMBER, model: 'ministral-3b-latest', as: 'ministral-3b-2512' },
  { ...MISTRAL_NOVEMBER, model: 'ministral-14b-latest', as: 'ministral-14b-2512' },
  {
    provider: 'mistral',
    model: 'codestral',
    set: { cacheRead: 0.03 },
    source: 'litellm, model-prices',
    date: '2026-11-30',
  },
  // The map of litellm and Mistral's model card of Medium 3.5: both names mean the newest model.
  {
    provider: 'mistral',
    model: 'mistral-medium',
    as: 'mistral-medium-latest',
    source: "litellm, Mistral's model card",
    date: '2026-11-30',
  },
  // Azure bills embeddings of a regional deployment, which most are, a tenth above the global price.
  ...AZURE_EMBEDDINGS,
  ...DRAWING_MODELS,
  // OpenRouter
  ...[
    ['perplexity/sonar', { requests: 12 }],
    ['perplexity/sonar-pro', { requests: 14 }],
    ['perplexity/sonar-reasoning', { requests: 12 }],
    ['perplexity/sonar-reasoning-pro', { requests: 14 }],
    ['openai/gpt-4o-search-preview', { requests: 25 }],
    ['openai/gpt-4o-mini-search-preview', { requests: 25 }],
    ['openai/o3-deep-research', { webSearches: 10 }],
    ['openai/o4-mini-deep-research', { webSearches: 10 }],
  ].map(
    ([model, set]): Correction => ({
      provider: 'openrouter',
      model: String(model),
      set: set as Correction['set'] & object,
      source: 'The fee that the model has at its own provider',
      date: '2026-11-30',
    }),
  ),
  {
    provider: 'openrouter',
    model: 'perplexity/sonar-pro-search',
    set: { requests: 18 },
    source: "OpenRouter's model page",
    date: '2026-11-30',
  },
  {
    provider: 'openrouter',
    model: 'anthropic/claude-3.5-sonnet',
    set: { input: 6, cacheRead: 0.6, cacheWrite5m: 7.5, output: 30 },
    source: 'What OpenRouter charged for recorded calls',
    date: '2026-11-22',
  },
  ...UNPRICED,
]
