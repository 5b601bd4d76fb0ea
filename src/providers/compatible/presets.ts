// Presets: OpenAI-compatible endpoints with a name, one row each. A field that a row leaves out has its value in DEFAULT_ENDPOINT.

import type { CostField } from '../../wire/stated-cost.ts'

/** How the key is sent. */
export const AUTH_SCHEMES = ['bearer', 'api-key', 'none'] as const

/** The dialects a compatible server may speak. */
export const COMPATIBLE_DIALECTS = [
  'openai.chat',
  'openai.completions',
  'openai.embeddings',
  'openai.responses',
] as const

type DialectName = (typeof COMPATIBLE_DIALECTS)[number]

/** The properties in which OpenAI-compatible endpoints differ. */
export interface EndpointRow {
  /** The address with its path: `https://api.groq.com/openai/v1`. Empty if each user has an address of their own. */
  readonly baseUrl: string
  /** The key, `$NAME` for the variable that holds it, or empty if the server needs no key. */
  readonly apiKey: string
  readonly auth: (typeof AUTH_SCHEMES)[number]
  /** Sent with every request, in place of the caller's headers of the same name. */
  readonly headers: Readonly<Record<string, string>>
  /** Added to the query of every request, in place of the caller's parameters of the same name. */
  readonly query: Readonly<Record<string, string>>
  /** The field that caps output. */
  readonly capField: 'max_tokens' | 'max_completion_tokens'
  /** True: the server also reads the other cap field. False: a caller's cap is moved to `capField`. */
  readonly readsBothCaps: boolean
  /** True: the server accepts `stream_options`. False also for servers that send usage without it. */
  readonly knowsStreamOptions: boolean
  /** True: the cap also bounds reasoning tokens. */
  readonly capCoversReasoning: boolean
  /** Tokens that the server adds to those of the text, for each call. */
  readonly tokensPerCall: number
  /** Tokens that the server adds for each message. */
  readonly tokensPerMessage: number
  /** Tokens that the server adds for a call with tools. */
  readonly tokensWithTools: number
  /** True: the server, or the model's template, writes tools anew, with spaces or indentation, and arguments of calls between tags. */
  readonly rewritesTools: boolean
  readonly dialects: readonly DialectName[]
  /** Its name in the price book. Empty: the provider's own name. `free`: models without a price in bursar.json cost nothing. */
  readonly prices: string
  /** The model that is shown as the default. */
  readonly model: string
  /** Paths in place of the dialect's own. `{deployment}` stands for the model as the server names it. */
  readonly paths: { readonly [Name in DialectName]?: string }
  /** The server's names for models, by the names that callers and the price book use. */
  readonly deployments: Readonly<Record<string, string>>
  /** The field in which answers state what they cost. Empty: answers state nothing that could be trusted. */
  readonly costField: CostField | ''
  /** Error statuses that this server does not bill, in addition to those that no server bills. */
  readonly freeStatuses: readonly number[]
  /** The path of a request that costs nothing and needs the key. Absent: the list of models. */
  readonly probePath?: string
}

/** The values for an unknown endpoint: the gateway sends no field that some server refuses. */
const DEFAULT_ENDPOINT: EndpointRow = {
  baseUrl: '',
  apiKey: '',
  auth: 'bearer',
  headers: {},
  query: {},
  capField: 'max_tokens',
  readsBothCaps: false,
  knowsStreamOptions: false,
  capCoversReasoning: true,
  tokensPerCall: 64,
  tokensPerMessage: 16,
  tokensWithTools: 128,
  rewritesTools: true,
  dialects: ['openai.chat'],
  prices: '',
  model: '',
  paths: {},
  deployments: {},
  costField: '',
  freeStatuses: [400, 402, 405, 409, 415, 503],
}

/** Any model may be behind an unknown server, with the longest of published templates: 1,190 tokens, 1,274 with a tool. */
const UNKNOWN_ENDPOINT: EndpointRow = { ...DEFAULT_ENDPOINT, tokensPerCall: 1_280, tokensWithTools: 1_024 }

/** A server that users run themselves: calls are free. */
const LOCAL_ENDPOINT: Partial<EndpointRow> = {
  tokensPerCall: UNKNOWN_ENDPOINT.tokensPerCall,
  tokensWithTools: UNKNOWN_ENDPOINT.tokensWithTools,
  prices: 'free',
  knowsStreamOptions: true,
  dialects: ['openai.chat', 'openai.completions', 'openai.embeddings', 'openai.responses'],
}

const AZURE_ENDPOINT: Partial<EndpointRow> = {
  apiKey: '$AZURE_OPENAI_API_KEY',
  auth: 'api-key',
  prices: 'azure',
  capField: 'max_completion_tokens',
  readsBothCaps: true,
  knowsStreamOptions: true,
  rewritesTools: false,
  dialects: ['openai.chat', 'openai.completions', 'openai.embeddings', 'openai.responses'],
}

