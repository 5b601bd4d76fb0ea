// Definition: a provider with a key of its own as one value. The list of providers, the settings and `.env.example` derive from it.

import type { Provider, ProviderSettings } from './provider.ts'
import { priceNameAt } from './regional-prices.ts'

/** One setting of a provider: a row of the table of settings, and of `.env.example`. */
export interface ProviderSettingRow<Variable extends string = string> {
  /** The variable, such as `OPENAI_API_KEY`. */
  readonly variable: Variable
  /** The value if the variable is absent or empty. */
  readonly defaultText: string
  /** The comment on it in `.env.example`. */
  readonly about: string
}

/** The settings that every provider with a key of its own has. */
export interface ProviderSettingRows<Variable extends string = string> {
  /** Empty by default: the provider is not configured then. */
  readonly apiKey: ProviderSettingRow<Variable>
  /** An HTTP(S) URL. */
  readonly baseUrl: ProviderSettingRow<Variable>
  /** The model that is shown as the provider's default. */
  readonly model: ProviderSettingRow<Variable>
}

/** What a definition leaves out of a provider, because its name and its settings say it. */
type DerivedFields =
  | 'name'
  | 'simulated'
  | 'configured'
  | 'callerKeys'
  | 'priceName'
  | 'defaultModel'
  | 'setupGuide'
  | 'addressSetting'

interface Definition<Name extends string, Variable extends string> {
  /** Callers can put this name before a model. It is also the provider's name in the price book. */
  readonly name: Name
  readonly settings: ProviderSettingRows<Variable>
  /** Opens its pool, without a connection yet. */
  open(settings: ProviderSettings): Omit<Provider, DerivedFields>
}

/** A provider in the list of `index.ts`. */
export interface BuiltInProvider<Name extends string = string, Variable extends string = string> {
  readonly name: Name
  readonly settings: ProviderSettingRows<Variable>
  open(settings: ProviderSettings): Provider
}

/**
 * Makes the value that a provider's file exports.
 *
 * @example
 * export const example = defineProvider({
 *   name: 'example',
 *   settings: {
 *     apiKey: { variable: 'EXAMPLE_API_KEY', defaultText: '', about: 'Your Example key.' },
 *     baseUrl: { variable: 'EXAMPLE_BASE_URL', defaultText: 'https://api.example.com', about: 'Where Example is.' },
 *     model: { variable: 'EXAMPLE_MODEL', defaultText: 'example-1', about: 'The model shown as the default.' },
 *   },
 *   open: ({ apiKey, baseUrl }) => ({
 *     dialects: ['openai.chat'],
 *     rules,
 *     capField: 'max_tokens',
 *     knowsStreamOptions: true,
 *     freeStatuses: new Set([400]),
 *     ...overHttp(new HttpForwarder({ baseUrl, credentials: ['authorization', `Bearer ${apiKey}`] })),
 *   }),
 * })
 */
export function defineProvider<const Name extends string, const Variable extends string>({
  name,
  settings: rows,
  open,
}: Definition<Name, Variable>): BuiltInProvider<Name, Variable> {
  return {
    name,
    settings: rows,
    open: (settings) => {
      const callerKeys = settings.callerKeys === true
      return {
        name,
        simulated: false,
        configured: settings.apiKey !== '' || callerKeys,
        callerKeys,
        priceName: priceNameAt(name, settings.baseUrl),
        defaultModel: settings.model,
        addressSetting: settings.addressSetting ?? rows.baseUrl.variable,
        setupGuide: settings.keylessReason ?? `Set ${rows.apiKey.variable} in .env file`,
        ...open(settings),
      }
    },
  }
}
