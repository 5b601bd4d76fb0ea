// Clocks and timers of tests. Time stands still until a test moves it, but for the real ones.

import type { Clock, Timer, Timers } from '../../src/core/clock.ts'

interface ManualTimer extends Timer {
  readonly callback: () => void
  readonly dueMs: number
}

/** A clock that stands still until a test moves it, and timers that go off as it moves. It begins at noon, so that only minutes turn by accident. */
export class ManualClock implements Clock, Timers {
  wallMs = Date.UTC(2026, 10, 22, 12)
  monoMs = this.wallMs
  readonly #timers: ManualTimer[] = []

  now() {
    return { wallMs: this.wallMs, monoMs: this.monoMs }
  }

  /** Moves both clocks, and calls back timers that fall due on the way, the earliest first. */
  advance(ms: number): void {
    const untilMs = this.monoMs + ms
    for (let due = this.#nextDue(untilMs); due; due = this.#nextDue(untilMs)) {
      this.#moveTo(Math.max(this.monoMs, due.dueMs))
      this.clearTimeout(due)
      due.callback()
    }
    this.#moveTo(untilMs)
  }

  setTimeout(callback: () => void, delayMs: number): Timer {
    const timer: ManualTimer = { callback, dueMs: this.monoMs + delayMs, unref: () => timer }
    this.#timers.push(timer)
    return timer
  }

  clearTimeout(timer: Timer | undefined): void {
    const timers: readonly (Timer | undefined)[] = this.#timers
    const index = timers.indexOf(timer)
    if (index >= 0) this.#timers.splice(index, 1)
  }

  /** How many timers are waiting. */
  get timerCount(): number {
    return this.#timers.length
  }

  #nextDue(untilMs: number): ManualTimer | undefined {
    const [earliest] = this.#timers.toSorted((left, right) => left.dueMs - right.dueMs)
    return earliest && earliest.dueMs <= untilMs ? earliest : undefined
  }

  #moveTo(monoMs: number): void {
    this.wallMs += monoMs - this.monoMs
    this.monoMs = monoMs
  }
}

/** Timers without a wait: a timer of less than a second goes off in the next turn of the event loop, others never do. */
export class EagerTimers implements Timers {
  readonly #immediates = new WeakMap<Timer, NodeJS.Immediate>()

  setTimeout(callback: () => void, delayMs: number): Timer {
    const timer: Timer = { unref: () => timer }
    if (delayMs < 1_000) this.#immediates.set(timer, setImmediate(callback))
    return timer
  }

  clearTimeout(timer: Timer | undefined): void {
    if (timer) clearImmediate(this.#immediates.get(timer))
  }
}

export const realTimers: Timers = {
  setTimeout: (callback, delayMs) => setTimeout(callback, delayMs),
  clearTimeout: (timer) => clearTimeout(timer as NodeJS.Timeout | undefined),
}

export const realClock: Clock = {
  now: () => ({ wallMs: Date.now(), monoMs: Math.floor(performance.timeOrigin + performance.now()) }),
}
