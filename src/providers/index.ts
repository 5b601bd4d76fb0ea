// The providers there are, and which of them answers a model.

import { isDeepStrictEqual } from 'node:util'
import { Problem } from '../core/problem.ts'
import { anthropic } from './anthropic.ts'
import { type CompatibleSettings, compatible } from './compatible/compatible.ts'
import type { ProviderSettingRows } from './definition.ts'
import { gemini } from './gemini.ts'
import { openai } from './openai.ts'
import type { Provider } from './provider.ts'
import { simulated } from './simulated/provider.ts'

export type { CompatibleSettings } from './compatible/compatible.ts'
export { AUTH_SCHEMES, COMPATIBLE_DIALECTS, PRESET_NAMES, presetRow } from './compatible/presets.ts'

/** The providers with settings of their own, in the order in which they are asked. All others are rows of bursar.json. */
export const BUILT_IN_PROVIDERS = [openai, anthropic, gemini] as const

type BuiltIn = (typeof BUILT_IN_PROVIDERS)[number]
export type BuiltInName = BuiltIn['name']
/** `OPENAI_API_KEY`, … */
export type ProviderVariable = BuiltIn['settings'][keyof ProviderSettingRows]['variable']
/** The values of providers' settings, by variable. */
export type ProviderValues = { readonly [Variable in ProviderVariable]: string }

/** What bursar.json says of providers. */
export interface ProviderRows {
  /** Built-in ones that callers use with keys of their own. */
  readonly callerKeys: readonly BuiltInName[]
  readonly compatible: readonly CompatibleSettings[]
}

export const NO_PROVIDER_ROWS: ProviderRows = { callerKeys: [], compatible: [] }

interface ConfiguredProvider {
  readonly settings: unknown
  readonly provider: Provider
}

/** Providers that are open and not in force yet. Call one of the two, once. */
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
  #byName: ReadonlyMap<string, ConfiguredProvider> = new Map()
  #list: readonly Provider[] = []

  constructor(values: ProviderValues) {
    this.#values = values
    this.prepare(NO_PROVIDER_ROWS).putInForce()
  }

  /** In the order in which they are asked: built-in ones, rows of bursar.json, the simulated one. */
  get list(): readonly Provider[] {
    return this.#list
  }

  /** Opens the providers of other rows. Throws what a provider throws that cannot be opened; then nothing stays open. */
  prepare(rows: ProviderRows): PreparedProviders {
    const before = this.#byName
    const next = new Map<string, ConfiguredProvider>()
    const add = <Settings>(name: string, settings: Settings, open: (settings: Settings) => Provider) => {
      const current = before.get(name)
      const stays = current !== undefined && isDeepStrictEqual(current.settings, settings)
      next.set(name, stays ? current : { settings, provider: open(settings) })
    }
    try {
      for (const { name, settings, open } of BUILT_IN_PROVIDERS) {
        const { apiKey, baseUrl, model } = settings
        const values = this.#values
        add(
          name,
          {
            apiKey: values[apiKey.variable],
            baseUrl: values[baseUrl.variable],
            model: values[model.variable],
            callerKeys: rows.callerKeys.includes(name),
          },
          open,
        )
      }
      for (const row of rows.compatible) add(row.name, row, compatible)
      add('simulated', undefined, simulated)
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

  async close(): Promise<void> {
    await closeAll(this.#list)
  }
}

/** Providers of the first map that the second has not. */
function difference(
  providers: ReadonlyMap<string, ConfiguredProvider>,
  others: ReadonlyMap<string, ConfiguredProvider>,
): Provider[] {
  return [...providers].filter(([name, entry]) => others.get(name) !== entry).map(([, { provider }]) => provider)
}

async function closeAll(providers: readonly Provider[]): Promise<void> {
  await Promise.all(providers.map((provider) => provider.close()))
}

/**
 * A provider's models as they are asked for here, for listings.
 * @param known those the price book knows
 */
export function listModels(provider: Provider, known: readonly string[]): readonly string[] {
  if (BUILT_IN_PROVIDERS.some(({ name }) => name === provider.name)) return known
  const { deployments, defaultModel } = provider
  const own = deployments && deployments.size > 0 ? [...deployments.keys()] : known
  const shown = defaultModel === '' || own.includes(defaultModel) ? own : [...own, defaultModel]
  return shown.map((model) => `${provider.name}/${model}`)
}

export interface Target {
  readonly provider: Provider
  /** The model as the provider names it. */
  readonly model: string
}

/** A provider that has no key. */
export function notConfiguredProblem(provider: Provider): Problem {
  const message = `The provider ${provider.name} is not configured. ${provider.setupGuide}, or ask a sim/ model.`
  return new Problem('provider_not_configured', message, 'model')
}

/** The target that a model's name names itself: `sim/…` is simulated, `openai/…` and the like begin with their provider. */
export function namedTarget(providers: readonly Provider[], model: string): Target | undefined {
  const slash = model.indexOf('/')
  if (slash <= 0) return undefined
  const simulated = model.startsWith('sim/')
  const name = simulated ? 'simulated' : model.slice(0, slash)
  const provider = providers.find((one) => one.name === name)
  return provider && { provider, model: simulated ? model : model.slice(slash + 1) }
}

/** The provider whose own a dialect is. Throws Problem where it is nobody's. */
export function nativeProvider(providers: readonly Provider[], dialect: string): Provider {
  const provider = providers.find((one) => !one.simulated && one.dialects.includes(dialect))
  if (!provider) throw new Problem('not_found', `No provider answers ${dialect}.`, 'model')
  return provider
}

/** A target that is asked in its own dialect. Throws Problem where its provider does not speak it. */
export function nativeTarget(providers: readonly Provider[], dialect: string, model: string): Target {
  const target = namedTarget(providers, model) ?? { provider: nativeProvider(providers, dialect), model }
  if (!target.provider.dialects.includes(dialect)) throw unsupportedDialectProblem(target.provider, dialect)
  return target
}

export function unsupportedDialectProblem({ name, dialects }: Provider, dialect: string): Problem {
  const message = `The provider ${name} does not answer ${dialect}. It answers ${dialects.join(', ')}.`
  return new Problem('not_found', message, 'model')
}

/** The model of whoever can be asked without anybody naming one: the default provider's, another one's, a simulated one. */
export function chooseDefaultModel(providers: readonly Provider[], defaultProvider: string): string {
  const ready = providers.filter(({ simulated, configured, callerKeys }) => !simulated && configured && !callerKeys)
  const usual =
    ready.find(({ name }) => name === defaultProvider) ?? ready.find(({ defaultModel }) => defaultModel !== '')
  return usual && usual.defaultModel !== '' ? `${usual.name}/${usual.defaultModel}` : 'sim/echo'
}
