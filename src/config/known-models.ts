// Known models: the names of providers and models that settings, bursar.json and the price book have. Names that are none of
// these can still be called: a provider may have models that nobody has listed.

import { PROVIDER_SPELLINGS } from '../core/model-name.ts'
import { nearestName } from '../core/nearest-name.ts'
import { BUILT_IN_PROVIDERS, isSimulatedModel, SIMULATED_MODELS } from '../providers/index.ts'
import type { FileConfig } from './file.ts'
import { shown } from './findings.ts'

/** What the price book knows, by its names of providers. */
export interface PriceNames {
  /** The models that the provider serves now. */
  models(provider: string): readonly string[]
  isKnown(provider: string, model: string): boolean
  hasPrice(provider: string, model: string): boolean
  /** The listed model that is nearest by its family and version. */
  sibling(provider: string, model: string): string | undefined
}

interface NamedProvider {
  readonly priceName: string
  /** Names that the operator gives to models. */
  readonly ownNames: readonly string[]
  /** True: all its models are free, and nobody lists them. */
  readonly takesAny: boolean
}

const SIMULATED = 'simulated'

/** The provider in front of a model's name. Undefined if there is none. */
export function providerOf(name: string): string | undefined {
  const slash = name.indexOf('/')
  return slash > 0 ? name.slice(0, slash) : undefined
}

export class KnownModels {
  readonly #providers: ReadonlyMap<string, NamedProvider>
  readonly #pricedModels: FileConfig['names']['pricedModels']
  readonly #prices: PriceNames
  readonly #listed = new Map<string, readonly string[]>()

  constructor({ providers, names }: FileConfig, prices: PriceNames) {
    this.#prices = prices
    this.#pricedModels = names.pricedModels
    const rows = providers.compatible.map((row): [string, NamedProvider] => {
      const isFree = row.prices === 'free'
      const ownNames = [...Object.keys(row.deployments), ...(row.model === '' ? [] : [row.model])]
      return [row.name, { priceName: isFree || row.prices === '' ? row.name : row.prices, ownNames, takesAny: isFree }]
    })
    // Of a row with a mistake only the name is known.
    const unread = names.providers
      .filter((name) => !BUILT_IN_PROVIDERS.some((builtIn) => builtIn.name === name))
      .map((name): [string, NamedProvider] => [name, { priceName: name, ownNames: [], takesAny: true }])
    const builtIn = BUILT_IN_PROVIDERS.map(({ name }): [string, NamedProvider] => [
      name,
      { priceName: name, ownNames: [], takesAny: false },
    ])
    this.#providers = new Map([...builtIn, ...unread, ...rows])
  }

  /** As limits name them. */
  get providerNames(): readonly string[] {
    return [...this.#providers.keys(), SIMULATED]
  }

  /** True also for `sim`, as callers name the simulated provider. */
  hasProvider(name: string): boolean {
    return name === 'sim' || name === SIMULATED || this.#providers.has(name)
  }

  /** The provider that other gateways call by this name: `google` is `gemini`. */
  vendorOf(spelling: string): string | undefined {
    return [...this.#providers.keys()].find((name) => PROVIDER_SPELLINGS.get(name)?.includes(spelling.toLowerCase()))
  }

  /** True if the provider has the model, or if nothing is known of its models. */
  has(provider: string, model: string): boolean {
    if (provider === 'sim' || provider === SIMULATED) return isSimulatedModel(model)
    const named = this.#providers.get(provider)
    if (!named || named.takesAny || named.ownNames.includes(model)) return true
    const { priceName } = named
    const isPriced = this.#pricedModels.some(
      (row) => (row.provider === '*' || row.provider === priceName) && row.model === model,
    )
    return isPriced || this.#prices.isKnown(priceName, model) || this.#modelsOf(priceName).length === 0
  }

  nearest(provider: string, model: string): string | undefined {
    if (provider === 'sim') return nearestName(`sim/${model}`, SIMULATED_MODELS)?.slice('sim/'.length)
    if (provider === SIMULATED) return nearestName(model, SIMULATED_MODELS)
    const { priceName = '', ownNames = [] } = this.#providers.get(provider) ?? {}
    const names = [...ownNames, ...this.#modelsOf(priceName)]
    return nearestName(model, names) ?? this.#prices.sibling(priceName, model)
  }

  /** The providers that have a model of a name without its provider. */
  holdersOf(model: string): readonly string[] {
    return [...this.#providers].flatMap(([name, { priceName, ownNames }]) =>
      ownNames.includes(model) || this.#prices.isKnown(priceName, model) ? [name] : [],
    )
  }

  /** The providers that list a model by this name, with or without the provider in front. */
  listersOf(name: string): readonly string[] {
    return [...this.#providers].flatMap(([provider, { priceName, ownNames }]) => {
      const model = name.startsWith(`${provider}/`) ? name.slice(provider.length + 1) : name
      return ownNames.includes(model) || this.#modelsOf(priceName).includes(model) ? [provider] : []
    })
  }

  /** All models that are listed, without their providers. */
  namesOfAll(): readonly string[] {
    return [...this.#providers.values()].flatMap(({ priceName, ownNames }) => [
      ...ownNames,
      ...this.#modelsOf(priceName),
    ])
  }

  #modelsOf(priceName: string): readonly string[] {
    let models = this.#listed.get(priceName)
    if (!models) this.#listed.set(priceName, (models = this.#prices.models(priceName)))
    return models
  }

  hasPrice(priceName: string, model: string): boolean {
    const names = priceName === '*' ? [...this.#providers.values()].map((provider) => provider.priceName) : [priceName]
    return names.some((name) => this.#prices.hasPrice(name, model))
  }

  /** Why no provider takes its prices from rows of `prices` with this provider. Undefined if one does. */
  unmatchedPriceOwner(owner: string): string | undefined {
    const owners = new Set([...this.#providers.values()].map(({ priceName }) => priceName)).add(SIMULATED)
    if (owners.has(owner) || this.#providers.get(owner)?.takesAny) return undefined
    const named = this.#providers.get(owner)
    if (named) return `is for no model: ${owner} has the prices of ${named.priceName}. Did you mean ${named.priceName}?`
    const nearest = nearestName(owner, owners) ?? this.vendorOf(owner)
    const advice = nearest === undefined ? '' : `. Did you mean ${nearest}?`
    return `is for no model: no provider is named ${shown(owner)}${advice}`
  }
}
