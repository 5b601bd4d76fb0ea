// Tightening: what a call really takes in, found out only where its bound in bytes, and nothing else, would refuse it.

import type { CountedInput } from '../core/quote.ts'
import type { AnswerListener, CallerKey, Provider } from '../providers/provider.ts'
import { parseTokenCount } from '../wire/count-requests.ts'
import type { HeaderList } from '../wire/dialect.ts'
import { countRequestFor } from '../wire/index.ts'
import { Tokenizer } from './tokenizer.ts'

/** What of a call is counted. */
export interface CountableInput {
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
const TOKENIZED_MODELS = /^(gpt-4o|gpt-4\.1|gpt-4\.5|gpt-[5-9]|gpt-oss|gpt-audio|chatgpt-4o|codex|o\d)/
/** A provider's own count is an estimate, it says. */
const COUNT_SAFETY_FACTOR = 1.1
const COUNT_TIMEOUT_MS = 3_000
/** Counts asked of providers at a time; they limit those, too. */
const MAX_PROVIDER_COUNTS = 16
/** Texts that wait for the tokenizer, the one that is counted included. More are turned away, so that nobody waits long. */
const MAX_QUEUED_TEXTS = 16
const MAX_ANSWER_BYTES = 65_536

export class InputCounter {
  readonly #tokenizer = new Tokenizer()
  readonly #tokenizerSlots = new FairSlots(MAX_QUEUED_TEXTS)
  readonly #providerSlots = new FairSlots(MAX_PROVIDER_COUNTS)

  /** Undefined where it cannot be told, or not soon enough: then the bound stands. Never rejects. */
  async count(call: CountableInput): Promise<CountedInput | undefined> {
    const { countingMethod, configured } = call.provider
    if (countingMethod === 'tokenizer' && TOKENIZED_MODELS.test(call.model)) {
      const text = await this.#tokenizerSlots.withSlot(call.caller, () => this.#tokenizer.count(call.body.toString()))
      return text === undefined ? undefined : { text }
    }
    if (countingMethod !== 'endpoint' || !configured) return undefined
    const all = await this.#providerSlots.withSlot(call.caller, () => fetchProviderCount(call))
    return all === undefined ? undefined : { all: Math.ceil(all * COUNT_SAFETY_FACTOR) }
  }

  close(): Promise<void> {
    return this.#tokenizer.close()
  }
}

/** Places of which nobody gets all: once half are taken, those who have a quarter get no more. */
export class FairSlots {
  readonly #max: number
  #taken = 0
  readonly #takenBy = new Map<string, number>()

  constructor(most: number) {
    this.#max = most
  }

  /** How many callers are remembered: those who hold a place. */
  get callerCount(): number {
    return this.#takenBy.size
  }

  /** Runs `work` in a place. Undefined where there is none for this caller. */
  async withSlot<Value>(
    caller: string | null | undefined,
    work: () => Promise<Value | undefined>,
  ): Promise<Value | undefined> {
    const name = caller ?? null
    const own = name === null ? 0 : (this.#takenBy.get(name) ?? 0)
    if (this.#taken >= this.#max || (this.#taken >= this.#max / 2 && own >= this.#max / 4)) return undefined
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

function fetchProviderCount({
  provider,
  dialect,
  model,
  body,
  headers,
  callerKey,
}: CountableInput): Promise<number | undefined> {
  const request = valueOrUndefined(() => countRequestFor(dialect, body, model))
  if (!request) return Promise.resolve(undefined)
  return new Promise((resolve) => {
    const count = new CountListener(resolve)
    const sending = provider.send(
      { ...request, headers, callerKey, model, stream: false, needsPlainAnswer: true },
      count,
    )
    const late = setTimeout(() => {
      sending.abort()
      // Before there is a connection nobody is told of it.
      count.failed()
    }, COUNT_TIMEOUT_MS)
    count.onFinish = () => clearTimeout(late)
  })
}

function valueOrUndefined<Value>(read: () => Value): Value | undefined {
  try {
    return read()
  } catch {
    return undefined
  }
}

/** Hears one count. */
class CountListener implements AnswerListener {
  readonly #resolve: (tokens: number | undefined) => void
  #status = 0
  #bytes = 0
  readonly #chunks: Buffer[] = []
  onFinish: () => void = () => {}

  constructor(resolve: (tokens: number | undefined) => void) {
    this.#resolve = resolve
  }

  started(): void {}

  head(status: number): void {
    this.#status = status
  }

  data(chunk: Buffer): void {
    this.#bytes += chunk.length
    if (this.#bytes <= MAX_ANSWER_BYTES) this.#chunks.push(chunk)
  }

  end(): void {
    this.#finish(this.#status === 200 ? parseTokenCount(Buffer.concat(this.#chunks)) : undefined)
  }

  failed(): void {
    this.#finish(undefined)
  }

  #finish(tokens: number | undefined): void {
    this.onFinish()
    this.#resolve(tokens)
  }
}
