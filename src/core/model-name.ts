// Model name: the one name of a model at a provider, however a caller spells that name, and the model that a dated name or a preview
// belongs to. It handles text and a table of aliases, and decides neither that a model exists nor what is sent.

import { MODEL_ALIASES } from './model-aliases.ts'
import { SlotCache } from './slot-cache.ts'

const GOOGLE_SPELLINGS: readonly string[] = ['gemini', 'google', 'google-gla', 'google-vertex', 'vertex_ai', 'vertex']

/** The prefixes that name a provider before a model name (`google/…`, `google-vertex:…`), by our name of the provider. */
export const PROVIDER_SPELLINGS: ReadonlyMap<string, readonly string[]> = new Map([
  ['openai', ['openai']],
  ['anthropic', ['anthropic']],
  ...[...GOOGLE_SPELLINGS, 'google_vertex'].map((name) => [name, GOOGLE_SPELLINGS] as const),
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

const FIREWORKS_PATH = /^accounts\/fireworks\/(?:models|routers)\//

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

/** Behind Bedrock's vendor and region, too: `us.anthropic.claude-…`. */
const CLAUDE_START = /(?<=^|\.)claude-/

const MAX_PREFIXES = 3
const MAX_ENDINGS = 4

/** The names by which a call counts. */
export interface ModelName {
  /** As the caller wrote it, in lower case, without blanks, and without what names the provider. Prices and circuits know this name. */
  readonly model: string
  /** The same for all spellings and aliases of `model`. It keeps the date. A limit on a dated name holds for this name. */
  readonly canonical: string
  /** The model that `canonical` belongs to: the same for all dated names, previews and `-latest`. A limit on a model holds for all of them. */
  readonly family: string
}

/**
 * @param provider the name of the provider in this gateway
 * @param written as a caller, an operator or the ledger has the name, without the provider in front
 *
 * @example
 * modelNameOf('openai', 'GPT-4o-2024-08-06 ') // { model: …, canonical: 'gpt-4o-2024-08-06', family: 'gpt-4o' }
 * modelNameOf('openai', 'gpt-5-6') // { model: 'gpt-5-6', canonical: 'gpt-5.6-sol', family: 'gpt-5.6-sol' }
 */
export function modelNameOf(provider: string, written: string): ModelName {
  let names = namesByProvider.get(provider)
  if (!names) namesByProvider.set(provider, (names = new SlotCache((name) => readName(provider, name))))
  return names.get(written)
}

/** The names that came lately. Providers are those of the configuration, and few. */
const namesByProvider = new Map<string, SlotCache<ModelName>>()

function readName(provider: string, written: string): ModelName {
  const spellings = PROVIDER_SPELLINGS.get(provider)
  const model = stripProvider(written.trim().toLowerCase(), spellings ?? NO_SPELLINGS)
  const canonical = canonicalName(spellings ? model : stripProvider(model, [provider]))
  return { model, canonical, family: familyOf(canonical) }
}

/** A name in the spelling of the vendor that makes the model, or, for an alias, the model that it means. */
function canonicalName(model: string): string {
  if (model.startsWith('ft:')) return model
  const [vendors, name] = splitVendors(model)
  return meantBy(vendors + gptName(claudeName(name)))
}

/** `openai/gpt-4o` → `openai/` and `gpt-4o`. A vendor that is written twice counts once, and Fireworks' path does not count. */
function splitVendors(model: string): readonly [vendors: string, name: string] {
  const end = model.lastIndexOf('/') + 1
  return [
    model
      .slice(0, end)
      .replace(FIREWORKS_PATH, '')
      .replace(/^([^/]+\/)\1+/, '$1'),
    model.slice(end),
  ]
}

/** The model that an alias means, behind the vendor of the alias. */
function meantBy(model: string): string {
  const [vendors, name] = splitVendors(model)
  const meant = vendors.startsWith('~') ? undefined : MODEL_ALIASES.get(name)
  return meant === undefined ? (MODEL_ALIASES.get(model) ?? model) : vendors + meant
}

/**
 * `claude-sonnet-4.5` → `claude-sonnet-4-5`. Routers' `claude-4.6-sonnet` → `claude-sonnet-4-6`. 3.x names have the number first, and 4
 * is `claude-sonnet-4-0` as well.
 */
export function claudeName(name: string): string {
  const start = name.search(CLAUDE_START)
  if (start < 0) return name
  const claude = name
    .slice(start)
    .replace(/(\d)\.(\d)/, '$1-$2')
    .replace(/^claude-([4-9](?:-\d)?)-(opus|sonnet|haiku|fable|mythos)(?![a-z])/, 'claude-$2-$1')
    .replace(/^claude-(opus|sonnet|haiku)-(3(?:-[57])?)(?!\d|-\d(?!\d))/, 'claude-$2-$1')
    .replace(/^(claude-[a-z]+-[4-9])-0(?!\d)/, '$1')
  return name.slice(0, start) + claude
}

/** `gpt-5-6-sol` → `gpt-5.6-sol`. Azure's `gpt-35-turbo` → `gpt-3.5-turbo`. */
export function gptName(name: string): string {
  return name.replace(/^gpt-35(?=-)/, 'gpt-3.5').replace(/^gpt-(\d)-(\d)(?![^-])/, 'gpt-$1.$2')
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
function familyOf(canonical: string): string {
  if (canonical.startsWith('ft:')) return canonical
  let family = canonical
  for (let endings = 0; endings < MAX_ENDINGS; endings++) {
    const shorter = family.replace(SNAPSHOT, '').replace(CLAUDE_VERSION, '').replace(GEMINI_VERSION, '')
    if (shorter === family || shorter === '') break
    family = meantBy(shorter)
  }
  return family
}
