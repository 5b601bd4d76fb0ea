// Level check: compares the levels of calendar windows with the sums of the ledger. It changes nothing.

import { windowAt } from '../core/calendar.ts'
import type { Clock } from '../core/clock.ts'
import { type LimitPlan, meterOf, OF_TARGETS, SIMULATED_REALM } from '../core/limits.ts'
import type { Charge, Instant, LevelView } from '../core/meter.ts'
import type { Store, SumQuery } from '../stores/store.ts'
import { type WindowGroup, windowsInForce } from './windows-in-force.ts'

/** A level that is not the sum of its calls, in the unit of what is counted. */
export interface LevelDifference {
  /** `daily_spending_limit`, `cost_per_month`. */
  readonly limit: string
  readonly subject: string
  readonly simulated: boolean
  /** `day:2026-11-22` */
  readonly window: string
  readonly level: bigint
  readonly ledger: bigint
}

export interface LevelCheck {
  /** Levels that were compared. */
  readonly compared: number
  /** Levels whose calls settled while they were compared, again and again. */
  readonly moving: number
  /** The first of those that differ. */
  readonly differences: readonly LevelDifference[]
  readonly differing: number
}

interface LevelCheckParts {
  readonly store: Pick<Store, 'sums' | 'levels' | 'registry'>
  readonly clock: Clock
  readonly plan: LimitPlan
  /** False without cost tracking: then no limit counts cost. */
  readonly countsCost: boolean
}

const MAX_SHOWN_DIFFERENCES = 100
const LEVELS_PER_READ = 200
/** How often a level that differs is read again: calls may settle in between. */
const MAX_READS = 5
const DAY_MS = 86_400_000
/** Long windows are summed in slices, so that other reads of the ledger come between. What is older is one sum. */
const SLICE_DAYS: readonly number[] = [7, 7, 7, 7, 14, 14, 28]

/**
 * Compares every calendar window in force, also those without an end. Limits on models and providers are left out: attempts of one call
 * count on several of them, and the sums of the ledger know the last one only. Rejects with StoreUnavailable, and with the signal's
 * reason if it aborts.
 */
export async function checkLevels(parts: LevelCheckParts, signal?: AbortSignal): Promise<LevelCheck> {
  const { store, plan, countsCost } = parts
  const check = new LevelComparison(parts)
  for (const group of await windowsInForce(plan, store.registry, countsCost)) {
    if (OF_TARGETS.has(group.who)) continue
    for (const realm of ['', SIMULATED_REALM]) {
      signal?.throwIfAborted()
      await check.compare(group, realm, signal)
    }
  }
  return check
}

class LevelComparison implements LevelCheck {
  compared = 0
  moving = 0
  differing = 0
  readonly differences: LevelDifference[] = []
  readonly #parts: LevelCheckParts

  constructor(parts: LevelCheckParts) {
    this.#parts = parts
  }

  async compare(group: WindowGroup, realm: string, signal: AbortSignal | undefined): Promise<void> {
    const now = this.#parts.clock.now()
    const { startsAtMs } = windowAt(group.span, group.zone.timeZone, now.wallMs)
    const { who, what } = group
    const query = { who, what, simulated: realm !== '' }
    const sums = new Map<string, bigint>()
    for (const slice of slicesOf(startsAtMs, now.wallMs)) {
      signal?.throwIfAborted()
      for (const [subject, sum] of await this.#parts.store.sums({ ...query, ...slice }))
        sums.set(subject, (sums.get(subject) ?? 0n) + sum)
    }
    const counted = [...sums].filter(([subject]) => group.limitOn(subject))
    for (let first = 0; first < counted.length; first += LEVELS_PER_READ) {
      signal?.throwIfAborted()
      const page = counted.slice(first, first + LEVELS_PER_READ)
      const levels = await this.#levels(group, realm, page, now)
      for (const [index, [subject, sum]] of page.entries()) {
        this.compared += 1
        const level = levels[index]
        if (level && heldBy(level) !== sum)
          await this.#compareAgain(group, realm, subject, { ...query, sinceMs: startsAtMs })
      }
    }
  }

  /** The level before and after the sum of its subject alone: if it did not move, it has to be that sum. */
  async #compareAgain(group: WindowGroup, realm: string, subject: string, query: SumQuery): Promise<void> {
    const { store, clock } = this.#parts
    const read = async () => (await this.#levels(group, realm, [[subject, 0n]], clock.now()))[0]
    for (let reads = 0; reads < MAX_READS; reads++) {
      const before = await read()
      const ledger = (await store.sums({ ...query, subject })).get(subject) ?? 0n
      const after = await read()
      if (!before || !after || before.meter.key !== after.meter.key) break
      if (heldBy(after) === ledger) return
      // Attempts of an open call that failed hold more than its entry says.
      if (heldBy(before) !== heldBy(after) || after.reserved > 0n) continue
      this.differing += 1
      const { name, windowId = '' } = { name: after.meter.name, windowId: after.meter.key.split('/').at(-1) }
      if (this.differences.length < MAX_SHOWN_DIFFERENCES)
        this.differences.push({
          limit: name,
          subject,
          simulated: realm !== '',
          window: windowId,
          level: heldBy(after),
          ledger,
        })
      return
    }
    this.moving += 1
  }

  #levels(
    group: WindowGroup,
    realm: string,
    subjects: readonly (readonly [subject: string, sum: bigint])[],
    now: Instant,
  ): Promise<readonly LevelView[]> {
    const charges = subjects.flatMap(([subject]): Charge[] => {
      const limit = group.limitOn(subject)
      if (!limit) return []
      const { timeZone, mark } = group.zone
      const meter = meterOf(limit, subject, now.wallMs, timeZone, realm, mark)
      return [{ meter, amount: 0n, capacity: limit.capacity, enforced: limit.enforced }]
    })
    return this.#parts.store.levels(charges, now)
  }
}

function heldBy({ settled, reserved }: LevelView): bigint {
  return settled + reserved
}

/** The newest week first. */
function* slicesOf(sinceMs: number, nowMs: number): Generator<{ readonly sinceMs: number; readonly untilMs?: number }> {
  let untilMs: number | undefined
  for (const days of SLICE_DAYS) {
    const fromMs = Math.max(sinceMs, (untilMs ?? nowMs) - days * DAY_MS)
    if (fromMs <= sinceMs) break
    yield { sinceMs: fromMs, ...(untilMs === undefined ? {} : { untilMs }) }
    untilMs = fromMs
  }
  yield { sinceMs, ...(untilMs === undefined ? {} : { untilMs }) }
}
