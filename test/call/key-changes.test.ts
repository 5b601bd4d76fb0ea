// Keys that change while their calls run: no call passes the limit in force, and none sees one half of a change.

import { join } from 'node:path'
import { setImmediate as turn } from 'node:timers/promises'
import { expect, it } from 'vitest'
import { temporaryFolder } from '../stores/folder.ts'
import { ADMIN_KEY, type LevelJson } from '../support/client-and-ledger.ts'
import { ManualClock } from '../support/clocks.ts'
import { answerWhole, type GatewayFixture, useGateway } from '../support/gateway.ts'
import { holding, type KeyJson, KeyOperator } from '../support/keys.ts'
import type { ProviderRequest } from '../support/provider.ts'
import { turns } from '../support/waiting.ts'
import { PRICE, requestFor } from './dialect-fixtures.ts'

const CHANGES = 1_000
const WORKERS = 24
const MAX_IN_FLIGHT = 8
/** A call with the large cap does not fit into the small limit. */
const CAPS = { small: 10, large: 5_000 }
const COSTS_PER_CALL = { small: '0.001', large: '1' }
/** A key may use one of the two models, each with a limit of its own. */
const RECORDS = [
  { models: ['openai/m'], costPerCall: COSTS_PER_CALL.small },
  { models: ['openai/n'], costPerCall: COSTS_PER_CALL.large },
] as const

async function open() {
  const clock = new ManualClock()
  const path = join(temporaryFolder(), 'ledger.db')
  const config = { prices: [PRICE, { ...PRICE, model: 'n' }] }
  const gateway = await useGateway({ clock, timers: clock, config, path })
  return { gateway, operator: new KeyOperator(gateway) }
}

async function setsLimits(gateway: GatewayFixture, subject: string, limits: object, method = 'PUT') {
  const response = await gateway.client.fetch('in process', `/admin/limits/${encodeURIComponent(subject)}`, {
    method,
    headers: { authorization: `Bearer ${ADMIN_KEY}`, 'content-type': 'application/json' },
    body: JSON.stringify(limits),
  })
  expect(response.status).toBe(200)
}

/** A body that comes once `sent` resolves. */
function lateBody(text: string, sent: Promise<unknown>) {
  const body = new ReadableStream({
    async pull(controller) {
      await sent
      controller.enqueue(Buffer.from(text))
      controller.close()
    },
  })
  return { body, duplex: 'half' as const }
}

