// Reports: the requests for figures that the benchmark of analytics sends, with other people, threads, zones and days each time, and
// the calls beside them.

import type { Subject } from './measure.ts'
import { earlyThreadName, keyName, userName } from './traffic.ts'

/** A request for figures. `path` takes the number of the request, and how many calls the ledger has. */
export interface Report {
  readonly name: string
  path(turn: number, calls: number): string
}

export const ADMIN_KEY = 'admin_bench_secret_0123'
export const CALLS_PER_SECOND = 500
const CONNECTIONS = 32
const USERS_IN_LOAD = 2_000

export const LOAD = {
  kind: '1kb',
  connections: CONNECTIONS,
  ratePerSecond: CALLS_PER_SECOND,
  headerLists: Array.from({ length: USERS_IN_LOAD }, (_, index) => [
    `x-bursar-user: ${userName(index * 977)}`,
    `x-bursar-thread: load-${index >> 1}`,
    `x-bursar-agent: agent-${index % 12}`,
  ]),
} as const

const ZONES = ['UTC', 'Asia/Kathmandu', 'America/New_York']
const DAYS = [1, 7, 30, 90]
/** A step that meets every user before one comes twice. */
const USER_STEP = 977

/** Every combination of days and zone comes in turn. */
function spanQuery(turn: number): string {
  const days = DAYS[turn % DAYS.length]
  const zone = ZONES[Math.floor(turn / DAYS.length) % ZONES.length] ?? 'UTC'
  return `days=${days}&tz=${encodeURIComponent(zone)}`
}

const by = (name: string): Report => ({
  name: `by-${name}`,
  path: (turn) => `/token-usage/by-${name}?${spanQuery(turn)}`,
})

export const REPORTS: readonly Report[] = [
  { name: 'user', path: (turn) => `/token-usage/user/${userName(turn * USER_STEP)}?${spanQuery(turn)}` },
  {
    name: 'thread',
    path: (turn, calls) => `/token-usage/thread/${earlyThreadName(turn * 7_919, calls)}?days=90`,
  },
  ...['model', 'provider', 'agent', 'operation', 'user', 'key', 'project', 'day'].map(by),
  {
    name: 'by-model of one key',
    path: (turn) => `/token-usage/by-model?${spanQuery(turn)}&key=${keyName(turn)}`,
  },
  { name: 'refusals', path: (turn) => `/token-usage/refusals?${spanQuery(turn)}` },
  { name: 'all, 100 records', path: (turn) => `/token-usage/all?${spanQuery(turn)}&limit=100` },
  { name: 'recommendations', path: (turn) => `/token-usage/recommendations?${spanQuery(turn)}` },
  { name: 'metrics summary', path: () => '/api/metrics/summary' },
  { name: 'metrics recent', path: (turn) => `/api/metrics/recent?hours=${[1, 6, 24][turn % 3]}` },
  { name: 'metrics task', path: (turn) => `/api/metrics/task/task-${turn}` },
]

/** Long work: all entries are read. */
export const CSV_PATH = '/token-usage/all?days=90&format=csv'
export const SELF_CHECK_PATH = '/audit/self-check'
export const BACKTEST = { path: '/admin/limits/backtest', body: { days: 91, limits: { perUser: { costPerDay: 5 } } } }

interface Asked {
  readonly status: number
  readonly ms: number
  readonly text: string
}

/** Asks over a kept connection. */
export async function ask({ port }: Subject, path: string): Promise<Asked> {
  const from = performance.now()
  const response = await fetch(`http://127.0.0.1:${port}${path}`, { headers: { authorization: `Bearer ${ADMIN_KEY}` } })
  const text = await response.text()
  return { status: response.status, ms: performance.now() - from, text }
}
