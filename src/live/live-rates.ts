// Live rates: calls, tokens, cost and refusals of the last minute by the second, of everyone and of each key. Integers alone.

import { RecentMap } from '../core/recent-map.ts'
import { totalTokens } from '../core/usage.ts'
import type { CallEvent } from '../telemetry/call-events.ts'

const SECONDS = 60
const MINUTES = 60
/** Keys whose rates are known. The others' begin anew with their next call. */
const MAX_KEYS = 1_000

/** Sums of settled calls, and how many calls were refused. */
export interface RateSums {
  calls: number
  tokens: number
  costNanoUsd: bigint
  refused: number
}

interface Slot extends RateSums {
  /** The second since the epoch. */
  second: number
}

/** The rates of one scope. Seconds without a call have no slot of their own. */
class ScopeRates {
  readonly #slots: Slot[] = Array.from({ length: SECONDS }, () => newSlot(Number.NEGATIVE_INFINITY))
  /** Refused calls by minute since the epoch, of the last hour. */
  readonly #refused = new Map<number, number>()

  slotAt(wallMs: number): Slot {
    const second = Math.floor(wallMs / 1000)
    const index = ((second % SECONDS) + SECONDS) % SECONDS
    const known = this.#slots[index]
    if (known?.second === second) return known
    const slot = newSlot(second)
    this.#slots[index] = slot
    return slot
  }

  refuse(wallMs: number): void {
    this.slotAt(wallMs).refused += 1
    const minute = Math.floor(wallMs / 60_000)
    this.#refused.set(minute, (this.#refused.get(minute) ?? 0) + 1)
    for (const known of this.#refused.keys()) {
      if (this.#refused.size <= MINUTES) break
      this.#refused.delete(known)
    }
  }

  refusedIn(minute: number): number {
    return this.#refused.get(minute) ?? 0
  }

  lastMinute(wallMs: number): RateSums {
    const last = Math.floor(wallMs / 1000)
    const sum = { calls: 0, tokens: 0, costNanoUsd: 0n, refused: 0 }
    for (const slot of this.#slots) {
      if (slot.second > last || slot.second <= last - SECONDS) continue
      sum.calls += slot.calls
      sum.tokens += slot.tokens
      sum.costNanoUsd += slot.costNanoUsd
      sum.refused += slot.refused
    }
    return sum
  }
}

function newSlot(second: number): Slot {
  return { second, calls: 0, tokens: 0, costNanoUsd: 0n, refused: 0 }
}

/** Real and simulated calls apart, as everywhere. */
export class LiveRates {
  readonly #all = { true: new ScopeRates(), false: new ScopeRates() }
  readonly #byKey = new RecentMap<ScopeRates>(MAX_KEYS)

  hear(event: CallEvent): void {
    if (event.kind === 'settled') {
      const { facts, outcome, at } = event
      for (const scope of this.#scopesOf(facts.caller.key, facts.simulated)) {
        const slot = scope.slotAt(at.wallMs)
        slot.calls += 1
        slot.tokens += totalTokens(outcome.usage)
        slot.costNanoUsd += outcome.cost.totalNanoUsd
      }
    } else if (event.kind === 'refused') {
      for (const scope of this.#scopesOf(event.caller.key, event.simulated)) scope.refuse(event.at.wallMs)
    }
  }

  /** The sixty seconds up to now. @param key null for everyone */
  lastMinute(key: string | null, simulated: boolean, wallMs: number): RateSums {
    return this.#scope(key, simulated)?.lastMinute(wallMs) ?? { calls: 0, tokens: 0, costNanoUsd: 0n, refused: 0 }
  }

  /** @param minute since the epoch */
  refusedIn(key: string | null, simulated: boolean, minute: number): number {
    return this.#scope(key, simulated)?.refusedIn(minute) ?? 0
  }

  #scope(key: string | null, simulated: boolean): ScopeRates | undefined {
    return key === null ? this.#all[`${simulated}`] : this.#byKey.get(nameOf(key, simulated))
  }

  #scopesOf(key: string | null, simulated: boolean): readonly ScopeRates[] {
    const all = this.#all[`${simulated}`]
    if (key === null) return [all]
    const name = nameOf(key, simulated)
    let own = this.#byKey.get(name)
    if (!own) this.#byKey.set(name, (own = new ScopeRates()))
    return [all, own]
  }
}

function nameOf(key: string, simulated: boolean): string {
  return `${simulated ? 's' : 'r'}/${key}`
}
