// The books after a load: what the provider has read, what the gateway says is reserved, and what its ledger holds. Each is asked
// for on its own, so that they can be held against each other.
import { createReadStream } from 'node:fs'
import { createInterface } from 'node:readline'
import { DatabaseSync } from 'node:sqlite'
import { type Subject, sleep } from './measure.ts'

/** The ledger's rows of one part of the load. `open` rows were never settled, `expired` ones only by the sweep. */
export type RowCounts = {
  all: number
  open: number
  completed: number
  failed: number
  canceled: number
  expired: number
}

/** What the gateway says of itself. Reserved amounts are sums over its limits, each in its own unit. */
export type GatewayTotals = { openCalls: number; reserved: number; requests: number; lateSettlements: number }

type StatsJson = { total_requests: number; reserved_now: { requests: number }; late_settlements: number }
type LimitsJson = { limits: { reserved: number | string }[] }

const POLL_MS = 250

async function fetchJson<Answer>(subject: Subject, path: string, key = ''): Promise<Answer> {
  const headers = key === '' ? {} : { authorization: `Bearer ${key}` }
  const response = await fetch(`http://127.0.0.1:${subject.port}${path}`, { headers })
  if (!response.ok) throw new Error(`${subject.name} ${path}: ${response.status} ${await response.text()}`)
  return response.json() as Promise<Answer>
}

/** Calls the pretend provider has read, by part of the load. */
export const receivedBy = (upstream: Subject) => fetchJson<Record<string, number>>(upstream, '/received')

async function totalsOf(ours: Subject, adminKey: string): Promise<GatewayTotals> {
  const stats = await fetchJson<StatsJson>(ours, '/llm/stats', adminKey)
  // After the stats: once those say that no call is open, none is here.
  const { limits } = await fetchJson<LimitsJson>(ours, '/llm/limits', adminKey)
  return {
    openCalls: stats.reserved_now.requests,
    reserved: limits.reduce((sum, limit) => sum + Number(limit.reserved), 0),
    requests: stats.total_requests,
    lateSettlements: stats.late_settlements,
  }
}

/** Waits until no call is open, or as long as is given, and answers with what the gateway says then. */
export async function waitUntilIdle(ours: Subject, adminKey: string, withinMs: number): Promise<GatewayTotals> {
  const giveUpAt = performance.now() + withinMs
  for (;;) {
    const standing = await totalsOf(ours, adminKey)
    if (standing.openCalls === 0 || performance.now() > giveUpAt) return standing
    await sleep(POLL_MS)
  }
}

const ROW_COUNTS_SQL = `
  SELECT coalesce(task, '') AS part, count(*) AS "all", count(*) FILTER (WHERE settled_seq IS NULL) AS open,
    count(*) FILTER (WHERE ending = 'completed') AS completed, count(*) FILTER (WHERE ending = 'failed') AS failed,
    count(*) FILTER (WHERE ending = 'canceled') AS canceled, count(*) FILTER (WHERE ending = 'expired') AS expired
  FROM entry GROUP BY part`

/** The ledger's rows by part of the load, which a call names as its task. The gateway must have been stopped. */
export function rowsBy(database: string): Map<string, RowCounts> {
  const db = new DatabaseSync(database, { readOnly: true })
  try {
    const count = (row: Record<string, unknown>, name: keyof RowCounts) => Number(row[name])
    return new Map(
      db
        .prepare(ROW_COUNTS_SQL)
        .all()
        .map((row) => [
          String(row.part),
          {
            all: count(row, 'all'),
            open: count(row, 'open'),
            completed: count(row, 'completed'),
            failed: count(row, 'failed'),
            canceled: count(row, 'canceled'),
            expired: count(row, 'expired'),
          },
        ]),
    )
  } finally {
    db.close()
  }
}

/** Lines a gateway has logged as errors: how many, and the first. Problems of providers and callers are no errors. */
export async function errorsIn(logFile: string): Promise<{ count: number; first: string }> {
  const errors = { count: 0, first: '' }
  for await (const line of createInterface({ input: createReadStream(logFile) })) {
    if (!/^\{"level":[56]0/.test(line) && line.startsWith('{')) continue
    errors.count++
    errors.first ||= line
  }
  return errors
}
