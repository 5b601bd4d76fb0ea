// Agreement: on random ledgers with corrections, every page that shows a sum shows the same sum, which is that of the entries.

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parse } from 'csv-parse/sync'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Entry } from '../../src/core/ledger-entry.ts'
import { totalTokens } from '../../src/core/usage.ts'
import type { ManualClock } from '../support/clocks.ts'
import type { Gateway } from '../support/gateway.ts'
import {
  type AnswerJson,
  AS_ADMIN,
  AS_ALICE,
  ask,
  callArbitrary,
  FIRST_MS,
  HOSTILE_NAMES,
  LAST_MS,
  nanoUsdOf,
  openLedger,
  type SumJson,
  writeCalls,
} from './usage-ledger.ts'

const ZONES = ['UTC', 'Asia/Kathmandu', 'Australia/Lord_Howe', 'America/St_Johns', 'Pacific/Chatham', 'Europe/Berlin']
const DIMENSIONS = ['model', 'provider', 'agent', 'operation', 'user', 'key', 'project'] as const
const QUARTER_MS = 900_000

const VALUE_OF: Readonly<Record<string, (entry: Entry) => string | null>> = {
  key: ({ facts }) => facts.caller.key,
  user: ({ facts }) => facts.caller.user,
  thread: ({ facts }) => facts.caller.thread,
  agent: ({ facts }) => facts.caller.agent,
  task: ({ facts }) => facts.caller.task,
  project: ({ facts }) => facts.caller.project,
  organisation: ({ facts }) => facts.caller.organisation,
  operation: ({ facts }) => facts.operation,
  provider: ({ facts }) => facts.provider,
  model: ({ facts }) => `${facts.provider}/${facts.model}`,
}

/** A key that there is not is refused; any other name may be unknown. */
const filterArbitrary = fc.oneof(
  fc.dictionary(
    fc.constantFrom('user', 'thread', 'agent', 'task', 'project', 'organisation', 'operation'),
    fc.constantFrom('', 'ann', 'alice', 'ben', ...HOSTILE_NAMES),
    { maxKeys: 1 },
  ),
  fc.record({ key: fc.constantFrom('', 'alice', 'bob') }),
)

const reportArbitrary = fc.record({
  zone: fc.constantFrom(...ZONES),
  bounds: fc.uniqueArray(fc.integer({ min: FIRST_MS, max: LAST_MS }), { minLength: 2, maxLength: 2 }),
  filter: filterArbitrary,
  model: fc.option(fc.constantFrom('openai/m', 'my-vllm/org/large', 'anthropic/__proto__'), {
    nil: undefined,
    freq: 1,
  }),
  limit: fc.constantFrom(1, 2, 1_000),
})
type RandomReport = typeof reportArbitrary extends fc.Arbitrary<infer Report> ? Report : never

interface Sum {
  readonly requests: number
  readonly tokens: number
  readonly costNanoUsd: bigint
}

function sumOf(entries: readonly Entry[]): Sum {
  const calls = entries.filter(({ adjustment }) => !adjustment)
  return {
    requests: calls.length,
    tokens: calls.reduce((sum, { outcome }) => sum + (outcome ? totalTokens(outcome.usage) : 0), 0),
    costNanoUsd: entries.reduce((sum, { outcome }) => sum + (outcome?.cost.totalNanoUsd ?? 0n), 0n),
  }
}

const read = ({ total_requests, total_tokens, total_cost }: SumJson): Sum => ({
  requests: total_requests.value,
  tokens: total_tokens.value,
  costNanoUsd: total_cost.nanoUsd,
})

const added = (sums: readonly Sum[]): Sum => ({
  requests: sums.reduce((sum, { requests }) => sum + requests, 0),
  tokens: sums.reduce((sum, { tokens }) => sum + tokens, 0),
  costNanoUsd: sums.reduce((sum, { costNanoUsd }) => sum + costNanoUsd, 0n),
})

