// Provider: an endpoint that speaks one or more dialects, as a value. It passes requests and answers on as bytes, and reads neither.

import type { Price } from '../core/prices.ts'
import type { QuoteRules } from '../core/quote.ts'
import type { HeaderList } from '../wire/dialect.ts'
import type { CostField } from '../wire/stated-cost.ts'

/** The settings of a provider over HTTP. */
export interface ProviderSettings {
  /** Empty if the provider is not configured. */
  readonly apiKey: string
  /** Without a trailing slash. */
  readonly baseUrl: string
  /** The model that is shown as its default. */
  readonly model: string
  /** True if callers send their own keys. `apiKey` is not used then. */
  readonly callerKeys?: boolean
  /** Why it has no key, if not for a missing variable. A line without a full stop. */
  readonly keylessReason?: string
  /** Where its address is set, if not in the settings. */
  readonly addressSetting?: string
}

/** What takes the place of a provider's own settings. What is absent stays as configured. */
export interface ProviderOverride {
  /** Empty: no key is sent. */
  readonly apiKey?: string
  readonly baseUrl?: string
  readonly model?: string
  readonly keylessReason?: string
  readonly addressSetting?: string
}

/** A request that costs nothing, by whose answer a provider shows whether it takes the key. */
export interface ProviderProbe {
  /** Relative to the base URL. */
  readonly path: string
  readonly headers: HeaderList
}

/** A caller's own key for a provider, in the place and the form in which its SDK sent it. */
export interface CallerKey {
  readonly headers: HeaderList
  /** `key=…`, or empty if the key is a header. */
  readonly query: string
}

/** The secret of a caller's key. */
export function secretOf({ headers, query }: CallerKey): string {
  const bare = (headers[1] ?? '').replace(/^Bearer\s+/i, '')
  return bare === '' ? (new URLSearchParams(query).get('key') ?? '') : bare
}

/** A request to a provider. */
export interface UpstreamRequest {
  readonly dialect: string
  /** POST by default. */
  readonly method?: string
  /** Path and query, relative to the provider's base URL. */
  readonly path: string
  /** The caller's headers. The provider drops those that are not meant for it, and adds its key. */
  readonly headers: HeaderList
  /** Sent instead of the provider's own key, if it is defined. */
  readonly callerKey: CallerKey | undefined
  readonly body: Buffer
  /** The model as the provider names it. */
  readonly model: string
  readonly stream: boolean
  /** The answer must not be encoded, because something in it has to be hidden on its way. */
  readonly needsPlainAnswer: boolean
}

/** Receives the answer: `head` once, then `data`, then `end` or `failed`; or `failed` alone. Its methods must not throw. */
export interface AnswerListener {
  /** The request is being sent: from now on the provider may have read it, and may bill for it. */
  started(): void
  /** @param headers lower-case names and values, alternating */
  head(status: number, headers: HeaderList): void
  data(chunk: Buffer): void
  end(): void
  failed(error: Error): void
}

/** Controls a request under way. */
export interface RequestControl {
  /** Stops the flow of `data`, soon after. */
  pause(): void
  resume(): void
  /** Ends the request. The listener's `failed` follows, unless the answer was over, or there was no connection yet. */
  abort(): void
}

/**
 * An endpoint that speaks dialects. `defineProvider` makes one with settings of its own; see its example.
 *
 * `send` and `sendTranslated` return at once and never throw: the listener is notified of failures with `failed`. A status of 400 or
 * more is an answer and no failure.
 *
 * @example
 * const control = provider.send(outgoing, listener) // later: listener.started(), head(200, headers), data(chunk), end()
 * control.abort() // the client is gone
 */
export interface Provider {
  /** Unique in the list. Callers may put it in front of a model: `openai/gpt-4o`. */
  readonly name: string
  /** The names of the dialects that it speaks, as in wire/index.ts. */
  readonly dialects: readonly string[]
  /** True: it makes up its answers and sends nothing. Its calls have separate meters. */
  readonly simulated: boolean
  /** False if its key is missing. */
  readonly configured: boolean
  /** True: callers send their own keys for it. */
  readonly callerKeys: boolean
  /** Its name in the price book, with the region of its address if prices differ there: `openai`, `openai+regional`. */
  readonly priceName: string
  /** The field in which its answers state their cost. That figure is what it bills. */
  readonly costField?: CostField
  /** The price of models that the price book does not know. Without it, such models are refused. */
  readonly unlistedPrice?: Price
  /** The provider's names for models, by the names that callers and the price book use. */
  readonly deployments?: ReadonlyMap<string, string>
  /** The model shown in `/llm/status`, as the provider names it. May be empty. */
  readonly defaultModel: string
  /** One line that says how to configure it. */
  readonly setupGuide: string
  /** Where its address is set: `OPENAI_BASE_URL`, or a row of bursar.json. Empty if it has none. */
  readonly addressSetting: string
  /** Absent if it sends nothing. */
  readonly probe?: ProviderProbe
  /** The rules from which the tokens of its calls are bounded. */
  readonly rules: QuoteRules
  /** The rules for one model, if they depend on it. @param model the name at the provider */
  readonly rulesFor?: (model: string) => QuoteRules
  /** How its input can be counted: by OpenAI's public tokenizer, or by a request to the provider. */
  readonly countingMethod?: 'tokenizer' | 'endpoint'
  /** How many times the tokens of its count images and pages can take in the call itself. About 1 if absent. */
  readonly visualCountFactor?: number
  /** The field that caps output in its dialect. */
  readonly capField: string
  /** True: the provider can ignore a cap in another field, so a caller's cap is moved to `capField`. */
  readonly readsOnlyCapField?: boolean
  /** True: it accepts `stream_options.include_usage`. */
  readonly knowsStreamOptions: boolean
  /** Error statuses that it does not bill, in addition to those that no provider bills. */
  readonly freeStatuses: ReadonlySet<number>
  /** Sends a request as the caller wrote it. */
  send(outgoing: UpstreamRequest, listener: AnswerListener): RequestControl
  /**
   * Sends a request that was translated from another dialect, through the provider's official SDK if there is a safe one. Only the
   * caller's own key is taken from its headers. Without this method, `send` sends it.
   */
  sendTranslated?(outgoing: UpstreamRequest, listener: AnswerListener): RequestControl
  /** Resolves once calls under way and calls already admitted have finished and everything is closed. */
  retire(): Promise<void>
  /** Ends everything at once. */
  close(): Promise<void>
}
