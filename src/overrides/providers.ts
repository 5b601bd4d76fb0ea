// Providers: keys and addresses of providers that are set by PUT /admin/providers/NAME, and which of them are in force. An address
// from here gets no key from elsewhere, and a key that the environment holds stays in force.

import { shown } from '../config/findings.ts'
import { maskedKey } from '../config/masks.ts'
import { didYouMean } from '../core/nearest-name.ts'
import { Problem } from '../core/problem.ts'
import { BUILT_IN_PROVIDERS, type CompatibleSettings, type ProviderOverrides } from '../providers/index.ts'
import type { ProviderOverride } from '../providers/provider.ts'
import type { DocumentDraft } from '../stores/registry.ts'
import type { KeyCipher } from './key-cipher.ts'
import type { ConfigurationState, OverrideChange, ProviderRecord, StoredKey } from './overrides.ts'

/** A change of one provider. Absent: as it is. Null: removed. */
export interface ProviderChange {
  readonly api_key?: string | null | undefined
  /** Without a trailing slash. */
  readonly base_url?: string | null | undefined
}

const NO_RECORD: ProviderRecord = { key: null, baseUrl: null }

/** The providers that can have a key or an address, in order of precedence. */
export function providerNames({ file }: Pick<ConfigurationState, 'file'>): readonly string[] {
  return [...BUILT_IN_PROVIDERS.map(({ name }) => name), ...file.providers.compatible.map(({ name }) => name)]
}

/** Throws Problem `not_found`, with the nearest name, for a provider that there is not. */
export function assertProvider(name: string, state: Pick<ConfigurationState, 'file'>): void {
  const names = providerNames(state)
  if (!names.includes(name))
    throw new Problem('not_found', `No provider is named ${shown(name)}.${didYouMean(name, names)}`, 'name')
}

/**
 * Sets a provider's key or address. Another address without a key drops the key, which was given for the address before.
 *
 * Rejects with Problem: `not_found`, `invalid_request`, `conflict` if the environment or bursar.json decides, `forbidden` without
 * BURSAR_SECRET.
 */
export async function changeProvider(
  state: ConfigurationState,
  name: string,
  change: ProviderChange,
  cipher: KeyCipher,
): Promise<OverrideChange> {
  assertProvider(name, state)
  const { api_key: apiKey, base_url: givenUrl } = change
  if (apiKey === undefined && givenUrl === undefined)
    throw new Problem('invalid_request', 'api_key or base_url is missing: send one of them, or both.', 'api_key')
  const before = state.overrides.providers.get(name) ?? NO_RECORD
  const baseUrl = givenUrl === undefined ? before.baseUrl : givenUrl
  const keptKey = baseUrl === before.baseUrl ? before.key : null
  const key = apiKey === undefined ? keptKey : apiKey === null ? null : { shown: maskedKey(apiKey), secret: apiKey }
  const record: ProviderRecord = { key, baseUrl }
  refuseUselessKey(name, apiKey, state)
  const obstacle = obstacleTo(name, record, state)
  if (obstacle !== undefined && (key !== null || baseUrl !== null))
    throw new Problem('conflict', `${obstacle}.`, givenUrl === undefined ? 'api_key' : 'base_url')
  if (apiKey && !cipher.isReady)
    throw new Problem('forbidden', 'Set BURSAR_SECRET and start again: keys are stored encrypted under it.', 'api_key')
  if (key === before.key && baseUrl === before.baseUrl) return { overrides: state.overrides, drafts: [] }
  const drafts = [providerDraft(name, record)]
  if (apiKey) drafts.push(secretDraft(name, await cipher.seal(apiKey, { provider: name, baseUrl })))
  else if (key === null) drafts.push(secretDraft(name, null))
  return { overrides: withRecord(state, name, record), drafts }
}

/** Takes back all that is set for a provider, which need not exist any more. Throws Problem `not_found` if nothing is. */
export function removeProvider(state: ConfigurationState, name: string): OverrideChange {
  if (!state.overrides.providers.has(name)) {
    assertProvider(name, state)
    throw new Problem('not_found', `Nothing is set here for the provider ${name}.`, 'name')
  }
  return {
    overrides: withRecord(state, name, NO_RECORD),
    drafts: [providerDraft(name, NO_RECORD), secretDraft(name, null)],
  }
}

function refuseUselessKey(name: string, apiKey: string | null | undefined, { file }: ConfigurationState): void {
  if (apiKey && rowOf(name, file)?.auth === 'none')
    throw new Problem('invalid_request', `api_key: ${name} takes no key, because its auth is none.`, 'api_key')
}

function isEmpty({ key, baseUrl }: ProviderRecord): boolean {
  return key === null && baseUrl === null
}

