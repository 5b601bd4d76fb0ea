// Exports and recommendations over HTTP: they are of the ledger, each viewer's own part of it, and hostile names stay text.

import { parse } from 'csv-parse/sync'
import { describe, expect, it } from 'vitest'
import { PRICE } from '../call/dialect-fixtures.ts'
import { ADMIN_KEY } from '../support/client-and-ledger.ts'
import { ManualClock } from '../support/clocks.ts'
import { type GatewayFixture, useGateway } from '../support/gateway.ts'

const ALICE = 'alice-secret-alice'
const BOB = 'bob-secret-bob-bob'
const KEYS = { BURSAR_KEYS: `alice:${ALICE},bob:${BOB}` }

type Row = Readonly<Record<string, string>>

const send = async (gateway: GatewayFixture, path: string, secret: string, body?: unknown) => {
  const headers = { authorization: `Bearer ${secret}`, 'content-type': 'application/json' }
  const init = body === undefined ? { headers } : { headers, method: 'POST', body: JSON.stringify(body) }
  return gateway.client.fetch('in process', path, init)
}

const track = async (gateway: GatewayFixture, secret: string, calls: readonly object[]) => {
  const answer = await send(gateway, '/token-usage/track', secret, calls)
  expect([answer.status, await answer.json()]).toMatchObject([200, { tracked: calls.length }])
}

async function exported(gateway: GatewayFixture, query: string, secret = ADMIN_KEY) {
  const answer = await send(gateway, `/token-usage/export${query}`, secret)
  const text = await answer.text()
  return { answer, text, rows: answer.ok ? (parse(text, { columns: true }) as Row[]) : [] }
}

const CALL = { timestamp: '2026-11-22T11:00:00Z', model: 'openai/m', input_tokens: 1_000, output_tokens: 100 }
const nanoUsd = (rows: readonly Row[], column: string) =>
  rows.reduce((sum, row) => sum + Math.round(Number(row[column]) * 1e9), 0)

/** Calls of two keys on two days, one that the gateway made itself, and a correction. */
async function openWithCalls() {
  const gateway = await useGateway({ clock: new ManualClock(), config: { prices: [PRICE] }, env: KEYS })
  await track(gateway, ALICE, [
    { ...CALL, id: 'a', cache_read_tokens: 400 },
    { ...CALL, id: 'b', timestamp: '2026-11-21T23:59:59Z', user_id: '=cmd()', thread_id: '",""' },
    { ...CALL, id: 'c', model: 'openai/unheard-of', total_cost: '0.000000007' },
  ])
  await track(gateway, BOB, [{ ...CALL, id: 'a' }])
  const headers = { authorization: `Bearer ${ALICE}` }
  await (await gateway.client.asks('openai', { cap: 10 }, { headers })).text()
  await gateway.ledger.holds(5)
  const correction = { call_id: 'bob/a', cost_usd: '0.5', reason: 'invoice' }
  expect((await send(gateway, '/admin/adjustments', ADMIN_KEY, correction)).status).toBe(200)
  return gateway
}

