// Self-check: adds up all rows of the ledger anew, and compares them with every sum that is kept. It goes in short steps.

import type { DatabaseSync, SQLOutputValue } from 'node:sqlite'
import { saturateNanoUsd } from '../../../core/money.ts'
import type { SumCheck } from '../../usage-query.ts'
import { findMark } from '../marks.ts'
import { toBigint } from '../rows.ts'
import { TOKENS_SUM_SQL } from '../usage-columns.ts'
import { CallSelection } from './call-selection.ts'
import { Names } from './names.ts'
import { CALL_KINDS, type CallKind } from './sum-builder.ts'
import { COARSE_DIMENSIONS, DAY, FINE_DIMENSIONS, QUARTER } from './sum-spans.ts'

/** Rows of the ledger in one step, some 50 ms. */
const ROWS_PER_STEP = 50_000
const PART = 1_000_000_000n

/** What is compared. */
interface Totals {
  requests: bigint
  tokens: bigint
  costNanoUsd: bigint
}

type Realm = 0 | 1
const REALMS: readonly Realm[] = [0, 1]
/** All calls, or those with a user, a thread or a task. */
type Group = 'all' | Exclude<CallKind, 'key'>
const GROUPS: readonly Group[] = ['all', 'user', 'thread', 'task']

/** Sums that are kept, by name, and up to which entry they count. */
interface KeptTotals {
  readonly name: string
  readonly realm: Realm
  readonly group: Group
  /** True for the sums of `/llm/stats`, which stand in the ledger itself. */
  readonly isOfStats: boolean
  readonly totals: Totals
}

/** Sums of rows. */
type RowTotals = Record<Realm, Record<Group, Totals>>

const noTotals = (): Totals => ({ requests: 0n, tokens: 0n, costNanoUsd: 0n })
const moneySql = (column: string) =>
  `coalesce(sum(${column} / ${PART}), 0) AS parts, coalesce(sum(${column} % ${PART}), 0) AS rest`

export interface SelfCheckParts {
  readonly ledger: DatabaseSync
  /** The sums as they are now: a connection in a transaction, so that later changes are not seen. */
  readonly snapshot: DatabaseSync
  /** The last entry in these sums. */
  readonly countedSeq: number
}

export class SelfCheck {
  readonly #parts: SelfCheckParts
  readonly #steps: Generator<void, readonly SumCheck[]>

  constructor(parts: SelfCheckParts) {
    this.#parts = parts
    this.#steps = this.#run()
  }

  /** The result, or undefined as long as further steps are needed. */
  step(): readonly SumCheck[] | undefined {
    const { done, value } = this.#steps.next()
    return done ? value : undefined
  }

