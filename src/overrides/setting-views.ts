// Setting views: every setting's value in force and where it is set. No secret is shown in clear.

import { maskedKey, SET, withoutCredentials } from '../config/masks.ts'
import { SETTINGS } from '../config/settings.ts'
import { BUILT_IN_PROVIDERS } from '../providers/index.ts'
import type { ConfigurationState } from './overrides.ts'
import { defaultModelOf, obstacleTo } from './providers.ts'

export interface SettingView {
  readonly name: string
  /** As .env writes it. Null if it is empty. */
  readonly value: string | null
  readonly source: 'environment' | 'default' | 'registry'
}

/** In the order of `.env.example`. */
export function settingViews(state: ConfigurationState): readonly SettingView[] {
  const { given } = state.settings
  const setHere = valuesSetHere(state)
  return Object.entries(SETTINGS).map(([name, row]) => {
    const text = given.get(name)
    const value = text ?? setHere.get(name) ?? row.defaultText
    const source = text !== undefined ? 'environment' : setHere.has(name) ? 'registry' : 'default'
    // What is set here is in disguise already.
    const shown = 'secret' in row && text !== undefined ? shownSecret(name, text) : withoutCredentials(value)
    return { name, value: shown === '' ? null : shown, source }
  })
}

/** The values in force that take the place of settings, by the setting's name. Keys are in disguise. */
function valuesSetHere(state: ConfigurationState): ReadonlyMap<string, string> {
  const values = new Map<string, string>()
  const { defaultProvider, providers, retentionDays } = state.overrides
  if (retentionDays !== null) values.set('RETENTION_DAYS', `${retentionDays}`)
  if (defaultProvider !== null) values.set('DEFAULT_LLM_PROVIDER', defaultProvider)
  for (const { name, settings } of BUILT_IN_PROVIDERS) {
    const model = defaultModelOf(name, state)
    if (model !== undefined) values.set(settings.model.variable, model)
    const record = providers.get(name)
    if (!record || obstacleTo(name, record, state) !== undefined) continue
    if (record.key) values.set(settings.apiKey.variable, record.key.shown)
    if (record.baseUrl !== null) values.set(settings.baseUrl.variable, record.baseUrl)
  }
  return values
}

/** Of the gateway's own secrets nothing is shown; of a provider's key enough to tell it from another. */
function shownSecret(name: string, text: string): string {
  const isProviderKey = BUILT_IN_PROVIDERS.some(({ settings }) => settings.apiKey.variable === name)
  return isProviderKey ? maskedKey(text) : SET
}
