// Provider count: requests the number of input tokens of a call from the provider's free endpoint. It never sends the call itself.

import type { Timer, Timers } from '../core/clock.ts'
import type { AnswerListener, CallerKey, Provider, RequestControl } from '../providers/provider.ts'
import { parseTokenCount, type TokenCount } from '../wire/count-requests.ts'
import type { CountRequest, HeaderList } from '../wire/dialect.ts'
import { countRequestFor } from '../wire/index.ts'

/** The parts of a call that a count needs. */
export interface CountableInput {
  readonly provider: Provider
  readonly dialect: string
  readonly model: string
  readonly body: Buffer
  readonly headers: HeaderList
  readonly callerKey: CallerKey | undefined
  /** The id of the key that made the call: each key gets its share of the slots. Null or absent if there are no keys. */
  readonly caller?: string | null
  /** True if the request was translated: then only the caller's key is taken from its headers. */
  readonly isTranslated?: boolean
  /** True if the request carries images, files, sound or video. */
  readonly hasMedia?: boolean
}

/** Why there is no count: `later` if another try may have one, `never` if not. */
export type CountFailure = 'later' | 'never'

const COUNT_TIMEOUT_MS = 3_000
/** Files have to be uploaded and read before they are counted. */
const MEDIA_COUNT_TIMEOUT_MS = 10_000
const MAX_ANSWER_BYTES = 65_536
const HTTP_TOO_MANY_REQUESTS = 429

/** The provider's count. It fails if the provider cannot count all of the call, refuses, or takes too long. Never rejects. */
export function fetchProviderCount(call: CountableInput, timers: Timers): Promise<TokenCount | CountFailure> {
  const { provider, model, headers, callerKey, isTranslated = false, hasMedia = false } = call
  const request = countRequestOf(call)
  if (!request) return Promise.resolve('never')
  return new Promise((resolve) => {
    const listener = new CountListener(timers, hasMedia ? MEDIA_COUNT_TIMEOUT_MS : COUNT_TIMEOUT_MS, resolve)
    const outgoing = { ...request, headers, callerKey, model, stream: false, needsPlainAnswer: true }
    listener.control =
      isTranslated && provider.sendTranslated
        ? provider.sendTranslated(outgoing, listener)
        : provider.send(outgoing, listener)
  })
}

/** The dialect throws if it cannot read the body. Such a call is not counted, since the provider refuses it anyway. */
function countRequestOf({ dialect, body, model }: CountableInput): CountRequest | undefined {
  try {
    return countRequestFor(dialect, body, model)
  } catch {
    return undefined
  }
}

/** Collects the answer to one count request and resolves once. */
class CountListener implements AnswerListener {
  control: RequestControl | undefined
  readonly #timers: Timers
  readonly #timeout: Timer
  readonly #resolve: (count: TokenCount | CountFailure) => void
  #status = 0
  #byteCount = 0
  readonly #chunks: Buffer[] = []

  constructor(timers: Timers, timeoutMs: number, resolve: (count: TokenCount | CountFailure) => void) {
    this.#timers = timers
    this.#resolve = resolve
    this.#timeout = timers.setTimeout(() => this.#onTimeout(), timeoutMs)
  }

  started(): void {}

  head(status: number): void {
    this.#status = status
  }

  data(chunk: Buffer): void {
    this.#byteCount += chunk.length
    if (this.#byteCount <= MAX_ANSWER_BYTES) this.#chunks.push(chunk)
  }

  end(): void {
    const isTransient = this.#status === HTTP_TOO_MANY_REQUESTS || this.#status >= 500
    if (this.#status !== 200) this.#finish(isTransient ? 'later' : 'never')
    else this.#finish(parseTokenCount(Buffer.concat(this.#chunks)) ?? 'never')
  }

  failed(): void {
    this.#finish('later')
  }

  #onTimeout(): void {
    this.control?.abort()
    // A request that is aborted before it has a connection reports nothing.
    this.#finish('later')
  }

  #finish(count: TokenCount | CountFailure): void {
    this.#timers.clearTimeout(this.#timeout)
    this.#resolve(count)
  }
}
