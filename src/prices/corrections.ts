// Corrections: prices that the library has wrong or lacks, taken from the providers' published prices. A table; it reads nothing.

import type { ModelPrice } from '@pydantic/genai-prices'
import { nanoUsdOf } from '../core/money.ts'

export const OVERRIDE_VERSION = 'bursar@1'

/** The price of one key of the library: a number, or a base with tiers. */
export type KeyPrice = Exclude<ModelPrice[string], undefined>

/** A correction of one model's price in the library. */
export interface Override {
  /** The library's model that this name really is. */
  readonly as?: string
  /** Keys that replace the library's, or the whole price if the library does not know the model. */
  readonly set?: Readonly<Record<string, KeyPrice>>
  /** The library wrongly says that the model is free. */
  readonly unknown?: true
}

/** A rate that changes for the whole request once its input is *over* `start`, as the library writes it. */
function cliffPrice(base: number, start: number, price: number): KeyPrice {
  return { base, tiers: [{ start, price }] }
}

/** Anthropic's long-context surcharge of the Sonnet 4 generation: double input, one and a half output. */
const SONNET_4_LONG_CONTEXT: Override = {
  set: {
    input_mtok: cliffPrice(3, 200_000, 6),
    cache_read_mtok: cliffPrice(0.3, 200_000, 0.6),
    cache_write_mtok: cliffPrice(3.75, 200_000, 7.5),
    cache_write_1h_mtok: cliffPrice(6, 200_000, 12),
    output_mtok: cliffPrice(15, 200_000, 22.5),
  },
}

/**
 * Embedded images have a price of their own, and video has a higher one. Video is settled under the model name `…-video`, with the
 * library's figures. Input that may be video is reserved at its price by way of cached audio, which embeddings never use.
 */
const EMBEDDED_PICTURES: Override = { set: { input_video_mtok: 0.45, cache_audio_read_mtok: 12 } }

/**
 * Published dollars per thousand uses of the tools that OpenAI runs: calls of file search, and containers for twenty minutes
 * each, by their memory. Each tool is billed like a model of its own, by the request.
 */
const TOOL_USD_PER_THOUSAND = {
  file_search: 2.5,
  container_1g: 30,
  container_4g: 120,
  container_16g: 480,
  container_64g: 1_920,
}

/** Azure runs OpenAI's models and OpenAI's tools. */
const TOOL_OVERRIDES = ['openai', 'azure'].flatMap((libraryId) =>
  Object.entries(TOOL_USD_PER_THOUSAND).map(([name, fee]): readonly [string, Override] => [
    `${libraryId}/${name}`,
    { set: { input_mtok: 0, requests_kcount: fee } },
  ]),
)

/** Nano-dollars per million uses, by the name of a tool in a request. A container without a stated size is the smallest. */
export const TOOL_FEES: ReadonlyMap<string, bigint> = new Map(
  Object.entries({
    ...TOOL_USD_PER_THOUSAND,
    code_interpreter: TOOL_USD_PER_THOUSAND.container_1g,
    shell: TOOL_USD_PER_THOUSAND.container_1g,
  }).map(([name, fee]) => [name, nanoUsdOf(fee) * 1_000n] as const),
)

/** Every call of these models searches. The fee is per call, and the usage does not report it. */
const SEARCH_PREVIEW: Override = { set: { requests_kcount: 25 } }

/**
 * Corrections by the library's provider id and the requested name, otherwise by its provider id and its model id. The figures
 * are the providers' published ones. `gemini-*-latest` change their model: here each is the most expensive model that it can
 * be in September 2026, and the model named in the answer gives the exact price.
 */
