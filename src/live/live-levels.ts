// Live levels: the limits that count calls of late, the fullest first. They are read in steps, off the path of calls, and only while
// somebody looks.

import { setImmediate } from 'node:timers/promises'
import type { PastCall } from '../core/call-limits.ts'
import type { Clock } from '../core/clock.ts'
import type { Charge, LevelView, Meter } from '../core/meter.ts'
import type { Store } from '../stores/store.ts'
import { callWithKey } from './named-calls.ts'

/** What is known of calls when somebody begins to look. */
const MAX_PAST_CALLS = 5_000
const CALLS_PER_PAGE = 250
/** More limits than these are not kept: those that were not read for longest go. */
const MAX_LEVELS = 100_000
/** Calls whose limits are looked at in one turn of the event loop. */
const CALLS_PER_TURN = 20
/** Calls that wait to be looked at. Of more, the newest are. */
const MAX_WAITING_CALLS = 2_000
/** Limits that are read anew with each refresh, beside the fullest and those of new calls: windows turn, and limits change. */
const LEVELS_PER_ROUND = 200

export interface LiveLevelParts {
  readonly store: Pick<Store, 'levels' | 'entries'>
  readonly clock: Clock
  /** The limits that count calls like this one now, as charges that take nothing. */
  readonly limitsOf: (call: PastCall) => Promise<readonly Charge[]>
  /** Calls of everyone, and of the subjects that limits name: these may have made none. */
  readonly namedCalls: (simulated: boolean) => readonly PastCall[]
  /** Some of the keys that there are: their records may set limits. */
  readonly keys: () => Promise<readonly string[]>
}

/** Who may see a limit: all who may see figures, the holder of a key beside the administrator, or the administrator alone. */
type Owner = 'all' | 'administrator' | { readonly key: string | null }

/** A limit, its level, and a call that it counts. */
interface KnownLevel {
  readonly call: PastCall
  readonly charge: Charge
  readonly view: LevelView
  /** Used and reserved, as a part of the capacity. */
  readonly fullness: number
  readonly owner: Owner
}

export interface LevelRow {
  readonly view: LevelView
  readonly fullness: number
}

/** Which levels to show. */
export interface LevelQuery {
  /** Only limits on this key, its users and so on. Null: all. */
  readonly key: string | null
  readonly search?: string | undefined
  readonly who?: string | undefined
}

/** The levels of one realm. Call `refresh` now and then while somebody looks, and `hear` with each call. */
export class LiveLevels {
  readonly #parts: LiveLevelParts
  readonly #simulated: boolean
  readonly #known = new Map<string, KnownLevel>()
  #waiting: PastCall[] = []
  #isSeeded = false
  #refreshing: Promise<void> | undefined

  constructor(parts: LiveLevelParts, simulated: boolean) {
    this.#parts = parts
    this.#simulated = simulated
  }

  hear(facts: PastCall['facts']): void {
    if (facts.simulated !== this.#simulated) return
    if (this.#waiting.length >= MAX_WAITING_CALLS) this.#waiting.shift()
    this.#waiting.push({ facts, outcome: null })
  }

  /** Nobody looks any more: what was known is read again the next time. */
  forget(): void {
    this.#known.clear()
    this.#waiting = []
    this.#isSeeded = false
  }

  /** Reads the levels that calls may have changed. One refresh at a time: a second one waits for the first. Rejects with StoreUnavailable. */
  refresh(): Promise<void> {
    this.#refreshing ??= this.#refresh().finally(() => {
      this.#refreshing = undefined
    })
    return this.#refreshing
  }

  async #refresh(): Promise<void> {
    const calls = this.#waiting
    this.#waiting = []
    if (!this.#isSeeded) {
      await this.#seed()
      this.#isSeeded = true
    }
    const again = [...this.#fullest(LEVELS_PER_ROUND), ...this.#readLongestAgo(LEVELS_PER_ROUND)]
    const past = again.map(({ call }) => call)
    await this.#read(distinct([...this.#parts.namedCalls(this.#simulated), ...past, ...calls]))
    // What its own call did not renew is of a limit that is gone.
    for (const known of again) {
      const name = nameOf(known.view.meter)
      if (this.#known.get(name) === known) this.#known.delete(name)
    }
  }

  /** The limits of the newest calls of the ledger. */
  async #seed(): Promise<void> {
    const keys = await this.#parts.keys()
    await this.#read(keys.map((key) => callWithKey(key, this.#simulated)))
    let beforeSeq = Number.MAX_SAFE_INTEGER
    for (let count = 0; count < MAX_PAST_CALLS; count += CALLS_PER_PAGE) {
      const page = await this.#parts.store.entries({ simulated: this.#simulated, beforeSeq, limit: CALLS_PER_PAGE })
      beforeSeq = page.at(-1)?.settledSeq ?? 0
      await this.#read(distinct(page))
      if (page.length < CALLS_PER_PAGE || beforeSeq === 0) return
    }
  }

