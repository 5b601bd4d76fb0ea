// Tightening: what a call really takes in, found out only where its bound in bytes, and nothing else, would refuse it.

import type { CountedInput } from '../core/quote.ts'
import type { CallerKey, Listener, Provider } from '../providers/provider.ts'
import { countIn, countRequestFor } from '../wire/count-requests.ts'
import type { HeaderList } from '../wire/dialect.ts'
import { Tokenizer } from './tokenizer.ts'

/** What of a call is counted. */
export interface Countable {
  readonly provider: Provider
  readonly dialect: string
  readonly model: string
  readonly body: Buffer
  readonly headers: HeaderList
  readonly callerKey: CallerKey | undefined
  /** Id of the key it came with: each gets its share of the places. Null or absent where there are none to tell apart. */
  readonly caller?: string | null
}

/** The models whose text this tokenizer cuts as they do; older ones cut it finer. */
const TOKENIZED = /^(gpt-4o|gpt-4\.1|gpt-4\.5|gpt-[5-9]|gpt-oss|gpt-audio|chatgpt-4o|codex|o\d)/
/** A provider's own count is an estimate, it says. */
const DOUBT = 1.1
const PATIENCE_MS = 3_000
/** Counts asked of providers at a time; they limit those, too. */
const MOST_ASKED = 16
/** Texts that wait for the tokenizer, the one that is counted included. More are turned away, so that nobody waits long. */
const MOST_TEXTS = 16
const MOST_ANSWER_BYTES = 65_536

export class Tightening {
  readonly #tokenizer = new Tokenizer()
  readonly #texts = new Places(MOST_TEXTS)
  readonly #asked = new Places(MOST_ASKED)

  /** Undefined where it cannot be told, or not soon enough: then the bound stands. Never rejects. */
  async count(call: Countable): Promise<CountedInput | undefined> {
    const { counts, configured } = call.provider
    if (counts === 'tokenizer' && TOKENIZED.test(call.model)) {
      const text = await this.#texts.hold(call.caller, () => this.#tokenizer.count(call.body.toString()))
      return text === undefined ? undefined : { text }
    }
    if (counts !== 'endpoint' || !configured) return undefined
    const all = await this.#asked.hold(call.caller, () => askProvider(call))
    return all === undefined ? undefined : { all: Math.ceil(all * DOUBT) }
  }

  close(): Promise<void> {
    return this.#tokenizer.close()
  }
}

/** Places of which nobody gets all: once half are taken, those who have a quarter get no more. */
export class Places {
  readonly #most: number
  #taken = 0
  readonly #takenBy = new Map<string, number>()

  constructor(most: number) {
    this.#most = most
  }

  /** How many callers are remembered: those who hold a place. */
  get callers(): number {
    return this.#takenBy.size
  }

  /** Runs `work` in a place. Undefined where there is none for this caller. */
  async hold<Value>(
    caller: string | null | undefined,
    work: () => Promise<Value | undefined>,
  ): Promise<Value | undefined> {
    const name = caller ?? null
    const own = name === null ? 0 : (this.#takenBy.get(name) ?? 0)
    if (this.#taken >= this.#most || (this.#taken >= this.#most / 2 && own >= this.#most / 4)) return undefined
    this.#change(name, 1)
    try {
      return await work()
    } finally {
      this.#change(name, -1)
    }
  }

  #change(name: string | null, by: number): void {
    this.#taken += by
    if (name === null) return
    const own = (this.#takenBy.get(name) ?? 0) + by
    if (own > 0) this.#takenBy.set(name, own)
    else this.#takenBy.delete(name)
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
