// Limits: the context window and the longest answer of model families, read by hand. litellm adds those of all other models.

import type { PriceFile } from '../../src/prices/price-file.ts'

type Row = readonly [names: string, contextWindow: number, maxOutput: number, usualOutput: number]

/**
 * Families by name, in tokens; dated names find their family. If the sources (providers' pages, models.dev, LiteLLM) differ, the
 * larger figure stands, because it bounds the usage of a call. `usualOutput` is a rough guess at a common answer with its
 * reasoning. It only sizes the tokens-per-minute estimate. Embedding models write no tokens.
 */
const ROWS: readonly Row[] = [
  // OpenAI
  ['gpt-4o gpt-4o-mini chatgpt-4o gpt-4o-audio gpt-4o-mini-audio gpt-audio gpt-audio-mini', 128_000, 16_384, 500],
  ['gpt-audio-1.5 gpt-4o-search gpt-4o-mini-search gpt-4.5', 128_000, 16_384, 500],
  ['gpt-4o:extended', 128_000, 65_536, 1_000],
  ['gpt-4.1 gpt-4.1-mini gpt-4.1-nano', 1_047_576, 32_768, 500],
  ['gpt-4-turbo gpt-4-turbo-preview gpt-4-0125-preview gpt-4-1106-preview', 128_000, 4_096, 500],
  ['gpt-4-vision-preview gpt-4-1106-vision-preview', 128_000, 4_096, 500],
  ['gpt-4', 8_192, 8_192, 500],
  ['gpt-4-32k', 32_768, 32_768, 500],
  ['gpt-3.5-turbo gpt-3.5-turbo-16k', 16_385, 4_096, 300],
  ['gpt-3.5-turbo-instruct', 8_192, 4_097, 300],
  ['davinci-002 babbage-002', 16_384, 16_384, 300],
  ['gpt-5 gpt-5-mini gpt-5-nano gpt-5-codex gpt-5-chat gpt-5-search-api gpt-chat', 400_000, 128_000, 2_000],
  ['gpt-5-pro', 400_000, 272_000, 4_000],
  ['gpt-5.1 gpt-5.1-mini gpt-5.1-codex gpt-5.1-codex-max gpt-5.1-codex-mini', 400_000, 128_000, 2_000],
  ['gpt-5.2 gpt-5.2-codex gpt-5.3-codex gpt-5.3-codex-spark', 400_000, 128_000, 2_000],
  ['gpt-5.2-pro', 400_000, 128_000, 4_000],
  ['gpt-5.3 gpt-5.1-chat gpt-5.2-chat gpt-5.3-chat', 128_000, 16_384, 1_000],
  ['gpt-5.4 gpt-5.4-mini gpt-5.4-nano gpt-5.5 gpt-5.5-chat gpt-5.5-codex', 1_050_000, 128_000, 2_000],
  ['gpt-5.6 gpt-5.6-sol gpt-5.6-terra gpt-5.6-luna', 1_050_000, 128_000, 2_000],
  ['gpt-6-astra gpt-6-sol gpt-6-luna gpt-6.1-sol gpt-6.1-terra', 1_050_000, 128_000, 2_000],
  ['gpt-6.2-sol gpt-6.2-astra', 1_050_000, 128_000, 2_000],
  ['gpt-5.4-pro gpt-5.5-pro', 1_050_000, 128_000, 4_000],
  ['o1 o3 o3-mini o3-mini-high o4-mini o4-mini-high codex-mini', 200_000, 100_000, 2_000],
  ['o1-pro o3-pro o3-deep-research o4-mini-deep-research', 200_000, 100_000, 4_000],
  ['o1-preview', 128_000, 32_768, 2_000],
  ['o1-mini', 128_000, 65_536, 2_000],
  ['computer-use', 8_192, 1_024, 300],
  ['gpt-oss-120b gpt-oss-20b gpt-oss-safeguard-20b', 131_072, 131_072, 1_000],
  ['text-embedding-3-small text-embedding-3-large text-embedding-ada-002 text-embedding-ada-002-v2', 8_192, 0, 0],
  // Anthropic. 3.7 answers 128,000 tokens with a beta header. The million of Sonnet 4 and 4.5 ended on 2026-04-30.
  ['claude-3-haiku claude-3-sonnet claude-3-opus', 200_000, 4_096, 500],
  ['claude-3-5-haiku claude-3-5-sonnet', 200_000, 8_192, 500],
  ['claude-3-7-sonnet', 200_000, 128_000, 1_000],
  ['claude-opus-4 claude-opus-4-0 claude-opus-4-1', 200_000, 32_000, 1_000],
  ['claude-opus-4-5 claude-haiku-4-5', 200_000, 64_000, 1_000],
  ['claude-sonnet-4 claude-sonnet-4-0 claude-sonnet-4-5', 200_000, 64_000, 1_000],
  ['claude-sonnet-4-6 claude-opus-4-6 claude-opus-4-7 claude-opus-4-8', 1_000_000, 128_000, 1_500],
  ['claude-sonnet-5 claude-sonnet-5-5 claude-haiku-5-5 claude-opus-5 claude-opus-5-5', 1_000_000, 128_000, 1_500],
  [
    'claude-fable-5 claude-fable-5-1 claude-fable-5-2 claude-mythos-5 claude-mythos-5-1 claude-mythos-5-2',
    1_000_000,
    128_000,
    1_500,
  ],
  // Google
  ['gemini-1.5-pro', 2_097_152, 8_192, 500],
  ['gemini-1.5-flash gemini-1.5-flash-8b gemini-2.0-flash gemini-2.0-flash-lite', 1_048_576, 8_192, 500],
  ['gemini-2.0-flash-thinking', 1_048_576, 65_536, 1_500],
  ['gemini-2.5-flash gemini-2.5-flash-lite gemini-2.5-pro', 1_048_576, 65_536, 1_500],
  ['gemini-2.5-flash-image', 1_048_576, 32_768, 1_500],
  ['gemini-2.5-flash-tts gemini-2.5-pro-tts', 32_768, 16_384, 1_500],
  ['gemini-2.5-flash-preview-tts gemini-2.5-pro-preview-tts gemini-2.5-flash-lite-preview-tts', 32_768, 16_384, 1_500],
  ['gemini-3-flash gemini-3-pro gemini-3-pro-image', 1_048_576, 65_536, 1_500],
  ['gemini-3.1-pro gemini-3.1-flash-lite gemini-3.1-flash-image gemini-3.1-flash-lite-image', 1_048_576, 65_536, 1_500],
  ['gemini-3.5-flash gemini-3.5-flash-lite gemini-3.6-flash', 1_048_576, 65_536, 1_500],
  ['gemini-3.7-flash gemini-3.8-flash', 1_048_576, 65_536, 1_500],
  ['gemini-4-argon gemini-4-carbon gemini-4-hydrogen gemini-4-neon', 1_048_576, 1_048_576, 1_500],
  ['gemini-flash gemini-flash-lite gemini-pro', 1_048_576, 65_536, 1_500],
  ['gemma-3-1b-it gemma-3-4b-it gemma-3-12b-it gemma-3-27b-it gemma-3n-e4b-it', 131_072, 131_072, 500],
  ['gemma-4-26b-a4b-it gemma-4-26b-a4b-it-maas gemma-4-31b-it', 262_144, 32_768, 500],
  ['gemini-embedding-001 text-embedding-004', 2_048, 0, 0],
  ['gemini-embedding-2', 8_192, 0, 0],
  // DeepSeek
  ['deepseek-chat deepseek-reasoner deepseek-flash deepseek-v4-flash deepseek-v4-pro', 1_000_000, 393_216, 1_500],
  ['deepseek-v3.1 deepseek-v3.1-terminus deepseek-v3.2', 163_840, 163_840, 1_500],
  ['deepseek-r1 deepseek-r1-distill-llama-70b', 163_840, 163_840, 2_000],
  // Mistral
  ['mistral-large mistral-medium devstral devstral-medium devstral-small labs-devstral-small', 262_144, 262_144, 500],
  ['mistral-medium-3 mistral-medium-3.5 mistral-medium-3-5', 262_144, 262_144, 500],
  ['mistral-small ministral-3b ministral-8b ministral-14b codestral', 262_144, 262_144, 500],
  ['magistral-medium magistral-small', 131_072, 131_072, 1_500],
  ['pixtral-large pixtral-12b mistral-nemo open-mistral-nemo', 131_072, 131_072, 500],
  ['open-mistral-7b mistral-7b mistral-tiny open-mixtral-8x7b voxtral-small voxtral-mini', 32_768, 32_768, 500],
  ['open-mixtral-8x22b', 65_536, 65_536, 500],
  ['mistral-embed codestral-embed', 8_192, 0, 0],
  // xAI
  ['grok-2 grok-3 grok-3-fast grok-3-mini grok-3-mini-fast', 131_072, 131_072, 1_000],
  ['grok-2-vision', 32_768, 32_768, 500],
  ['grok-4 grok-code-fast grok-code-fast-1 grok-build-0.1', 256_000, 256_000, 1_500],
  ['grok-4-fast grok-4-fast-reasoning grok-4-fast-non-reasoning', 2_000_000, 2_000_000, 1_500],
  ['grok-4-1-fast grok-4-1-fast-reasoning grok-4-1-fast-non-reasoning', 2_000_000, 2_000_000, 1_500],
  ['grok-4.20 grok-4.20-reasoning grok-4.20-non-reasoning grok-4.20-multi-agent', 2_000_000, 2_000_000, 1_500],
  ['grok-4.20-0309-reasoning grok-4.20-0309-non-reasoning', 2_000_000, 2_000_000, 1_500],
  ['grok-4.3', 1_000_000, 1_000_000, 1_500],
  ['grok-4.5 grok-4.6 grok-4.7 grok', 500_000, 500_000, 1_500],
  // Open models on Groq, Together, Cerebras …
  ['llama-3.3-70b-versatile llama-3.3-70b-specdec', 131_072, 32_768, 500],
  ['llama-3.1-8b-instant llama-3.1-70b-versatile', 131_072, 131_072, 500],
  ['llama3-8b-8192 llama3-70b-8192 gemma2-9b-it', 8_192, 8_192, 500],
  ['meta-llama-3.1-8b-instruct-turbo meta-llama-3.1-70b-instruct-turbo', 131_072, 131_072, 500],
  ['llama-3.3-70b-instruct llama-3.3-70b-instruct-turbo llama-3.1-8b-instruct', 131_072, 131_072, 500],
  ['llama-4-scout-17b-16e-instruct llama-4-maverick-17b-128e-instruct', 1_048_576, 131_072, 500],
  ['llama-4-maverick-17b-128e-instruct-fp8 llama-4-scout llama-4-maverick', 1_048_576, 131_072, 500],
  ['llama-3.3-70b llama3.1-8b', 131_072, 131_072, 500],
  ['mixtral-8x7b-32768 mixtral-8x7b mixtral-8x7b-instruct mistral-saba', 32_768, 32_768, 500],
  ['mixtral-8x22b-instruct', 65_536, 65_536, 500],
  ['qwen3-32b qwen-3-32b qwen3-235b-a22b', 131_072, 131_072, 1_500],
  ['kimi-k2 kimi-k2-instruct kimi-k2-turbo kimi-k2-thinking kimi-k2-thinking-turbo kimi-k2.5', 262_144, 262_144, 1_500],
  ['kimi-k2.6 kimi-k2.7-code kimi-k2.7-code-highspeed', 1_000_000, 384_000, 1_500],
  ['compound compound-mini', 131_072, 8_192, 1_000],
  // Others
  ['command-a command-a-reasoning', 256_000, 32_768, 500],
  ['command-r command-r-plus command-r7b', 128_000, 4_096, 500],
  ['embed-v4.0', 128_000, 0, 0],
  ['sonar sonar-reasoning sonar-reasoning-pro', 128_000, 8_192, 1_000],
  ['sonar-pro', 200_000, 8_192, 1_000],
  ['sonar-deep-research', 128_000, 128_000, 4_000],
  ['glm-4.5 glm-4.5-air glm-4.5-flash', 131_072, 98_304, 1_500],
  ['glm-5.2 glm-5.3 glm-5.3-flash', 1_000_000, 131_072, 1_500],
  ['zai-glm-4.7 glm-4.6 glm-4.7 glm-4.7-flash glm-4.7-flashx glm-5 glm-5-turbo glm-5.1', 204_800, 131_072, 1_500],
]

export const LIMITS: PriceFile['limits'] = Object.fromEntries(
  ROWS.flatMap(([names, ...limits]) => names.split(' ').map((name) => [name, limits])),
)
