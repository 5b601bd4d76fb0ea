// The providers: the list of those built in, those in force now, and which of them a model's name means.

import { isDeepStrictEqual } from 'node:util'
import { Problem } from '../core/problem.ts'
import { shownPathOf } from '../wire/index.ts'
import { anthropic } from './anthropic.ts'
import { type CompatibleSettings, compatible } from './compatible/compatible.ts'
import type { ProviderSettingRows } from './definition.ts'
import { gemini } from './gemini.ts'
import { openai } from './openai.ts'
import type { Provider, ProviderOverride, ProviderSettings } from './provider.ts'
import { simulated } from './simulated/provider.ts'

export { COST_FIELDS } from '../wire/stated-cost.ts'
export type { CompatibleSettings } from './compatible/compatible.ts'
export { AUTH_SCHEMES, COMPATIBLE_DIALECTS, PRESET_NAMES, presetRow } from './compatible/presets.ts'
export { isSimulatedModel, SIMULATED_MODELS } from './simulated/models.ts'

/** The providers with settings of their own, in order of precedence. All others are rows of bursar.json. */
export const BUILT_IN_PROVIDERS = [openai, anthropic, gemini] as const

type BuiltIn = (typeof BUILT_IN_PROVIDERS)[number]
export type BuiltInName = BuiltIn['name']
/** `OPENAI_API_KEY`, … */
export type ProviderVariable = BuiltIn['settings'][keyof ProviderSettingRows]['variable']
/** The values of providers' settings, by variable. */
type ProviderValues = { readonly [Variable in ProviderVariable]: string }

/** The providers of bursar.json. */
export interface ProviderRows {
  /** Built-in providers that callers use with keys of their own. */
  readonly callerKeys: readonly BuiltInName[]
  readonly compatible: readonly CompatibleSettings[]
}

export const NO_PROVIDER_ROWS: ProviderRows = { callerKeys: [], compatible: [] }

/** What takes the place of settings and rows, by the provider's name. */
export type ProviderOverrides = ReadonlyMap<string, ProviderOverride>

const NO_PROVIDER_OVERRIDES: ProviderOverrides = new Map()

/** A provider to open: its settings, by which it is known to be the same, and how it is opened. */
interface ConfiguredProvider {
  readonly name: string
  readonly settings: unknown
  open(): Provider
}

interface OpenProvider {
  readonly settings: unknown
  readonly provider: Provider
}

/** Providers that are open and not in force yet. Call one of the two methods, once. */
export interface PreparedProviders {
  readonly list: readonly Provider[]
  /** Calls to come use these providers. Never throws. Calls under way finish at the providers they were admitted for. */
  putInForce(): void
  /** Closes those that were opened for this change, and changes nothing else. */
  discard(): Promise<void>
}

/** The providers as they are now. They change with bursar.json. A provider whose row stays the same stays open. */
export class ProvidersInForce {
  readonly #values: ProviderValues
  #byName: ReadonlyMap<string, OpenProvider> = new Map()
  #list: readonly Provider[] = []

  /** @param values of the settings; those of all other settings are not read */
  constructor(values: ProviderValues) {
    this.#values = values
    this.prepare(NO_PROVIDER_ROWS).putInForce()
  }

  /** In order of precedence: built-in providers, rows of bursar.json, the simulated provider. */
  get list(): readonly Provider[] {
    return this.#list
  }

  /** Opens the providers of other rows. Throws what a provider throws that cannot be opened; then nothing stays open. */
  prepare(rows: ProviderRows, overrides = NO_PROVIDER_OVERRIDES): PreparedProviders {
    const before = this.#byName
    const next = new Map<string, OpenProvider>()
    try {
      for (const { name, settings, open } of this.#configuredProviders(rows, overrides)) {
        const current = before.get(name)
        const stays = current !== undefined && isDeepStrictEqual(current.settings, settings)
        next.set(name, stays ? current : { settings, provider: open() })
      }
    } catch (error) {
      void closeAll(difference(next, before))
      throw error
    }
    const list = [...next.values()].map(({ provider }) => provider)
    return {
      list,
      putInForce: () => {
        this.#byName = next
        this.#list = list
        for (const provider of difference(before, next)) void provider.retire()
      },
      discard: () => closeAll(difference(next, before)),
    }
  }

  /** Ends every call and closes every connection. */
  async close(): Promise<void> {
    await closeAll(this.#list)
  }

  #configuredProviders(
    { callerKeys, compatible: endpoints }: ProviderRows,
    overrides: ProviderOverrides,
  ): ConfiguredProvider[] {
    const values = this.#values
    const builtIn = BUILT_IN_PROVIDERS.map(({ name, settings: { apiKey, baseUrl, model }, open }) => {
      const settings: ProviderSettings = {
        apiKey: values[apiKey.variable],
        baseUrl: values[baseUrl.variable],
        model: values[model.variable],
        callerKeys: callerKeys.includes(name),
        ...overrides.get(name),
      }
      return { name, settings, open: () => open(settings) }
    })
    const compatibleProviders = endpoints.map((row) => {
      const settings = withOverride(row, overrides.get(row.name))
      return { name: row.name, settings, open: () => compatible(settings) }
    })
    return [...builtIn, ...compatibleProviders, { name: 'simulated', settings: undefined, open: simulated }]
  }
}

