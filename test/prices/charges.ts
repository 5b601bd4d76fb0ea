// Charges: the one table of what providers bill, where an answer tells it, what it costs, and what is reserved. docs/charges.md shows it.

import type { UsageClass } from '../../src/core/usage.ts'
import { type ChargeAnswer, chat, gemini, message, response, vectors } from './charge-answers.ts'

/**
 * How a charge is booked.
 * - `units`: by the units that the answer tells, at the price of the price file.
 * - `at most`: as the most that it can be, since no answer tells how much it was.
 * - `reservation`: the call stays booked at its reservation.
 * - `tokens`: the tokens alone are billed.
 * - `refused`: no endpoint of the gateway uses it. A model that is priced by nothing else has no price.
 */
export type Booking = 'units' | 'at most' | 'reservation' | 'tokens' | 'refused'

export interface Charge {
  /** As callers name it; `*` is every provider. */
  readonly provider: string
  readonly charge: string
  readonly booked: Booking
  /** The class of its price in the price file, metered or not. Null if no price is known or none is needed. */
  readonly price: UsageClass | 'pages' | 'annotatedPages' | 'characters' | 'textMessages' | null
  /** A model that has the price. Any, if absent. */
  readonly model?: string
  readonly told: string
  readonly reserved: string
  /** An answer that tells the charge. */
  readonly answer?: ChargeAnswer
}

const INPUT_BOUND = 'the bytes of the request, at the most expensive rate of input'
const OUTPUT_BOUND = 'the cap of the answer, at the most expensive rate of output'
const TEN_SEARCHES = '10 searches of a call with a hosted tool'
const NO_ENDPOINT = 'nothing'
const WINDOW = 'a context window'

const details = (prompt_tokens_details: object) => chat({ prompt_tokens_details })
const chatOutput = (completion_tokens_details: object) => chat({ completion_tokens_details })
const modality = (name: string, tokenCount = 100) => [{ modality: name, tokenCount }]