function withRecord({ overrides }: ConfigurationState, name: string, record: ProviderRecord) {
  const providers = new Map(overrides.providers)
  if (isEmpty(record)) providers.delete(name)
  else providers.set(name, record)
  return { ...overrides, providers }
}

function providerDraft(name: string, record: ProviderRecord): DocumentDraft {
  const value = { api_key: record.key?.shown ?? null, base_url: record.baseUrl }
  return { kind: 'provider', id: name, value: isEmpty(record) ? null : value }
}

function secretDraft(name: string, value: unknown): DocumentDraft {
  return { kind: 'provider-secret', id: name, value }
}

/**
 * Why a record is not in force, and where to change that: the environment decides, or keys from elsewhere would go to the address that
 * is set here. A line without a full stop. Undefined if the record is in force.
 */
export function obstacleTo(
  name: string,
  { baseUrl }: ProviderRecord,
  { settings, file }: Pick<ConfigurationState, 'settings' | 'file'>,
): string | undefined {
  const builtIn = BUILT_IN_PROVIDERS.find((provider) => provider.name === name)
  const row = rowOf(name, file)
  if (!builtIn && !row) return `No provider is named ${shown(name)} now`
  if (builtIn && settings.given.has(builtIn.settings.apiKey.variable))
    return `${builtIn.settings.apiKey.variable} is set in the environment, and decides. Change it there, or remove it and start again`
  if (row?.isKeyInEnvironment)
    return `providers.${name}.apiKey in bursar.json names a variable that is set in the environment, and decides. Change it there`
  const callerKeys = row?.callerKeys ?? file.providers.callerKeys.some((forwarding) => forwarding === name)
  if (callerKeys)
    return `providers.${name}.callerKeys in bursar.json has callers send keys of their own, which go to no address that is set here, and no other key is used. Change it there`
  if (baseUrl === null) return undefined
  if (builtIn && settings.given.has(builtIn.settings.baseUrl.variable))
    return `${builtIn.settings.baseUrl.variable} is set in the environment, and decides. Change it there, or remove it and start again`
  if (row?.sendsOwnFields)
    return `providers.${name} in bursar.json has headers or a query, which can hold a key, and no key from elsewhere goes to an address that is set here. Change baseUrl in bursar.json`
  return undefined
}

function rowOf(name: string, { providers }: ConfigurationState['file']): CompatibleSettings | undefined {
  return providers.compatible.find((row) => row.name === name)
}

/** Why keys and addresses that are set here are not in force. A sentence each, which begins with the document. */
export function providerWarnings(state: ConfigurationState): readonly string[] {
  return [...state.overrides.providers].flatMap(([name, record]) => {
    const reason =
      obstacleTo(name, record, state) ?? (record.key && 'reason' in record.key ? record.key.reason : undefined)
    return reason === undefined ? [] : [`provider/${name}: ${reason}`]
  })
}

/** What of the overrides is in force for providers: keys, addresses and default models. */
export function providerOverridesOf(state: ConfigurationState): ProviderOverrides {
  const overrides = new Map<string, ProviderOverride>()
  for (const name of providerNames(state)) {
    const record = state.overrides.providers.get(name)
    const inForce = record && obstacleTo(name, record, state) === undefined ? recordOverride(name, record, state) : {}
    const model = defaultModelOf(name, state)
    const override = { ...inForce, ...(model === undefined ? {} : { model }) }
    if (Object.keys(override).length > 0) overrides.set(name, override)
  }
  return overrides
}

/** The default model that is set here and in force. */
export function defaultModelOf(name: string, { settings, overrides }: ConfigurationState): string | undefined {
  const variable = BUILT_IN_PROVIDERS.find((provider) => provider.name === name)?.settings.model.variable
  return variable !== undefined && settings.given.has(variable) ? undefined : overrides.defaultModels.get(name)
}

function recordOverride(name: string, { key, baseUrl }: ProviderRecord, state: ConfigurationState): ProviderOverride {
  const address = baseUrl === null ? {} : { baseUrl, addressSetting: `base_url of PUT /admin/providers/${name}` }
  return { ...address, ...keyOverride(name, key, state) }
}

function keyOverride(name: string, key: StoredKey | null, { file }: ConfigurationState): ProviderOverride {
  if (key && 'secret' in key) return { apiKey: key.secret }
  if (key) return { apiKey: '', keylessReason: key.reason }
  const row = rowOf(name, file)
  const needsKey = !row || (row.auth !== 'none' && (row.apiKey !== '' || row.missingVariable !== undefined))
  const keylessReason = `Send the key for its base_url to PUT /admin/providers/${name}: no other key is sent there`
  return needsKey ? { apiKey: '', keylessReason } : { apiKey: '' }
}
