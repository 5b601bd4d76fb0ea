// Memory store: the reference for every other store. It keeps the newest entries only and survives nothing.

import { type Adjustment, type Entry, type Outcome, type Reservation, settledFacts } from '../../core/ledger-entry.ts'
import { Levels } from '../../core/levels.ts'
import { NO_SUBJECT, subjectOf } from '../../core/limits.ts'
import type { Charge, Instant, LevelView } from '../../core/meter.ts'
import { saturateNanoUsd } from '../../core/money.ts'
import { applyAmendment, expiredOutcome, OpenCalls } from '../../core/open-calls.ts'
import { Report } from '../../core/report.ts'
import { Ring } from '../../core/ring.ts'
import { totalTokens } from '../../core/usage.ts'
import {
  type Admission,
  type Amendment,
  type BookedCost,
  type CallQuery,
  type EntryQuery,
  type Figures,
  type FiguresQuery,
  type LedgerRecord,
  type LevelSeed,
  type MeteredCall,
  type Settlement,
  type SettleResult,
  type Store,
  type StoreHealth,
  StoreUnavailable,
  type SumQuery,
} from '../store.ts'
import { recordsOf, usageOf } from '../usage-of-entries.ts'
import type {
  RecordPage,
  RecordQuery,
  RefusalCount,
  RefusalQuery,
  SumCheck,
  UsageQuery,
  UsageReport,
} from '../usage-query.ts'
import { withSeries } from '../usage-series.ts'
import { MemoryAlertQueue } from './alert-queue.ts'
import { RefusalCounts } from './refusal-counts.ts'
import { MemoryRegistry } from './registry.ts'

const GENERATION_MS = 600_000
const DEFAULT_MAX_ENTRIES = 10_000
const MAX_CALLS_PER_PAGE = 256

/** Meters, ledger and registry in memory. A reader that follows `settledSeq` misses entries that were dropped. */
export class MemoryStore implements Store {
  readonly registry = new MemoryRegistry()
  readonly alerts = new MemoryAlertQueue()
  /** Memory stands on no file. */
  readonly health: StoreHealth = { failure: undefined, watch() {}, watchSums() {} }
  readonly #levels = new Levels()
  readonly #openCalls = new OpenCalls<Reservation>()
  readonly #entries: Ring<Entry>
  readonly #refusals = new RefusalCounts()
  readonly #realReports = new Map<string, Report>()
  readonly #simulatedReports = new Map<string, Report>()
  #lastSeq = 0
  #lateCount = 0
  #generationTurnedAtMs: number | undefined
  #closed = false

  /** @param maxEntries the number of entries to keep; dropped entries still count in reports */
  constructor(maxEntries = DEFAULT_MAX_ENTRIES) {
    this.#entries = new Ring(maxEntries)
  }