  async #read(calls: readonly PastCall[]): Promise<void> {
    for (let start = 0; start < calls.length; start += CALLS_PER_TURN) {
      for (const call of calls.slice(start, start + CALLS_PER_TURN)) await this.#readLimitsOf(call)
      await setImmediate()
    }
  }

  async #readLimitsOf(call: PastCall): Promise<void> {
    const { store, clock, limitsOf } = this.#parts
    const charges = await limitsOf(call)
    const views = await store.levels(charges, clock.now())
    charges.forEach((charge, index) => {
      const view = views[index]
      if (!view || charge.meter.span === 'call') return
      const name = nameOf(charge.meter)
      this.#known.delete(name)
      this.#known.set(name, { call, charge, view, fullness: fullnessOf(view), owner: ownerOf(charge.meter, call) })
    })
    for (const name of this.#known.keys()) {
      if (this.#known.size <= MAX_LEVELS) break
      this.#known.delete(name)
    }
  }

  /** Those that were read last stand last. */
  #readLongestAgo(limit: number): readonly KnownLevel[] {
    const found: KnownLevel[] = []
    for (const known of this.#known.values()) {
      if (found.length === limit) break
      found.push(known)
    }
    return found
  }

  #fullest(limit: number): readonly KnownLevel[] {
    return first(this.#known.values(), limit, byFullness)
  }

  /** The fullest first; of equally full ones, by name. `count` is of all that match. */
  find(
    { key, search = '', who }: LevelQuery,
    limit: number,
  ): { readonly rows: readonly LevelRow[]; readonly count: number } {
    const words = search.toLowerCase()
    const found: KnownLevel[] = []
    for (const known of this.#known.values()) {
      const { meter } = known.view
      if (who !== undefined && meter.who !== who) continue
      if (key !== null && !maySee(known.owner, key)) continue
      if (words === '' || textOf(meter).includes(words)) found.push(known)
    }
    return { rows: first(found, limit, byFullness), count: found.length }
  }
}

/** The first few in an order, without sorting the rest. */
function first<Item>(
  items: Iterable<Item>,
  limit: number,
  compare: (left: Item, right: Item) => number,
): readonly Item[] {
  const kept: Item[] = []
  for (const item of items) {
    const last = kept.at(-1)
    if (kept.length >= limit && last !== undefined && compare(item, last) >= 0) continue
    let place = kept.length
    for (let before = kept[place - 1]; before !== undefined && compare(item, before) < 0; before = kept[place - 1])
      place--
    kept.splice(place, 0, item)
    if (kept.length > limit) kept.pop()
  }
  return kept
}

/** One of the calls of each caller and target: their limits are the same. */
function distinct(calls: readonly PastCall[]): readonly PastCall[] {
  return [
    ...new Map(
      calls.map((call) => {
        const { caller, provider, model } = call.facts
        const { key, organisation, project, user, thread, agent, task } = caller
        return [JSON.stringify([key, organisation, project, user, thread, agent, task, provider, model]), call]
      }),
    ).values(),
  ]
}

function byFullness(left: KnownLevel, right: KnownLevel): number {
  return right.fullness - left.fullness || (nameOf(left.view.meter) < nameOf(right.view.meter) ? -1 : 1)
}

/** The same in each window. */
function nameOf({ who, subject, what, span }: Meter): string {
  return `${who}:${subject}/${what}/${span}`
}

function textOf({ who, subject, name }: Meter): string {
  return `${who}:${subject} ${name} ${name.replaceAll('_', ' ')}`.toLowerCase()
}

function ownerOf({ who }: Meter, { facts }: PastCall): Owner {
  if (who === 'global') return 'all'
  const isShared = who === 'provider' || who === 'model' || who === 'organisation' || who === 'project'
  return isShared ? 'administrator' : { key: facts.caller.key }
}

function maySee(owner: Owner, key: string): boolean {
  return owner === 'all' || (owner !== 'administrator' && owner.key === key)
}

function fullnessOf({ capacity, settled, reserved }: LevelView): number {
  if (capacity <= 0n) return 1
  return Number(((settled + reserved) * 1_000_000n) / capacity) / 1_000_000
}