let folder = ''
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'bursar-agreement-'))
})
afterAll(() => rm(folder, { recursive: true }))

describe.each(['memory', 'sqlite'])('%s', (kind) => {
  let ledgers = 0
  const open = () => openLedger(kind === 'memory' ? 'memory:' : `sqlite:${join(folder, `${++ledgers}.db`)}`)

  it('every total is one number everywhere', async () => {
    const property = fc.asyncProperty(
      fc.array(callArbitrary, { minLength: 1, maxLength: 40 }),
      fc.array(reportArbitrary, { minLength: 4, maxLength: 4 }),
      async (calls, reports) => {
        await using gateway = await open()
        const entries = (await writeCalls(gateway, calls)).filter(({ facts }) => !facts.simulated)
        await checkAllTime(gateway, entries)
        for (const report of reports) await checkReport(gateway, entries, report)
      },
    )
    await fc.assert(property, { numRuns: 6 })
  })
})

/** What is summed over all time: for everyone, for a key, and for each task. */
async function checkAllTime(gateway: Gateway<ManualClock>, entries: readonly Entry[]): Promise<void> {
  const period = 'from=2026-01-01&to=2026-12-31'
  for (const [headers, own] of [
    [AS_ADMIN, entries],
    [AS_ALICE, entries.filter(({ facts }) => facts.caller.key === 'alice')],
  ] as const) {
    const expected = sumOf(own)
    expect(read((await ask(gateway, '/llm/stats', headers)).body)).toEqual(expected)
    const { global } = (await ask(gateway, '/api/metrics/summary', headers)).body
    const { total_requests, total_tokens, total_cost_usd: total_cost } = global
    expect(read({ total_requests, total_tokens, total_cost })).toEqual(expected)
    expect(read((await ask(gateway, `/token-usage/by-day?${period}`, headers)).body)).toEqual(expected)
  }
  const tasks = Map.groupBy(entries, ({ facts }) => facts.caller.task)
  for (const [task, ofTask] of tasks) {
    if (task === null) continue
    const { body } = await ask(gateway, `/api/metrics/task/${encodeURIComponent(task)}`)
    expect([task, body.total_cost_usd.nanoUsd]).toEqual([task, sumOf(ofTask).costNanoUsd])
  }
  const { body } = await ask(gateway, '/audit/self-check')
  expect(body.difference.value).toBe(0)
}

async function checkReport(gateway: Gateway<ManualClock>, entries: readonly Entry[], report: RandomReport) {
  const { zone, bounds, filter, model, limit } = report
  const [from = 0, to = 0] = bounds.toSorted((left, right) => left - right)
  const query = new URLSearchParams({
    ...filter,
    ...(model === undefined ? {} : { model }),
    tz: zone,
    from: new Date(from).toISOString(),
    to: new Date(to).toISOString(),
  })
  const wanted = entries.filter(
    (entry) =>
      Object.entries(filter).every(([name, value]) => (VALUE_OF[name]?.(entry) ?? '') === value) &&
      (model === undefined || VALUE_OF.model?.(entry) === model),
  )
  const { body: byDay } = await ask(gateway, `/token-usage/by-day?${query}`)
  const fromMs = Date.parse(byDay.period.from)
  const untilMs = Date.parse(byDay.period.to)
  expect([fromMs, untilMs].map((ms) => ms % QUARTER_MS)).toEqual([0, 0])
  expect([from - fromMs, untilMs - to].every((ms) => ms >= 0 && ms < QUARTER_MS)).toBe(true)
  const within = wanted.filter(({ facts }) => facts.reservedAtMs >= fromMs && facts.reservedAtMs < untilMs)
  const expected = sumOf(within)
  checkStatistics(byDay, expected)
  expect(added(byDay.days.map(read))).toEqual(expected)
  for (const dimension of DIMENSIONS) {
    const { body } = await ask(gateway, `/token-usage/by-${dimension}?${query}&limit=${limit}`)
    checkStatistics(body, expected)
    expect(added([...body.groups, ...(body.others ? [body.others] : [])].map(read))).toEqual(expected)
    for (const group of body.groups) {
      const ofGroup = within.filter((entry) => VALUE_OF[dimension]?.(entry) === group[dimension])
      expect([dimension, group[dimension], read(group)]).toEqual([dimension, group[dimension], sumOf(ofGroup)])
    }
    await checkCsv(gateway, `/token-usage/by-${dimension}?${query}`, expected)
  }
  await checkCsv(gateway, `/token-usage/by-day?${query}`, expected)
  await checkCsv(gateway, `/token-usage/all?${query}`, expected)
  await checkRecords(gateway, query, within)
  for (const name of ['user', 'thread'] as const) await checkSubject(gateway, name, query, within)
}

