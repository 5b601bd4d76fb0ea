// Live hub: one listener for all who look. While nobody does, a call costs two counters.

import type { Timer, Timers } from '../core/clock.ts'
import type { CallEvent, CallListener } from '../telemetry/call-events.ts'
import { LiveCalls } from './live-calls.ts'
import { type LiveLevelParts, LiveLevels } from './live-levels.ts'
import { LiveRates } from './live-rates.ts'
import { callWithKey } from './named-calls.ts'

const TICK_MS = 1_000
/** More readers than these refresh the page instead. */
export const MAX_READERS = 200
/** What is known is kept for so long after the last reader: pages are refreshed, and readers come back. */
const IDLE_TICKS = 30

type Reader = () => void

export interface LiveHubParts extends LiveLevelParts {
  readonly timers: Timers
  /** Names this process: numbers of calls begin anew with another one. */
  readonly epoch: string
  /** Told if levels cannot be read, and not again until they could be. */
  readonly fail: (error: unknown) => void
}

export class LiveHub implements CallListener {
  readonly name = 'live figures'
  readonly rates = new LiveRates()
  readonly calls = new LiveCalls()
  readonly #levels: Readonly<Record<'true' | 'false', LiveLevels>>
  readonly #parts: LiveHubParts
  readonly #readers = new Set<Reader>()
  #idleTicks = IDLE_TICKS
  #timer: Timer | undefined
  #isClosed = false
  #tickCount = 0
  #hasFailed = false
  /** The realms whose levels somebody asked for. */
  readonly #watched = new Set<LiveLevels>()

  constructor(parts: LiveHubParts) {
    this.#parts = parts
    this.#levels = { true: new LiveLevels(parts, true), false: new LiveLevels(parts, false) }
  }

  hear(event: CallEvent): void {
    this.rates.hear(event)
    if (!this.#isWatched) return
    this.calls.hear(event)
    if (event.kind === 'admitted' || event.kind === 'settled')
      for (const levels of this.#watched) levels.hear(event.facts)
    if (event.kind === 'booked')
      for (const { facts } of event.calls) for (const levels of this.#watched) levels.hear(facts)
  }

  /** A key was made, or its record was changed. */
  changeKey(key: string): void {
    for (const levels of this.#watched)
      for (const simulated of [true, false]) levels.hear(callWithKey(key, simulated).facts)
  }

  get epoch(): string {
    return this.#parts.epoch
  }

  /** Grows once a second while somebody looks: what was made of the figures since then is made once for all readers. */
  get tickCount(): number {
    return this.#tickCount
  }

  get isFull(): boolean {
    return this.#readers.size >= MAX_READERS
  }

  get isClosed(): boolean {
    return this.#isClosed
  }

  /** Levels as they are now. Rejects with StoreUnavailable. */
  async levels(simulated: boolean): Promise<LiveLevels> {
    const levels = this.#levels[`${simulated}`]
    this.#watched.add(levels)
    this.#watch()
    await levels.refresh()
    return levels
  }

  /** Levels as the last second left them, for readers. Rejects with StoreUnavailable. */
  async levelsOfSecond(simulated: boolean): Promise<LiveLevels> {
    const levels = this.#levels[`${simulated}`]
    return this.#watched.has(levels) && !this.#hasFailed ? levels : this.levels(simulated)
  }

  /** Calls `reader` once a second, until the function that is returned is called or the hub is closed. */
  read(reader: Reader): () => void {
    this.#readers.add(reader)
    this.#watch()
    return () => this.#readers.delete(reader)
  }

  /** Ends all readers: each is called once more, and finds the hub closed. */
  close(): void {
    this.#isClosed = true
    this.#parts.timers.clearTimeout(this.#timer)
    for (const reader of this.#readers) reader()
    this.#readers.clear()
  }

  get #isWatched(): boolean {
    return this.#idleTicks < IDLE_TICKS
  }

  #watch(): void {
    this.#idleTicks = 0
    if (this.#isClosed || this.#timer) return
    this.#timer = this.#parts.timers.setTimeout(() => void this.#tick(), TICK_MS).unref()
  }

  async #tick(): Promise<void> {
    this.calls.turnSecond()
    this.#idleTicks = this.#readers.size > 0 ? 0 : this.#idleTicks + 1
    if (!this.#isWatched) {
      this.#timer = undefined
      this.calls.forget()
      for (const levels of this.#watched) levels.forget()
      this.#watched.clear()
      return
    }
    try {
      for (const levels of this.#watched) await levels.refresh()
      this.#hasFailed = false
    } catch (error) {
      if (!this.#hasFailed) this.#parts.fail(error)
      this.#hasFailed = true
    }
    if (this.#isClosed) return
    this.#tickCount += 1
    for (const reader of this.#readers) reader()
    this.#timer = this.#parts.timers.setTimeout(() => void this.#tick(), TICK_MS).unref()
  }
}
