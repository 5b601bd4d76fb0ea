// Level check: compares the level of every calendar window in force with the sum of the ledger's calls in the window. It changes nothing,
// and calls go on meanwhile.

import { setImmediate } from 'node:timers/promises'
import { limitText } from '../config/limits.ts'
import { windowAt } from '../core/calendar.ts'
import type { Clock } from '../core/clock.ts'
import { type LimitPlan, meterOf, SIMULATED_REALM } from '../core/limits.ts'
import type { Charge, LevelView } from '../core/meter.ts'
import type { Registry } from '../stores/registry.ts'
import type { Store } from '../stores/store.ts'
import { boundsOf, type CheckedWindow, type SeenLevel } from './level-bounds.ts'
import { sumsOfModels } from './window-seeds.ts'
import { windowsInForce } from './windows-in-force.ts'

/** How often a level that moves is read, and how often a difference may need to be seen. */
const MAX_ROUNDS = 5
/** Levels that are read in one turn of the event loop: about a tenth of a millisecond. */
const LEVELS_PER_TURN = 256
/** A long window is summed in parts of this length, so that other queries get their turn between two of them. */
const SLICE_MS = 86_400_000
/** The newest part of a window is read anew in each round, and what came before only if a level seems to be wrong. */
const TAIL_MS = 300_000
/** Retention deletes no row that is younger: what it keeps of a row is in the same sum as the row. */
const PRUNED_AFTER_MS = 31 * 86_400_000
const MAX_SHOWN_DIFFERENCES = 100

export interface LevelCheckParts {
  readonly clock: Pick<Clock, 'now'>
  readonly store: Pick<Store, 'sums' | 'levels' | 'figures' | 'entries' | 'callPages'> & {
    readonly registry: Pick<Registry, 'page' | 'read' | 'audit'>
  }
  readonly plan: LimitPlan
  /** False without cost tracking. */
  readonly countsCost: boolean
}

/** A level that is not what the ledger says. Amounts are requests, tokens or nano-dollars. */
export interface LevelDifference {
  /** As `bursar.json` names the limit: `perUser.costPerDay`. */
  readonly limit: string
  readonly subject: string
  readonly simulated: boolean
  /** `day:2026-11-22`, with the zone if that is another than the gateway's. */
  readonly window: string
  /** Settled and reserved. */
  readonly level: bigint
  readonly ledger: bigint
}

/** The counts add up to the levels of all subjects with calls in the window. */
export interface LevelCheck {
  /** Levels that are exactly the sum of the ledger. */
  readonly equal: number
  /** Levels that the ledger bounds, and that lie within the bounds: see `boundsOf`. */
  readonly withinBounds: number
  /** Levels that changed whenever they were read. */
  readonly moving: number
  /** Levels whose calls the ledger no longer has: a memory ledger keeps the newest. */
  readonly dropped: number
  readonly differing: number
  /** The first 100. */
  readonly differences: readonly LevelDifference[]
  /** The sum of all differences, each without its sign. */
  readonly difference: bigint
}

type Mutable<T> = { -readonly [Name in keyof T]: T[Name] }
type MutableCheck = Mutable<Omit<LevelCheck, 'differences'>> & { readonly differences: LevelDifference[] }

/** Rejects with StoreUnavailable, and with the signal's reason if `signal` aborts. */
export async function checkLevels(parts: LevelCheckParts, signal?: AbortSignal): Promise<LevelCheck> {
  const check: MutableCheck = {
    equal: 0,
    withinBounds: 0,
    moving: 0,
    dropped: 0,
    differing: 0,
    differences: [],
    difference: 0n,
  }
  const { store, plan, clock, countsCost } = parts
  const groups = await windowsInForce(plan, store.registry, countsCost)
  for (const simulated of [false, true]) {
    if (!(await hasCalls(store, simulated))) continue
    for (const group of groups) {
      signal?.throwIfAborted()
      const { startsAtMs, endsAtMs } = windowAt(group.span, group.zone.timeZone, clock.now().wallMs)
      const window = { group, simulated, fromMs: startsAtMs, untilMs: Math.min(endsAtMs, Number.MAX_SAFE_INTEGER) }
      await new WindowCheck(parts, window, check, signal).run()
    }
  }
  return check
}

