// Live calls: the newest calls as they start, settle and are refused, numbered, so that a reader can go on where it was.

import { type Entry, isSettled } from '../core/ledger-entry.ts'
import type { CallAdmitted, CallEvent, CallRefused, CallSettled } from '../telemetry/call-events.ts'

/** What happened to a call. */
export type LiveCall = { readonly refused: CallRefused } | { readonly entry: Entry }

interface Numbered {
  readonly seq: number
  readonly call: LiveCall
}

/** Changes that are kept for readers that come back. */
const MAX_KEPT_CHANGES = 1_000
/** More calls a second are not all shown. */
const MAX_SHOWN_PER_SECOND = 20
const MAX_SHOWN_RUNNING = 10_000

/** Keeps changes only while `isRead`. Refused and failed calls are all shown; of the others, above 20 a second, one of `oneOf`. */
export class LiveCalls {
  readonly #changes: Numbered[] = []
  #lastSeq = 0
  #oneOf = 1
  /** Running calls that are shown: these settle in their place. */
  readonly #shown = new Set<string>()
  #admitted = 0

  get lastSeq(): number {
    return this.#lastSeq
  }

  /** One of so many calls is shown. */
  get oneOf(): number {
    return this.#oneOf
  }

  hear(event: CallEvent): void {
    if (event.kind === 'admitted') this.#admit(event)
    else if (event.kind === 'settled') this.#settle(event)
    else if (event.kind === 'refused') this.#push({ refused: event })
  }

  /** Call it once a second: how many calls came since decides how many are shown next. */
  turnSecond(): void {
    this.#oneOf = 1
    // Powers of two: calls that are one of four are among those that are one of two.
    while (this.#admitted / this.#oneOf > MAX_SHOWN_PER_SECOND) this.#oneOf *= 2
    this.#admitted = 0
  }

  /** Nobody reads any more: what happens from now on is not kept, so that no reader can go on from before. */
  forget(): void {
    this.#changes.length = 0
    this.#shown.clear()
    this.#lastSeq += 1
  }

  /** Whether everything after a number is kept. */
  goesOnAfter(seq: number): boolean {
    const oldest = this.#changes[0]?.seq ?? this.#lastSeq + 1
    return seq >= oldest - 1 && seq <= this.#lastSeq
  }

  /**
   * Changes after one, the oldest first, each call once. `skipped` counts those that are no longer kept, or are beyond `limit`.
   * @param matches whether a reader wants the call
   */
  after(
    seq: number,
    matches: (call: LiveCall) => boolean,
    limit: number,
  ): { readonly calls: readonly LiveCall[]; readonly skipped: number } {
    const oldest = this.#changes[0]?.seq ?? this.#lastSeq + 1
    const byId = new Map<string, LiveCall>()
    for (const { seq: own, call } of this.#changes) {
      if (own <= seq || !matches(call)) continue
      const id = callIdOf(call)
      byId.delete(id)
      byId.set(id, call)
    }
    const calls = [...byId.values()]
    const lost = Math.max(0, oldest - seq - 1)
    return { calls: calls.slice(-limit), skipped: lost + Math.max(0, calls.length - limit) }
  }

  #admit({ facts }: CallAdmitted): void {
    this.#admitted += 1
    if (!this.#isChosen(facts.callId)) return
    // Calls that expire have no event of their end.
    if (this.#shown.size >= MAX_SHOWN_RUNNING) this.#shown.clear()
    this.#shown.add(facts.callId)
    this.#push({ entry: { facts, outcome: null, settledSeq: null } })
  }

  #isChosen(callId: string): boolean {
    return this.#oneOf === 1 || hashOf(callId) % this.#oneOf === 0
  }

  #settle({ facts, outcome }: CallSettled): void {
    const wasShown = this.#shown.delete(facts.callId)
    // A call that began before anybody looked may be shown, too.
    if (wasShown || outcome.ending === 'failed' || this.#isChosen(facts.callId))
      this.#push({ entry: { facts, outcome, settledSeq: null } })
  }

  #push(call: LiveCall): void {
    this.#changes.push({ seq: ++this.#lastSeq, call })
    if (this.#changes.length > 2 * MAX_KEPT_CHANGES) this.#changes.splice(0, MAX_KEPT_CHANGES)
  }
}

export function callIdOf(call: LiveCall): string {
  return 'refused' in call ? call.refused.callId : call.entry.facts.callId
}

/** The key of the caller. */
export function callerKeyOf(call: LiveCall): string | null {
  return ('refused' in call ? call.refused.caller : call.entry.facts.caller).key
}

export function isRunning(call: LiveCall): boolean {
  return 'entry' in call && !isSettled(call.entry)
}

/** Ids end in random digits. */
function hashOf(callId: string): number {
  return Number.parseInt(callId.slice(-6), 16) || 0
}
