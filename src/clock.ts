// Clock: the two clocks as one value, handed in by main; and the deadlines of calls in flight.

import type { Instant } from './core/meter.ts'

export interface Clock {
  /** Whole milliseconds on both clocks. */
  now(): Instant
}

/** Something that has to end by a time. */
export interface Expiring {
  expire(code: 'upstream_timeout' | 'shutting_down'): void
}

/**
 * Deadlines that all lie equally far ahead, so that the first to come is the first to go: one timer for any number of calls.
 */
export class Deadlines {
  readonly #clock: Clock
  readonly #afterMs: number
  readonly #due = new Map<Expiring, number>()
  #timer: NodeJS.Timeout | undefined

  constructor(clock: Clock, afterMs: number) {
    this.#clock = clock
    this.#afterMs = afterMs
  }

  get size(): number {
    return this.#due.size
  }

  add(call: Expiring, nowMonoMs: number): void {
    this.#due.set(call, nowMonoMs + this.#afterMs)
    this.#timer ??= setTimeout(() => this.#check(), this.#afterMs).unref()
  }

  remove(call: Expiring): void {
    this.#due.delete(call)
  }

  /** Ends everything now. */
  expireAll(): void {
    for (const call of [...this.#due.keys()]) call.expire('shutting_down')
  }

  #check(): void {
    this.#timer = undefined
    const now = this.#clock.now().monoMs
    for (const [call, dueMs] of this.#due) {
      if (dueMs > now) {
        this.#timer = setTimeout(() => this.#check(), dueMs - now).unref()
        return
      }
      this.#due.delete(call)
      call.expire('upstream_timeout')
    }
  }
}

/** A number that must not pass a most, held in parts and given back. */
export class Allowance {
  readonly #most: number
  #held = 0

  constructor(most: number) {
    this.#most = most
  }

  get held(): number {
    return this.#held
  }

  /** False, and nothing is held, where there is not that much left. */
  take(amount: number): boolean {
    if (this.#held + amount > this.#most) return false
    this.#held += amount
    return true
  }

  give(amount: number): void {
    this.#held -= amount
  }
}
