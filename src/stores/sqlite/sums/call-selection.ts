// Call selection: finds the packed calls that a query asks for, by the subject with the fewest calls, and what each value is.

import type { DatabaseSync, SQLOutputValue, StatementSync } from 'node:sqlite'
import type { Dimension, UsageFilter, UsageQuery } from '../../usage-query.ts'
import { type Holder, type NameKind, type Names, NO_NAME, parseHolder } from './names.ts'
import { CallUnpacker, type PackedCall } from './packed-calls.ts'
import { type CallKind, numberOf } from './sum-builder.ts'
import { DAY } from './sum-spans.ts'

/** A packed call, and the subject under which it was found. The object is used again for the next call. */
export interface PlacedCall {
  call: PackedCall
  kind: CallKind
  subject: string
}

/** Which packed calls to read. */
export interface CallFilter {
  readonly kind: CallKind
  /** Undefined: of all subjects. */
  readonly subject: string | undefined
  /** Undefined: all of them. */
  readonly matches: ((placed: PlacedCall) => boolean) | undefined
}

export interface CallSpan {
  readonly simulated: boolean
  /** Quarter hours since the epoch. */
  readonly from: number
  readonly until: number
}

export class CallSelection {
  readonly #db: DatabaseSync
  readonly #names: Names
  readonly #holders = new Map<number, Holder>()
  readonly #unpacker = new CallUnpacker()
  readonly #ofSubject: StatementSync
  readonly #ofDay: StatementSync
  readonly #firstDay: StatementSync
  readonly #lastDay: StatementSync