  async reserve(reservations: readonly Reservation[], now: Instant): Promise<readonly Admission[]> {
    this.#assertOpen()
    return reservations.map((reservation): Admission => {
      if (this.#openCalls.get(reservation.facts.callId))
        throw new Error(`call ${reservation.facts.callId} is open already`)
      const { facts, expiresAtMs } = reservation
      const { charges, shortfalls, unenforced } = this.#levels.take(reservation.charges, now)
      if (shortfalls.length > 0) return { admitted: false, shortfalls }
      this.#openCalls.add({ facts, charges, expiresAtMs })
      return { admitted: true, levels: this.#levels.view(reservation.charges, now), unenforced }
    })
  }

  async amend(amendments: readonly Amendment[], now: Instant): Promise<readonly Admission[]> {
    this.#assertOpen()
    const raised = new Map<string, { readonly held: readonly Charge[]; readonly to: Reservation }>()
    const answers = amendments.map((amendment): Admission => {
      const { callId } = amendment.facts
      const call = this.#openCalls.get(callId)
      if (!call) return { admitted: false, shortfalls: [] }
      const before = raised.get(callId)?.held ?? call.charges
      const { held, charges, shortfalls, unenforced } = this.#levels.raise(before, amendment.charges, now)
      if (shortfalls.length > 0) return { admitted: false, shortfalls }
      raised.set(callId, { held, to: { ...applyAmendment(call, amendment), charges } })
      return { admitted: true, levels: [], unenforced }
    })
    for (const { held, to } of raised.values()) {
      this.#levels.lower(held, to.charges, now)
      this.#openCalls.replace(to)
    }
    return answers.map((answer, index) =>
      answer.admitted ? { ...answer, levels: this.#levels.view(amendments[index]?.charges ?? [], now) } : answer,
    )
  }

  async settle(settlements: readonly Settlement[], now: Instant): Promise<readonly SettleResult[]> {
    this.#assertOpen()
    return settlements.map(({ callId, outcome, used, usedByMeter }) => {
      const call = this.#openCalls.remove(callId)
      if (!call) {
        this.#lateCount += 1
        return 'late'
      }
      this.#levels.settle(call.charges, used, now, usedByMeter)
      this.#addSettled(call, outcome)
      return 'settled'
    })
  }

  async append(records: readonly LedgerRecord[], now: Instant): Promise<void> {
    this.#assertOpen()
    for (const record of records) {
      if (record.kind === 'refusals') {
        if (record.refused) this.#refusals.add(record.reason, record.count, record.refused)
        if (record.refused?.isShadow) continue
        for (const simulated of [false, true]) this.#reportOf(simulated, '').addRefusals(record.reason, record.count)
        continue
      }
      const { callId } = record.facts
      if (this.#openCalls.get(callId) || this.#entries.find((entry) => entry.facts.callId === callId)) continue
      if (record.kind === 'entry') {
        this.#levels.settleUnreserved(record.charges, record.used, now)
        this.#addSettled(record, record.outcome)
      } else {
        this.#levels.correct(record.charges, now)
        this.#addSettled(record, record.outcome, record.adjustment)
      }
    }
  }

  async sweep(now: Instant): Promise<readonly Entry[]> {
    this.#assertOpen()
    this.#generationTurnedAtMs ??= now.monoMs
    if (now.monoMs - this.#generationTurnedAtMs >= GENERATION_MS) {
      this.#generationTurnedAtMs = now.monoMs
      this.#levels.collectDirty()
      this.#levels.turnGeneration(now)
    }
    return this.#openCalls.expired(now).map((call) => {
      this.#openCalls.remove(call.facts.callId)
      this.#levels.settle(call.charges, undefined, now)
      return this.#addSettled(call, expiredOutcome(call.facts, now.wallMs))
    })
  }

  async levels(charges: readonly Charge[], now: Instant): Promise<readonly LevelView[]> {
    this.#assertOpen()
    return this.#levels.view(charges, now)
  }

  async seed(seeds: readonly LevelSeed[], now: Instant): Promise<void> {
    this.#assertOpen()
    for (const { meter, settled } of seeds) this.#levels.seed(meter, settled, now)
  }

  async figures({ simulated, key }: FiguresQuery): Promise<Figures> {
    this.#assertOpen()
    return {
      report: this.#reportOf(simulated, key ?? '').copy(),
      open: this.#openCalls.totals(simulated, key),
      lateSettlements: this.#lateCount,
    }
  }

  async entries(query: EntryQuery): Promise<readonly Entry[]> {
    this.#assertOpen()
    const { simulated, key, beforeSeq = Number.POSITIVE_INFINITY, afterSeq, limit } = query
    const found = this.#entries.newest().filter(({ facts, settledSeq }) => {
      const isWanted =
        (simulated === undefined || facts.simulated === simulated) && (key === undefined || facts.caller.key === key)
      return isWanted && (settledSeq ?? 0) < beforeSeq && (settledSeq ?? 0) > (afterSeq ?? 0)
    })
    return (afterSeq === undefined ? found : found.reverse()).slice(0, limit)
  }

  async entry(callId: string): Promise<Entry | undefined> {
    this.#assertOpen()
    const call = this.#openCalls.get(callId)
    if (call) return { facts: call.facts, outcome: null, settledSeq: null }
    return this.#entries.find((entry) => entry.facts.callId === callId)
  }

  async adjustments(callId: string): Promise<readonly Entry[]> {
    this.#assertOpen()
    return this.#entries
      .newest()
      .filter(({ adjustment }) => adjustment?.callId === callId)
      .reverse()
  }

