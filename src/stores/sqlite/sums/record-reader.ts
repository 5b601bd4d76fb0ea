// Record reader: pages of settled calls, newest first. Calls of one subject are found by its packed calls, all others by time.

import type { DatabaseSync } from 'node:sqlite'
import type { Entry } from '../../../core/ledger-entry.ts'
import { type Period, QUARTER_MS, type RecordPage, type RecordQuery } from '../../usage-query.ts'
import { type CallFilter, CallSelection, type CallSpan, filterOf } from './call-selection.ts'
import type { Names } from './names.ts'
import type { RecordRows } from './record-rows.ts'
import { DAY } from './sum-spans.ts'

/** Rows are looked up one by one: this many are looked at before a page ends, if filters leave out most of them. */
const MAX_LOOKED_UP = 5_000

/** Where a page ends, as the cursor says: after a row, or after a call of a quarter hour. */
type Place = { readonly id: number } | CallPlace

export class RecordReader {
  readonly #db: DatabaseSync
  readonly #names: Names
  readonly #rows: RecordRows

  constructor(db: DatabaseSync, names: Names, rows: RecordRows) {
    this.#db = db
    this.#names = names
    this.#rows = rows
  }

  records(query: RecordQuery): RecordPage {
    const place = query.cursor === undefined ? undefined : parseCursor(query.cursor)
    const selection = new CallSelection(this.#db, this.#names)
    const filter = filterOf(query, selection)
    if (filter === undefined) return { entries: [], next: null }
    if (filter === 'rows' || filter.subject === undefined) return this.#byTime(query, place)
    return this.#bySubject(query, place, selection, filter)
  }

  #byTime(query: RecordQuery, place: Place | undefined): RecordPage {
    if (place && !('id' in place)) throw wrongCursor()
    const rows = this.#rows.newest({ ...query, limit: query.limit + 1 }, place?.id)
    const page = rows.slice(0, query.limit)
    const last = page.at(-1)
    return {
      entries: page.map(({ entry }) => entry),
      next: rows.length > query.limit && last ? `r${last.id}` : null,
    }
  }

  /** By quarter hour, and within it by the order of settlements, the last first. */
  #bySubject(query: RecordQuery, place: Place | undefined, selection: CallSelection, filter: CallFilter): RecordPage {
    if (place && !('seq' in place)) throw wrongCursor()
    const { period, simulated, limit } = query
    const [from, until] = [Math.floor(period.fromMs / QUARTER_MS), Math.ceil(period.untilMs / QUARTER_MS)]
    const entries: Entry[] = []
    let next: string | null = null
    let lookedUp = 0
    const lastDay = Math.floor(Math.min(until - 1, place?.quarter ?? until - 1) / DAY)
    for (const day of selection.daysOf(simulated, filter.kind, from, (lastDay + 1) * DAY).reverse()) {
      const span = { simulated, from: Math.max(from, day * DAY), until: Math.min(until, (day + 1) * DAY) }
      for (const call of callsOf(selection, span, filter)) {
        if (place && byNewest(call, place) <= 0) continue
        if (entries.length === limit || lookedUp === MAX_LOOKED_UP) return { entries, next }
        lookedUp += 1
        next = `q${call.quarter}.${call.seq}`
        const entry = this.#rows.bySeq(call.seq)
        if (entry && isWithin(period, entry)) entries.push(entry)
      }
    }
    return { entries, next: null }
  }
}

interface CallPlace {
  readonly quarter: number
  readonly seq: number
}

/** The newest first. */
function callsOf(selection: CallSelection, span: CallSpan, filter: CallFilter): CallPlace[] {
  const found: CallPlace[] = []
  for (const { call } of selection.calls({ ...span, ...filter })) found.push({ quarter: call.quarter, seq: call.seq })
  return found.sort(byNewest)
}

function byNewest(left: CallPlace, right: CallPlace): number {
  return right.quarter - left.quarter || right.seq - left.seq
}

function isWithin({ fromMs, untilMs }: Period, { facts: { reservedAtMs } }: Entry): boolean {
  return reservedAtMs >= fromMs && reservedAtMs < untilMs
}

function parseCursor(cursor: string): Place {
  const [, id] = /^r(\d{1,16})$/.exec(cursor) ?? []
  if (id !== undefined) return { id: Number(id) }
  const [, quarter, seq] = /^q(\d{1,9})\.(\d{1,15})$/.exec(cursor) ?? []
  if (quarter === undefined || seq === undefined) throw wrongCursor()
  return { quarter: Number(quarter), seq: Number(seq) }
}

function wrongCursor(): RangeError {
  return new RangeError('The cursor is none of a page of the same list.')
}
