// Stream opening: holds back what a stream begins with, for as long as the stream may still turn out to be an error. It reads nothing.

import type { Timer, Timers } from '../core/clock.ts'
import { ChunkBuffer } from '../wire/taps/chunk-buffer.ts'

/** After the first bytes of a stream, its content is waited for this long. */
const MAX_PREAMBLE_WAIT_MS = 1_000
/** More than any preamble has: the rest of a long first event is not held back. */
const MAX_PREAMBLE_BYTES = 65_536

/** The bytes before the first content of one stream. The first bytes are waited for without an end of its own. */
export class StreamOpening {
  readonly #timers: Timers
  readonly #onTimeout: () => void
  readonly #held = new ChunkBuffer()
  #timer: Timer | undefined

  /** @param onTimeout is called once if `end` is not called in time */
  constructor(timers: Timers, onTimeout: () => void) {
    this.#timers = timers
    this.#onTimeout = onTimeout
  }

  hold(bytes: Buffer): void {
    this.#held.push(bytes)
    this.#timer ??= this.#timers.setTimeout(this.#onTimeout, MAX_PREAMBLE_WAIT_MS)
  }

  /** True if no more should be held. */
  get isFull(): boolean {
    return this.#held.length > MAX_PREAMBLE_BYTES
  }

  /** Returns all that was held. */
  end(): Buffer {
    if (this.#timer) this.#timers.clearTimeout(this.#timer)
    return this.#held.take()
  }
}
