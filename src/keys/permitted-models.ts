// Permitted models: the models and providers that a key may use, as patterns. A pattern counts by the one name of a model, so that
// no spelling of a model gets past it.

import { modelNameOf, PROVIDER_SPELLINGS } from '../core/model-name.ts'

const MAX_SHOWN_PATTERNS = 20

/** The literal parts of a pattern between its stars: `['openai/', '']`. Matched without backtracking, whatever the pattern. */
type Glob = readonly string[]

/** A pattern of `models`. */
interface ModelPattern {
  /** As it was written: the name of an alias, if there is such an alias. */
  readonly written: string
  /** The provider, or a glob of providers. Undefined: all of them. */
  readonly provider: Glob | undefined
  readonly model: Glob
}

/** What a key may use, as it was written. Null: everything. */
interface Permission {
  readonly models: readonly string[] | null
  readonly providers: readonly string[] | null
}

/**
 * The models and providers that a key may use.
 *
 * @example
 * const permitted = new PermittedModels({ models: ['openai/gpt-4o', 'sim/*'], providers: null })
 * permitted.permits('openai', 'gpt-4o-2024-08-06') // true
 */
export class PermittedModels {
  readonly #models: readonly ModelPattern[] | undefined
  readonly #providers: readonly Glob[] | undefined
  /** For errors: `the models openai/gpt-4o and sim/*`. */
  readonly text: string

  constructor({ models, providers }: Permission) {
    this.#models = models?.map(modelPattern)
    this.#providers = providers?.map(globOf)
    const parts = [models && shownList('models', models), providers && shownList('providers', providers)]
    this.text = parts.filter((part) => part !== null).join(', of ')
  }

  /**
   * Whether a call may go to this target.
   * @param model as the target names it
   * @param alias the alias that the call names: if it is permitted itself, so are its targets
   */
  permits(provider: string, model: string, alias?: string): boolean {
    if (this.#providers && !this.#providers.some((glob) => matches(glob, provider))) return false
    if (!this.#models) return true
    const { canonical, family } = modelNameOf(provider, model)
    return this.#models.some(
      (pattern) =>
        pattern.written === alias ||
        ((pattern.provider === undefined || matches(pattern.provider, provider)) &&
          (matches(pattern.model, canonical) || matches(pattern.model, family))),
    )
  }

  /** Whether any model of a provider may be used. */
  permitsProvider(provider: string): boolean {
    return this.#permitsSome(provider, () => true)
  }

  /** Whether all models of a provider may be used, those included that the provider chooses itself. */
  permitsEveryModel(provider: string): boolean {
    return this.#permitsSome(provider, ({ model }) => model.every((part) => part === '') && model.length > 1)
  }

  #permitsSome(provider: string, isMeant: (pattern: ModelPattern) => boolean): boolean {
    if (this.#providers && !this.#providers.some((glob) => matches(glob, provider))) return false
    if (!this.#models) return true
    const ofProvider = this.#models.filter((pattern) => !pattern.provider || matches(pattern.provider, provider))
    return ofProvider.some(isMeant)
  }
}

function modelPattern(written: string): ModelPattern {
  if (written === '*') return { written, provider: undefined, model: globOf('*') }
  const slash = written.indexOf('/')
  if (slash < 0) return { written, provider: undefined, model: globOf(canonicalOf('', written)) }
  // Simulated models have `sim/` in their own names.
  const isSimulated = written.startsWith('sim/')
  const provider = isSimulated ? 'simulated' : written.slice(0, slash)
  const model = isSimulated ? written : written.slice(slash + 1)
  return { written, provider: globOf(provider), model: globOf(canonicalOf(provider, model)) }
}

/** The one name of the model, stars left where they are. Names of models are kept by provider, of which there are few. */
function canonicalOf(provider: string, model: string): string {
  return modelNameOf(PROVIDER_SPELLINGS.has(provider) ? provider : '', model).canonical
}

function globOf(pattern: string): Glob {
  return pattern.split('*')
}

function matches(glob: Glob, text: string): boolean {
  const [start = '', ...rest] = glob
  const end = rest.pop()
  if (end === undefined) return text === start
  if (!text.startsWith(start)) return false
  let from = start.length
  for (const part of rest) {
    const index = text.indexOf(part, from)
    if (index < 0) return false
    from = index + part.length
  }
  return text.length - end.length >= from && text.endsWith(end)
}

function shownList(what: string, names: readonly string[]): string {
  const shown = names.slice(0, MAX_SHOWN_PATTERNS).join(', ')
  return `the ${what} ${shown}${names.length > MAX_SHOWN_PATTERNS ? ', …' : ''}`
}