export const OVERRIDES: ReadonlyMap<string, Override> = new Map<string, Override>([
  ['openai/gpt-4o-audio-preview', { set: { input_audio_mtok: 40, output_audio_mtok: 80 } }],
  ['openai/gpt-4o-audio-preview-2024-10-01', { set: { input_audio_mtok: 100, output_audio_mtok: 200 } }],
  ['openai/gpt-4o-mini-audio-preview', { set: { input_audio_mtok: 10, output_audio_mtok: 20 } }],
  ['openai/gpt-4o-search-preview', SEARCH_PREVIEW],
  ['openai/gpt-4o-mini-search-preview', SEARCH_PREVIEW],
  ['openai/gpt-4o-mini-search-preview-2025-03-11', SEARCH_PREVIEW],
  ['openai/gpt-5-search-api', { as: 'gpt-5', set: { requests_kcount: 10 } }],
  ['openai/gpt-5-search-api-2025-10-14', { as: 'gpt-5', set: { requests_kcount: 10 } }],
  ['openai/ft:gpt-4o', { set: { input_mtok: 3.75, cache_read_mtok: 1.875, output_mtok: 15 } }],
  ['openai/ft:gpt-4o-mini', { set: { input_mtok: 0.3, cache_read_mtok: 0.15, output_mtok: 1.2 } }],
  ['openai/ft:gpt-4.1', { set: { input_mtok: 3, cache_read_mtok: 0.75, output_mtok: 12 } }],
  ['openai/ft:gpt-4.1-mini', { set: { input_mtok: 0.8, cache_read_mtok: 0.2, output_mtok: 3.2 } }],
  ['openai/ft:gpt-4.1-nano', { set: { input_mtok: 0.2, cache_read_mtok: 0.05, output_mtok: 0.8 } }],
  ['openai/ft:o4-mini', { set: { input_mtok: 4, cache_read_mtok: 1, output_mtok: 16 } }],
  ['anthropic/claude-sonnet-4-0', SONNET_4_LONG_CONTEXT],
  ['google/claude-4-sonnet', SONNET_4_LONG_CONTEXT],
  ['google/gemini-flash-latest', { as: 'gemini-3.5-flash' }],
  ['google/gemini-flash-lite-latest', { as: 'gemini-3.5-flash-lite' }],
  ['google/gemini-pro-latest', { as: 'gemini-3.1-pro-preview' }],
  ['google/gemini-1.5-flash-8b', { as: 'gemini-flash-1.5-8b' }],
  ['google/gemini-embedding-2', EMBEDDED_PICTURES],
  ['google/gemini-embedding-2-video', { as: 'gemini-embedding-2' }],
  ...TOOL_OVERRIDES,
  ['deepseek/deepseek-chat', { as: 'deepseek-v4-flash' }],
  ['deepseek/deepseek-reasoner', { as: 'deepseek-v4-flash' }],
  ['mistral/mistral-large-latest', { as: 'mistral-large-2512' }],
  ['mistral/mistral-small-latest', { as: 'mistral-small-2603' }],
  ['mistral/devstral-latest', { as: 'devstral-2512' }],
  ['mistral/devstral-medium-latest', { as: 'devstral-2512' }],
  ['mistral/ministral-3b-latest', { as: 'ministral-3b-2512' }],
  ['mistral/ministral-14b-latest', { as: 'ministral-14b-2512' }],
  [
    'openrouter/anthropic/claude-3.5-sonnet',
    { set: { input_mtok: 6, cache_read_mtok: 0.6, cache_write_mtok: 7.5, output_mtok: 30 } },
  ],
  [
    'openrouter/openai/gpt-5.6-sol',
    {
      set: {
        input_mtok: cliffPrice(4, 271_999, 8),
        cache_read_mtok: cliffPrice(0.4, 271_999, 0.8),
        cache_write_mtok: cliffPrice(5, 271_999, 10),
        output_mtok: cliffPrice(20, 271_999, 30),
      },
    },
  ],
  ['openrouter/google/lyria-3-clip-preview', { unknown: true }],
  ['openrouter/google/lyria-3-pro-preview', { unknown: true }],
  ['openrouter/gemini-2.5-pro-exp-03-25', { unknown: true }],
  ['cerebras/qwen-3-coder-480b', { unknown: true }],
])

/** Dollars per thousand searches if the library has no figure: xAI per tool call, Gemini per grounded prompt or query. */
export function searchFee(libraryId: string, family: string): number {
  if (libraryId === 'openai' || libraryId === 'anthropic') return 10
  if (libraryId === 'x-ai') return 5
  if (libraryId === 'google' && family.startsWith('gemini-')) return /^gemini-[12]\./.test(family) ? 35 : 14
  return 0
}
