// Provider count: requests the number of input tokens of a call from the provider's free endpoint. It never sends the call itself.

import type { Timer, Timers } from '../core/clock.ts'
import type { AnswerListener, CallerKey, Provider, RequestControl } from '../providers/provider.ts'
import { parseTokenCount } from '../wire/count-requests.ts'
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
}

const COUNT_TIMEOUT_MS = 3_000
const MAX_ANSWER_BYTES = 65_536

/** The provider's count in tokens. Undefined if it cannot count all of the call, fails, or takes too long. Never rejects. */
export function fetchProviderCount(call: CountableInput, timers: Timers): Promise<number | undefined> {
  const { provider, model, headers, callerKey } = call
  const request = countRequestOf(call)
  if (!request) return Promise.resolve(undefined)
  return new Promise((resolve) => {
    const listener = new CountListener(timers, resolve)
    const outgoing = { ...request, headers, callerKey, model, stream: false, needsPlainAnswer: true }
    listener.control = provider.send(outgoing, listener)
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
  readonly #resolve: (tokens: number | undefined) => void
  #status = 0
  #byteCount = 0
  readonly #chunks: Buffer[] = []

  constructor(timers: Timers, resolve: (tokens: number | undefined) => void) {
    this.#timers = timers
    this.#resolve = resolve
    this.#timeout = timers.setTimeout(() => this.#onTimeout(), COUNT_TIMEOUT_MS)
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
    this.#finish(this.#status === 200 ? parseTokenCount(Buffer.concat(this.#chunks)) : undefined)
  }

  failed(): void {
    this.#finish(undefined)
  }

  #onTimeout(): void {
    this.control?.abort()
    // A request that is aborted before it has a connection reports nothing.
    this.#finish(undefined)
  }

  #finish(tokens: number | undefined): void {
    this.#timers.clearTimeout(this.#timeout)
    this.#resolve(tokens)
  }
}
