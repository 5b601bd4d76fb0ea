// Targets: which renderer and vocabulary stand for which provider's model.

import type { BodyDialect } from './bodies.ts'

/** One provider's model, and what its requests are rendered with. */
export interface Target {
  /** As in a request to the gateway: `groq/qwen/qwen3-32b`. */
  readonly model: string
  readonly dialect: BodyDialect
  /** As render.py knows it. */
  readonly renderer: string
  /** How many requests of the whole, compared with other targets. */
  readonly share: number
}

/** Renderers of the provider's own, or of the model that the provider serves. */
const NAMED: readonly (readonly [model: string, dialect: BodyDialect, renderer: string])[] = [
  ['openai/gpt-5', 'openai.chat', 'harmony'],
  ['openai/gpt-5', 'openai.responses', 'harmony'],
  ['openai/gpt-4o', 'openai.chat', 'cookbook'],
  ['azure/gpt-5', 'openai.chat', 'harmony'],
  ['groq/openai/gpt-oss-120b', 'openai.chat', 'harmony'],
  ['groq/llama-3.3-70b-versatile', 'openai.chat', 'template:meta-llama-Llama-3.3-70B-Instruct:llama3_1'],
  ['groq/qwen/qwen3-32b', 'openai.chat', 'template:Qwen-Qwen3-0.6B:qwen3'],
  ['openrouter/qwen/qwen3-coder', 'openai.chat', 'template:Qwen3-Coder:qwen3'],
  ['mistral/mistral-small-latest', 'openai.chat', 'mistral:tekken_240911.json'],
  ['mistral/mistral-large-latest', 'openai.chat', 'mistral:mistral_instruct_tokenizer_241114.model.v7'],
  ['mistral/open-mixtral-8x7b', 'openai.chat', 'mistral:mistral_instruct_tokenizer_240323.model.v3'],
  ['deepseek/deepseek-chat', 'openai.chat', 'template:deepseek-ai-DeepSeek-V3.1:deepseek_v3'],
  ['deepseek/deepseek-chat', 'openai.chat', 'template:deepseek-ai-DeepSeek-V3.2:deepseek_v3'],
  ['deepseek/deepseek-v4-flash', 'openai.chat', 'template:deepseek-ai-DeepSeek-V4-Flash-0731:deepseek_v4'],
  ['deepseek/deepseek-v4', 'openai.chat', 'template:deepseek-ai-DeepSeek-V4:deepseek_v4'],
  ['anthropic/claude-sonnet-5-5', 'anthropic.messages', 'plain:claude:compact'],
  ['anthropic/claude-sonnet-5-5', 'anthropic.messages', 'plain:claude:spaced'],
  ['gemini/gemini-3.5-flash-lite', 'gemini.generateContent', 'template:google-gemma-4-31B-it:gemma3'],
  ['gemini/gemini-3.5-flash-lite', 'gemini.generateContent', 'plain:gemma3:compact'],
]

/** A provider that charges for open models, with no allowance for any one's template; and a server of a user's own. */
const HOSTS = ['together', 'vllm'] as const

/**
 * The vocabulary of a family of templates, where it is published in a package. The others get Qwen 3's, which is the hardest: it
 * normalises text, and makes a token of each digit.
 */
const VOCABULARIES: readonly (readonly [RegExp, string])[] = [
  [/deepseek-v4/i, 'deepseek_v4'],
  [/deepseek-v3|deepseek-r1$/i, 'deepseek_v3'],
  [/gemma/i, 'gemma3'],
  [/gpt-oss/i, 'o200k'],
  [/llama-?3|llama-8b|firefunction|functionary/i, 'llama3_1'],
  [/phi-3/i, 'llama2'],
]
const NAMED_SHARE = 3

/** All targets. @param templates the names of all templates that are installed */
export function allTargets(templates: readonly string[]): readonly Target[] {
  const named = NAMED.map(([model, dialect, renderer]) => ({ model, dialect, renderer, share: NAMED_SHARE }))
  const served = HOSTS.flatMap((host) =>
    templates.map((template) => {
      const vocabulary = VOCABULARIES.find(([family]) => family.test(template))?.[1] ?? 'qwen3'
      const renderer = `template:${template}:${vocabulary}`
      return { model: `${host}/${template.toLowerCase()}`, dialect: 'openai.chat' as const, renderer, share: 1 }
    }),
  )
  return [...named, ...served]
}
