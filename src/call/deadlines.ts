// Clock: the two clocks as one value, handed in by main; and the deadlines of calls in flight.

import type { Clock } from '../core/clock.ts'

/** Something that has to end by a time. */
export interface TimedCall {
  expire(code: 'upstream_timeout' | 'shutting_down'): void
}

/** A place in the queue of `Deadlines`: what `add` gives and `remove` takes. */
export interface Deadline {
  readonly call: TimedCall
  readonly dueMs: number
  previous: Deadline | undefined
  next: Deadline | undefined
}

/**
 * Deadlines that all lie equally far ahead, so that the first to come is the first to go: one timer for any number of calls.
 * A linked list, because a Map would keep calls alive that are over: see docs/decisions/v8-memory.md.
 */
export class Deadlines {
  readonly #clock: Clock
  readonly #afterMs: number
  #first: Deadline | undefined
  #last: Deadline | undefined
  #size = 0
  #timer: NodeJS.Timeout | undefined

  constructor(clock: Clock, afterMs: number) {
    this.#clock = clock
    this.#afterMs = afterMs
  }

  get size(): number {
    return this.#size
  }

  add(call: TimedCall, nowMonoMs: number): Deadline {
    const added: Deadline = { call, dueMs: nowMonoMs + this.#afterMs, previous: this.#last, next: undefined }
    if (this.#last) this.#last.next = added
    else this.#first = added
    this.#last = added
    this.#size += 1
    this.#timer ??= setTimeout(() => this.#check(), this.#afterMs).unref()
    return added
  }

  /** Changes nothing where it is gone already. */
  remove(deadline: Deadline): void {
    const { previous, next } = deadline
    if (!previous && this.#first !== deadline) return
    if (previous) previous.next = next
    else this.#first = next
    if (next) next.previous = previous
    else this.#last = previous
    // A removed node must not keep its neighbours alive: see docs/decisions/v8-memory.md.
    deadline.previous = undefined
    deadline.next = undefined
    this.#size -= 1
  }

  /** Ends everything now. */
  expireAll(): void {
    this.#expire(Number.POSITIVE_INFINITY, 'shutting_down')
  }

  #check(): void {
    this.#timer = undefined
    const now = this.#clock.now().monoMs
    this.#expire(now, 'upstream_timeout')
    if (this.#first) this.#timer = setTimeout(() => this.#check(), this.#first.dueMs - now).unref()
  }

  #expire(untilMs: number, code: 'upstream_timeout' | 'shutting_down'): void {
    for (let due = this.#first; due && due.dueMs <= untilMs; due = this.#first) {
      this.remove(due)
      due.call.expire(code)
    }
  }
}