describe('an export', () => {
  it('in FOCUS has the cost of the ledger to the nano-dollar, and each class of tokens in a row', async () => {
    const gateway = await openWithCalls()
    const { answer, rows } = await exported(gateway, '?format=focus&days=2')
    expect(answer.headers.get('content-type')).toContain('text/csv')
    expect(answer.headers.get('x-bursar-focus-version')).toBe('1.0')
    const { total_cost } = await gateway.client.asksOwner<{ total_cost: number }>('/llm/stats')
    expect(nanoUsd(rows, 'BilledCost')).toBe(Math.round(total_cost * 1e9))
    const brief = rows.map((row) => [
      row.ChargePeriodStart?.slice(0, 10),
      row.x_Key,
      row.x_Model,
      row.x_UnitClass,
      row.ConsumedQuantity,
      row.BilledCost,
    ])
    expect(brief).toEqual([
      ['2026-11-22', 'alice', 'openai/m', 'cache_read', '400', '0.0004'],
      // A tracked call, and one of the gateway with 20 tokens in and 10 out.
      ['2026-11-22', 'alice', 'openai/m', 'input', '620', '0.00062'],
      ['2026-11-22', 'alice', 'openai/m', 'output', '110', '0.00022'],
      ['2026-11-22', 'alice', 'openai/unheard-of', 'input', '1000', '0.000000007'],
      ['2026-11-22', 'alice', 'openai/unheard-of', 'output', '100', '0'],
      ['2026-11-22', 'bob', 'openai/m', 'input', '1000', '0.001'],
      ['2026-11-22', 'bob', 'openai/m', 'output', '100', '0.0002'],
      ['2026-11-22', 'bob', 'openai/m', '', '', '0.4988'],
      ['2026-11-21', 'alice', 'openai/m', 'input', '1000', '0.001'],
      ['2026-11-21', 'alice', 'openai/m', 'output', '100', '0.0002'],
    ])
  })

  it('by the hour has the same sum', async () => {
    const gateway = await openWithCalls()
    const [day, hour] = [await exported(gateway, '?days=2'), await exported(gateway, '?days=2&granularity=hour')]
    expect(nanoUsd(hour.rows, 'BilledCost')).toBe(nanoUsd(day.rows, 'BilledCost'))
    expect(new Set(hour.rows.map((row) => row.ChargePeriodStart))).toEqual(
      new Set(['2026-11-22T12:00:00Z', '2026-11-22T11:00:00Z', '2026-11-21T23:00:00Z']),
    )
  })

  it('of records has a row for each call, and hostile names are text', async () => {
    const gateway = await openWithCalls()
    const { rows, text } = await exported(gateway, '?format=csv&days=2')
    expect(rows).toHaveLength(6)
    expect(rows.find(({ id }) => id === 'alice/b')).toMatchObject({ user_id: "'=cmd()", thread_id: '",""' })
    expect(text).not.toMatch(/(^|,|")[=+@]/m)
    const { total_cost } = await gateway.client.asksOwner<{ total_cost: number }>('/llm/stats')
    expect(nanoUsd(rows, 'total_cost')).toBe(Math.round(total_cost * 1e9))
  })

  it('shows a key its own calls alone', async () => {
    const gateway = await openWithCalls()
    for (const format of ['focus', 'csv']) {
      const { text } = await exported(gateway, `?format=${format}&days=2`, BOB)
      expect(text).toContain('bob')
      expect(text).not.toContain('alice')
      expect((await exported(gateway, `?format=${format}&key=alice`, BOB)).answer.status).toBe(403)
      expect((await exported(gateway, `?format=${format}&user=%3Dcmd()`, BOB)).rows).toEqual([])
      expect((await exported(gateway, `?format=${format}`, 'wrong-secret-wrong')).answer.status).toBe(401)
    }
  })

  it.each(['?format=xml', '?granularity=minute', '?tz=Nowhere', '?days=0', '?limit=1'])(
    'with %s is refused, with the parameter',
    async (query) => {
      const gateway = await useGateway({ config: { prices: [PRICE] } })
      const { answer, text } = await exported(gateway, query)
      expect([answer.status, JSON.parse(text).error.param]).toEqual([400, /\?(\w+)/.exec(query)?.[1]])
    },
  )
})

describe('recommendations', () => {
  interface Answer {
    readonly sampled_calls: number
    readonly recommendations: readonly {
      readonly kind: string
      readonly model: string
      readonly caller: unknown
      readonly saving: number
      readonly explanation: string
    }[]
  }
  const askFor = async (gateway: GatewayFixture, query = '', secret = ADMIN_KEY) =>
    (await (await send(gateway, `/token-usage/recommendations${query}`, secret)).json()) as Answer

  it('have the arithmetic of the calls in the ledger', async () => {
    const gateway = await useGateway({ clock: new ManualClock(), env: KEYS })
    const gpt = { ...CALL, model: 'openai/gpt-4o', input_tokens: 2_000, output_tokens: 1_000 }
    // A call costs 2,000 × $2.5 + 1,000 × $10 for a million = $0.015.
    await track(
      gateway,
      ALICE,
      Array.from({ length: 10 }, (_, index) => ({ ...gpt, id: `a${index}` })),
    )
    const { recommendations, sampled_calls } = await askFor(gateway)
    expect(sampled_calls).toBe(10)
    expect(recommendations.find(({ kind }) => kind === 'batch')).toMatchObject({
      model: 'openai/gpt-4o',
      total_requests: 10,
      arithmetic: [
        { class: 'input', tokens: 20_000, rate_now: 2.5, rate_then: 1.25 },
        { class: 'output', tokens: 10_000, rate_now: 10, rate_then: 5 },
      ],
      explanation:
        '20000 input × $2.5 + 10000 output × $10 for a million = $0.15 now; 20000 input × $1.25 + 10000 output × $5 = $0.075 then.',
      cost_booked: 0.15,
      cost_now: 0.15,
      cost_then: 0.075,
      saving: 0.075,
    })
    expect(recommendations.find(({ kind }) => kind === 'caching')).toMatchObject({ saving: 0.025, is_bound: true })
    const savings = recommendations.map(({ saving }) => saving)
    expect(savings).toEqual(savings.toSorted((left, right) => right - left))
  })

  it('are of the viewer’s own calls, and of the period', async () => {
    const gateway = await useGateway({ clock: new ManualClock(), env: KEYS })
    const gpt = { ...CALL, model: 'openai/gpt-4o' }
    await track(gateway, ALICE, [{ ...gpt, id: 'a', timestamp: '2026-11-20T11:00:00Z' }])
    await track(gateway, BOB, [{ ...gpt, id: 'b', model: 'openai/gpt-4.1' }])
    const models = async (query: string, secret = ADMIN_KEY) =>
      new Set((await askFor(gateway, query, secret)).recommendations.map(({ model }) => model))
    expect(await models('')).toEqual(new Set(['openai/gpt-4o', 'openai/gpt-4.1']))
    expect(await models('?days=1')).toEqual(new Set(['openai/gpt-4.1']))
    expect(await models('', BOB)).toEqual(new Set(['openai/gpt-4.1']))
    expect((await send(gateway, '/token-usage/recommendations?key=alice', BOB)).status).toBe(403)
  })
})
