// Pausable request: the control over a request whose answer is read chunk by chunk. It reads nothing itself.

import type { RequestControl } from '../provider.ts'

/** The reader passes `signal` on to the request, and awaits `paused` after each chunk. */
export class PausableRequest implements RequestControl {
  readonly #abort = new AbortController()
  #paused: Promise<void> | undefined
  #resolvePause: () => void = () => {}

  /** Aborted once the answer is no longer needed. */
  get signal(): AbortSignal {
    return this.#abort.signal
  }

  /** Resolves when reading may go on; undefined while nothing pauses it. */
  get paused(): Promise<void> | undefined {
    return this.#paused
  }

  pause(): void {
    this.#paused ??= new Promise((resolve) => {
      this.#resolvePause = resolve
    })
  }

  resume(): void {
    this.#resolvePause()
    this.#paused = undefined
  }

  abort(): void {
    this.#abort.abort()
    this.resume()
  }
}
