// Providers: /admin/providers, the keys and addresses of providers. Keys come in and never go out again.

import { z } from 'zod'
import type { Clock, Timers } from '../core/clock.ts'
import { providerAddress } from '../overrides/address.ts'
import type { KeyCipher } from '../overrides/key-cipher.ts'
import type { LiveConfiguration } from '../overrides/overrides.ts'
import { type ProviderView, providerView } from '../overrides/provider-views.ts'
import { assertProvider, changeProvider, providerNames, removeProvider } from '../overrides/providers.ts'
import { probe } from '../providers/probe.ts'
import type { Provider } from '../providers/provider.ts'
import { endpointsFor } from './endpoint.ts'
import { msSchema } from './views.ts'

export interface ProviderParts {
  readonly live: LiveConfiguration
  readonly cipher: KeyCipher
  readonly clock: Clock
  readonly timers: Timers
  readonly providers: readonly Provider[]
}

const endpoint = endpointsFor<ProviderParts>()

const MAX_KEY_CHARACTERS = 4_096
const MAX_URL_CHARACTERS = 2_048
const nameSchema = z.strictObject({ name: z.string() })

const keySchema = z
  .string()
  .min(1)
  .max(MAX_KEY_CHARACTERS)
  .regex(
    /^[\x21-\x7e]*$/,
    'must have only characters that can be sent in a header (is there a line break, or a space?)',
  )

const addressSchema = z
  .string()
  .max(MAX_URL_CHARACTERS)
  .transform((text, context) => {
    const address = providerAddress(text)
    if (address !== undefined) return address
    const message =
      'must be a URL that begins with https://, or http:// on this machine, without a user, a query and a #'
    context.addIssue({ code: 'custom', message })
    return z.NEVER
  })

const sourceSchema = z.enum(['environment', 'bursar.json', 'registry', 'default'])
/** Exported for the configuration as a whole. */
export const providerSchema = z.strictObject({
  name: z.string(),
  ready: z.boolean(),
  /** Why it is not ready; null if it is. */
  setup_guide: z.string().nullable(),
  base_url: z.string(),
  base_url_source: sourceSchema,
  /** `sk-…abcd`, or `set`; null if there is none. */
  api_key: z.string().nullable(),
  api_key_source: sourceSchema.nullable(),
  /** True: callers send keys of their own. */
  caller_keys: z.boolean(),
  /** Why what is set here is not in force; null if it is, or if nothing is set. */
  not_in_force: z.string().nullable(),
})

export const PROVIDERS = endpoint({
  method: 'GET',
  path: '/admin/providers',
  role: 'admin',
  summary: 'Every provider with its address, its key in disguise, and where both are set.',
  answer: z.strictObject({ providers: z.array(providerSchema) }),
}).handle(({ live, providers }) => ({ answer: { providers: providersJson(live.state, providers) } }))

export const SET_PROVIDER = endpoint({
  method: 'PUT',
  path: '/admin/providers/:name',
  role: 'admin',
  summary:
    "Sets a provider's key or address, from the next call on. Another address drops the key set for the one before.",
  params: nameSchema,
  body: z.strictObject({ api_key: keySchema.nullish(), base_url: addressSchema.nullish() }),
  answer: providerSchema,
}).handle(async (parts, { sender, params: { name }, body }) => {
  const { live, cipher } = parts
  assertProvider(name, live.state)
  const change = await body()
  const state = await live.change((before) => changeProvider(before, name, change, cipher), sender.actor)
  // Read only now: the change has replaced the list.
  return { answer: providerJson(providerView(name, state, parts.providers)) }
})

export const REMOVE_PROVIDER = endpoint({
  method: 'DELETE',
  path: '/admin/providers/:name',
  role: 'admin',
  summary: 'Takes back the key and the address that are set here for a provider.',
  params: nameSchema,
  answer: z.strictObject({ name: z.string(), removed: z.literal(true) }),
}).handle(async ({ live }, { sender, params: { name } }) => {
  await live.change((state) => removeProvider(state, name), sender.actor)
  return { answer: { name, removed: true } }
})

export const TEST_PROVIDER = endpoint({
  method: 'POST',
  path: '/admin/providers/:name/test',
  role: 'admin',
  summary: 'Asks a provider for something that costs nothing, and says whether it answers and takes the key.',
  params: nameSchema,
  answer: z.strictObject({
    ok: z.boolean(),
    /** Null if there was no answer. */
    status: z.number().int().nullable(),
    latency_ms: msSchema,
    message: z.string(),
  }),
}).handle(async ({ live, providers, clock, timers }, { params: { name } }) => {
  const provider = providers.find((candidate) => candidate.name === name)
  if (!provider) assertProvider(name, live.state)
  if (!provider) throw new Error(`The provider ${name} is not open.`)
  const { ok, status, latencyMs, message } = await probe(provider, clock, timers)
  return { answer: { ok, status, latency_ms: latencyMs, message } }
})

/** Those that exist, then those for which something is set that exist no more. */
export function providersJson(state: LiveConfiguration['state'], providers: readonly Provider[]) {
  const names = new Set([...providerNames(state), ...state.overrides.providers.keys()])
  return [...names].map((name) => providerJson(providerView(name, state, providers)))
}

function providerJson(view: ProviderView): z.output<typeof providerSchema> {
  return {
    name: view.name,
    ready: view.isReady,
    setup_guide: view.setupGuide,
    base_url: view.baseUrl,
    base_url_source: view.baseUrlSource,
    api_key: view.apiKey,
    api_key_source: view.apiKeySource,
    caller_keys: view.callerKeys,
    not_in_force: view.notInForce,
  }
}