it('1,000 changes under load: no call passes the limit in force, none fails, and none sees half a change', async () => {
  const { gateway, operator } = await open()
  const { provider } = gateway
  const inFlightBy = [MAX_IN_FLIGHT]
  const ci = await operator.makes({ name: 'CI', models: RECORDS[0].models, limits: { inFlight: MAX_IN_FLIGHT } })
  await operator.changes('ci', { limits: { costPerCall: RECORDS[0].costPerCall } })
  const held: ProviderRequest[] = []
  const wrong: string[] = []
  const firstChangeOf = new Map<string, number>()
  let answered = 0
  provider.says((request) => {
    const call = String(request.headers['x-test-call'])
    const allowed = Math.max(...inFlightBy.slice(firstChangeOf.get(call)))
    if (held.push(request) > allowed) wrong.push(`${held.length} calls in flight, and ${allowed} were allowed`)
    if (call.startsWith('m large')) wrong.push('a call by the models of one record and the limits of the other')
  })
  const changes = async () => {
    for (let index = 1; index <= CHANGES; index++) {
      const inFlight = 1 + ((index * 5) % MAX_IN_FLIGHT)
      const { models, costPerCall } = RECORDS[index % 2] ?? RECORDS[0]
      inFlightBy.push(inFlight)
      if (index % 3 === 2) await setsLimits(gateway, 'key:ci', { inFlight }, 'PATCH')
      else {
        // Windows come and go: their calls wait until these have started from the ledger.
        const costPerDay = index % 5 === 0 ? '100' : null
        await operator.changes('ci', { models, limits: { inFlight, costPerCall, costPerDay } })
      }
      answered = index
      for (const request of held.splice(0, held.length / 2)) answerWhole(request, { input: 20, output: 10 })
      await turn()
    }
  }
  const statuses = new Map<string, number>()
  let isOver = false
  const worker = async (_: unknown, index: number) => {
    for (let count = 0; !isOver; count++) {
      const [model, size] = (
        [
          ['m', 'small'],
          ['m', 'large'],
          ['n', 'large'],
        ] as const
      )[(index + count) % 3] ?? ['m', 'small']
      const call = `${model} ${size} ${index}/${count}`
      firstChangeOf.set(call, answered)
      const { body } = requestFor('openai', { model: `openai/${model}`, cap: CAPS[size] })
      const isLate = count % 2 === 0
      const response = await gateway.client.asks(
        'openai',
        {},
        {
          ...holding(ci, { 'x-test-call': call }),
          ...(isLate ? lateBody(body, turns(index % 7)) : { body }),
        },
      )
      const text = await response.text()
      const outcome = `${model} ${size} ${response.status}${text.includes('costPerCall') ? ' costPerCall' : ''}`
      statuses.set(outcome, (statuses.get(outcome) ?? 0) + 1)
      await turn()
    }
  }
  const workers = Array.from({ length: WORKERS }, worker)
  await changes()
  isOver = true
  provider.says((request) => answerWhole(request, { input: 20, output: 10 }))
  for (const request of held) answerWhole(request, { input: 20, output: 10 })
  await Promise.all(workers)
  expect(wrong).toEqual([])
  // A refusal for the cost of a call belongs to the record that does not permit the other model.
  expect([...statuses.keys()].filter((outcome) => !/ (200|403|429)$|^m large 429 costPerCall$/.test(outcome))).toEqual(
    [],
  )
  expect([...statuses.keys()]).toEqual(
    expect.arrayContaining(['m small 200', 'm small 403', 'm large 429 costPerCall', 'n large 200', 'n large 403']),
  )
  // A window counts no less than the ledger: calls that were in flight when it started count as what they had reserved.
  await operator.changes('ci', { limits: { costPerDay: '100' } })
  const { total_cost: cost } = await (await gateway.client.fetch('in process', '/llm/stats', holding(ci))).json()
  const page = await gateway.client.fetch('in process', '/llm/limits', holding(ci))
  const { limits } = (await page.json()) as { limits: LevelJson[] }
  const level = limits.find(({ limit }) => limit === 'daily_spending_limit')
  expect(level).toMatchObject({ subject: 'key:ci', reserved: 0 })
  expect(level?.settled).toBeGreaterThanOrEqual(cost)
})

it.each([
  ['models', { models: ['openai/*'] }, { models: ['openai/n'] }, 403],
  ['limits, which are stricter', { limits: { costPerCall: '1' } }, { limits: { costPerCall: '0.001' } }, 429],
  ['limits, which are wider', { limits: { costPerCall: '0.001' } }, { limits: { costPerCall: '1' } }, 200],
  ['secret', {}, undefined, 401],
] as const)(
  'a call whose body comes after a change of its key is decided by the key’s new %s',
  async (_, before, after, status) => {
    const { gateway, operator } = await open()
    const ci = await operator.makes({ name: 'CI', ...before })
    await (await gateway.client.asks('openai', { cap: 1 }, holding(ci))).text()
    const { promise: sent, resolve: send } = Promise.withResolvers<void>()
    const { body } = requestFor('openai', { cap: CAPS.large })
    const response = gateway.client.asks('openai', {}, { ...holding(ci), ...lateBody(body, sent) })
    await turns()
    await (after ? operator.changes('ci', after) : operator.rotates('ci'))
    send()
    expect((await response).status).toBe(status)
  },
)

it('a hundred changes of one key at the same time are all made', async () => {
  const { gateway, operator } = await open()
  await operator.makes({ name: 'CI', limits: { costPerDay: '1' } })
  await Promise.all(
    Array.from({ length: 100 }, (_, index) =>
      index % 2 === 0
        ? operator.changes('ci', { metadata: { [`change-${index}`]: index } })
        : setsLimits(gateway, 'key:ci', { requestsPerDay: index, costPerMonth: index }, 'PATCH'),
    ),
  )
  const { body } = await operator.asks<KeyJson>('GET', '/ci')
  expect(Object.keys(body.metadata as object)).toHaveLength(50)
  expect(body.limits).toEqual({ costPerDay: '1', requestsPerDay: 99, costPerMonth: 99 })
})