function withOverride(row: CompatibleSettings, override: ProviderOverride | undefined): CompatibleSettings {
  if (!override) return row
  const missingVariable = override.apiKey ? undefined : row.missingVariable
  return { ...row, ...override, missingVariable }
}

/** Providers of the first map that the second has not. */
function difference(
  providers: ReadonlyMap<string, OpenProvider>,
  others: ReadonlyMap<string, OpenProvider>,
): Provider[] {
  return [...providers].filter(([name, entry]) => others.get(name) !== entry).map(([, { provider }]) => provider)
}

async function closeAll(providers: readonly Provider[]): Promise<void> {
  await Promise.all(providers.map((provider) => provider.close()))
}

/**
 * A provider's models as callers name them, for listings.
 * @param known the models that the price book knows, as the provider names them
 */
export function listModels(provider: Provider, known: readonly string[]): readonly string[] {
  if (BUILT_IN_PROVIDERS.some(({ name }) => name === provider.name)) return known
  const { deployments, defaultModel } = provider
  const own = deployments && deployments.size > 0 ? [...deployments.keys()] : known
  const shown = defaultModel === '' || own.includes(defaultModel) ? own : [...own, defaultModel]
  return shown.map((model) => `${provider.name}/${model}`)
}

/** The provider and the model to which a call can be sent. */
export interface Target {
  readonly provider: Provider
  /** The model as the provider names it. */
  readonly model: string
}

/** The problem of a call to a provider that has no key. */
export function notConfiguredProblem(provider: Provider): Problem {
  const message = `The provider ${provider.name} is not configured. ${provider.setupGuide}, or use a sim/ model.`
  return new Problem('provider_not_configured', message, 'model')
}

/** The target of a name that begins with its provider, such as `openai/…`, or with `sim/…`. Undefined for any other name. */
export function namedTarget(providers: readonly Provider[], model: string): Target | undefined {
  const slash = model.indexOf('/')
  if (slash <= 0) return undefined
  const simulated = model.startsWith('sim/')
  const name = simulated ? 'simulated' : model.slice(0, slash)
  const provider = providers.find((candidate) => candidate.name === name)
  return provider && { provider, model: simulated ? model : model.slice(slash + 1) }
}

/** The first provider that speaks a dialect: the vendor's own, if it has one. Throws Problem `not_found` if there is none. */
export function nativeProvider(providers: readonly Provider[], dialect: string): Provider {
  const provider = providers.find(({ simulated, dialects }) => !simulated && dialects.includes(dialect))
  if (!provider) throw new Problem('not_found', `No provider answers ${shownPathOf(dialect)}.`, 'model')
  return provider
}

/** The target of a call that is not translated. Throws Problem `not_found` if its provider does not speak the dialect. */
export function nativeTarget(providers: readonly Provider[], dialect: string, model: string): Target {
  const target = namedTarget(providers, model) ?? { provider: nativeProvider(providers, dialect), model }
  if (!target.provider.dialects.includes(dialect)) throw unsupportedDialectProblem(target.provider, dialect)
  return target
}

/**
 * The problem of a call to a provider that does not speak its dialect.
 * @param translatedPath where the same model answers by translation; undefined if nowhere
 */
export function unsupportedDialectProblem(
  { name, dialects }: Provider,
  dialect: string,
  translatedPath?: string,
): Problem {
  const own = `The provider ${name} does not answer ${shownPathOf(dialect)}.`
  const paths = dialects.map(shownPathOf)
  const how = translatedPath !== undefined && paths.includes(translatedPath) ? '' : ', by translation'
  const elsewhere = translatedPath === undefined ? '' : ` Its models answer at ${translatedPath}${how}.`
  return new Problem('not_found', `${own}${elsewhere} The provider's own paths are ${paths.join(', ')}.`, 'model')
}

/** The model for calls that name none: that of the default provider, of another provider that has a key, or a simulated one. */
export function chooseDefaultModel(providers: readonly Provider[], defaultProvider: string): string {
  const ready = providers.filter(({ simulated, configured, callerKeys }) => !simulated && configured && !callerKeys)
  const chosen =
    ready.find(({ name }) => name === defaultProvider) ?? ready.find(({ defaultModel }) => defaultModel !== '')
  return chosen && chosen.defaultModel !== '' ? `${chosen.name}/${chosen.defaultModel}` : 'sim/echo'
}
