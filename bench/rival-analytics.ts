// A rival's reports: LiteLLM's proxy keeps spend in PostgreSQL. This fills its two tables with the calls of traffic.ts and times the
// queries of its reports, beside which `npm run bench -- --only analytics` can be held. No part of CI.
//   node bench/rival-analytics.ts <rows> <schema.prisma of the package litellm>
//
// The tables and indexes are made from the package's own schema. The queries are equivalents of those in litellm 1.110.2: by day, key, user
// and model over the log (spend_management_endpoints.py), one user's days over the log (the same file), and the sums by day that its
// dashboard reads from daily rows (common_daily_activity.py). They are timed inside PostgreSQL, without its Python and its HTTP.
// Runs PostgreSQL from PATH in a temporary folder, over a socket in that folder, as the account postgres if this is root.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { median } from './measure.ts'
import { traffic, userName } from './traffic.ts'

const [rows, schemaFile] = process.argv.slice(2)
if (!rows || !schemaFile) throw new Error('usage: node bench/rival-analytics.ts <rows> <schema.prisma>')
const ROW_COUNT = Number(rows)
const RUNS = 10
const SQL_TYPES: Readonly<Record<string, string>> = {
  String: 'text',
  Float: 'double precision',
  Int: 'integer',
  BigInt: 'bigint',
  DateTime: 'timestamp(3)',
  Json: 'jsonb',
}

/** The SQL of a model: columns with constant defaults, key, unique constraints and indexes. */
function tableSql(schema: string, model: string): string {
  const body = new RegExp(`model ${model} \\{([^}]*?)\\n\\}`).exec(schema.replaceAll('"{}"', '"()"'))?.[1]
  if (body === undefined) throw new Error(`${schemaFile} has no ${model}`)
  const columns: string[] = []
  const after: string[] = []
  for (const line of body.split('\n').map((text) => text.trim())) {
    const list = /^@@(index|unique)\(\[([^\]]+)/.exec(line)
    const names = list?.[2]?.split(',').map((name) => `"${name.trim()}"`)
    if (names && list?.[1] === 'index') after.push(`CREATE INDEX ON "${model}" (${names});`)
    else if (names) after.push(`CREATE UNIQUE INDEX ON "${model}" (${names});`)
    const [, name, type = '', mark, rest = ''] = /^(\w+)\s+(\w+)(\??)\s*(.*)$/.exec(line) ?? []
    const sqlType = SQL_TYPES[type]
    if (!name || !sqlType) continue
    const given = /@default\s*\((?:"([^"]*)"|([\d.]+))\)/.exec(rest)
    const value = (given?.[1] ?? given?.[2])?.replace('()', '{}')
    const isNow = rest.includes('now()') || rest.includes('@updatedAt')
    const isId = /@id\b/.test(rest)
    const initial = isNow ? 'DEFAULT now()' : value === undefined ? '' : `DEFAULT '${value}'`
    columns.push(`"${name}" ${sqlType} ${isId ? 'PRIMARY KEY' : mark === '?' ? '' : 'NOT NULL'} ${initial}`)
  }
  return `CREATE TABLE "${model}" (${columns.join(', ')});\n${after.join('\n')}`
}

const folder = mkdtempSync(join(tmpdir(), 'bursar-rival-'))
chmodSync(folder, 0o777)
const asPostgres = (command: string, args: readonly string[]): [string, string[]] =>
  process.getuid?.() === 0 ? ['runuser', ['-u', 'postgres', '--', command, ...args]] : [command, [...args]]
const run = (command: string, args: readonly string[]) =>
  execFileSync(...asPostgres(command, args), { encoding: 'utf8', cwd: folder, stdio: ['ignore', 'pipe', 'inherit'] })
const data = join(folder, 'data')
const psqlArgs = ['-h', folder, '-d', 'postgres', '-qAtX', '-v', 'ON_ERROR_STOP=1']
const sql = (text: string) => run('psql', [...psqlArgs, '-c', text])

async function startServer(): Promise<ChildProcess> {
  run('initdb', ['-D', data, '-A', 'trust', '-E', 'UTF8'])
  const settings = ['shared_buffers=512MB', 'work_mem=64MB', 'max_wal_size=4GB', 'listen_addresses=']
  const options = settings.flatMap((setting) => ['-c', setting])
  const server = spawn(...asPostgres('postgres', ['-D', data, '-k', folder, ...options]), {
    cwd: folder,
    stdio: 'ignore',
  })
  for (let tries = 0; tries < 100; tries++) {
    try {
      execFileSync(...asPostgres('psql', [...psqlArgs, '-c', 'SELECT 1']), { stdio: 'ignore', cwd: folder })
      return server
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 100))
    }
  }
  throw new Error('PostgreSQL did not start')
}

const LOG_COLUMNS =
  'request_id, call_type, api_key, spend, total_tokens, prompt_tokens, completion_tokens, "startTime", "endTime", ' +
  'request_duration_ms, model, model_group, custom_llm_provider, "user", team_id, session_id, status, litellm_call_id'