  constructor(db: DatabaseSync, names: Names) {
    this.#db = db
    this.#names = names
    const ofDay = ['calls', 'past_calls'].map(
      (table) => (condition: string) =>
        `SELECT subject, part, calls FROM ${table} WHERE simulated = ?1 AND kind = ?2 AND day = ?3 ${condition}`,
    )
    const both = (condition: string) => ofDay.map((sql) => sql(condition)).join(' UNION ALL ')
    this.#ofSubject = this.#db.prepare(both('AND subject = ?4'), { returnArrays: true })
    this.#ofDay = this.#db.prepare(both(''), { returnArrays: true })
    const day = 'SELECT day FROM calls WHERE simulated = ?1 AND kind = ?2 ORDER BY day'
    this.#firstDay = this.#db.prepare(`SELECT min(day) AS day FROM
      (SELECT * FROM (${day} LIMIT 1) UNION ALL SELECT * FROM (SELECT day FROM past_calls ORDER BY day LIMIT 1))`)
    this.#lastDay = this.#db.prepare(`SELECT max(day) AS day FROM
      (SELECT * FROM (${day} DESC LIMIT 1) UNION ALL SELECT * FROM (SELECT day FROM past_calls ORDER BY day DESC LIMIT 1))`)
  }

  /** The calls of a span, each in the same object. */
  *calls({ simulated, from, until, kind, subject, matches }: CallSpan & CallFilter): Generator<PlacedCall> {
    const { call } = this.#unpacker
    const placed: PlacedCall = { call, kind, subject: '' }
    for (const day of this.daysOf(simulated, kind, from, until)) {
      const at = [simulated ? 1 : 0, numberOf(kind), day]
      const rows: unknown = subject === undefined ? this.#ofDay.iterate(...at) : this.#ofSubject.iterate(...at, subject)
      const isWhole = day * DAY >= from && (day + 1) * DAY <= until
      for (const [name, , bytes] of rows as Iterable<SQLOutputValue[]>) {
        placed.subject = String(name)
        if (!(bytes instanceof Uint8Array)) continue
        this.#unpacker.open(bytes, day)
        while (this.#unpacker.next()) {
          if (!isWhole && (call.quarter < from || call.quarter >= until)) continue
          if (!matches || matches(placed)) yield placed
        }
      }
    }
  }

  /** The days of a span, ascending, from the first to the last that has calls. */
  daysOf(simulated: boolean, kind: CallKind, from: number, until: number): number[] {
    const at = [simulated ? 1 : 0, numberOf(kind)]
    const [first, last] = [this.#firstDay.get(...at)?.day, this.#lastDay.get(...at)?.day]
    if (typeof first !== 'number' || typeof last !== 'number') return []
    const start = Math.max(first, Math.floor(from / DAY))
    const end = Math.min(last, Math.ceil(until / DAY) - 1)
    return Array.from({ length: Math.max(0, end - start + 1) }, (_, index) => start + index)
  }

  /** '' if the call has no such name. */
  valueOf(dimension: Dimension, { call, kind, subject }: PlacedCall): string {
    if (dimension === kind) return subject
    switch (dimension) {
      case 'model':
        return this.#names.textOf(call.target)
      case 'provider':
        return this.#providerOf(call.target)
      case 'organisation':
      case 'project':
      case 'key':
        return this.#holderOf(call.holder)[dimension] ?? ''
      case 'user':
      case 'agent':
      case 'operation':
        return call[dimension] === NO_NAME ? '' : this.#names.textOf(call[dimension])
      case 'thread':
      case 'task':
        throw new Error(`Packed calls of a ${kind} do not hold the ${dimension}.`)
    }
  }

  #providerOf(target: number): string {
    const text = this.#names.textOf(target)
    return text.slice(0, text.indexOf('/'))
  }

  #holderOf(id: number): Holder {
    let holder = this.#holders.get(id)
    if (!holder) this.#holders.set(id, (holder = parseHolder(this.#names.textOf(id))))
    return holder
  }

  /** The number of a name, or undefined if no call has it. */
  idOf(kind: NameKind, text: string): number | undefined {
    return this.#names.find(kind, text)
  }
}

/** Which packed calls a query asks for; `rows` if packed calls do not know enough, and undefined if there can be none. */
export function filterOf(
  query: Pick<UsageQuery, 'where' | 'by'>,
  selection: CallSelection,
): CallFilter | 'rows' | undefined {
  const { where = {}, by = [] } = query
  const conversational = CONVERSATIONAL.filter((dimension) => where[dimension] !== undefined || by.includes(dimension))
  const [conversation] = conversational
  if (conversational.length > 1) return 'rows'
  if (conversation !== undefined) {
    const subject = where[conversation]
    return typeof subject === 'string' ? matching({ kind: conversation, subject }, where, selection) : 'rows'
  }
  if (where.user) return matching({ kind: 'user', subject: where.user }, where, selection)
  return matching({ kind: 'key', subject: where.key === null ? '' : where.key }, where, selection)
}

/** Dimensions whose values packed calls of other subjects do not hold. */
const CONVERSATIONAL = ['thread', 'task'] as const

function matching(
  place: Pick<CallFilter, 'kind' | 'subject'>,
  where: UsageFilter,
  selection: CallSelection,
): CallFilter | undefined {
  const conditions: ((placed: PlacedCall) => boolean)[] = []
  for (const [name, value] of Object.entries(where)) {
    const dimension = name as Dimension
    if (value === undefined || dimension === place.kind) continue
    const wanted = value ?? ''
    if (dimension === 'user' || dimension === 'agent' || dimension === 'operation') {
      const id = wanted === '' ? NO_NAME : selection.idOf(dimension, wanted)
      if (id === undefined) return undefined
      conditions.push(({ call }) => call[dimension] === id)
    } else if (dimension === 'model') {
      const id = selection.idOf('target', wanted)
      if (id === undefined) return undefined
      conditions.push(({ call }) => call.target === id)
    } else conditions.push((placed) => selection.valueOf(dimension, placed) === wanted)
  }
  if (conditions.length === 0) return { ...place, matches: undefined }
  return { ...place, matches: (placed) => conditions.every((isMet) => isMet(placed)) }
}
