// The providers there are, and which of them answers a model.

import { Problem } from '../core/problem.ts'
import { anthropic } from './anthropic.ts'
import { gemini } from './gemini.ts'
import { openai } from './openai.ts'
import type { Provider, ProviderSettings } from './provider.ts'
import { simulated } from './simulated.ts'

/** What each provider over HTTP is configured with. */
export interface ProvidersSettings {
  readonly openai: ProviderSettings
  readonly anthropic: ProviderSettings
  readonly gemini: ProviderSettings
}

export function createProviders(settings: ProvidersSettings): readonly Provider[] {
  return [openai(settings.openai), anthropic(settings.anthropic), gemini(settings.gemini), simulated()]
}

export interface Target {
  readonly provider: Provider
  /** The model as the provider names it. */
  readonly model: string
}

/** A provider that has no key. */
export function notConfigured(provider: Provider): Problem {
  const message = `The provider ${provider.name} is not configured. ${provider.setupGuide}, or ask a sim/ model.`
  return new Problem('provider_not_configured', message, 'model')
}

/**
 * Who answers `model` when asked in `dialect`. `sim/…` is simulated, `openai/…` and the like name their provider, anything
 * else goes to the provider whose dialect it is. Throws Problem where none can.
 */
export function targetOf(providers: readonly Provider[], dialect: string, model: string): Target {
  if (model.startsWith('sim/')) return { provider: speaking(providers, 'simulated', dialect), model }
  const slash = model.indexOf('/')
  const named = slash > 0 ? providers.find((provider) => provider.name === model.slice(0, slash)) : undefined
  const provider = named ?? providers.find((one) => !one.simulated && one.dialects.includes(dialect))
  if (!provider) throw new Problem('not_found', `No provider answers ${dialect}.`, 'model')
  return { provider: speaking(providers, provider.name, dialect), model: named ? model.slice(slash + 1) : model }
}

function speaking(providers: readonly Provider[], name: string, dialect: string): Provider {
  const provider = providers.find((one) => one.name === name)
  if (provider?.dialects.includes(dialect)) return provider
  const spoken = provider ? ` It answers ${provider.dialects.join(', ')}.` : ''
  throw new Problem('not_found', `The provider ${name} does not answer ${dialect}.${spoken}`, 'model')
}