/** One row for each call, as the proxy writes it with prompts left out. */
async function fillLog(): Promise<void> {
  const [command, args] = asPostgres('psql', [
    ...psqlArgs,
    '-c',
    `COPY "LiteLLM_SpendLogs" (${LOG_COLUMNS}) FROM STDIN`,
  ])
  const psql = spawn(command, args, { cwd: folder, stdio: ['pipe', 'inherit', 'inherit'] })
  const ended = once(psql, 'exit')
  let lines = ''
  for (const { facts, outcome } of traffic(ROW_COUNT, Date.now())) {
    const { caller, callId, model, provider } = facts
    const prompt = outcome.usage.input + outcome.usage.cacheRead + outcome.usage.cacheWrite5m
    const { output } = outcome.usage
    const time = (ms: number) => new Date(ms).toISOString().slice(0, -1)
    lines += `${[
      callId,
      'acompletion',
      caller.key,
      Number(outcome.cost.totalNanoUsd) / 1e9,
      prompt + output,
      prompt,
      output,
      time(facts.reservedAtMs),
      time(outcome.settledAtMs),
      outcome.latencyMs,
      model,
      model,
      provider,
      caller.user,
      caller.project,
      caller.thread,
      outcome.ending === 'failed' ? 'failure' : 'success',
      callId,
    ].join('\t')}\n`
    if (lines.length < 1_000_000) continue
    if (!psql.stdin.write(lines)) await once(psql.stdin, 'drain')
    lines = ''
  }
  psql.stdin.end(lines)
  const [code] = await ended
  if (code !== 0) throw new Error('the log could not be filled')
}

/** The daily rows that the proxy adds up while calls come. */
const FILL_DAILY = `INSERT INTO "LiteLLM_DailyUserSpend" (id, user_id, date, api_key, model, model_group, custom_llm_provider,
    prompt_tokens, completion_tokens, spend, api_requests, successful_requests, failed_requests, total_response_time_ms, timed_requests)
  SELECT gen_random_uuid()::text, "user", to_char("startTime", 'YYYY-MM-DD'), api_key, model, model_group, custom_llm_provider,
    sum(prompt_tokens), sum(completion_tokens), sum(spend), count(*), count(*) FILTER (WHERE status = 'success'),
    count(*) FILTER (WHERE status = 'failure'), sum(request_duration_ms), count(*)
  FROM "LiteLLM_SpendLogs" GROUP BY "user", to_char("startTime", 'YYYY-MM-DD'), api_key, model, model_group, custom_llm_provider`

const logSince = (days: number) => `FROM "LiteLLM_SpendLogs" WHERE "startTime" >= now() - interval '${days} days'`
const dailySince = (days: number) =>
  `FROM "LiteLLM_DailyUserSpend" WHERE date >= to_char(now() - interval '${days} days', 'YYYY-MM-DD')`
const SUMS = 'sum(prompt_tokens), sum(completion_tokens), sum(spend), sum(api_requests), sum(failed_requests)'

const QUERIES: readonly (readonly [name: string, query: (turn: number, days: number) => string])[] = [
  [
    'log: by day, key, user, model',
    (_turn, days) =>
      `SELECT to_char(date_trunc('day', "startTime"), 'YYYY-MM-DD'), api_key, "user", model, sum(spend) ${logSince(days)} GROUP BY 1, 2, 3, 4 ORDER BY 1`,
  ],
  [
    'log: days of one user',
    (turn, days) =>
      `SELECT date_trunc('day', "startTime"), count(*), sum(total_tokens) ${logSince(days)} AND "user" = '${userName(turn * 977)}' GROUP BY 1`,
  ],
  [
    'daily rows: by day, model, key',
    (_turn, days) =>
      `SELECT date, model, api_key, custom_llm_provider, ${SUMS} ${dailySince(days)}
       GROUP BY GROUPING SETS ((date), (date, model), (date, api_key), (date, custom_llm_provider))`,
  ],
  [
    'daily rows: days of one user',
    (turn, days) =>
      `SELECT date, model, ${SUMS} ${dailySince(days)} AND user_id = '${userName(turn * 977)}' GROUP BY GROUPING SETS ((date), (date, model))`,
  ],
]

/** Milliseconds inside PostgreSQL. */
function timed(query: string): number {
  const plan = sql(`EXPLAIN (ANALYZE, TIMING OFF, SUMMARY ON) ${query}`)
  return Number(/Execution Time: ([\d.]+) ms/.exec(plan)?.[1])
}

const server = await startServer()
try {
  const schema = readFileSync(schemaFile, 'utf8')
  for (const model of ['LiteLLM_SpendLogs', 'LiteLLM_DailyUserSpend']) sql(tableSql(schema, model))
  await fillLog()
  sql(FILL_DAILY)
  sql('VACUUM ANALYZE')
  for (const days of [7, 90])
    for (const [name, query] of QUERIES) {
      const times = Array.from({ length: RUNS }, (_, turn) => timed(query(turn, days)))
      const most = Math.max(...times)
      console.log(`${name.padEnd(32)} ${days} days  p50 ${median(times).toFixed(1)} ms  max ${most.toFixed(1)} ms`)
    }
  for (const model of ['LiteLLM_SpendLogs', 'LiteLLM_DailyUserSpend']) {
    const [count = '0', bytes = '0'] = sql(`SELECT count(*), pg_total_relation_size('"${model}"') FROM "${model}"`)
      .trim()
      .split('|')
    console.log(
      `${model.padEnd(32)} ${count} rows, ${(Number(bytes) / ROW_COUNT).toFixed(0)} bytes a call with its indexes`,
    )
  }
} finally {
  run('pg_ctl', ['-D', data, '-m', 'immediate', 'stop'])
  await (server.exitCode === null ? once(server, 'exit') : undefined)
  rmSync(folder, { recursive: true, force: true })
}
process.exit()
