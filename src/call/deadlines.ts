// Deadlines: the time limit of every call in flight, on one timer. It ends calls, and knows nothing else about them.

import type { Clock, Timer, Timers } from '../core/clock.ts'

/** Why a call ends early: its time is over, or the gateway stops. */
export type ExpiryCode = 'upstream_timeout' | 'shutting_down'

/** A call that has to end by its deadline. */
export interface TimedCall {
  /** Ends the call now. Its deadline is removed already. */
  expire(code: ExpiryCode): void
}

/** A place in the queue of `Deadlines`: `add` returns it and `remove` takes it. */
export interface Deadline {
  readonly call: TimedCall
  /** Monotonic milliseconds. */
  readonly dueMs: number
  previous: Deadline | undefined
  next: Deadline | undefined
}

/**
 * A queue of deadlines that all lie equally far ahead: the first added is the first due, so one timer serves any number of
 * calls. The queue is a linked list: see docs/decisions/v8-memory.md.
 */
export class Deadlines {
  readonly #clock: Clock
  readonly #timers: Timers
  readonly #afterMs: number
  #first: Deadline | undefined
  #last: Deadline | undefined
  #size = 0
  #timer: Timer | undefined

  /** @param afterMs how long a call may take, in milliseconds */
  constructor(clock: Clock, timers: Timers, afterMs: number) {
    this.#clock = clock
    this.#timers = timers
    this.#afterMs = afterMs
  }

  /** How many calls have a deadline. */
  get size(): number {
    return this.#size
  }

  /** @param nowMs monotonic milliseconds; never earlier than at the `add` before */
  add(call: TimedCall, nowMs: number): Deadline {
    const deadline: Deadline = { call, dueMs: nowMs + this.#afterMs, previous: this.#last, next: undefined }
    if (this.#last) this.#last.next = deadline
    else this.#first = deadline
    this.#last = deadline
    this.#size += 1
    this.#timer ??= this.#checkAfter(this.#afterMs)
    return deadline
  }

  /** Does nothing for a deadline that was removed before. */
  remove(deadline: Deadline): void {
    const { previous, next } = deadline
    if (!previous && this.#first !== deadline) return
    if (previous) previous.next = next
    else this.#first = next
    if (next) next.previous = previous
    else this.#last = previous
    // A removed deadline must not keep its neighbours alive: see docs/decisions/v8-memory.md.
    deadline.previous = undefined
    deadline.next = undefined
    this.#size -= 1
  }

  /** Ends all calls now. */
  expireAll(): void {
    this.#expire(Number.POSITIVE_INFINITY, 'shutting_down')
  }

  #checkAfter(delayMs: number): Timer {
    return this.#timers.setTimeout(() => this.#check(), delayMs).unref()
  }

  #check(): void {
    this.#timer = undefined
    const nowMs = this.#clock.now().monoMs
    this.#expire(nowMs, 'upstream_timeout')
    if (this.#first) this.#timer = this.#checkAfter(this.#first.dueMs - nowMs)
  }

  #expire(untilMs: number, code: ExpiryCode): void {
    for (let due = this.#first; due && due.dueMs <= untilMs; due = this.#first) {
      this.remove(due)
      due.call.expire(code)
    }
  }
}