/** Tokens are told by every provider in the usage of its dialect. */
const TOKENS: readonly Charge[] = [
  {
    provider: '*',
    charge: 'input',
    booked: 'units',
    price: 'input',
    told: '`prompt_tokens`, `input_tokens`, `promptTokenCount`; `toolUsePromptTokenCount`',
    reserved: INPUT_BOUND,
    answer: chat({}),
  },
  {
    provider: '*',
    charge: 'input read from a cache',
    booked: 'units',
    price: 'cacheRead',
    told: '`cached_tokens`, `prompt_cache_hit_tokens`, `cache_read_input_tokens`, `cachedContentTokenCount`',
    reserved: INPUT_BOUND,
    answer: details({ cached_tokens: 100 }),
  },
  {
    provider: '*',
    charge: 'input written to a cache',
    booked: 'units',
    price: 'cacheWrite5m',
    told: '`cache_write_tokens`, `cache_creation_input_tokens`',
    reserved: INPUT_BOUND,
    answer: details({ cache_write_tokens: 100 }),
  },
  {
    provider: '*',
    charge: 'input written to a cache for an hour',
    booked: 'units',
    price: 'cacheWrite1h',
    told: '`cache_creation.ephemeral_1h_input_tokens`. OpenRouter does not tell it apart, and states the cost',
    reserved: INPUT_BOUND,
    answer: message({
      cache_creation_input_tokens: 100,
      cache_creation: { ephemeral_1h_input_tokens: 100, ephemeral_5m_input_tokens: 0 },
    }),
  },
  {
    provider: 'openai',
    charge: 'input written to a cache for twelve hours',
    booked: 'units',
    price: 'cacheWrite12h',
    model: 'gpt-6.2-sol',
    told: '`cache_write_tokens_details.ttl_12h_tokens`',
    reserved: INPUT_BOUND,
    answer: details({ cache_write_tokens: 100, cache_write_tokens_details: { ttl_12h_tokens: 100 } }),
  },
  {
    provider: '*',
    charge: 'output, reasoning included',
    booked: 'units',
    price: 'output',
    told: '`completion_tokens`, `output_tokens`, `candidatesTokenCount` and `thoughtsTokenCount`; what `total_tokens` has beside',
    reserved: OUTPUT_BOUND,
    answer: chat({}),
  },
  {
    provider: '*',
    charge: 'sound as input, by the token',
    booked: 'units',
    price: 'audioInput',
    told: '`audio_tokens`; modality `AUDIO`',
    reserved: WINDOW,
    answer: details({ audio_tokens: 100 }),
  },
  {
    provider: '*',
    charge: 'sound read from a cache',
    booked: 'units',
    price: 'audioCacheRead',
    told: 'modality `AUDIO` of `cacheTokensDetails`',
    reserved: WINDOW,
    answer: gemini({
      cachedContentTokenCount: 100,
      cacheTokensDetails: modality('AUDIO'),
      promptTokensDetails: modality('AUDIO'),
    }),
  },
  {
    provider: '*',
    charge: 'sound as output',
    booked: 'units',
    price: 'audioOutput',
    told: '`audio_tokens` of the output; modality `AUDIO`',
    reserved: OUTPUT_BOUND,
    answer: chatOutput({ audio_tokens: 50 }),
  },
  {
    provider: '*',
    charge: 'pictures and film as input, where they have a rate of their own',
    booked: 'units',
    price: 'imageInput',
    told: 'modality `IMAGE` or `VIDEO` of vectors; `tool_usage.image_gen`. Elsewhere they are input',
    reserved: 'the most tokens of a picture; a context window for film',
    answer: vectors(modality('IMAGE')),
  },
  {
    provider: '*',
    charge: 'pictures as output',
    booked: 'units',
    price: 'imageOutput',
    told: 'modality `IMAGE`; `tool_usage.image_gen`',
    reserved: OUTPUT_BOUND,
    answer: gemini({ candidatesTokensDetails: modality('IMAGE') }),
  },
]

const webSearchCall = { type: 'web_search_call', id: 'ws', action: { type: 'search', query: 'a' } }
const fileSearchCall = { type: 'file_search_call', id: 'fs' }
const codeCall = { type: 'code_interpreter_call', id: 'ci', container_id: 'cntr' }

/** What OpenAI runs; Azure runs the same, at prices of its own. */
const openaiTools = (provider: string): readonly Charge[] => [
  {
    provider,
    charge: 'searches of the web',
    booked: 'units',
    price: 'webSearches',
    model: 'gpt-5',
    told: 'items `web_search_call`, but for pages that are opened; `tool_usage.web_search.num_requests`',
    reserved: TEN_SEARCHES,
    answer: response([webSearchCall]),
  },
  {
    provider,
    charge: 'searches of files',
    booked: 'units',
    price: 'fileSearches',
    model: 'gpt-5',
    told: 'items `file_search_call`',
    reserved: '10 searches',
    answer: response([fileSearchCall]),
  },
  {
    provider,
    charge: 'containers for code',
    booked: 'units',
    price: 'containerGigabytes',
    model: 'gpt-5',
    told: '`container_id` of items `code_interpreter_call` and `shell_call`, with the `memory_limit` of `tools`',
    reserved: 'one container of each memory that the request names',
    answer: response([codeCall]),
  },
  {
    provider,
    charge: 'pictures that a tool draws, without a count of their tokens',
    booked: 'reservation',
    price: null,
    told: 'items `image_generation_call` without `tool_usage.image_gen`',
    reserved: WINDOW,
    answer: response([{ type: 'image_generation_call', id: 'ig' }]),
  },
]

