// Input counter: the number of input tokens of a call. Used only for a call that the bound by the body's bytes alone refuses,
// and for a call with files, whose bytes bound nothing.

import type { Timers } from '../core/clock.ts'
import { FairSlots } from '../core/fair-slots.ts'
import { Permits } from '../core/permits.ts'
import type { CountedInput } from '../core/quote.ts'
import type { TokenCount } from '../wire/count-requests.ts'
import { type CountableInput, type CountFailure, fetchProviderCount } from './provider-count.ts'
import { Tokenizer } from './tokenizer.ts'

export type { CountableInput, CountFailure } from './provider-count.ts'

/** Models whose text has at most as many tokens as our tokenizer counts. Older models use more tokens for the same text. */
const TOKENIZED_MODELS = /^(gpt-4o|gpt-4\.1|gpt-4\.5|gpt-[5-9]|gpt-oss|gpt-audio|chatgpt-4o|codex|o\d)/
/** Providers call their own count an estimate. */
const COUNT_SAFETY_PERCENT = 110
/** Concurrent count requests to providers, which limit their rate. */
const MAX_PROVIDER_COUNTS = 64
/** The bytes of these requests: each is a copy of a body. */
const MAX_COUNTED_BYTES = 67_108_864
/** Texts in the tokenizer's queue, including the one in progress. More are turned away, so that no call waits long. */
const MAX_QUEUED_TEXTS = 16

/**
 * Counts the input of a call, with OpenAI's tokenizer in a thread or by the provider's free endpoint. Each caller gets its share of
 * both.
 *
 * @example
 * const counted = await inputCounter.count(applicant.first.countableInput)
 * // { text: 812 }: tokens of the text; { all: 1_250, reported: 1_136 }: of the whole input; 'later' or 'never': not counted
 */
export class InputCounter {
  readonly #timers: Timers
  readonly #tokenizer: Tokenizer
  readonly #tokenizerSlots = new FairSlots(MAX_QUEUED_TEXTS)
  readonly #providerSlots = new FairSlots(MAX_PROVIDER_COUNTS)
  readonly #countedBytes = new Permits(MAX_COUNTED_BYTES)

  constructor(timers: Timers) {
    this.#timers = timers
    this.#tokenizer = new Tokenizer(timers)
  }

  /** Fails if the input cannot be counted, or not soon enough: the bound by bytes, or by the window, then stands. Never rejects. */
  async count(call: CountableInput): Promise<CountedInput | CountFailure> {
    const { countingMethod, configured } = call.provider
    if (countingMethod === 'tokenizer' && TOKENIZED_MODELS.test(call.model)) {
      const text = await this.#tokenizerSlots.withSlot(call.caller, () => this.#tokenizer.count(call.body.toString()))
      return text === undefined ? 'later' : { text }
    }
    if (countingMethod !== 'endpoint' || !configured) return 'never'
    const count = await this.#providerSlots.withSlot(call.caller, () => this.#countAtProvider(call))
    if (count === undefined) return 'later'
    return typeof count === 'string' ? count : countedInput(call, count)
  }

  /** Resolves to undefined if the counts under way hold too many bytes. */
  async #countAtProvider(call: CountableInput): Promise<TokenCount | CountFailure | undefined> {
    const bytes = call.body.length
    if (!this.#countedBytes.acquire(bytes)) return undefined
    try {
      return await fetchProviderCount(call, this.#timers)
    } finally {
      this.#countedBytes.release(bytes)
    }
  }

  /** Ends the tokenizer's thread. Texts in its queue resolve to undefined. */
  close(): Promise<void> {
    return this.#tokenizer.close()
  }
}

/** The bound that a provider's count gives. An image can take more tokens in the call than in the count. */
function countedInput(
  { provider, hasMedia = false }: CountableInput,
  { tokens, visualTokens }: TokenCount,
): CountedInput {
  const visual = hasMedia ? visualTokens : 0
  const { visualCountFactor } = provider
  const visualPercent = visualCountFactor === undefined ? COUNT_SAFETY_PERCENT : visualCountFactor * 100
  const all = Math.ceil(((tokens - visual) * COUNT_SAFETY_PERCENT + visual * visualPercent) / 100)
  return { all, reported: tokens }
}
