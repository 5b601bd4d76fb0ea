// Thresholds: finds out from the calls' own levels when a limit reaches a percentage. A call costs a look-up for each of its limits; what
// may have been reached is read again a second later, once calls have settled.

import type { AlertRow } from '../config/alerts.ts'
import type { Charge, Instant, LevelView, Meter } from '../core/meter.ts'
import type { Refusal } from '../core/refusal.ts'
import type { Store } from '../stores/store.ts'
import { HOUR_MS } from './alert.ts'
import { amountAt, isWatched, type ReachedLevel, usedOf } from './limit-alerts.ts'

/** The next percentage of one meter that any row watches. */
interface Watch {
  readonly capacity: bigint
  /** Ascending. */
  readonly percentages: readonly number[]
  /** How many of them have been reached. */
  reachedCount: number
  /** The amount of the next one; `NEVER` if there is none. */
  nextAmount: bigint
  hasRefused: boolean
  /** When the same percentages may be reached again, in epoch milliseconds. */
  readonly endsAtMs: number
}

/** A limit that may have reached a percentage. */
interface Candidate {
  /** A charge that takes nothing, by which the level is read. */
  readonly charge: Charge
  /** Of buckets and calls in flight, which may have come down when they are read: the level that was heard. */
  readonly heard: LevelView | undefined
  readonly hasRefused: boolean
}

/** If there are more, all are forgotten: what was sent stands in the ledger, so nothing is sent twice. */
const MAX_WATCHES = 20_000
/** If there are more, those that came first are forgotten: their next call brings them back. */
const MAX_CANDIDATES = 10_000
/** More than any amount. */
const NEVER = 2n ** 100n
const FULL_PERCENT = 100

/** `hear` and `hearRefusal` are called in a call's own turn; `read` by a timer. */
export class Thresholds {
  #rows: readonly AlertRow[] = []
  readonly #watches = new Map<string, Watch>()
  readonly #candidates = new Map<string, Candidate>()

  /** Other rows are in force. */
  use(rows: readonly AlertRow[]): void {
    this.#rows = rows.filter(({ on }) => on.has('limit'))
    this.#watches.clear()
    this.#candidates.clear()
  }

  get isIdle(): boolean {
    return this.#rows.length === 0
  }

  /** Whether `read` has anything to do. */
  get hasCandidates(): boolean {
    return this.#candidates.size > 0
  }

  /** The limits that can reach a percentage yet, of those in which a call of now counts. */
  watched(limits: readonly Charge[], nowMs: number): readonly Charge[] {
    return limits.filter(({ meter, capacity }) => this.#watchOf(meter, capacity, nowMs).nextAmount < NEVER)
  }

  /** The levels of a call's limits after its reservation. @param nowMs epoch milliseconds */
  hear(levels: readonly LevelView[], nowMs: number): void {
    for (const level of levels) {
      const watch = this.#watchOf(level.meter, level.capacity, nowMs)
      if (level.settled + level.reserved >= watch.nextAmount) this.#add(level, false)
    }
  }

  /** A limit that refuses for what is spent is used up, even if not to the last nano-dollar. */
  hearRefusal({ meter, kind, needed, capacity }: Refusal, nowMs: number): void {
    if (kind === 'inFlight' || meter.refill !== 'window' || needed > capacity) return
    const watch = this.#watchOf(meter, capacity, nowMs)
    if (watch.hasRefused || !watch.percentages.includes(FULL_PERCENT)) return
    watch.hasRefused = true
    this.#add({ meter, capacity, enforced: true }, true)
  }

  /** Forgets windows that have ended, and lets buckets and calls in flight reach their percentages again. */
  forgetEnded(nowMs: number): void {
    for (const [key, { endsAtMs }] of this.#watches) if (endsAtMs <= nowMs) this.#watches.delete(key)
  }

  /** Reads the levels again. Resolves with those that have reached a percentage that they had not before. Rejects as `Store.levels`. */
  async read(store: Pick<Store, 'levels'>, now: Instant): Promise<readonly ReachedLevel[]> {
    const candidates = [...this.#candidates.values()]
    const levels = await store.levels(
      candidates.map(({ charge }) => charge),
      now,
    )
    return candidates.flatMap((candidate, index) => {
      const level = candidate.heard ?? levels[index]
      return level ? this.#reachedBy(level, candidate, now) : []
    })
  }

  #reachedBy(level: LevelView, { hasRefused }: Candidate, now: Instant): readonly ReachedLevel[] {
    const { meter, capacity } = level
    const known = this.#watches.get(meter.key)
    if (known && known.capacity !== capacity) {
      this.#candidates.delete(meter.key)
      return []
    }
    const watch = known ?? this.#open(meter, capacity, now.wallMs)
    const used = usedOf(level)
    const before = watch.reachedCount
    while (isReached(watch, used, hasRefused)) watch.reachedCount += 1
    watch.nextAmount = nextAmountOf(watch)
    // Calls that hold what is missing may settle it yet, or give it back.
    if (used + level.reserved < watch.nextAmount || meter.refill !== 'window' || meter.endsAtMs <= now.wallMs)
      this.#candidates.delete(meter.key)
    if (watch.reachedCount === before) return []
    return [{ level, percent: watch.percentages[watch.reachedCount - 1] ?? FULL_PERCENT, hasRefused }]
  }

  #watchOf(meter: Meter, capacity: bigint, nowMs: number): Watch {
    const known = this.#watches.get(meter.key)
    return known?.capacity === capacity ? known : this.#open(meter, capacity, nowMs)
  }

  #open(meter: Meter, capacity: bigint, nowMs: number): Watch {
    if (this.#watches.size >= MAX_WATCHES) this.#watches.clear()
    const watching = capacity > 0n ? this.#rows.filter((row) => isWatched(row, meter)) : []
    const percentages = [...new Set(watching.flatMap(({ at }) => at))].toSorted((left, right) => left - right)
    const endsAtMs = meter.refill === 'window' ? meter.endsAtMs : nowMs + HOUR_MS
    const watch = { capacity, percentages, reachedCount: 0, nextAmount: NEVER, hasRefused: false, endsAtMs }
    watch.nextAmount = nextAmountOf(watch)
    this.#watches.set(meter.key, watch)
    return watch
  }

  #add(level: LevelView | Pick<LevelView, 'meter' | 'capacity' | 'enforced'>, hasRefused: boolean): void {
    const { meter, capacity, enforced } = level
    const known = this.#candidates.get(meter.key)
    if (known && (known.hasRefused || !hasRefused)) return
    const heard = meter.refill !== 'window' && 'settled' in level ? level : undefined
    if (this.#candidates.size >= MAX_CANDIDATES) {
      const [first] = this.#candidates.keys()
      if (first !== undefined) this.#candidates.delete(first)
    }
    this.#candidates.set(meter.key, { charge: { meter, amount: 0n, capacity, enforced }, heard, hasRefused })
  }
}

function isReached({ percentages, reachedCount, capacity }: Watch, used: bigint, hasRefused: boolean): boolean {
  const percent = percentages[reachedCount]
  if (percent === undefined) return false
  return used >= amountAt(percent, capacity) || (hasRefused && percent <= FULL_PERCENT)
}

function nextAmountOf({ percentages, reachedCount, capacity }: Watch): bigint {
  const percent = percentages[reachedCount]
  return percent === undefined ? NEVER : amountAt(percent, capacity)
}
