// Costs above their reservation: settled in full, counted by model and reason, logged, shown, and quoted for from then on.

import { describe, expect, it } from 'vitest'
import { QuoteOverruns } from '../../src/core/quote-overruns.ts'
import { usageOf } from '../../src/core/usage.ts'
import { overrunsJson } from '../../src/http/views.ts'
import { factsOf, outcomeOf } from '../stores/calls.ts'
import { TRANSPORTS, type Transport } from '../support/client-and-ledger.ts'
import { type GatewayFixtureOptions, useGateway } from '../support/gateway.ts'
import {
  costOfUsage,
  DIALECT_NAMES,
  type DialectName,
  PRICE,
  type ReportedUsage,
  type RequestOptions,
  wholeAnswer,
} from './dialect-fixtures.ts'
import { LIMITED_CONFIG, nanoUsd, readSettled } from './settlement-checks.ts'

const EXPENSIVE = { ...PRICE, model: 'd', input: '100', output: '200' }
const FREE = { ...PRICE, model: 'free', input: '0', output: '0' }
const CONFIG = { ...LIMITED_CONFIG, prices: [PRICE, EXPENSIVE, FREE] }
/** All of the window and the longest answer. */
const MAX_COST_NANO_USD = costOfUsage({ input: PRICE.contextWindow, output: PRICE.maxOutput })

interface Answer {
  readonly usage: ReportedUsage
  readonly model?: string
}

/** A gateway whose provider gives the answers of `call`. */
async function open(options: GatewayFixtureOptions = {}) {
  const answers: Answer[] = []
  const gateway = await useGateway({
    config: CONFIG,
    respond: ({ dialect, response }) => {
      const { usage, model = 'm' } = answers.shift() ?? { usage: { input: 1, output: 1 } }
      const body = wholeAnswer(dialect, usage).replace(/"(model|modelVersion)":"m"/, `"$1":"${model}"`)
      response.writeHead(200, { 'content-type': 'application/json' }).end(body)
    },
    ...options,
  })
  let calls = 0
  return {
    gateway,
    /** One call; its entry, once it is settled. */
    async call(
      dialect: DialectName,
      answer: Answer,
      transport: Transport = 'in process',
      wanted: RequestOptions = { cap: 10 },
    ) {
      answers.push(answer)
      const response = await gateway.client.asks(dialect, wanted, {}, transport)
      expect(response.status).toBe(200)
      await response.text()
      const [entry] = await gateway.ledger.holds(++calls)
      if (!entry?.outcome) throw new Error('there is no entry')
      return { reserved: entry.facts.reservedCostNanoUsd, cost: entry.outcome.cost.totalNanoUsd }
    },
  }
}

interface OverrunsJson {
  readonly cost_over_quote: Readonly<Record<string, number>>
  readonly quote_exceeded: readonly {
    readonly provider: string
    readonly model: string
    readonly input: number
    readonly output: number
    readonly price: number
    readonly factor: number
  }[]
}

const percentageOf = (cost: bigint, percent: bigint) => (cost * percent + 99n) / 100n
const percentOf = (cost: bigint, quoted: bigint) => (cost * 100n + quoted - 1n) / quoted

describe.each(
  TRANSPORTS.flatMap((transport) => DIALECT_NAMES.map((dialect): [Transport, DialectName] => [transport, dialect])),
)('%s, %s:', (transport, dialect) => {
  it('is settled in full, counted, logged and shown, and the model is quoted higher', async () => {
    const { gateway, call } = await open()
    const usage = { input: 5_000, output: 7 }
    const first = await call(dialect, { usage }, transport)
    expect(first.cost).toBe(costOfUsage(usage))
    expect(first.cost).toBeGreaterThan(first.reserved)
    expect((await readSettled(gateway)).levels.costNanoUsd).toBe(first.cost)
    const percent = percentOf(first.cost, first.reserved)
    const shown = await gateway.client.asksOwner<OverrunsJson>('/llm/status')
    expect(shown.cost_over_quote).toEqual({ m: 1 })
    expect(shown.quote_exceeded).toEqual([
      { provider: dialect, model: 'm', input: 1, output: 0, price: 0, factor: Number(percent) / 100 },
    ])
    const line = gateway.log.find((text) => text.includes('cost more than its quote')) ?? '{}'
    expect(JSON.parse(line)).toMatchObject({ level: 40, provider: dialect, model: 'm', reason: 'input' })

    const second = await call(dialect, { usage }, transport)
    expect(second.reserved).toBe(percentageOf(first.reserved, percent))
    expect(second.reserved).toBeGreaterThanOrEqual(second.cost)
    expect((await gateway.client.asksOwner<OverrunsJson>('/llm/status')).cost_over_quote).toEqual({ m: 1 })
    expect((await call(dialect, { usage: { input: 1, output: 1 } }, transport, { model: 'd', cap: 10 })).reserved).toBe(
      first.reserved * 100n,
    )
  })
})

it('the largest excess counts, each measured against the quote as it was', async () => {
  const { gateway, call } = await open()
  const { reserved, cost } = await call('openai', { usage: { input: 1_000, output: 1 } })
  const larger = await call('openai', { usage: { input: 9_000, output: 1 } })
  const less = await call('openai', { usage: { input: 2_000, output: 1 } })
  expect(larger.reserved).toBe(percentageOf(reserved, percentOf(cost, reserved)))
  const percent = percentOf(larger.cost, reserved)
  expect(less.reserved).toBe(percentageOf(reserved, percent))
  const { quote_exceeded } = await gateway.client.asksOwner<OverrunsJson>('/llm/status')
  expect(quote_exceeded).toMatchObject([{ input: 2, factor: Number(percent) / 100 }])
})