async function hasCalls(store: LevelCheckParts['store'], simulated: boolean): Promise<boolean> {
  const { report, open } = await store.figures({ simulated })
  return report.total().requests > 0 || open.calls > 0
}

/** The check of one window. */
class WindowCheck {
  readonly #parts: LevelCheckParts
  readonly #window: CheckedWindow
  readonly #check: MutableCheck
  readonly #signal: AbortSignal | undefined
  /** What is before this instant is read once, unless a level seems to be wrong. */
  readonly #tailFromMs: number
  readonly #wallMs: number

  constructor(parts: LevelCheckParts, window: CheckedWindow, check: MutableCheck, signal: AbortSignal | undefined) {
    this.#parts = parts
    this.#window = window
    this.#check = check
    this.#signal = signal
    this.#wallMs = parts.clock.now().wallMs
    this.#tailFromMs = Math.min(window.untilMs, Math.max(window.fromMs, this.#wallMs - TAIL_MS))
  }

  async run(): Promise<void> {
    let history = await this.#history()
    const pending = this.#chargesOn([history, await this.#tail()])
    if (!(await this.#isInLedger())) {
      this.#check.dropped += pending.size
      return
    }
    const differing = new Map<string, SeenLevel>()
    /** The differences of levels that did not move in the round before. */
    let suspects = new Map<string, bigint>()
    for (let round = 1; round <= MAX_ROUNDS && pending.size > 0; round++) {
      if (suspects.size > 0) history = await this.#history()
      const seen = await this.#round(pending, history)
      const newSuspects = new Map<string, bigint>()
      for (const [subject, level] of seen) {
        const difference = differenceOf(level)
        if (difference === 0n) this.#check.equal += 1
        else if (suspects.get(subject) === difference) differing.set(subject, level)
        else {
          newSuspects.set(subject, difference)
          continue
        }
        pending.delete(subject)
      }
      suspects = newSuspects
    }
    this.#check.moving += pending.size
    if (differing.size > 0) await this.#judge(differing)
  }

  /** Levels that are the same before and after the newest calls are summed, with the sums. */
  async #round(
    pending: ReadonlyMap<string, Charge>,
    history: ReadonlyMap<string, bigint>,
  ): Promise<ReadonlyMap<string, SeenLevel>> {
    const before = await this.#levels(pending)
    const tail = await this.#tail()
    const after = await this.#levels(pending)
    const seen = new Map<string, SeenLevel>()
    for (const [subject, charge] of pending) {
      const view = before.get(subject)
      if (!view || !isSame(view, after.get(subject))) continue
      seen.set(subject, { charge, view, ledger: (history.get(subject) ?? 0n) + (tail.get(subject) ?? 0n) })
    }
    return seen
  }

  /** The window up to the newest part. */
  async #history(): Promise<ReadonlyMap<string, bigint>> {
    const { fromMs, group } = this.#window
    const sums = new Map<string, bigint>()
    const oldest = group.span === 'total' ? Math.max(fromMs, this.#wallMs - PRUNED_AFTER_MS) : fromMs
    for (let since = fromMs; since < this.#tailFromMs; ) {
      this.#signal?.throwIfAborted()
      const until = Math.min(this.#tailFromMs, since < oldest ? oldest : since + SLICE_MS)
      for (const [subject, sum] of await this.#sums(since, until)) sums.set(subject, (sums.get(subject) ?? 0n) + sum)
      since = until
    }
    return sums
  }

  #tail(): Promise<ReadonlyMap<string, bigint>> {
    this.#signal?.throwIfAborted()
    return this.#sums(this.#tailFromMs, this.#window.untilMs)
  }

  async #sums(sinceMs: number, untilMs: number): Promise<ReadonlyMap<string, bigint>> {
    const { group, simulated } = this.#window
    const { who, what } = group
    const sums = await this.#parts.store.sums({ who, what, simulated, sinceMs, untilMs })
    return who === 'model' ? sumsOfModels(sums) : sums
  }

