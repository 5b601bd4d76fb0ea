// The providers there are, and which of them answers a model.

import type { Settings } from '../config.ts'
import { Problem } from '../core/problem.ts'
import { anthropic } from './anthropic.ts'
import { gemini } from './gemini.ts'
import { openai } from './openai.ts'
import type { Provider } from './provider.ts'
import { simulated } from './simulated.ts'

export function createProviders(settings: Settings): readonly Provider[] {
  return [
    openai({ apiKey: settings.OPENAI_API_KEY, baseUrl: settings.OPENAI_BASE_URL, model: settings.OPENAI_MODEL }),
    anthropic({
      apiKey: settings.ANTHROPIC_API_KEY,
      baseUrl: settings.ANTHROPIC_BASE_URL,
      model: settings.ANTHROPIC_MODEL,
    }),
    gemini({ apiKey: settings.GEMINI_API_KEY, baseUrl: settings.GEMINI_BASE_URL, model: settings.GEMINI_MODEL }),
    simulated(),
  ]
}

export interface Target {
  readonly provider: Provider
  /** The model as the provider names it. */
  readonly model: string
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
  const target = {
    provider: speaking(providers, provider.name, dialect),
    model: named ? model.slice(slash + 1) : model,
  }
  if (!provider.configured) {
    throw new Problem(
      'provider_not_configured',
      `The provider ${provider.name} is not configured. ${provider.setupGuide}, or ask a sim/ model.`,
      'model',
    )
  }
  return target
}

function speaking(providers: readonly Provider[], name: string, dialect: string): Provider {
  const provider = providers.find((one) => one.name === name)
  if (provider?.dialects.includes(dialect)) return provider
  const spoken = provider ? ` It answers ${provider.dialects.join(', ')}.` : ''
  throw new Problem('not_found', `The provider ${name} does not answer ${dialect}.${spoken}`, 'model')
}
