// kill -9 at random moments under load: the upstream's own log says what was sent, and all of it is in the ledger.

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { setTimeout as sleep } from 'node:timers/promises'
import { beforeEach, expect, it, onTestFinished } from 'vitest'
import { decodedSql } from '../../src/stores/sqlite/compact-values.ts'
import {
  costOfUsage,
  DIALECT_NAMES,
  type DialectName,
  eventsOf,
  PRICE,
  type ReportedUsage,
  requestFor,
  wholeAnswer,
} from '../call/dialect-fixtures.ts'
import { Random, SEED } from '../call/random.ts'
import { ADMIN_KEY } from '../support/client-and-ledger.ts'
import { useProvider } from '../support/gateway.ts'
import type { FakeProvider, ProviderRequest } from '../support/provider.ts'
import { waitFor } from '../support/waiting.ts'
import { GatewayProcess } from './child.ts'

const KILL_COUNT = 50
const CALLER_COUNT = 6
const LIMIT_USD = 40
const FIT = 37

let folder: string
let provider: FakeProvider
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'bursar-kill-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  provider = await useProvider()
})

const env = () => ({
  ...provider.env,
  DATABASE_URL: `sqlite:${join(folder, 'ledger.db')}`,
  CONFIG_FILE: join(import.meta.dirname, 'priced.json'),
  MAX_REQUESTS_PER_MINUTE: '',
  MAX_TOKENS_PER_MINUTE: '',
  MAX_COST_PER_REQUEST: '',
  DAILY_SPENDING_LIMIT: String(LIMIT_USD),
})

it('kill -9, fifty times: every call that was sent is in the ledger once, and no budget comes back', async () => {
  console.info(`SEED=${SEED}`)
  const random = new Random(SEED)
  const truths = new Map<string, ReportedUsage>()
  provider.says((call) => answerAtRandom(call, truths, random))
  let gateway: GatewayProcess | undefined
  let running = true
  let made = 0
  const caller = async () => {
    while (running) {
      const target = gateway
      // Real time, here and below: kills come while processes, sockets and disks are at work.
      if (!target) await sleep(5)
      else await callOnce(target, `call-${made++}`, random).catch(() => sleep(2))
    }
  }
  const callers = Array.from({ length: CALLER_COUNT }, caller)
  let spentUsd = 0
  try {
    for (let kill = 0; kill < KILL_COUNT; kill++) {
      const next = await GatewayProcess.start(env())
      const stats = await next.page<{ total_cost: number; reserved_now: { requests: number } }>('/llm/stats')
      // Everything that was sent so far is settled, at no less than the truth, and at no less than before.
      expect(stats.reserved_now.requests).toBe(0)
      expect(Math.round(stats.total_cost * 1e9)).toBeGreaterThanOrEqual(Number(sumOf([...truths.values()])))
      expect(stats.total_cost).toBeGreaterThanOrEqual(spentUsd)
      spentUsd = stats.total_cost
      gateway = next
      await sleep(random.between(0, 350))
      gateway = undefined
      await next.kill('SIGKILL')
    }
  } finally {
    running = false
    await Promise.all(callers)
  }
  const last = await GatewayProcess.start(env())
  const stats = await last.page<{ total_cost: number; total_requests: number }>('/llm/stats')
  const { limits } = await last.page<{ limits: { limit: string; settled: number; reserved: number }[] }>('/llm/limits')
  expect(await last.kill('SIGTERM')).toEqual({ code: 0, signal: null })

  const rows = ledger()
  expect(truths.size).toBeGreaterThan(KILL_COUNT)
  const byTask = Map.groupBy(rows, (row) => String(row.task))
  for (const [task, truth] of truths) {
    const found = byTask.get(task) ?? []
    expect(found, `${task} of SEED=${SEED}`).toHaveLength(1)
    const cost = BigInt(Number(found[0]?.cost))
    expect(['exact', 'upperBound']).toContain(found[0]?.certainty)
    expect(cost, task).toBeGreaterThanOrEqual(costOfUsage(truth))
  }
  expect(rows.filter((row) => row.settled_seq === null)).toHaveLength(0)
  const settledNanoUsd = rows.reduce((sum, row) => sum + Number(row.cost), 0)
  expect([stats.total_requests, Math.round(stats.total_cost * 1e9)]).toEqual([rows.length, settledNanoUsd])
  expect(settledNanoUsd / 1e9).toBeLessThanOrEqual(LIMIT_USD)
  // Unless midnight came in between, the day's meter says the same.
  const today = new Date().toISOString().slice(0, 10)
  if (rows.every((row) => row.day === today))
    expect(limits.find(({ limit }) => limit === 'daily_spending_limit')).toMatchObject({
      settled: settledNanoUsd / 1e9,
      reserved: 0,
    })
  // Kills came in every state of a call, or this has tested nothing.
  expect(new Set(rows.map((row) => row.ending))).toContain('expired')
  expect(new Set(rows.map((row) => row.certainty))).toContain('exact')
}, 300_000)

