// Compatible: endpoints that speak OpenAI's dialects elsewhere. A known endpoint is a row of presets, and never code.

import { PROVIDER_SPELLINGS } from '../../core/model-name.ts'
import { NO_TIERS, type Price, ratesOf } from '../../core/prices.ts'
import type { QuoteRules } from '../../core/quote.ts'
import { RecentMap } from '../../core/recent-map.ts'
import type { HeaderList } from '../../wire/dialect.ts'
import { type Provider, secretOf, type UpstreamRequest } from '../provider.ts'
import { priceNameAt } from '../regional-prices.ts'
import { HttpForwarder, overHttp } from '../transport/http-forwarder.ts'
import { MAX_TOKENS_PER_ARGUMENT, rulesForModel } from './families.ts'
import type { EndpointRow } from './presets.ts'

/** One endpoint of bursar.json, with every default filled in. */
export interface CompatibleSettings extends EndpointRow {
  /** Callers put it in front of a model. */
  readonly name: string
  /** The key itself. Empty if there is none. */
  readonly apiKey: string
  /** The variable that should hold the key, if it does not. */
  readonly missingVariable: string | undefined
  /** Callers bring their own keys. */
  readonly callerKeys: boolean
  /** True: a variable holds the key. */
  readonly isKeyInEnvironment?: boolean
  /** True: the row has headers or a query of its own, which can hold a key as well. */
  readonly sendsOwnFields?: boolean
  /** Why it has no key, if not for a missing variable. A line without a full stop. */
  readonly keylessReason?: string
  /** Where its address is set, if not in bursar.json. */
  readonly addressSetting?: string
}

/** The most tokens of one image, by families that take more or fewer than `MAX_IMAGE_TOKENS`. The first match counts. */
const IMAGE_TOKENS: readonly (readonly [RegExp, number])[] = [
  [/gpt-4o-mini/, 48_169],
  [/gpt-(5\.[6-9]|[6-9])/, 36_000],
  [/claude/, 4_784],
]
const MAX_IMAGE_TOKENS = 16_384

/** Callers choose names, so the number of models whose rules are remembered is bounded. */
const MAX_MODELS = 1_000

/** The price of models that cost nothing. */
const FREE_PRICE: Price = {
  version: 'free',
  steps: [{ fromInputTokens: 0, rates: ratesOf({}) }],
  tiers: NO_TIERS,
}

/** Opens the provider of an endpoint, without a connection yet. */
export function compatible(settings: CompatibleSettings): Provider {
  const { name, callerKeys } = settings
  const isFree = settings.prices === 'free'
  const isXai = PROVIDER_SPELLINGS.get('xai')?.includes(settings.prices) ?? false
  const forwarder = new HttpForwarder({
    baseUrl: settings.baseUrl,
    credentials: credentialsOf(settings),
    headers: Object.entries(settings.headers).flatMap(([header, value]) => [header.toLowerCase(), value]),
    query: new URLSearchParams(settings.query).toString(),
  })
  const rules = rulesOf(settings)
  const rulesByModel = new RecentMap<QuoteRules>(MAX_MODELS)
  return {
    name,
    dialects: settings.dialects,
    simulated: false,
    configured: callerKeys || (settings.missingVariable === undefined && settings.keylessReason === undefined),
    callerKeys,
    ...(settings.costField === '' ? {} : { costField: settings.costField }),
    priceName: isFree ? name : priceNameAt(settings.prices || name, settings.baseUrl),
    ...(isFree ? { unlistedPrice: FREE_PRICE } : {}),
    deployments: new Map(Object.entries(settings.deployments)),
    defaultModel: settings.model,
    addressSetting: settings.addressSetting ?? `providers.${name}.baseUrl in bursar.json`,
    setupGuide: settings.keylessReason ?? `Set ${settings.missingVariable ?? ''} in .env file`,
    probe: { path: settings.probePath ?? '/models', headers: [] },
    rules,
    rulesFor: (model) => {
      let known = rulesByModel.get(model)
      if (!known) rulesByModel.set(model, (known = rulesForModel(rules, model, isXai)))
      return known
    },
    capField: settings.capField,
    readsOnlyCapField: !settings.readsBothCaps,
    knowsStreamOptions: settings.knowsStreamOptions,
    freeStatuses: new Set(settings.freeStatuses),
    ...overHttp(forwarder),
    send: (outgoing, listener) => forwarder.send({ ...outgoing, path: pathOf(settings, outgoing) }, listener),
    sendTranslated: (outgoing, listener) => {
      const { callerKey } = outgoing
      const key = callerKey && { headers: credentialsOf({ ...settings, apiKey: secretOf(callerKey) }), query: '' }
      const headers = ['content-type', 'application/json']
      return forwarder.send({ ...outgoing, path: pathOf(settings, outgoing), headers, callerKey: key }, listener)
    },
  }
}

function rulesOf(settings: CompatibleSettings): QuoteRules {
  return {
    tokensPerCall: settings.tokensPerCall,
    tokensPerMessage: settings.tokensPerMessage,
    tokensWithTools: settings.tokensWithTools,
    spacesTools: settings.rewritesTools,
    tokensPerArgument: settings.rewritesTools ? MAX_TOKENS_PER_ARGUMENT : 0,
    normalisesText: true,
    imageTokens: (model) => IMAGE_TOKENS.find(([family]) => family.test(model))?.[1] ?? MAX_IMAGE_TOKENS,
    capCoversReasoning: settings.capCoversReasoning,
    // The vendor of the model is not known, and some vendors bill for cache writes.
    cachesAutomatically: true,
  }
}

function credentialsOf({ apiKey, auth }: CompatibleSettings): HeaderList {
  if (apiKey === '' || auth === 'none') return []
  return auth === 'api-key' ? ['api-key', apiKey] : ['authorization', `Bearer ${apiKey}`]
}

/** The dialect's own path, or the path set in its place, with the caller's query. */
function pathOf({ paths }: CompatibleSettings, { dialect, path, model }: UpstreamRequest): string {
  const template = Object.entries(paths).find(([name]) => name === dialect)?.[1]
  if (template === undefined) return path
  const query = path.indexOf('?')
  const placed = template.replaceAll('{deployment}', () => pathSegment(model))
  return query < 0 ? placed : placed + path.slice(query)
}

/** A model's name as one segment of a path. A name of dots alone would lead elsewhere. */
function pathSegment(model: string): string {
  return encodeURIComponent(model.toWellFormed()).replace(/^\.+$/, '_')
}
