// Provider: an endpoint that speaks a dialect. A value in a list; what it is sent and what it answers pass through as bytes.

import type { Price } from '../core/prices.ts'
import type { QuoteRules } from '../core/quote.ts'
import type { HeaderList } from '../wire/dialect.ts'

/** What a provider over HTTP is configured with. */
export interface ProviderSettings {
  /** Empty where it is not configured. */
  readonly apiKey: string
  readonly baseUrl: string
  readonly model: string
  /** True where callers bring their own keys; then ours is not used. */
  readonly callerKeys?: boolean
}

/** A caller's own key for a provider, where and as its SDK put it. */
export interface CallerKey {
  readonly headers: HeaderList
  /** `key=…`, or empty. */
  readonly query: string
}

/** The key itself, wherever it stood. */
export function secretOf({ headers, query }: CallerKey): string {
  const bare = (headers[1] ?? '').replace(/^Bearer\s+/i, '')
  return bare === '' ? (new URLSearchParams(query).get('key') ?? '') : bare
}

/** A request as it goes upstream. */
export interface UpstreamRequest {
  readonly dialect: string
  /** POST where it is absent. */
  readonly method?: string
  /** Path and query, relative to the provider's base URL. */
  readonly path: string
  /** The caller's own headers; the provider drops what is not its business and adds its key. */
  readonly headers: HeaderList
  /** Sent in place of the provider's own key, where there is one. */
  readonly callerKey: CallerKey | undefined
  readonly body: Buffer
  readonly model: string
  readonly stream: boolean
  /** True where the answer has to be read as plain text on its way, because something in it is to be hidden. */
  readonly needsPlainAnswer: boolean
}

/** Hears what comes back. `head` once, then `data`, then `end` or `failed`; or `failed` alone. */
export interface AnswerListener {
  /** From now on the provider may have read the request, and may bill for it. */
  started(): void
  /** @param headers lower-case names and values in turn */
  head(status: number, headers: HeaderList): void
  data(chunk: Buffer): void
  end(): void
  failed(error: Error): void
}

/** The way to steer a request under way. */
export interface RequestControl {
  pause(): void
  resume(): void
  abort(): void
}

export interface Provider {
  readonly name: string
  /** Names of the dialects it speaks. */
  readonly dialects: readonly string[]
  readonly simulated: boolean
  /** False when its key is missing. */
  readonly configured: boolean
  /** Callers bring their own keys for it. */
  readonly callerKeys: boolean
  /** What the price book calls it. */
  readonly priceName: string
  /** The price of models that the price book does not know, where that is no reason to refuse them. */
  readonly unlistedPrice?: Price
  /** Its own names for models, by those they are asked and priced under. */
  readonly deployments?: ReadonlyMap<string, string>
  /** The model shown in `/llm/status`. */
  readonly defaultModel: string
  /** What to do to configure it, as one line. */
  readonly setupGuide: string
  readonly rules: QuoteRules
  /** How its input can be counted: by OpenAI's public tokenizer, or by asking the provider itself. */
  readonly countingMethod?: 'tokenizer' | 'endpoint'
  /** The field that caps output in its dialect. */
  readonly capField: string
  /** True where a cap in any other field is not known to be read: a caller's own is put there. */
  readonly readsOnlyCapField?: boolean
  /** Knows `stream_options.include_usage`. */
  readonly knowsStreamOptions: boolean
  /** Error statuses it is known not to bill, beside those nobody bills. */
  readonly freeStatuses: ReadonlySet<number>
  send(outgoing: UpstreamRequest, listener: AnswerListener): RequestControl
  /**
   * Sends what was translated from another dialect through the provider's official SDK. Of the caller's headers nothing goes
   * on but its own key. Absent where there is no such SDK: then `send` does it.
   */
  sendTranslated?(outgoing: UpstreamRequest, listener: AnswerListener): RequestControl
  /** Lets the calls under way and those already admitted finish, and then goes of everything. */
  retire(): Promise<void>
  /** Ends everything at once. */
  close(): Promise<void>
}