function checkStatistics(body: AnswerJson, expected: Sum): void {
  expect(read(body)).toEqual(expected)
  const costs = [...Object.values(body.cost_by_model), ...(body.other_models ? [body.other_models.cost] : [])]
  expect(costs.reduce((sum, { nanoUsd }) => sum + nanoUsd, 0n)).toBe(expected.costNanoUsd)
  const tokens = [...Object.values(body.tokens_by_model), ...(body.other_models ? [body.other_models.tokens] : [])]
  expect(tokens.reduce((sum, { value }) => sum + value, 0)).toBe(expected.tokens)
  const requests = [
    ...Object.values(body.requests_by_agent),
    ...(body.other_agents ? [body.other_agents.requests] : []),
  ]
  expect(requests.reduce((sum, { value }) => sum + value, 0)).toBe(expected.requests)
  expect(body.cost_trend.reduce((sum, { cost }) => sum + cost.nanoUsd, 0n)).toBe(expected.costNanoUsd)
}

async function checkCsv(gateway: Gateway<ManualClock>, path: string, expected: Sum): Promise<void> {
  const { text } = await ask(gateway, `${path}&format=csv`)
  const rows: Readonly<Record<string, string>>[] = parse(text, { columns: true })
  expect(rows.reduce((sum, row) => sum + nanoUsdOf(row.total_cost ?? ''), 0n)).toBe(expected.costNanoUsd)
  expect(rows.reduce((sum, row) => sum + Number(row.total_tokens), 0)).toBe(expected.tokens)
}

/** All pages together have each entry once, the newest first. */
async function checkRecords(gateway: Gateway<ManualClock>, query: URLSearchParams, expected: readonly Entry[]) {
  const found: AnswerJson['records'][number][] = []
  let cursor: string | null = ''
  while (cursor !== null) {
    const next: string = cursor === '' ? '' : `&cursor=${cursor}`
    const { body }: { body: AnswerJson } = await ask(gateway, `/token-usage/all?${query}&limit=7${next}`)
    found.push(...body.records)
    cursor = body.next_cursor
  }
  expect(found.map(({ id }) => id).toSorted()).toEqual(expected.map(({ facts }) => facts.callId).toSorted())
  expect(found.reduce((sum, { total_cost }) => sum + total_cost.nanoUsd, 0n)).toBe(sumOf(expected).costNanoUsd)
}

/** One user, and one thread, by its path. */
async function checkSubject(
  gateway: Gateway<ManualClock>,
  name: 'user' | 'thread',
  query: URLSearchParams,
  within: readonly Entry[],
): Promise<void> {
  const value = within.map(({ facts }) => facts.caller[name]).find((some) => some !== null)
  if (value === undefined || value === null || query.has(name)) return
  const expected = sumOf(within.filter(({ facts }) => facts.caller[name] === value))
  const path = `/token-usage/${name}/${encodeURIComponent(value)}?${query}`
  checkStatistics((await ask(gateway, path)).body, expected)
  await checkCsv(gateway, path, expected)
}