  /** What reads the level of each subject that has calls in the window, or a limit of its own. */
  #chargesOn(sums: readonly ReadonlyMap<string, bigint>[]): Map<string, Charge> {
    const { group, simulated, fromMs } = this.#window
    const { zone, named } = group
    const charges = new Map<string, Charge>()
    for (const subject of [...sums.flatMap((each) => [...each.keys()]), ...named]) {
      const limit = charges.has(subject) ? undefined : group.limitOn(subject)
      if (!limit) continue
      const realm = simulated ? SIMULATED_REALM : ''
      const meter = meterOf(limit, subject, fromMs, zone.timeZone, realm, zone.mark)
      charges.set(subject, { meter, amount: 0n, capacity: limit.capacity, enforced: limit.enforced })
    }
    return charges
  }

  async #levels(charges: ReadonlyMap<string, Charge>): Promise<ReadonlyMap<string, LevelView>> {
    const { store, clock } = this.#parts
    const views = new Map<string, LevelView>()
    const all = [...charges.values()]
    for (let start = 0; start < all.length; start += LEVELS_PER_TURN) {
      this.#signal?.throwIfAborted()
      const some = await store.levels(all.slice(start, start + LEVELS_PER_TURN), clock.now())
      for (const view of some) views.set(view.meter.subject, view)
      if (start + LEVELS_PER_TURN < all.length) await setImmediate()
    }
    return views
  }

  /** False if a memory ledger has dropped calls that may lie in the window. */
  async #isInLedger(): Promise<boolean> {
    const { store } = this.#parts
    const { fromMs, simulated } = this.#window
    const [oldest] = await store.entries({ afterSeq: 0, limit: 1 })
    const { settledSeq, outcome } = oldest ?? {}
    if (!oldest || settledSeq === 1 || !outcome || outcome.settledAtMs < fromMs) return true
    // What retention deletes of a ledger stays in its sums of all time.
    const { report, open } = await store.figures({ simulated })
    const sums = await store.sums({ who: 'global', what: 'requests', simulated, sinceMs: 0 })
    return (sums.get('') ?? 0n) >= BigInt(report.total().requests + open.calls)
  }

  /** What the ledger alone does not explain is a difference. */
  async #judge(differing: ReadonlyMap<string, SeenLevel>): Promise<void> {
    const { group } = this.#window
    const bounds = await boundsOf(this.#parts, this.#window, differing, this.#signal)
    const after = await this.#levels(new Map([...differing].map(([subject, { charge }]) => [subject, charge])))
    for (const [subject, level] of differing) {
      const { view, ledger, charge } = level
      if (!isSame(view, after.get(subject))) this.#check.moving += 1
      else if (bounds.includes(subject, level)) this.#check.withinBounds += 1
      else {
        this.#check.differing += 1
        this.#check.difference += magnitude(differenceOf(level))
        if (this.#check.differences.length === MAX_SHOWN_DIFFERENCES) continue
        const limit = group.limitOn(subject)
        this.#check.differences.push({
          limit: limit ? limitText(limit) : charge.meter.name,
          subject,
          simulated: this.#window.simulated,
          window: charge.meter.key.slice(charge.meter.key.lastIndexOf(`/${group.what}/`) + group.what.length + 2),
          level: view.settled + view.reserved,
          ledger,
        })
      }
    }
  }
}

function isSame(before: LevelView, after: LevelView | undefined): boolean {
  return before.settled === after?.settled && before.reserved === after.reserved
}

function differenceOf({ view, ledger }: SeenLevel): bigint {
  return view.settled + view.reserved - ledger
}

function magnitude(amount: bigint): bigint {
  return amount < 0n ? -amount : amount
}