const DEPLOYMENT_PATH = '/openai/deployments/{deployment}'

const PRESETS = {
  groq: {
    baseUrl: 'https://api.groq.com/openai/v1',
    apiKey: '$GROQ_API_KEY',
    prices: 'groq',
    capField: 'max_completion_tokens',
    readsBothCaps: true,
    knowsStreamOptions: true,
    dialects: ['openai.chat', 'openai.responses'],
    // 498: the flex tier has no capacity.
    freeStatuses: [...DEFAULT_ENDPOINT.freeStatuses, 498],
  },
  // Mistral refuses unknown fields, and sends usage without `stream_options`.
  mistral: {
    // The template's default prompt, if the API adds one.
    tokensPerCall: 576,
    baseUrl: 'https://api.mistral.ai/v1',
    apiKey: '$MISTRAL_API_KEY',
    prices: 'mistral',
    dialects: ['openai.chat', 'openai.embeddings'],
  },
  deepseek: {
    baseUrl: 'https://api.deepseek.com',
    apiKey: '$DEEPSEEK_API_KEY',
    prices: 'deepseek',
    knowsStreamOptions: true,
    dialects: ['openai.chat', 'openai.responses'],
  },
  // xAI adds a prompt before the caller's (680 tokens for 12 characters), and its reasoning exceeds the cap (137 tokens on 50).
  xai: {
    baseUrl: 'https://api.x.ai/v1',
    apiKey: '$XAI_API_KEY',
    prices: 'xai',
    capField: 'max_completion_tokens',
    readsBothCaps: true,
    knowsStreamOptions: true,
    capCoversReasoning: false,
    tokensPerCall: 1_536,
    tokensWithTools: 512,
    dialects: ['openai.chat', 'openai.responses'],
    costField: 'usage.cost_in_usd_ticks',
  },
  openrouter: {
    baseUrl: 'https://openrouter.ai/api/v1',
    apiKey: '$OPENROUTER_API_KEY',
    prices: 'openrouter',
    // Its list of models needs no key.
    probePath: '/key',
    readsBothCaps: true,
    knowsStreamOptions: true,
    // OpenRouter can pass calls on to Claude, whose tool prompt is this long.
    tokensWithTools: 1_000,
    dialects: ['openai.chat', 'openai.completions', 'openai.embeddings', 'openai.responses'],
    costField: 'usage.cost',
  },
  // Together sends usage without `stream_options`.
  together: {
    baseUrl: 'https://api.together.xyz/v1',
    apiKey: '$TOGETHER_API_KEY',
    prices: 'together',
    dialects: ['openai.chat', 'openai.completions', 'openai.embeddings'],
  },
  perplexity: {
    baseUrl: 'https://api.perplexity.ai',
    apiKey: '$PERPLEXITY_API_KEY',
    prices: 'perplexity',
    costField: 'usage.cost.total_cost',
  },
  cerebras: {
    baseUrl: 'https://api.cerebras.ai/v1',
    apiKey: '$CEREBRAS_API_KEY',
    prices: 'cerebras',
    capField: 'max_completion_tokens',
    knowsStreamOptions: true,
    dialects: ['openai.chat', 'openai.completions'],
  },
  /** The v1 API, at `https://RESOURCE.openai.azure.com/openai/v1`. */
  azure: AZURE_ENDPOINT,
  /** The API with a deployment in the path and a version in the query, at `https://RESOURCE.openai.azure.com`. */
  'azure-deployments': {
    ...AZURE_ENDPOINT,
    query: { 'api-version': '2025-04-01-preview' },
    probePath: '/openai/models',
    paths: {
      'openai.chat': `${DEPLOYMENT_PATH}/chat/completions`,
      'openai.completions': `${DEPLOYMENT_PATH}/completions`,
      'openai.embeddings': `${DEPLOYMENT_PATH}/embeddings`,
      'openai.responses': '/openai/responses',
    },
  },
  ollama: { ...LOCAL_ENDPOINT, baseUrl: 'http://127.0.0.1:11434/v1' },
  vllm: { ...LOCAL_ENDPOINT, readsBothCaps: true, baseUrl: 'http://127.0.0.1:8000/v1' },
} as const satisfies Record<string, Partial<EndpointRow>>

type PresetName = keyof typeof PRESETS

/** The names of all presets. The tuple type says that there is at least one. */
export const PRESET_NAMES = Object.keys(PRESETS) as [PresetName, ...PresetName[]]

/** The row of a preset, with every default filled in. Without a name, the defaults alone. */
export function presetRow(name: PresetName | undefined): EndpointRow {
  return name === undefined ? UNKNOWN_ENDPOINT : { ...DEFAULT_ENDPOINT, ...PRESETS[name] }
}
