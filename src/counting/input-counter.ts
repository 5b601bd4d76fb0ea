// Input counter: the exact number of input tokens of a call. Used only for a call that the bound by the
// body's bytes alone refuses.

import type { Timers } from '../core/clock.ts'
import { FairSlots } from '../core/fair-slots.ts'
import type { CountedInput } from '../core/quote.ts'
import { type CountableInput, fetchProviderCount } from './provider-count.ts'
import { Tokenizer } from './tokenizer.ts'

export type { CountableInput } from './provider-count.ts'

/** Models whose text has at most as many tokens as our tokenizer counts. Older models use more tokens for the same text. */
const TOKENIZED_MODELS = /^(gpt-4o|gpt-4\.1|gpt-4\.5|gpt-[5-9]|gpt-oss|gpt-audio|chatgpt-4o|codex|o\d)/
/** Providers call their own count an estimate. */
const COUNT_SAFETY_FACTOR = 1.1
/** Concurrent count requests to providers, which limit their rate. */
const MAX_PROVIDER_COUNTS = 16
/** Texts in the tokenizer's queue, including the one in progress. More are turned away, so that no call waits long. */
const MAX_QUEUED_TEXTS = 16

/**
 * Counts the input of a call, with OpenAI's tokenizer in a thread or by the provider's free endpoint. Each caller gets its share of
 * both.
 *
 * @example
 * const counted = await inputCounter.count(applicant.first.countableInput)
 * // { text: 812 }: tokens of the text; { all: 1_250 }: tokens of the whole input; undefined: not counted
 */
export class InputCounter {
  readonly #timers: Timers
  readonly #tokenizer: Tokenizer
  readonly #tokenizerSlots = new FairSlots(MAX_QUEUED_TEXTS)
  readonly #providerSlots = new FairSlots(MAX_PROVIDER_COUNTS)

  constructor(timers: Timers) {
    this.#timers = timers
    this.#tokenizer = new Tokenizer(timers)
  }

  /** Resolves to undefined if the input cannot be counted, or not soon enough: the bound by bytes then stands. Never rejects. */
  async count(call: CountableInput): Promise<CountedInput | undefined> {
    const { countingMethod, configured } = call.provider
    if (countingMethod === 'tokenizer' && TOKENIZED_MODELS.test(call.model)) {
      const text = await this.#tokenizerSlots.withSlot(call.caller, () => this.#tokenizer.count(call.body.toString()))
      return text === undefined ? undefined : { text }
    }
    if (countingMethod !== 'endpoint' || !configured) return undefined
    const allTokens = await this.#providerSlots.withSlot(call.caller, () => fetchProviderCount(call, this.#timers))
    return allTokens === undefined ? undefined : { all: Math.ceil(allTokens * COUNT_SAFETY_FACTOR) }
  }

  /** Ends the tokenizer's thread. Texts in its queue resolve to undefined. */
  close(): Promise<void> {
    return this.#tokenizer.close()
  }
}
