// Provider: an endpoint that speaks one or more dialects, as a value. Requests and answers pass through it as bytes: it reads
// neither.

import type { Price } from '../core/prices.ts'
import type { QuoteRules } from '../core/quote.ts'
import type { HeaderList } from '../wire/dialect.ts'

/** The settings of a provider over HTTP. */
export interface ProviderSettings {
  /** Empty if the provider is not configured. */
  readonly apiKey: string
  /** Without a trailing slash. */
  readonly baseUrl: string
  /** The model shown as its default. */
  readonly model: string
  /** True if callers bring their own keys. Then `apiKey` is not used. */
  readonly callerKeys?: boolean
}

/** A caller's own key for a provider, in the place and the form in which its SDK sent it. */
export interface CallerKey {
  readonly headers: HeaderList
  /** `key=…`, or empty if the key is a header. */
  readonly query: string
}

/** The key itself. */
export function secretOf({ headers, query }: CallerKey): string {
  const bare = (headers[1] ?? '').replace(/^Bearer\s+/i, '')
  return bare === '' ? (new URLSearchParams(query).get('key') ?? '') : bare
}

/** A request as it goes upstream. */
export interface UpstreamRequest {
  readonly dialect: string
  /** POST by default. */
  readonly method?: string
  /** Path and query, relative to the provider's base URL. */
  readonly path: string
  /** The caller's headers. The provider drops those that are not meant for it, and adds its key. */
  readonly headers: HeaderList
  /** Sent in place of the provider's own key. */
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
 * `send` and `sendTranslated` return at once and never throw: what goes wrong reaches the listener as `failed`. A status of 400 or
 * more is an answer, not a failure.
 */
export interface Provider {
  /** Unique in the list. Callers may put it in front of a model: `openai/gpt-4o`. */
  readonly name: string
  /** Names of the dialects it speaks. */
  readonly dialects: readonly string[]
  readonly simulated: boolean
  /** False if its key is missing. */
  readonly configured: boolean
  /** Callers bring their own keys for it. */
  readonly callerKeys: boolean
  /** Its name in the price book. */
  readonly priceName: string
  /** The price of models that the price book does not know. Without it, such models are refused. */
  readonly unlistedPrice?: Price
  /** The provider's names for models, by the names that callers and the price book use. */
  readonly deployments?: ReadonlyMap<string, string>
  /** The model shown in `/llm/status`, as the provider names it. May be empty. */
  readonly defaultModel: string
  /** One line that says how to configure it. */
  readonly setupGuide: string
  /** What bounds the tokens of its calls. */
  readonly rules: QuoteRules
  /** How its input can be counted: by OpenAI's public tokenizer, or by a request to the provider. */
  readonly countingMethod?: 'tokenizer' | 'endpoint'
  /** The field that caps output in its dialect. */
  readonly capField: string
  /** The provider may ignore a cap in another field, so a caller's cap is moved to `capField`. */
  readonly readsOnlyCapField?: boolean
  /** It accepts `stream_options.include_usage`. */
  readonly knowsStreamOptions: boolean
  /** Error statuses that it is known not to bill, beside those that no provider bills. */
  readonly freeStatuses: ReadonlySet<number>
  /** Sends a request as the caller wrote it. */
  send(outgoing: UpstreamRequest, listener: AnswerListener): RequestControl
  /**
   * Sends a request that was translated from another dialect, through the provider's official SDK if there is a safe one. Only the
   * caller's own key is taken from its headers. Without this method, `send` sends it.
   */
  sendTranslated?(outgoing: UpstreamRequest, listener: AnswerListener): RequestControl
  /** Lets calls under way and calls already admitted finish, then closes everything. */
  retire(): Promise<void>
  /** Ends everything at once. */
  close(): Promise<void>
}
