// Warning subjects: the providers and models that are configured, for warnings about their prices.

import type { WarningSubjects } from '../prices/price-warnings.ts'
import { namedTarget } from '../providers/index.ts'
import type { Provider } from '../providers/provider.ts'

/** What is configured, for warnings about its prices. @param names of models, with their provider in front */
export function warningSubjects(providers: readonly Provider[], names: readonly string[]): WarningSubjects {
  const configured = providers.filter((provider) => provider.configured && !provider.simulated)
  const named = names.flatMap((name) => namedTarget(configured, name) ?? [])
  const defaults = configured.map((provider) => ({ provider, model: provider.defaultModel }))
  return {
    providers: configured.map(({ priceName }) => priceName),
    models: [...defaults, ...named].map(({ provider, model }) => ({ provider: provider.priceName, model })),
  }
}