it('a killed gateway that had spent all its budget has none left when it is back', async () => {
  provider.says(
    ({ dialect, response }) => void response.writeHead(200).end(wholeAnswer(dialect, { input: 1, output: 1_000 })),
  )
  const tight = { ...env(), DAILY_SPENDING_LIMIT: '0.009' }
  const first = await GatewayProcess.start(tight)
  let spent = 0
  while (spent < 20 && (await callOnce(first, 'one', new Random(1), 1_000)) === 200) spent++
  expect(spent).toBe(4)
  await first.kill('SIGKILL')
  const second = await GatewayProcess.start(tight)
  expect(await callOnce(second, 'two', new Random(1), 1_000)).toBe(429)
  await second.kill('SIGKILL')
})

it('200 calls at once against nested budgets: as many are sent as the parent has room for, and a kill gives nothing back', async () => {
  provider.says(() => {})
  const first = await GatewayProcess.start({ ...env(), DAILY_SPENDING_LIMIT: '' })
  const admin = { authorization: `Bearer ${ADMIN_KEY}`, 'content-type': 'application/json' }
  const write = async (method: string, path: string, body: object) => {
    const response = await fetch(first.url + path, { method, headers: admin, body: JSON.stringify(body) })
    expect(response.ok, path).toBe(true)
    return response.json() as Promise<{ key: string }>
  }
  const { key } = await write('POST', '/admin/keys', { name: 'CI', organisation: 'acme', project: 'web' })
  const within = { 'x-bursar-user': 'u', 'x-bursar-agent': 'a', 'x-bursar-task': 't' }
  const headers = { authorization: `Bearer ${key}`, 'content-type': 'application/json', ...within }
  const { path, body } = requestFor('openai', { model: PRICE.model, cap: 100 })
  const estimate = await fetch(`${first.url}/llm/estimate`, { method: 'POST', headers, body })
  const { cost_usd: worstUsd } = (await estimate.json()) as { cost_usd: number }
  const worstNanoUsd = Math.round(worstUsd * 1e9)
  // A nano-dollar is missing for a call more than fit.
  const budget = (calls: number) => ({ costPerDay: `0.${String((calls + 1) * worstNanoUsd - 1).padStart(9, '0')}` })
  const children = ['project:web', 'key:ci', 'user:ci/u', 'agent:ci/a', 'task:ci/t']
  await write('PUT', '/admin/limits/organisation:acme', { ...budget(FIT), requestsPerDay: FIT })
  for (const child of children)
    await write('PUT', `/admin/limits/${encodeURIComponent(child)}`, { ...budget(3 * FIT), requestsPerDay: 3 * FIT })
  const ask = (gateway: GatewayProcess) =>
    fetch(gateway.url + path, { method: 'POST', headers, body }).then(({ status }) => status)
  let refused = 0
  const calls = Array.from({ length: 200 }, () =>
    ask(first).then(
      (status) => (refused += status === 429 ? 1 : 0),
      () => 0,
    ),
  )
  await waitFor(() => provider.received.length + refused === calls.length)
  expect(provider.received).toHaveLength(FIT)
  await first.kill('SIGKILL')
  await Promise.all(calls)
  const second = await GatewayProcess.start({ ...env(), DAILY_SPENDING_LIMIT: '' })
  expect(await ask(second)).toBe(429)
  const levels = await fetch(`${second.url}/llm/limits?user=u&agent=a&task=t`, { headers })
  const { limits } = (await levels.json()) as { limits: { unit: string; settled: number; reserved: number }[] }
  expect(limits).toHaveLength(2 * (children.length + 1))
  for (const { unit, settled, reserved } of limits) {
    expect([unit, Math.round((settled + reserved) * 1e9)]).toEqual([
      unit,
      unit === 'usd' ? FIT * worstNanoUsd : FIT * 1e9,
    ])
  }
  await second.kill('SIGKILL')
})

