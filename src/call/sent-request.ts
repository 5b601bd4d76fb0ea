// Sent request: the request of one attempt on its way, whether it can be billed, and how it is held up and ended.

import type { Timer, Timers } from '../core/clock.ts'
import type { AnswerListener, RequestControl } from '../providers/provider.ts'
import type { Dispatch } from './dispatch.ts'

/** After its last event, a provider gets this long to end its answer, so that its connection can be used again. */
const LINGER_MS = 1_000

/**
 * Whether the provider can bill an attempt. The value only moves to the right.
 * `unsent`: nothing left the gateway. `sent`: the provider may have read the request, and its status decides.
 * `billable`: something was used; the status does not matter.
 */
type Billing = 'unsent' | 'sent' | 'billable'

/** Call `send` once. Before that, the other methods do nothing. */
export class SentRequest implements RequestControl {
  readonly #timers: Timers
  #control: RequestControl | undefined
  #linger: Timer | undefined
  #billing: Billing = 'unsent'

  constructor(timers: Timers) {
    this.#timers = timers
  }

  send({ provider, outgoing, translation }: Dispatch, listener: AnswerListener): void {
    this.#control =
      translation && provider.sendTranslated
        ? provider.sendTranslated(outgoing, listener)
        : provider.send(outgoing, listener)
  }

  get isSent(): boolean {
    return this.#billing !== 'unsent'
  }

  get isBillable(): boolean {
    return this.#billing === 'billable'
  }

  /** The provider may have read the request. */
  markSent(): void {
    if (this.#billing === 'unsent') this.#billing = 'sent'
  }

  markBillable(): void {
    this.#billing = 'billable'
  }

  pause(): void {
    this.#control?.pause()
  }

  resume(): void {
    this.#control?.resume()
  }

  /** Some providers report a failure at once: close the attempt, or finish the call, first. */
  abort(): void {
    this.#control?.abort()
  }

  /** Aborts unless the provider ends its answer soon. */
  abortSoon(): void {
    this.#linger ??= this.#timers.setTimeout(() => this.abort(), LINGER_MS)
  }

  /** The provider has ended its answer. */
  markEnded(): void {
    if (this.#linger) this.#timers.clearTimeout(this.#linger)
  }
}