it.each<['input' | 'output' | 'price', Answer]>([
  ['input', { usage: { input: 3_000, output: 1 } }],
  ['output', { usage: { input: 1, output: 900 } }],
  ['price', { usage: { input: 20, output: 9 }, model: 'd' }],
])('what was more than quoted is named: %s', async (reason, answer) => {
  const { gateway, call } = await open()
  await call('openai', answer)
  const { quote_exceeded } = await gateway.client.asksOwner<OverrunsJson>('/llm/status')
  expect(quote_exceeded).toMatchObject([{ input: 0, output: 0, price: 0, [reason]: 1 }])
})

it('no quote is raised above the most that a call can cost', async () => {
  const { call } = await open({ config: { ...CONFIG, limits: {} } })
  await call('openai', { usage: { input: 9 * PRICE.contextWindow, output: 1 } })
  expect((await call('openai', { usage: { input: 1, output: 1 } })).reserved).toBe(MAX_COST_NANO_USD)
})

it('a quote of nothing stays one', async () => {
  const { gateway, call } = await open()
  const free = await call('openai', { usage: { input: 1, output: 1 }, model: 'd' }, 'in process', {
    model: 'free',
    cap: 10,
  })
  expect([free.reserved, free.cost]).toEqual([0n, costOfUsage({ input: 1, output: 1 }) * 100n])
  expect(await gateway.client.asksOwner<OverrunsJson>('/llm/status')).toMatchObject({
    quote_exceeded: [{ price: 1, factor: 1 }],
  })
  expect(
    (await call('openai', { usage: { input: 1, output: 1 } }, 'in process', { model: 'free', cap: 10 })).reserved,
  ).toBe(0n)
})

it('limits on money count with it: a cap of ours is smaller, and what does not fit any more is refused', async () => {
  const { gateway, call } = await open({ env: { MAX_COST_PER_REQUEST: '0.004' }, config: { ...CONFIG, limits: {} } })
  const ceiling = nanoUsd(0.004)
  const before = await call('openai', { usage: { input: 700, output: 1 } }, 'in process', {})
  await call('openai', { usage: { input: 1_000, output: 1 } })
  const after = await call('openai', { usage: { input: 1, output: 1 } }, 'in process', {})
  for (const { reserved } of [before, after]) {
    expect(reserved).toBeLessThanOrEqual(ceiling)
    expect(reserved).toBeGreaterThan((ceiling * 95n) / 100n)
  }
  const [entry, , first] = await gateway.ledger.entries()
  expect(entry?.facts.capInjected).toBeLessThan(first?.facts.capInjected ?? 0)
  const refused = await gateway.client.asks('openai', { cap: 1_500 })
  expect(refused.status).toBe(429)
  const { error } = (await refused.json()) as { error: { details: { fitting_max_output_tokens: number } } }
  const fitting = error.details.fitting_max_output_tokens
  expect((await gateway.client.asks('openai', { cap: fitting })).status).toBe(200)
  expect((await gateway.client.asks('openai', { cap: fitting + 2 })).status).toBe(429)
})

describe('of all models', () => {
  const quote = {
    inputTokens: 10,
    outputTokens: 10,
    tokens: 5,
    costNanoUsd: 100n,
    price: undefined,
    contextWindow: 128_000,
    injectedCap: null,
  }
  const outcome = outcomeOf(3, 250n, { usage: usageOf({ input: 11, output: 11 }) })
  const facts = (model: string, simulated = false) =>
    factsOf('c', { model, simulated, provider: simulated ? 'simulated' : 'openai', reservedCostNanoUsd: 100n })

  it('those that are simulated stay apart from real ones', () => {
    const excesses = new QuoteOverruns()
    expect(excesses.add(facts('m', true), outcome, quote, true)).toBe('input')
    expect([excesses.percent('simulated', 'm', true), excesses.percent('openai', 'm', true)]).toEqual([250, 100])
    expect(overrunsJson(excesses.models())).toEqual({ cost_over_quote: {}, quote_exceeded: [] })
  })

  it('calls without an upper bound say nothing about calls without hosted tools', () => {
    const excesses = new QuoteOverruns()
    excesses.add(facts('m'), outcome, quote, false)
    expect([excesses.percent('openai', 'm', false), excesses.percent('openai', 'm', true)]).toEqual([250, 100])
    expect(overrunsJson(excesses.models())).toMatchObject({
      cost_over_quote: { m: 1 },
      quote_exceeded: [{ factor: 2.5 }],
    })
  })

  it('a call that was admitted before a larger excess was seen lowers nothing', () => {
    const excesses = new QuoteOverruns()
    excesses.add(facts('m'), outcome, quote, true)
    excesses.add(facts('m'), outcomeOf(3, 150n), quote, true)
    expect(excesses.percent('openai', 'm', true)).toBe(250)
  })

  it('a thousand are counted apart, and the rest together', () => {
    const excesses = new QuoteOverruns()
    for (let index = 0; index < 3_000; index++) excesses.add(facts(`m${index}`), outcome, quote, true)
    expect(excesses.models()).toHaveLength(1_001)
    expect(excesses.models().at(-1)?.counts.input).toBe(2_000)
    expect([excesses.percent('openai', 'm999', true), excesses.percent('openai', 'm2999', true)]).toEqual([250, 100])
    excesses.add(facts('m5'), outcome, quote, true)
    expect(excesses.models()[5]?.counts.input).toBe(2)
  })
})