  async idempotentEntry(keyHash: string, sinceMs: number): Promise<Entry | undefined> {
    this.#assertOpen()
    const open = this.#openCalls.all().map(({ facts }): Entry => ({ facts, outcome: null, settledSeq: null }))
    return [...open, ...this.#entries.newest()]
      .filter(({ facts }) => facts.idempotency?.keyHash === keyHash && facts.reservedAtMs >= sinceMs)
      .reduce<Entry | undefined>((newest, entry) => (newest && isNewer(newest, entry) ? newest : entry), undefined)
  }

  async sums(query: SumQuery): Promise<ReadonlyMap<string, bigint>> {
    this.#assertOpen()
    const sums = new Map<string, bigint>()
    const add = (entry: SummedEntry) => {
      const { facts } = entry
      if (facts.simulated !== query.simulated || facts.reservedAtMs < query.sinceMs) return
      if (query.untilMs !== undefined && facts.reservedAtMs >= query.untilMs) return
      const subject = subjectOf(query.who, facts)
      if (query.subject !== undefined && query.subject !== subject) return
      sums.set(subject, saturateNanoUsd((sums.get(subject) ?? 0n) + figureOf(query.what, entry)))
    }
    for (const entry of this.#entries.newest()) add(entry)
    for (const call of this.#openCalls.all()) add({ facts: call.facts, outcome: null })
    return sums
  }

  async *callPages({ simulated, fromMs, untilMs }: CallQuery): AsyncGenerator<readonly MeteredCall[]> {
    this.#assertOpen()
    const entries = this.#entries.newest().reverse()
    const corrections = Map.groupBy(entries, ({ adjustment }) => adjustment?.callId)
    const open = this.#openCalls.all().map(({ facts }): Entry => ({ facts, outcome: null, settledSeq: null }))
    const calls = [...entries, ...open]
      .filter(({ facts, adjustment }) => !adjustment && facts.simulated === simulated)
      .filter(({ facts: { reservedAtMs } }) => reservedAtMs >= fromMs && reservedAtMs < untilMs)
      .toSorted((left, right) => (isNewer(left, right) ? 1 : -1))
    for (let index = 0; index < calls.length; index += MAX_CALLS_PER_PAGE) {
      this.#assertOpen()
      const page = calls.slice(index, index + MAX_CALLS_PER_PAGE)
      yield page.map((call) => meteredCallOf(call, corrections.get(call.facts.callId) ?? []))
    }
  }

  async usage(query: UsageQuery): Promise<UsageReport> {
    this.#assertOpen()
    return withSeries(query, (plain) => usageOf(this.#entries.newest(), plain))
  }

  async records(query: RecordQuery): Promise<RecordPage> {
    this.#assertOpen()
    return recordsOf(this.#entries.newest(), query)
  }

  async refusalCounts(query: RefusalQuery): Promise<readonly RefusalCount[]> {
    this.#assertOpen()
    return this.#refusals.counts(query)
  }

  /** The sums are those of the entries: nothing is kept beside them. */
  async selfCheck(): Promise<readonly SumCheck[]> {
    this.#assertOpen()
    return []
  }

  /** Memory keeps the newest entries only, without a need to delete any. */
  async prune(): Promise<number> {
    this.#assertOpen()
    return 0
  }

  async close(_now: Instant): Promise<void> {
    this.#closed = true
  }

  #addSettled({ facts }: Pick<Reservation, 'facts'>, outcome: Outcome, adjustment?: Adjustment): Entry {
    const entry: Entry = {
      facts: settledFacts(facts, outcome),
      outcome,
      settledSeq: ++this.#lastSeq,
      ...(adjustment ? { adjustment } : {}),
    }
    this.#entries.push(entry)
    this.#reportOf(facts.simulated, '').addCall(entry)
    this.#reportOf(facts.simulated, facts.caller.key ?? NO_SUBJECT).addCall(entry)
    return entry
  }

  /** The report of one key, or of all keys (`''`). */
  #reportOf(simulated: boolean, key: string): Report {
    const reports = simulated ? this.#simulatedReports : this.#realReports
    let report = reports.get(key)
    if (!report) reports.set(key, (report = new Report()))
    return report
  }

  #assertOpen(): void {
    if (this.#closed) throw new StoreUnavailable('The store is closed.')
  }
}

function isNewer({ facts }: Entry, other: Entry): boolean {
  return (
    facts.reservedAtMs - other.facts.reservedAtMs > 0 ||
    (facts.reservedAtMs === other.facts.reservedAtMs && facts.callId > other.facts.callId)
  )
}

function meteredCallOf({ facts, outcome }: Entry, corrections: readonly Entry[]): MeteredCall {
  const { callId, caller, provider, model, reservedAtMs, reservedTokens, reservedCostNanoUsd } = facts
  return {
    callId,
    caller,
    provider,
    model,
    reservedAtMs,
    reservedTokens,
    reservedCostNanoUsd,
    settled: outcome && { ...bookedCostOf(outcome), tokens: totalTokens(outcome.usage) },
    corrections: corrections.flatMap(({ outcome: correction }) => (correction ? [bookedCostOf(correction)] : [])),
  }
}

function bookedCostOf({ settledAtMs, cost, attempts }: Outcome): BookedCost {
  const targets = attempts.map(({ provider, model, costNanoUsd }) => ({ provider, model, costNanoUsd }))
  return { atMs: settledAtMs, costNanoUsd: cost.totalNanoUsd, targets }
}

type SummedEntry = Pick<Entry, 'facts' | 'outcome' | 'adjustment'>

function figureOf(what: SumQuery['what'], { facts, outcome, adjustment }: SummedEntry): bigint {
  if (what === 'requests') return adjustment ? 0n : 1n
  if (what === 'tokens') return BigInt(outcome ? totalTokens(outcome.usage) : facts.reservedTokens)
  return outcome ? outcome.cost.totalNanoUsd : facts.reservedCostNanoUsd
}
