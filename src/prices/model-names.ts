// Model names: the spellings under which a price list can have a model, and the families of a model. It only handles text: it never
// decides that a model exists, and never turns the name of one model into the name of another.

import { claudeName, gptName, PROVIDER_SPELLINGS, stripProvider } from '../core/model-name.ts'

/** No model has a longer name: the longest in use are Bedrock ARNs of about 150 characters. */
const MAX_NAME_CHARACTERS = 256

const ALL_SPELLINGS: ReadonlySet<string> = new Set([
  ...[...PROVIDER_SPELLINGS.values()].flat(),
  ...['groq', 'deepseek', 'openrouter', 'cerebras', 'cohere', 'perplexity', 'ollama', 'simulated'],
])

/** `us.anthropic.`, `us-gov.anthropic.`, `anthropic.`, `amazon.` */
const BEDROCK_VENDOR = /^(?:[a-z]{2,6}(?:-gov)?\.)?(?:anthropic|amazon|meta|mistral|cohere|deepseek|openai|qwen|ai21)\./

/**
 * An ending that names a snapshot, a stage or a mode, and without which the name is the family's: OpenAI and Anthropic dates, Vertex `@date`,
 * Gemini months, `-001` and `-2411`, Bedrock `-v2:0`, `-latest`, Claude Code's `[1m]`, OpenRouter's `:free`.
 */
const ENDING =
  /(?:-\d{4}-\d{2}-\d{2}|[-@]\d{8}|-\d{2}-(?:\d{4}|\d{2})|-\d{3,4}|-v\d{1,2}(?::\d{1,2})?|[-@](?:latest|default)|-(?:preview|exp|beta|customtools)|\[1m\]|:(?:free|beta))$/

const MAX_ENDINGS = 4

/**
 * The spellings of `model` to look up in `provider`'s price list, the most literal first. Empty if the name is empty or too
 * long. Only prefixes that name this provider are dropped: at Groq, `openai/gpt-oss-20b` is a whole name.
 */
export function modelNames(provider: string, model: string): readonly string[] {
  const fullName = model.trim().toLowerCase()
  if (fullName === '' || fullName.length > MAX_NAME_CHARACTERS) return []
  const name = stripProvider(fullName, PROVIDER_SPELLINGS.get(provider) ?? [provider])
  const names = new Set([fullName, name, name.replace(/^gpt-35-/, 'gpt-3.5-')])
  if (name.startsWith('ft:')) {
    const tuned = `ft:${baseModelOf(name)}`
    names.add(tuned).add(tuned.replace(/-\d{4}-\d{2}-\d{2}$/, ''))
  }
  if (name.endsWith('-latest')) names.add(name.slice(0, -'-latest'.length))
  return [...names]
}

/**
 * `model` without provider, vendor or fine-tuning marks, and then its families, the nearest first:
 * `us.anthropic.claude-3-5-sonnet-20241022-v2:0` → `…-20241022-v2:0`, `…-20241022`, `claude-3-5-sonnet`. For facts that a
 * whole family shares, such as limits. Never for the library's prices: snapshots of a family have had different ones.
 */
export function familyNames(model: string): readonly string[] {
  let name = bareName(model)
  if (name === '' || name.length > MAX_NAME_CHARACTERS) return []
  const names = [name]
  while (names.length <= MAX_ENDINGS) {
    const family = name.replace(ENDING, '')
    if (family === name || family === '') break
    names.push(family)
    name = family
  }
  return names
}

function bareName(model: string): string {
  const fullName = model.length > MAX_NAME_CHARACTERS ? '' : model.trim().toLowerCase()
  let name = stripProvider(fullName, ALL_SPELLINGS)
  if (name.startsWith('ft:')) name = baseModelOf(name)
  name = name.slice(name.lastIndexOf('/') + 1).replace(BEDROCK_VENDOR, '')
  return gptName(claudeName(name))
}

/** `ft:base:organisation:suffix:id` → `base` */
function baseModelOf(name: string): string {
  return name.split(':')[1] ?? ''
}