  /** Rows that are settled do not change any more: they are read later than the sums, up to the entry that the sums end with. */
  *#run(): Generator<void, readonly SumCheck[]> {
    const { ledger, countedSeq } = this.#parts
    const statsSeq = findMark(ledger, 'rolled_up_seq')
    const kept = [...this.#statsTotals()]
    const rows = this.#prunedTotals()
    for (const totals of this.#sumTotals()) {
      kept.push(totals)
      yield
    }
    for (const realm of REALMS)
      for (const kind of CALL_KINDS) kept.push({ ...(yield* this.#packedTotals(realm, kind)), isOfStats: false })
    const [first, last] = [Math.min(statsSeq, countedSeq), Math.max(statsSeq, countedSeq)]
    for (let seq = 0; seq < first; seq += ROWS_PER_STEP) {
      this.#addRows(rows, seq, Math.min(first, seq + ROWS_PER_STEP))
      yield
    }
    const atFirst = structuredClone(rows)
    this.#addRows(rows, first, last)
    const [ofStats, ofSums] = statsSeq < countedSeq ? [atFirst, rows] : [rows, atFirst]
    return kept.flatMap((entry) => checksOf(entry, (entry.isOfStats ? ofStats : ofSums)[entry.realm][entry.group]))
  }

  /** The sums of `/llm/stats`: of all calls, and of all keys together. */
  *#statsTotals(): Generator<KeptTotals> {
    for (const realm of REALMS)
      for (const [name, condition] of [
        ['by day', "key = ''"],
        ['by day and key', "key <> ''"],
      ] as const) {
        const sql = `SELECT coalesce(sum(requests), 0) AS requests, coalesce(sum(${TOKENS_SUM_SQL}), 0) AS tokens,
          ${moneySql('cost_nano_usd')} FROM rollup WHERE span = 'day' AND simulated = ? AND ${condition}`
        yield { name, realm, group: 'all', isOfStats: true, totals: totalsOf(this.#parts.ledger, sql, realm) }
      }
  }

  *#sumTotals(): Generator<KeptTotals> {
    const places = [
      ...COARSE_DIMENSIONS.map((dimension) => [dimension, QUARTER, 'quarter hour'] as const),
      ...[...COARSE_DIMENSIONS, ...FINE_DIMENSIONS].map((dimension) => [dimension, DAY, 'day (UTC)'] as const),
    ]
    for (const realm of REALMS)
      for (const [dimension, tier, span] of places) {
        const sql = `SELECT coalesce(sum(requests), 0) AS requests, coalesce(sum(input_tokens + output_tokens), 0) AS tokens,
          ${moneySql('cost_nano_usd')} FROM sum WHERE simulated = ? AND dimension = '${dimension}' AND tier = ${tier}`
        yield {
          name: `by ${dimension} and ${span}`,
          realm,
          group: 'all',
          isOfStats: false,
          totals: totalsOf(this.#parts.snapshot, sql, realm),
        }
      }
  }

  /** A day is a step. */
  *#packedTotals(realm: Realm, kind: CallKind): Generator<void, Omit<KeptTotals, 'isOfStats'>> {
    const selection = new CallSelection(this.#parts.snapshot, new Names(this.#parts.snapshot))
    const simulated = realm === 1
    const totals = noTotals()
    for (const day of selection.daysOf(simulated, kind, 0, Number.MAX_SAFE_INTEGER)) {
      let [requests, tokens] = [0, 0]
      const span = { simulated, from: day * DAY, until: (day + 1) * DAY, kind, subject: undefined, matches: undefined }
      for (const { call } of selection.calls(span)) {
        totals.costNanoUsd += call.costNanoUsd
        if (call.ending === 'adjusted') continue
        requests += 1
        tokens += call.inputTokens + call.outputTokens
      }
      totals.requests += BigInt(requests)
      totals.tokens += BigInt(tokens)
      yield
    }
    return { name: `calls of each ${kind}`, realm, group: kind === 'key' ? 'all' : kind, totals }
  }

  /** What was kept of rows that retention deleted. */
  #prunedTotals(): RowTotals {
    const totals = { 0: emptyGroups(), 1: emptyGroups() }
    const rows = this.#parts.ledger.prepare(`SELECT simulated, who, sum(requests) AS requests, sum(tokens) AS tokens,
      ${moneySql('cost_nano_usd')} FROM pruned WHERE who IN ('global', 'with_user', 'with_thread', 'with_task')
      GROUP BY simulated, who`)
    rows.setReadBigInts(true)
    for (const row of rows.iterate()) {
      const group = GROUPS.find((name) => row.who === `with_${name}`) ?? 'all'
      add(totals[row.simulated === 1n ? 1 : 0][group], row)
    }
    return totals
  }

  #addRows(totals: RowTotals, afterSeq: number, untilSeq: number): void {
    for (const group of GROUPS) {
      const condition = group === 'all' ? '' : `AND coalesce(${group}, '') <> ''`
      const rows = this.#parts.ledger.prepare(`SELECT simulated, sum(iif(adjusts IS NULL, 1, 0)) AS requests,
        sum(iif(adjusts IS NULL, ${TOKENS_SUM_SQL}, 0)) AS tokens, ${moneySql('cost_nano_usd')}
        FROM entry WHERE settled_seq > ? AND settled_seq <= ? ${condition} GROUP BY simulated`)
      rows.setReadBigInts(true)
      for (const row of rows.iterate(afterSeq, untilSeq)) add(totals[row.simulated === 1n ? 1 : 0][group], row)
    }
  }
}

function emptyGroups(): Record<Group, Totals> {
  return { all: noTotals(), user: noTotals(), thread: noTotals(), task: noTotals() }
}

function totalsOf(db: DatabaseSync, sql: string, realm: Realm): Totals {
  const statement = db.prepare(sql)
  statement.setReadBigInts(true)
  const totals = noTotals()
  const row = statement.get(realm)
  if (row) add(totals, row)
  return totals
}

function add(totals: Totals, row: Readonly<Record<string, SQLOutputValue>>): void {
  totals.requests += toBigint(row.requests)
  totals.tokens += toBigint(row.tokens)
  totals.costNanoUsd += toBigint(row.parts) * PART + toBigint(row.rest)
}

/** Nothing for a realm without calls. */
function checksOf({ name, realm, totals }: KeptTotals, rows: Totals): SumCheck[] {
  if (Object.values(totals).every((sum) => sum === 0n) && Object.values(rows).every((sum) => sum === 0n)) return []
  const check = (what: string, ledger: bigint, kept: bigint) => ({
    name: `${what} ${name}`,
    simulated: realm === 1,
    ledger,
    kept,
  })
  return [
    check('requests', rows.requests, totals.requests),
    check('tokens', rows.tokens, totals.tokens),
    check('cost', saturateNanoUsd(rows.costNanoUsd), saturateNanoUsd(totals.costNanoUsd)),
  ]
}
