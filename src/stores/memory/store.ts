// Memory store and registry: the reference for every other store. Keeps the newest entries only and survives nothing.

import type { Entry, Outcome, Reservation } from '../../core/ledger-entry.ts'
import { Levels } from '../../core/levels.ts'
import { NO_SUBJECT, subjectOf } from '../../core/limits.ts'
import type { Charge, Instant, LevelView, Meter } from '../../core/meter.ts'
import { amended, expiredOutcome, OpenCalls } from '../../core/open-calls.ts'
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
  readonly #open = new OpenCalls<Reservation>()
  readonly #entries: Ring<Entry>
  readonly #real = new Map<string, Report>()
  readonly #simulated = new Map<string, Report>()
  #seq = 0
  #late = 0
  #turnedAtMs: number | undefined
  #closed = false

  /** @param keep how many entries are kept; older ones live on in the totals only */
  constructor(keep = 10_000) {
    this.#entries = new Ring(keep)
  }

  get lateSettlements(): number {
    return this.#late
  }

  open(simulated: boolean): OpenTotals {
    return this.#open.totals(simulated)
  }

  async reserve(reservations: readonly Reservation[], now: Instant): Promise<readonly Admission[]> {
    this.#mustBeOpen()
    return reservations.map((reservation): Admission => {
      if (this.#open.get(reservation.facts.callId)) throw new Error(`call ${reservation.facts.callId} is open already`)
      const { facts, expiresAtMs } = reservation
      const { charges, short, overlooked } = this.#levels.take(reservation.charges, now)
      if (short.length > 0) return { admitted: false, short }
      this.#open.add({ facts, charges, expiresAtMs })
      return { admitted: true, levels: this.#levels.view(reservation.charges, now), overlooked }
    })
  }

  async amend(amendments: readonly Amendment[], now: Instant): Promise<readonly Admission[]> {
    this.#mustBeOpen()
    const raised = new Map<string, { readonly held: readonly Charge[]; readonly to: Reservation }>()
    const answers = amendments.map((amendment): Admission => {
      const { callId } = amendment.facts
      const call = this.#open.get(callId)
      if (!call) return { admitted: false, short: [] }
      const before = raised.get(callId)?.held ?? call.charges
      const { held, charges, short, overlooked } = this.#levels.raise(before, amendment.charges, now)
      if (short.length > 0) return { admitted: false, short }
      raised.set(callId, { held, to: { ...amended(call, amendment), charges } })
      return { admitted: true, levels: [], overlooked }
    })
    for (const { held, to } of raised.values()) {
      this.#levels.lower(held, to.charges, now)
      this.#open.replace(to)
    }
    return answers.map((answer, index) =>
      answer.admitted ? { ...answer, levels: this.#levels.view(amendments[index]?.charges ?? [], now) } : answer,
    )
  }

  async settle(settlements: readonly Settlement[], now: Instant): Promise<readonly SettleResult[]> {
    this.#mustBeOpen()
    return settlements.map(({ callId, outcome, used, usedOn }) => {
      const call = this.#open.remove(callId)
      if (!call) {
        this.#late += 1
        return 'late'
      }
      this.#levels.settle(call.charges, used, now, usedOn)
      this.#book(call, outcome)
      return 'settled'
    })
  }

  async append(records: readonly LedgerRecord[], now: Instant): Promise<void> {
    this.#mustBeOpen()
    for (const record of records) {
      if (record.kind === 'refusals') {
        for (const simulated of [false, true]) this.#reportOf(simulated, '').refuse(record.reason, record.count)
        continue
      }
      const { callId } = record.facts
      if (this.#open.get(callId) || this.#entries.find((entry) => entry.facts.callId === callId)) continue
      this.#levels.book(record.charges, record.used, now)
      this.#book(record, record.outcome)
    }
  }

  async sweep(now: Instant): Promise<readonly Entry[]> {
    this.#mustBeOpen()
    this.#turnedAtMs ??= now.monoMs
    if (now.monoMs - this.#turnedAtMs >= GENERATION_MS) {
      this.#turnedAtMs = now.monoMs
      this.#levels.drainDirty()
      this.#levels.turnGeneration(now)
    }
    return this.#open.expired(now).map((call) => {
      this.#open.remove(call.facts.callId)
      this.#levels.settle(call.charges, undefined, now)
      return this.#book(call, expiredOutcome(call.facts, now.wallMs))
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
    const call = this.#open.get(callId)
    if (call) return { facts: call.facts, outcome: null, settledSeq: null }
    return this.#entries.find((entry) => entry.facts.callId === callId)
  }

  async idempotent(keyHash: string, sinceMs: number): Promise<Entry | undefined> {
    const open = this.#open.all().map(({ facts }): Entry => ({ facts, outcome: null, settledSeq: null }))
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
    for (const call of this.#open.all()) add({ facts: call.facts, outcome: null })
    return sums
  }

  async close(_now: Instant): Promise<void> {
    this.#closed = true
  }

  #book({ facts }: Pick<Reservation, 'facts'>, outcome: Outcome): Entry {
    const entry: Entry = { facts, outcome, settledSeq: ++this.#seq }
    this.#entries.push(entry)
    this.#reportOf(facts.simulated, '').book(entry)
    this.#reportOf(facts.simulated, facts.caller.key ?? NO_SUBJECT).book(entry)
    return entry
  }

  /** Of one key, or (`''`) of all. */
  #reportOf(simulated: boolean, key: string): Report {
    const reports = simulated ? this.#simulated : this.#real
    let report = reports.get(key)
    if (!report) reports.set(key, (report = new Report()))
    return report
  }

  #mustBeOpen(): void {
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
