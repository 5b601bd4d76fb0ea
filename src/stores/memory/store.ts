// Memory store and registry: the reference for every other store. Keeps the newest entries only and survives nothing.

import type { Entry, Outcome, Reservation } from '../../core/ledger-entry.ts'
import { Levels } from '../../core/levels.ts'
import { NO_SUBJECT, subjectOf } from '../../core/limits.ts'
import type { Charge, Instant, LevelView, Meter } from '../../core/meter.ts'
import { applyAmendment, expiredOutcome, OpenCalls } from '../../core/open-calls.ts'
import { Report } from '../../core/report.ts'
import { Ring } from '../../core/ring.ts'
import { totalTokens } from '../../core/usage.ts'
import {
  type Admission,
  type Amendment,
  type EntryQuery,
  type LedgerRecord,
  type OpenTotals,
  type ReportQuery,
  type Settlement,
  type SettleResult,
  type Store,
  StoreUnavailable,
  type SumQuery,
} from '../store.ts'

const GENERATION_MS = 600_000

export class MemoryStore implements Store {
  readonly #levels = new Levels()
  readonly #openCalls = new OpenCalls<Reservation>()
  readonly #entries: Ring<Entry>
  readonly #realReports = new Map<string, Report>()
  readonly #simulatedReports = new Map<string, Report>()
  #lastSeq = 0
  #lateCount = 0
  #generationTurnedAtMs: number | undefined
  #closed = false

  /** @param keep how many entries are kept; older ones live on in the totals only */
  constructor(keep = 10_000) {
    this.#entries = new Ring(keep)
  }

  get lateSettlements(): number {
    return this.#lateCount
  }

  openTotals(simulated: boolean): OpenTotals {
    return this.#openCalls.totals(simulated)
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
        for (const simulated of [false, true]) this.#reportOf(simulated, '').addRefusals(record.reason, record.count)
        continue
      }
      const { callId } = record.facts
      if (this.#openCalls.get(callId) || this.#entries.find((entry) => entry.facts.callId === callId)) continue
      this.#levels.settleUnreserved(record.charges, record.used, now)
      this.#addSettled(record, record.outcome)
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
    return this.#levels.view(charges, now)
  }

  async seed(levels: readonly { readonly meter: Meter; readonly settled: bigint }[], now: Instant): Promise<void> {
    for (const { meter, settled } of levels) this.#levels.seed(meter, settled, now)
  }

  async report(query: ReportQuery): Promise<Report> {
    return this.#reportOf(query.simulated, query.key ?? '')
  }

  async entries(query: EntryQuery): Promise<readonly Entry[]> {
    const { simulated, key, beforeSeq = Number.POSITIVE_INFINITY, limit } = query
    const found = this.#entries
      .newest()
      .filter(
        ({ facts, settledSeq }) =>
          (simulated === undefined || facts.simulated === simulated) &&
          (key === undefined || facts.caller.key === key) &&
          (settledSeq ?? 0) < beforeSeq,
      )
    return found.slice(0, limit)
  }

  async entry(callId: string): Promise<Entry | undefined> {
    const call = this.#openCalls.get(callId)
    if (call) return { facts: call.facts, outcome: null, settledSeq: null }
    return this.#entries.find((entry) => entry.facts.callId === callId)
  }

  async idempotentEntry(keyHash: string, sinceMs: number): Promise<Entry | undefined> {
    const open = this.#openCalls.all().map(({ facts }): Entry => ({ facts, outcome: null, settledSeq: null }))
    return [...open, ...this.#entries.newest()]
      .filter(({ facts }) => facts.idempotency?.keyHash === keyHash && facts.reservedAtMs >= sinceMs)
      .reduce<Entry | undefined>((newest, entry) => (newest && isNewer(newest, entry) ? newest : entry), undefined)
  }

  async sums(query: SumQuery): Promise<ReadonlyMap<string, bigint>> {
    const sums = new Map<string, bigint>()
    const add = ({ facts, outcome }: Pick<Entry, 'facts' | 'outcome'>) => {
      if (facts.simulated !== query.simulated || facts.reservedAtMs < query.sinceMs) return
      const subject = subjectOf(query.who, facts)
      sums.set(subject, (sums.get(subject) ?? 0n) + figureOf(query.what, facts, outcome))
    }
    for (const entry of this.#entries.newest()) add(entry)
    for (const call of this.#openCalls.all()) add({ facts: call.facts, outcome: null })
    return sums
  }

  async close(_now: Instant): Promise<void> {
    this.#closed = true
  }

  #addSettled({ facts }: Pick<Reservation, 'facts'>, outcome: Outcome): Entry {
    const entry: Entry = { facts, outcome, settledSeq: ++this.#lastSeq }
    this.#entries.push(entry)
    this.#reportOf(facts.simulated, '').addCall(entry)
    this.#reportOf(facts.simulated, facts.caller.key ?? NO_SUBJECT).addCall(entry)
    return entry
  }

  /** Of one key, or (`''`) of all. */
  #reportOf(simulated: boolean, key: string): Report {
    const reports = simulated ? this.#simulatedReports : this.#realReports
    let report = reports.get(key)
    if (!report) reports.set(key, (report = new Report()))
    return report
  }

  #assertOpen(): void {
    if (this.#closed) throw new StoreUnavailable('the store is closed')
  }
}

function isNewer({ facts }: Entry, other: Entry): boolean {
  return (
    facts.reservedAtMs - other.facts.reservedAtMs > 0 ||
    (facts.reservedAtMs === other.facts.reservedAtMs && facts.callId > other.facts.callId)
  )
}

function figureOf(what: SumQuery['what'], facts: Entry['facts'], outcome: Outcome | null): bigint {
  if (what === 'requests') return 1n
  if (what === 'tokens') return BigInt(outcome ? totalTokens(outcome.usage) : facts.reservedTokens)
  return outcome ? outcome.cost.totalNanoUsd : facts.reservedCostNanoUsd
}
