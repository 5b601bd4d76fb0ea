// Model aliases: names that a provider documents for a model whose text differs. Limits on a model hold for its aliases too. Prices and
// requests never use this table.

/**
 * The day of the last change to the table. The ledger's marks of counted windows have the day: with another table, open windows start
 * from the ledger's sums again.
 */
export const ALIASES_DATE = '2026-11-30'

interface AliasRow {
  /**
   * In the one spelling of `modelNameOf`, separated by blanks. A name without a vendor holds behind every vendor; OpenRouter's `~` names
   * have theirs.
   */
  readonly names: string
  /** The model that all of them mean on the day. */
  readonly model: string
  readonly source: string
  /** The day on which the source was read: aliases move. */
  readonly date: string
}

const GENAI = { source: 'genai-prices 0.2.3: one row for these names', date: '2026-11-30' }
const OPENAI = { source: "OpenAI's model pages and guides", date: '2026-11-30' }
const XAI = { source: "xAI's list of models, with their aliases", date: '2026-11-30' }
const OPENROUTER = { source: "OpenRouter's model pages, and the same figures in genai-prices", date: '2026-11-30' }

/** Names that are different models at the same price are not here: `gpt-5-codex` is not `gpt-5`. */
const ROWS: readonly AliasRow[] = [
  // OpenAI
  { ...OPENAI, names: 'gpt-5.6', model: 'gpt-5.6-sol' },
  { ...OPENAI, names: 'gpt-4-0125-preview', model: 'gpt-4-turbo-0125-preview' },
  { ...OPENAI, names: 'gpt-4-1106-preview', model: 'gpt-4-turbo-1106-preview' },
  { ...OPENAI, names: 'chat-latest', model: 'gpt-chat-latest' },
  { ...OPENAI, names: 'text-embedding-ada text-embedding-ada-002-v2', model: 'text-embedding-ada-002' },
  { ...OPENROUTER, names: 'o3-mini-high', model: 'o3-mini' },
  { ...OPENROUTER, names: 'o4-mini-high', model: 'o4-mini' },
  // Google
  { ...GENAI, names: 'gemini-flash-latest', model: 'gemini-3.8-flash' },
  { ...GENAI, names: 'gemini-flash-lite-latest', model: 'gemini-3.5-flash-lite' },
  { ...GENAI, names: 'gemini-pro-latest', model: 'gemini-3.1-pro-preview' },
  { ...GENAI, names: 'gemini-2.5-flash-preview-tts', model: 'gemini-2.5-flash-tts' },
  { ...GENAI, names: 'gemini-2.5-pro-preview-tts', model: 'gemini-2.5-pro-tts' },
  // xAI
  { ...GENAI, names: 'grok-latest', model: 'grok-4.5' },
  {
    ...XAI,
    names:
      'grok-4.20-0309-reasoning grok-4.20-beta-0309-reasoning grok-4.20-experimental-beta-0304 ' +
      'grok-4.20-experimental-beta-0304-reasoning',
    model: 'grok-4.20-0309',
  },
  {
    ...XAI,
    names:
      'grok-4.20-reasoning grok-4.20-beta-reasoning grok-4.20-beta-latest-reasoning grok-4.20-experimental ' +
      'grok-4.20-experimental-beta-reasoning grok-4.20-reasoning-gv2',
    model: 'grok-4.20',
  },
  {
    ...XAI,
    names:
      'grok-4.20-0309-non-reasoning grok-4.20-beta-0309-non-reasoning grok-4.20-beta-non-reasoning ' +
      'grok-4.20-beta-latest-non-reasoning grok-4.20-experimental-beta-0304-non-reasoning ' +
      'grok-4.20-experimental-beta-non-reasoning grok-4.20-non-reasoning-gv2',
    model: 'grok-4.20-non-reasoning',
  },
  { ...XAI, names: 'grok-4.20-multi-agent-experimental', model: 'grok-4.20-multi-agent' },
  { ...XAI, names: 'grok-4-1-fast grok-4.1-fast', model: 'grok-4-1-fast-reasoning' },
  { ...XAI, names: 'grok-4-fast', model: 'grok-4-fast-reasoning' },
  { ...XAI, names: 'grok-code-fast', model: 'grok-code-fast-1' },
  { ...GENAI, names: 'grok-voice-latest', model: 'grok-voice-3.0' },
  // Mistral, Perplexity
  { ...GENAI, names: 'open-mistral-nemo', model: 'mistral-nemo' },
  { ...GENAI, names: 'mistral-large-4-0', model: 'mistral-large-4' },
  { ...GENAI, names: 'mistral-medium-3-1', model: 'mistral-medium-2508' },
  { ...GENAI, names: 'mistral-medium-3-5 mistral-medium-3.5', model: 'mistral-medium-2604' },
  { ...GENAI, names: 'voxtral-small-24b', model: 'voxtral-small' },
  { ...GENAI, names: 'pplx-decider-latest', model: 'pplx-decider-v1.2' },
  { ...GENAI, names: 'pplx-decider-flash-latest', model: 'pplx-decider-flash-v1.2' },
  // OpenRouter
  { ...GENAI, names: 'llama-4-maverick-17b-128e-instruct', model: 'llama-4-maverick' },
  { ...GENAI, names: 'llama-4-scout-17b-16e-instruct', model: 'llama-4-scout' },
  { ...GENAI, names: 'qwen3-coder-480b-a35b', model: 'qwen3-coder' },
  { ...GENAI, names: 'mistral-7b-instruct-v0.3', model: 'mistral-7b-instruct' },
  { ...GENAI, names: 'l3.3-euryale-70b-v2.3', model: 'l3.3-euryale-70b' },
  { ...GENAI, names: 'namazu', model: 'sakana-namazu' },
  { ...GENAI, names: 'glm-4.6-20251208', model: 'glm-4.6v' },
  { ...OPENROUTER, names: '~anthropic/claude-haiku-latest', model: 'anthropic/claude-haiku-5-5' },
  { ...OPENROUTER, names: '~anthropic/claude-opus-latest', model: 'anthropic/claude-opus-5-5' },
  { ...OPENROUTER, names: '~anthropic/claude-sonnet-latest', model: 'anthropic/claude-sonnet-5-5' },
  { ...OPENROUTER, names: '~google/gemini-pro-latest', model: 'google/gemini-4-argon' },
  { ...OPENROUTER, names: '~openai/gpt-astra-latest', model: 'openai/gpt-6-astra' },
  { ...OPENROUTER, names: '~openai/gpt-mini-latest', model: 'openai/gpt-5.4-mini' },
  { ...OPENROUTER, names: '~x-ai/grok-latest', model: 'x-ai/grok-4.7' },
]

/** The model that a name means, by that name. */
export const MODEL_ALIASES: ReadonlyMap<string, string> = new Map(
  ROWS.flatMap(({ names, model }) => names.split(' ').map((name) => [name, model] as const)),
)
