// Log destination: collects pino's lines in memory and writes them in batches, so that a line costs a call no system call. It
// formats nothing.

import type { Timer, Timers } from '../core/clock.ts'

/** Takes whole batches of lines, without waiting for them to be written. */
export interface LogSink {
  write(text: string): unknown
}

const MAX_PENDING_CHARACTERS = 16_384
const MAX_PENDING_MS = 50

/** A destination for `pino(options, destination)`. A crash of the process loses the lines of the last 50 ms. */
export class LogDestination {
  readonly #sink: LogSink
  readonly #timers: Timers
  #pending = ''
  #timer: Timer | undefined

  constructor(sink: LogSink, timers: Timers) {
    this.#sink = sink
    this.#timers = timers
  }

  /** @param line with its line break */
  write(line: string): void {
    this.#pending += line
    if (this.#pending.length >= MAX_PENDING_CHARACTERS) this.flush()
    else this.#timer ??= this.#timers.setTimeout(() => this.flush(), MAX_PENDING_MS).unref()
  }

  /** Hands the pending lines to the sink. */
  flush(): void {
    this.#timers.clearTimeout(this.#timer)
    this.#timer = undefined
    const batch = this.#pending
    this.#pending = ''
    if (batch !== '') this.#sink.write(batch)
  }
}
