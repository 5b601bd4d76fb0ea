// Model name: the one name of a model at a provider, however a caller spells that name, and the model that a dated name or a preview
// belongs to. It only handles text, and decides neither that a model exists nor what is sent.

/** The prefixes that name a provider before a model name (`google/…`, `google-vertex:…`), by our name of the provider. */
export const PROVIDER_SPELLINGS: ReadonlyMap<string, readonly string[]> = new Map([
  ['openai', ['openai']],
  ['anthropic', ['anthropic']],
  ['gemini', ['gemini', 'google', 'google-gla', 'google-vertex', 'vertex_ai', 'vertex']],
  ['google', ['gemini', 'google', 'google-gla', 'google-vertex', 'vertex_ai', 'vertex']],
  ['azure', ['azure', 'azure_ai', 'azure-openai']],
  ['aws', ['aws', 'bedrock', 'amazon-bedrock', 'converse']],
  ['bedrock', ['aws', 'bedrock', 'amazon-bedrock', 'converse']],
  ['xai', ['xai', 'x-ai']],
  ['x-ai', ['xai', 'x-ai']],
  ['mistral', ['mistral', 'mistralai']],
  ['together', ['together', 'together_ai', 'together-ai', 'togetherai']],
  ['fireworks', ['fireworks', 'fireworks_ai', 'fireworks-ai']],
  ['moonshot', ['moonshot', 'moonshotai']],
  ['moonshotai', ['moonshot', 'moonshotai']],
])

/** `models/…`, `publishers/google/models/…`, `projects/p/locations/l/publishers/google/models/…` */
const GOOGLE_PATH = /^(?:projects\/[^/]+\/locations\/[^/]+\/)?(?:publishers\/[^/]+\/)?models\//

/**
 * An ending that names a day, a preview or a mode of the model before: OpenAI's and Anthropic's dates, Vertex's `@date`, `-0613`,
 * `-2411`, Gemini's months and `-preview`, `-latest`, Claude Code's `[1m]`, OpenRouter's `:free`.
 */
const SNAPSHOT =
  /(?:-\d{4}-\d{2}-\d{2}|[-@]\d{8}|-\d{6}|-\d{2}-(?:\d{4}|\d{2})|-[0-2]\d{3}|[-@](?:latest|default)|-(?:preview|exp|beta|customtools)|\[1m\]|:(?:free|beta))$/
/** Bedrock's versions of Claude. `claude-v2` is a model. */
const CLAUDE_VERSION = /(?<=claude-.+)-v\d{1,2}(?::\d{1,2})?$/
/** `gemini-2.0-flash-001`. `text-embedding-004` and `-005` are models. */
const GEMINI_VERSION = /(?<=^gemini-.+)-00\d$/

/** `openrouter/auto` is the whole name of a model at OpenRouter. */
const NO_SPELLINGS: readonly string[] = []

const MAX_PREFIXES = 3
const MAX_ENDINGS = 4

/** The names by which a call counts. */
export interface ModelName {
  /** One spelling: lower case, without blanks, and without what names the provider. It keeps the date. */
  readonly model: string
  /** The model that `model` belongs to: the same for all dated names, previews and `-latest`. Limits on a model hold for all of them. */
  readonly family: string
}

/**
 * @param provider the name of the provider in this gateway
 * @param written as a caller, an operator or the ledger has the name, without the provider in front
 *
 * @example
 * modelNameOf('openai', 'GPT-4o-2024-08-06 ') // { model: 'gpt-4o-2024-08-06', family: 'gpt-4o' }
 */
export function modelNameOf(provider: string, written: string): ModelName {
  const model = stripProvider(written.trim().toLowerCase(), PROVIDER_SPELLINGS.get(provider) ?? NO_SPELLINGS)
  return { model, family: familyOf(model) }
}

/** A name without the given prefixes and without Google's path. @param name in lower case */
export function stripProvider(name: string, spellings: Iterable<string>): string {
  if (!/[/:]/.test(name)) return name
  const known = new Set(spellings)
  let stripped = name
  for (let prefixes = 0; prefixes < MAX_PREFIXES; prefixes++) {
    const end = stripped.search(/[/:]/)
    if (end < 1 || !known.has(stripped.slice(0, end))) break
    stripped = stripped.slice(end + 1)
  }
  return stripped.replace(GOOGLE_PATH, '')
}

/** A fine-tuned model is a model of its own: its name ends in an id. */
function familyOf(model: string): string {
  if (model.startsWith('ft:')) return model
  let family = model
  for (let endings = 0; endings < MAX_ENDINGS; endings++) {
    const shorter = family.replace(SNAPSHOT, '').replace(CLAUDE_VERSION, '').replace(GEMINI_VERSION, '')
    if (shorter === family || shorter === '') break
    family = shorter
  }
  return family
}
