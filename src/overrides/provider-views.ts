// Provider views: what is shown of a provider's key and address, and where each is set. No key is shown in clear.

import { maskedKey, withoutCredentials } from '../config/masks.ts'
import { BUILT_IN_PROVIDERS } from '../providers/index.ts'
import type { Provider } from '../providers/provider.ts'
import type { ConfigurationState } from './overrides.ts'
import { obstacleTo } from './providers.ts'

export type Source = 'environment' | 'bursar.json' | 'registry' | 'default'

export interface ProviderView {
  readonly name: string
  readonly isReady: boolean
  /** Null if it is ready. */
  readonly setupGuide: string | null
  readonly baseUrl: string
  readonly baseUrlSource: Source
  /** As people see it. Null if there is none. */
  readonly apiKey: string | null
  readonly apiKeySource: Source | null
  readonly callerKeys: boolean
  /** Why what is set here is not in force. Null if it is, or nothing is set. */
  readonly notInForce: string | null
}

interface Part {
  readonly text: string
  readonly source: Source
}

/** @param providers those in force */
export function providerView(name: string, state: ConfigurationState, providers: readonly Provider[]): ProviderView {
  const provider = providers.find((candidate) => candidate.name === name)
  const record = state.overrides.providers.get(name)
  const obstacle = record && obstacleTo(name, record, state)
  const inForce = obstacle === undefined ? record : undefined
  const own = configuredParts(name, state)
  const address: Part = inForce?.baseUrl ? { text: inForce.baseUrl, source: 'registry' } : own.address
  // To an address that is set here, no other key is sent.
  const others = inForce?.baseUrl || own.key.text === '' ? null : { ...own.key, text: maskedKey(own.key.text) }
  const key: Part | null = inForce?.key ? { text: inForce.key.shown, source: 'registry' } : others
  return {
    name,
    isReady: provider?.configured ?? false,
    setupGuide: provider?.configured === false ? provider.setupGuide : null,
    baseUrl: withoutCredentials(address.text),
    baseUrlSource: address.source,
    apiKey: key?.text ?? null,
    apiKeySource: key?.source ?? null,
    callerKeys: provider?.callerKeys ?? false,
    notInForce: obstacle ?? null,
  }
}

/** The key and the address of the settings and of bursar.json. The key is in clear. */
function configuredParts(
  name: string,
  { settings, file }: ConfigurationState,
): { readonly key: Part; readonly address: Part } {
  const builtIn = BUILT_IN_PROVIDERS.find((provider) => provider.name === name)
  if (builtIn) {
    const { apiKey, baseUrl } = builtIn.settings
    const source = settings.given.has(baseUrl.variable) ? 'environment' : 'default'
    return {
      key: { text: settings[apiKey.variable], source: 'environment' },
      address: { text: settings[baseUrl.variable], source },
    }
  }
  const row = file.providers.compatible.find((candidate) => candidate.name === name)
  return {
    key: { text: row?.apiKey ?? '', source: row?.isKeyInEnvironment ? 'environment' : 'bursar.json' },
    address: { text: row?.baseUrl ?? '', source: 'bursar.json' },
  }
}