const FEES: readonly Charge[] = [
  ...openaiTools('openai'),
  {
    provider: 'openai',
    charge: 'chat models that search in every call',
    booked: 'units',
    price: 'requests',
    model: 'gpt-4o-search-preview',
    told: 'one for each answer',
    reserved: 'one',
    answer: chat({}),
  },
  {
    provider: 'openai',
    charge: 'sound by its length: transcription, realtime',
    booked: 'refused',
    price: 'audioSeconds',
    told: NO_ENDPOINT,
    reserved: NO_ENDPOINT,
  },
  {
    provider: 'openai',
    charge: 'characters that are spoken',
    booked: 'refused',
    price: 'characters',
    told: NO_ENDPOINT,
    reserved: NO_ENDPOINT,
  },
  ...openaiTools('azure'),
  {
    provider: 'anthropic',
    charge: 'searches of the web',
    booked: 'units',
    price: 'webSearches',
    model: 'claude-sonnet-4-5',
    told: '`server_tool_use.web_search_requests`',
    reserved: TEN_SEARCHES,
    answer: message({ server_tool_use: { web_search_requests: 1, web_fetch_requests: 0 } }),
  },
  {
    provider: 'anthropic',
    charge: 'containers for code, by their time',
    booked: 'at most',
    price: 'containerSeconds',
    model: 'claude-sonnet-4-5',
    told: 'whether there was one: blocks `server_tool_use` that run code, `code_execution_requests`, or a file for it in the request. Not for how long: the time of the call counts, and five minutes at least. Free beside `web_search_20260209`, `web_fetch_20260209` and later',
    reserved: 'an hour',
    answer: message({}, [{ type: 'server_tool_use', id: 's', name: 'bash_code_execution', input: {} }]),
  },
  {
    provider: 'anthropic',
    charge: 'pages that are fetched; searches of tools; MCP',
    booked: 'tokens',
    price: null,
    told: '`server_tool_use.web_fetch_requests`',
    reserved: WINDOW,
    answer: message({ server_tool_use: { web_fetch_requests: 1 } }),
  },
  {
    provider: 'anthropic',
    charge: 'uses of any other tool',
    booked: 'reservation',
    price: null,
    told: 'other counts of `server_tool_use`',
    reserved: WINDOW,
    answer: message({ server_tool_use: { new_tool_requests: 1 } }),
  },
  {
    provider: 'gemini',
    charge: 'searches of the web, for pages and pictures',
    booked: 'units',
    price: 'webSearches',
    model: 'gemini-3-flash-preview',
    told: '`webSearchQueries` and `imageSearchQueries`, each once; before Gemini 3, one for a prompt that searches',
    reserved: TEN_SEARCHES,
    answer: gemini({}, { webSearchQueries: ['a'], groundingChunks: [{ web: {} }] }),
  },
  {
    provider: 'gemini',
    charge: 'searches of maps',
    booked: 'units',
    price: 'mapsQueries',
    model: 'gemini-3-flash-preview',
    told: 'queries of an answer with places and no pages; one at least, and one for a prompt before Gemini 3',
    reserved: '10 searches',
    answer: gemini({}, { webSearchQueries: ['a'], groundingChunks: [{ maps: {} }] }),
  },
  {
    provider: 'gemini',
    charge: 'searches of the caller’s own data stores',
    booked: 'reservation',
    price: null,
    told: '`retrievalQueries`',
    reserved: WINDOW,
    answer: gemini({}, { retrievalQueries: ['a'] }),
  },
  {
    provider: 'gemini',
    charge: '`enterpriseWebSearch`',
    booked: 'reservation',
    price: null,
    told: 'not apart from other searches',
    reserved: WINDOW,
  },
  {
    provider: 'gemini',
    charge: 'code, files and pages that are read',
    booked: 'tokens',
    price: null,
    told: '`toolUsePromptTokenCount`',
    reserved: WINDOW,
    answer: gemini({ toolUsePromptTokenCount: 100 }),
  },
  {
    provider: 'xai',
    charge: 'searches of the web and of X',
    booked: 'units',
    price: 'webSearches',
    model: 'grok-4.5',
    told: '`server_side_tool_usage_details`, items `web_search_call`',
    reserved: TEN_SEARCHES,
    answer: response([], {
      num_server_side_tools_used: 2,
      server_side_tool_usage_details: { web_search_calls: 1, x_search_calls: 1 },
    }),
  },
  {
    provider: 'xai',
    charge: 'sources of live search',
    booked: 'units',
    price: 'sources',
    model: 'grok-4.5',
    told: '`num_sources_used`',
    reserved: '50 sources of a call with `search_parameters`',
    answer: chat({ num_sources_used: 1 }),
  },
  {
    provider: 'xai',
    charge: 'runs of code',
    booked: 'units',
    price: 'codeRuns',
    model: 'grok-4.5',
    told: '`code_interpreter_calls`, items `code_interpreter_call`',
    reserved: '10 runs',
    answer: response([codeCall], { num_server_side_tools_used: 1 }),
  },
  {
    provider: 'xai',
    charge: 'searches of collections',
    booked: 'units',
    price: 'fileSearches',
    model: 'grok-4.5',
    told: '`file_search_calls`, items `file_search_call`',
    reserved: '10 searches',
    answer: chat({ server_side_tool_usage_details: { file_search_calls: 1 } }),
  },
  {
    provider: 'xai',
    charge: 'searches of attached files',
    booked: 'units',
    price: 'documentSearches',
    model: 'grok-4.5',
    told: '`document_search_calls`',
    reserved: '10 searches, if the tool is named',
    answer: response([], { server_side_tool_usage_details: { document_search_calls: 1 } }),
  },
  {
    provider: 'xai',
    charge: 'uses of any other tool, but for MCP',
    booked: 'reservation',
    price: null,
    told: 'other counts of `server_side_tool_usage_details`; what `num_server_side_tools_used` has beside. xAI states the cost of most answers, which then counts',
    reserved: WINDOW,
    answer: response([], { server_side_tool_usage_details: { image_generation_calls: 1 } }),
  },
  {
    provider: 'xai',
    charge: 'sound by its length: realtime',
    booked: 'refused',
    price: 'audioSeconds',
    told: NO_ENDPOINT,
    reserved: NO_ENDPOINT,
  },
  {
    provider: 'xai',
    charge: 'text messages of realtime',
    booked: 'refused',
    price: 'textMessages',
    told: NO_ENDPOINT,
    reserved: NO_ENDPOINT,
  },
  {
    provider: 'groq',
    charge: 'searches of its browser',
    booked: 'units',
    price: 'webSearches',
    model: 'openai/gpt-oss-120b',
    told: '`executed_tools` of messages',
    reserved: TEN_SEARCHES,
    answer: chat({}, { executed_tools: [{ index: 0, type: 'browser_search', name: 'browser.search' }] }),
  },
  {
    provider: 'groq',
    charge: 'pages that its browser opens',
    booked: 'units',
    price: 'pageVisits',
    model: 'openai/gpt-oss-120b',
    told: '`executed_tools` of messages',
    reserved: '10 pages',
    answer: chat({}, { executed_tools: [{ index: 0, type: 'browser_search', name: 'browser.open' }] }),
  },
  {
    provider: 'groq',
    charge: 'uses of any other tool, as of `compound`',
    booked: 'reservation',
    price: null,
    told: '`executed_tools` of messages',
    reserved: WINDOW,
    answer: chat({}, { executed_tools: [{ index: 0, type: 'python' }] }),
  },
  {
    provider: 'groq',
    charge: 'sound by its length: transcription',
    booked: 'refused',
    price: 'audioSeconds',
    told: NO_ENDPOINT,
    reserved: NO_ENDPOINT,
  },
  {
    provider: 'groq',
    charge: 'characters that are spoken',
    booked: 'refused',
    price: 'characters',
    told: NO_ENDPOINT,
    reserved: NO_ENDPOINT,
  },
  {
    provider: 'mistral',
    charge: 'sound by its length, in chat',
    booked: 'units',
    price: 'audioSeconds',
    model: 'voxtral-small-latest',
    told: '`prompt_audio_seconds`',
    reserved: 'the seconds of a context window',
    answer: chat({ prompt_audio_seconds: 3 }),
  },
  {
    provider: 'mistral',
    charge: 'documents that chat reads by OCR (`document_url`)',
    booked: 'reservation',
    price: null,
    told: 'nowhere',
    reserved: WINDOW,
  },
  {
    provider: 'mistral',
    charge: 'hosted tools and connectors in chat',
    booked: 'reservation',
    price: null,
    told: 'nowhere',
    reserved: WINDOW,
  },
  {
    provider: 'mistral',
    charge: 'pages of OCR',
    booked: 'refused',
    price: 'pages',
    told: NO_ENDPOINT,
    reserved: NO_ENDPOINT,
  },
  {
    provider: 'mistral',
    charge: 'pages of OCR with annotations',
    booked: 'refused',
    price: 'annotatedPages',
    told: NO_ENDPOINT,
    reserved: NO_ENDPOINT,
  },
  {
    provider: 'perplexity',
    charge: 'each call of a model that searches',
    booked: 'units',
    price: 'requests',
    model: 'sonar',
    told: 'one for each answer. The cost that the answer states counts before it',
    reserved: 'one, at the price of the largest search',
    answer: chat({}),
  },
  {
    provider: 'perplexity',
    charge: 'searches of deep research',
    booked: 'units',
    price: 'webSearches',
    model: 'sonar-deep-research',
    told: '`num_search_queries`',
    reserved: TEN_SEARCHES,
    answer: chat({ num_search_queries: 1 }),
  },
  {
    provider: 'perplexity',
    charge: 'sources that deep research reads',
    booked: 'units',
    price: 'citations',
    model: 'sonar-deep-research',
    told: '`citation_tokens`',
    reserved: WINDOW,
    answer: chat({ citation_tokens: 100 }),
  },
  {
    provider: 'perplexity',
    charge: 'reasoning of deep research',
    booked: 'units',
    price: 'reasoningBeside',
    model: 'sonar-deep-research',
    told: '`reasoning_tokens`, beside the output',
    reserved: OUTPUT_BOUND,
    answer: chat({ reasoning_tokens: 100 }),
  },
  {
    provider: 'openrouter',
    charge: 'searches of the web',
    booked: 'units',
    price: 'webSearches',
    model: 'openai/o3-deep-research',
    told: '`server_tool_use_details.web_search_requests`. OpenRouter states the cost of its answers, which then counts',
    reserved: TEN_SEARCHES,
    answer: chat({ server_tool_use_details: { web_search_requests: 1 } }),
  },
  {
    provider: 'openrouter',
    charge: 'reasoning of deep research',
    booked: 'units',
    price: 'reasoningBeside',
    model: 'perplexity/sonar-deep-research',
    told: '`reasoning_tokens`, beside the output',
    reserved: OUTPUT_BOUND,
    answer: chat({ reasoning_tokens: 100 }),
  },
  {
    provider: 'openrouter',
    charge: 'each call of a model that searches',
    booked: 'units',
    price: 'requests',
    model: 'perplexity/sonar',
    told: 'one for each answer',
    reserved: 'one',
    answer: chat({}),
  },
  {
    provider: 'openrouter',
    charge: 'plugins (searches, PDF engines) and tools of an answer without a stated cost',
    booked: 'reservation',
    price: null,
    told: '`tool_calls_executed`',
    reserved: WINDOW,
    answer: chat({ server_tool_use_details: { tool_calls_executed: 1 } }),
  },
  {
    provider: 'deepseek',
    charge: 'searches of the web',
    booked: 'reservation',
    price: null,
    told: 'items `web_search_call`',
    reserved: WINDOW,
    answer: response([webSearchCall]),
  },
]

export const CHARGES: readonly Charge[] = [...TOKENS, ...FEES]
