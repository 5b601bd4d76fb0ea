// Settings: what PUT /admin/settings changes while the gateway runs. A setting that the environment decides stays as it is.

import { shown } from '../config/findings.ts'
import type { Settings } from '../config/settings.ts'
import { didYouMean } from '../core/nearest-name.ts'
import { Problem } from '../core/problem.ts'
import { BUILT_IN_PROVIDERS } from '../providers/index.ts'
import type { DocumentDraft } from '../stores/registry.ts'
import type { ConfigurationState, OverrideChange } from './overrides.ts'
import { defaultModelOf, providerNames } from './providers.ts'

/** All that is set here from now on. Null or absent: nothing is. */
export interface SettingsChange {
  readonly default_provider?: string | null | undefined
  readonly default_models?: Readonly<Record<string, string | null>> | null | undefined
  readonly retention_days?: number | null | undefined
}

export const DEFAULT_PROVIDER_ID = 'default_provider'
export const DEFAULT_MODELS_ID = 'default_models'
export const RETENTION_DAYS_ID = 'retention_days'

/** Throws Problem `invalid_request` for a provider that there is not, and `conflict` for a setting that the environment decides. */
export function changeSettings(state: ConfigurationState, change: SettingsChange): OverrideChange {
  const { settings, overrides } = state
  const defaultProvider = change.default_provider ?? null
  const models = Object.entries(change.default_models ?? {})
  const defaultModels = new Map(models.flatMap(([name, model]) => (model === null ? [] : [[name, model] as const])))
  if (defaultProvider !== null) {
    checkName(DEFAULT_PROVIDER_ID, defaultProvider, state)
    refuseGiven(DEFAULT_PROVIDER_ID, 'DEFAULT_LLM_PROVIDER', settings)
  }
  for (const [name, model] of models) {
    const place = `${DEFAULT_MODELS_ID}.${shown(name)}`
    checkName(place, name, state)
    if (model !== null) refuseGiven(place, modelVariable(name), settings)
  }
  const retentionDays = change.retention_days ?? null
  if (retentionDays !== null) refuseGiven(RETENTION_DAYS_ID, 'RETENTION_DAYS', settings)
  const drafts: DocumentDraft[] = []
  if (retentionDays !== overrides.retentionDays)
    drafts.push({ kind: 'setting', id: RETENTION_DAYS_ID, value: retentionDays })
  if (defaultProvider !== overrides.defaultProvider)
    drafts.push({ kind: 'setting', id: DEFAULT_PROVIDER_ID, value: defaultProvider })
  const before = JSON.stringify([...overrides.defaultModels])
  if (JSON.stringify([...defaultModels]) !== before) {
    const value = defaultModels.size === 0 ? null : Object.fromEntries(defaultModels)
    drafts.push({ kind: 'setting', id: DEFAULT_MODELS_ID, value })
  }
  return { overrides: { ...overrides, defaultProvider, defaultModels, retentionDays }, drafts }
}

function checkName(place: string, name: string, state: ConfigurationState): void {
  const names = providerNames(state)
  if (names.includes(name)) return
  const advice = didYouMean(name, names) || ` The names are ${names.join(', ')}.`
  throw new Problem('invalid_request', `${place}: no provider is named ${shown(name)}.${advice}`, place)
}

function refuseGiven(place: string, variable: string | undefined, { given }: Settings): void {
  if (variable === undefined || !given.has(variable)) return
  const advice = 'Change it there, or remove it and start again.'
  throw new Problem('conflict', `${place}: ${variable} is set in the environment, and decides. ${advice}`, place)
}

function modelVariable(provider: string): string | undefined {
  return BUILT_IN_PROVIDERS.find(({ name }) => name === provider)?.settings.model.variable
}

/** The default provider in force. */
export function defaultProviderOf({ settings, overrides }: ConfigurationState): string {
  const { given, DEFAULT_LLM_PROVIDER } = settings
  return given.has('DEFAULT_LLM_PROVIDER') ? DEFAULT_LLM_PROVIDER : (overrides.defaultProvider ?? DEFAULT_LLM_PROVIDER)
}

/** Days for which rows are kept. Null: for ever. */
export function retentionDaysOf({ settings, overrides }: ConfigurationState): number | null {
  return settings.RETENTION_DAYS ?? overrides.retentionDays
}

/** Names of models in the settings, with those that are set here in their place, for warnings of names that match nothing. */
export function settingsInForce(state: ConfigurationState): Settings {
  const models = BUILT_IN_PROVIDERS.flatMap(({ name, settings: { model } }) => {
    const set = defaultModelOf(name, state)
    return set === undefined ? [] : [[model.variable, set] as const]
  })
  const { settings } = state
  return { ...settings, ...Object.fromEntries(models), given: settings.given }
}
