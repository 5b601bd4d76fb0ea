// Backtest: replays a span of the ledger by proposed limits, a page at a time. It changes no level and writes nothing.

import { setImmediate } from 'node:timers/promises'
import { windowAt } from '../core/calendar.ts'
import { compileKeyLimits, type KeyLimits } from '../core/key-limits.ts'
import { type Limit, LimitPlan, meterOf, SIMULATED_REALM } from '../core/limits.ts'
import { windowZone } from '../core/metered-limit.ts'
import { Problem } from '../core/problem.ts'
import type { LedgerReader } from '../stores/store.ts'
import { BacktestTally } from './backtest-tally.ts'
import { Replay } from './replay.ts'
import { sumsOfModels } from './window-seeds.ts'

/** What to replay. */
export interface BacktestQuery {
  /** The limits that refuse, and no others. `source` names them in the result. */
  readonly limits: readonly Limit[]
  readonly timeZone: string
  /** The zones of keys that have one of their own, by the key's id. Limits on such a key turn in its zone, as those of its record do. */
  readonly keyZones?: ReadonlyMap<string, string>
  /** Epoch milliseconds. The limits come into force at this instant: their windows start from the ledger's sums, and buckets empty. */
  readonly fromMs: number
  /** Epoch milliseconds: calls that were reserved before this instant. */
  readonly untilMs: number
  readonly simulated: boolean
}

/** Runs one backtest at a time: each reads much of the ledger. */
export class Backtests {
  readonly #ledger: Pick<LedgerReader, 'callPages' | 'sums'>
  #isRunning = false

  constructor(ledger: Pick<LedgerReader, 'callPages' | 'sums'>) {
    this.#ledger = ledger
  }

  /** As `runBacktest`. Rejects with Problem `backtest_running` while another one runs. */
  async run(query: BacktestQuery, isEnded: () => boolean): Promise<BacktestTally | undefined> {
    if (this.#isRunning)
      throw new Problem('backtest_running', 'Another backtest is running. Try again once it has ended.')
    this.#isRunning = true
    try {
      return await runBacktest(this.#ledger, query, isEnded)
    } finally {
      this.#isRunning = false
    }
  }
}

/** A turn of the event loop replays this many calls: about a tenth of a millisecond. */
const CALLS_PER_TURN = 16
/** The same for windows that start from the ledger. */
const WINDOWS_PER_TURN = 256

/**
 * Replays the calls of a span. Rejects with StoreUnavailable if the ledger cannot be read.
 * @param isEnded asked between pages; once true, the result is undefined
 */
export async function runBacktest(
  ledger: Pick<LedgerReader, 'callPages' | 'sums'>,
  query: BacktestQuery,
  isEnded: () => boolean,
): Promise<BacktestTally | undefined> {
  const { limits, timeZone, fromMs, untilMs, simulated } = query
  const byZone = Map.groupBy(limits, (limit) => zoneOf(limit, query) !== undefined)
  const replay = new Replay(
    new LimitPlan(byZone.get(false) ?? [], timeZone),
    simulated,
    keyLimitsOf(byZone.get(true) ?? [], query),
  )
  const tally = new BacktestTally()
  if (!(await seedWindows(replay, ledger, query, isEnded))) return undefined
  for await (const page of ledger.callPages({ simulated, fromMs, untilMs })) {
    if (isEnded()) return undefined
    for (let start = 0; start < page.length; start += CALLS_PER_TURN) {
      for (const call of page.slice(start, start + CALLS_PER_TURN)) tally.add(call, replay.decide(call))
      await setImmediate()
    }
  }
  return tally
}

type Zones = Pick<BacktestQuery, 'keyZones'>

/** The zone of the key that a limit is on. Undefined: the gateway's. */
function zoneOf({ who, subject }: Limit, { keyZones }: Zones): string | undefined {
  return who === 'key' && subject !== undefined ? keyZones?.get(subject) : undefined
}

function keyLimitsOf(limits: readonly Limit[], zones: Zones): ReadonlyMap<string, KeyLimits> {
  const byKey = Map.groupBy(limits, ({ subject = '' }) => subject)
  return new Map([...byKey].map(([key, ofKey]) => [key, compileKeyLimits(ofKey, zones.keyZones?.get(key))]))
}

/** Windows that began before the span start from the ledger's sums, as those of any new limit. False if the backtest ended. */
async function seedWindows(
  replay: Replay,
  ledger: Pick<LedgerReader, 'sums'>,
  query: BacktestQuery,
  isEnded: () => boolean,
): Promise<boolean> {
  const { limits, timeZone, fromMs, simulated } = query
  const realm = simulated ? SIMULATED_REALM : ''
  const windows = limits.filter(({ refill }) => refill === 'window')
  // Limits of one dimension have the same windows, and one read of the ledger has the sums of all subjects.
  for (const members of Map.groupBy(windows, (limit) => `${dimensionOf(limit)}/${zoneOf(limit, query)}`).values()) {
    const [limit] = members
    if (!limit || limit.what === 'inFlight') continue
    const { who, what, span } = limit
    const zone = windowZone(zoneOf(limit, query), timeZone)
    const sinceMs = windowAt(span, zone.timeZone, fromMs).startsAtMs
    if (sinceMs >= fromMs) continue
    if (isEnded()) return false
    const sums = await ledger.sums({ who, what, simulated, sinceMs, untilMs: fromMs })
    const subjects = new Set(members.map(({ subject }) => subject))
    let seededCount = 0
    for (const [subject, used] of who === 'model' ? sumsOfModels(sums) : sums) {
      if (!subjects.has(subject) && !subjects.has(undefined)) continue
      replay.seed(meterOf(limit, subject, fromMs, zone.timeZone, realm, zone.mark), used, fromMs)
      if (++seededCount % WINDOWS_PER_TURN === 0) await setImmediate()
    }
  }
  return !isEnded()
}

function dimensionOf({ who, what, span }: Limit): string {
  return `${who}/${what}/${span}`
}
