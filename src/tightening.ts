// Tightening: what a call really takes in, found out only where its bound in bytes, and nothing else, would refuse it.

import type { CountedInput } from './core/quote.ts'
import type { CallerKey, Listener, Provider } from './providers/provider.ts'
import { Tokenizer } from './tokenizer.ts'
import { countIn, countRequestFor } from './wire/count-requests.ts'
import type { HeaderList } from './wire/dialect.ts'

/** What of a call is counted. */
export interface Countable {
  readonly provider: Provider
  readonly dialect: string
  readonly model: string
  readonly body: Buffer
  readonly headers: HeaderList
  readonly callerKey: CallerKey | undefined
}

/** The models whose text this tokenizer cuts as they do; older ones cut it finer. */
const TOKENIZED = /^(gpt-4o|gpt-4\.1|gpt-4\.5|gpt-[5-9]|gpt-oss|gpt-audio|chatgpt-4o|codex|o\d)/
/** A provider's own count is an estimate, it says. */
const DOUBT = 1.1
const PATIENCE_MS = 3_000
/** Counts asked of providers at a time; they limit those, too. */
const MOST_ASKED = 16
const MOST_ANSWER_BYTES = 65_536

export class Tightening {
  readonly #tokenizer = new Tokenizer()
  #asked = 0

  /** Undefined where it cannot be told, or not soon enough: then the bound stands. Never rejects. */
  async count(call: Countable): Promise<CountedInput | undefined> {
    if (call.provider.counts === 'tokenizer') {
      const text = TOKENIZED.test(call.model) ? await this.#tokenizer.count(call.body.toString()) : undefined
      return text === undefined ? undefined : { text }
    }
    if (call.provider.counts !== 'endpoint' || !call.provider.configured || this.#asked >= MOST_ASKED) return undefined
    this.#asked += 1
    try {
      const all = await askProvider(call)
      return all === undefined ? undefined : { all: Math.ceil(all * DOUBT) }
    } finally {
      this.#asked -= 1
    }
  }

  close(): Promise<void> {
    return this.#tokenizer.close()
  }
}

function askProvider({ provider, dialect, model, body, headers, callerKey }: Countable): Promise<number | undefined> {
  const request = readable(() => countRequestFor(dialect, body, model))
  if (!request) return Promise.resolve(undefined)
  return new Promise((resolve) => {
    const count = new Count(resolve)
    const sending = provider.send({ ...request, headers, callerKey, model, stream: false, plain: true }, count)
    const late = setTimeout(() => {
      sending.abort()
      // Before there is a connection nobody is told of it.
      count.failed()
    }, PATIENCE_MS)
    count.over = () => clearTimeout(late)
  })
}

function readable<Value>(read: () => Value): Value | undefined {
  try {
    return read()
  } catch {
    return undefined
  }
}

/** Hears one count. */
class Count implements Listener {
  readonly #resolve: (tokens: number | undefined) => void
  #status = 0
  #bytes = 0
  readonly #chunks: Buffer[] = []
  over: () => void = () => {}

  constructor(resolve: (tokens: number | undefined) => void) {
    this.#resolve = resolve
  }

  started(): void {}

  head(status: number): void {
    this.#status = status
  }

  data(chunk: Buffer): void {
    this.#bytes += chunk.length
    if (this.#bytes <= MOST_ANSWER_BYTES) this.#chunks.push(chunk)
  }

  end(): void {
    this.#finish(this.#status === 200 ? countIn(Buffer.concat(this.#chunks)) : undefined)
  }

  failed(): void {
    this.#finish(undefined)
  }

  #finish(tokens: number | undefined): void {
    this.over()
    this.#resolve(tokens)
  }
}