it('a second gateway on the same ledger refuses to start, and the first goes on', async () => {
  provider.says((call) => answerAtRandom(call, new Map(), new Random(1)))
  const first = await GatewayProcess.start(env())
  const second = GatewayProcess.run(env())
  expect(await second.exit).toEqual({ code: 1, signal: null })
  expect(second.stderr).toMatch(/in use by another process/)
  expect((await fetch(`${first.url}/readyz`)).status).toBe(200)
  await first.kill('SIGKILL')
  // Once it is gone, however it went, the ledger is free.
  const third = await GatewayProcess.start(env())
  expect(await third.kill('SIGTERM')).toEqual({ code: 0, signal: null })
})

/** Answers now, later, in pieces, or not at all. The usage is decided at once, whether it is reported or not. */
async function answerAtRandom(
  call: ProviderRequest,
  truths: Map<string, ReportedUsage>,
  random: Random,
): Promise<void> {
  const { dialect, response, headers } = call
  const usage = { input: random.between(1, 30), output: random.between(1, 50) }
  truths.set(String(headers['x-test-task']), usage)
  const stream = call.path.includes('stream') || call.body.includes('"stream":true')
  await sleep(random.between(0, 40))
  if (random.chance(0.05)) response.destroy()
  else if (!stream) response.writeHead(200, { 'content-type': 'application/json' }).end(wholeAnswer(dialect, usage))
  else {
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    for (const event of eventsOf(dialect, usage)) {
      response.write(event)
      await sleep(random.between(0, 10))
    }
    response.end()
  }
}

async function callOnce(
  gateway: GatewayProcess,
  task: string,
  random: Random,
  cap = random.between(50, 200),
): Promise<number> {
  const dialect: DialectName = random.oneOf(DIALECT_NAMES)
  const { path, body } = requestFor(dialect, { model: PRICE.model, cap, stream: cap < 200 && random.chance(0.5) })
  const headers = { 'content-type': 'application/json', 'x-bursar-task': task, 'x-test-task': task }
  const answer = await fetch(gateway.url + path, { method: 'POST', body, headers })
  await answer.arrayBuffer()
  return answer.status
}

function ledger() {
  const db = new DatabaseSync(join(folder, 'ledger.db'), { readOnly: true })
  const rows = db
    .prepare(`SELECT task, settled_seq, ${decodedSql('ending')} AS ending, ${decodedSql('certainty')} AS certainty,
      cost_nano_usd AS cost, iif(day = '', date(reserved_at_ms / 1000, 'unixepoch'), day) AS day FROM entry`)
    .all()
  db.close()
  return rows
}

function sumOf(truths: readonly ReportedUsage[]): bigint {
  return truths.map(costOfUsage).reduce((sum, cost) => sum + cost, 0n)
}
