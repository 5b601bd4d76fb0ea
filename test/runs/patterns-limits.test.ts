// Patterns under limits: a budget that ends at every step, limits of a day and of a minute, many runs at once, steps that would
// never end.

import { describe, expect, it } from 'vitest'
import type { Entry } from '../../src/core/ledger-entry.ts'
import { formatUsd } from '../../src/core/money.ts'
import { PRICE } from '../call/dialect-fixtures.ts'
import { ManualClock } from '../support/clocks.ts'
import { type GatewayFixture, type GatewayFixtureOptions, useGateway } from '../support/gateway.ts'
import { waitFor } from '../support/waiting.ts'
import {
  completedRun,
  costOf,
  endlessReviser,
  entriesOf,
  errorOf,
  kindOf,
  metacognitionModel,
  openaiModel,
  PATTERN_NAMES,
  type PatternName,
  passTime,
  runAndLedgerSums,
  runPattern,
} from './patterns-runs.ts'

let clock: ManualClock

/** Caps are left as they are: then the same requests are made, and reserve the same, whatever money there is. */
const NO_SMALLER_CAPS = { MIN_INJECTED_OUTPUT_TOKENS: '4096' }
/** Every request reserves the same and costs something: each needs more money than the one before. */
const OUTPUT_ONLY_PRICE = { provider: 'simulated', model: 'sim/echo', input: '0', output: '2', maxOutput: 4_096 }

function open({ env, config, ...options }: GatewayFixtureOptions = {}): Promise<GatewayFixture> {
  const patterns = { model: 'sim/echo' }
  const all = { prices: [PRICE, OUTPUT_ONLY_PRICE], patterns, ...(config as object) }
  clock = new ManualClock()
  return useGateway({ clock, timers: clock, ...options, env: { ...env }, config: all })
}

const reservedNanoUsd = ({ facts }: Entry) => facts.reservedCostNanoUsd

/** A run that is not limited, call by call. */
async function calls(gateway: GatewayFixture, name: PatternName, fields: object = {}): Promise<readonly Entry[]> {
  return entriesOf(gateway, completedRun(await runPattern(gateway, name, fields)).task)
}

/** With how much money the request at `index` is the first that does not fit: a nano-dollar too little. */
function lackingAt(entries: readonly Entry[], index: number): bigint {
  const [next] = entries.slice(index)
  if (!next) throw new Error('there is no such request')
  return costOf(entries.slice(0, index)) + reservedNanoUsd(next) - 1n
}

describe('max_cost_usd', () => {
  it.each(PATTERN_NAMES)('%s ends before the first request that does not fit, with what it has', async (name) => {
    const gateway = await open({ env: NO_SMALLER_CAPS })
    const whole = await calls(gateway, name)
    for (const [index] of whole.entries()) {
      for (const stream of [false, true]) {
        const budget = lackingAt(whole, index)
        const answer = await runPattern(gateway, name, { stream, max_cost_usd: formatUsd(budget) })
        const { run, error } = answer
        expect([answer.status, kindOf(answer)]).toEqual([index === 0 ? 429 : 200, 'budget'])
        const task = run?.task ?? error?.task ?? ''
        const entries = await entriesOf(gateway, task)
        expect(entries).toHaveLength(index)
        expect(costOf(entries)).toBeLessThanOrEqual(budget)
        if (run) {
          expect(run.stopped_because).toMatch(/^Spending limit reached: max_cost_usd\. /)
          expect(run.stopped_because).toContain(`of the run's $${formatUsd(budget)}.`)
          expect(run.limits.max_cost_usd).toBe(Number(formatUsd(budget)))
          const { reported, settled } = await runAndLedgerSums(gateway, run)
          expect(reported).toEqual(settled)
        } else {
          expect(error).toMatchObject({ code: 'insufficient_quota', details: { limit: 'max_cost_usd', unit: 'usd' } })
          expect(errorOf(answer).message).toMatch(/^Spending limit reached: max_cost_usd\. /)
          expect(answer.headers.get('retry-after')).toBeNull()
          expect(answer.headers.get('x-should-retry')).toBe('false')
          expect(answer.headers.get('x-bursar-limited-by')).toBe('max_cost_usd')
        }
      }
      const enough = formatUsd(lackingAt(whole, index) + 1n)
      const { usage } = completedRun(await runPattern(gateway, name, { max_cost_usd: enough }))
      expect(usage.requests).toBeGreaterThan(index)
    }
  })

  it.each(PATTERN_NAMES)('%s costs no more than that, though caps are set to make calls fit', async (name) => {
    const gateway = await open()
    const whole = await calls(gateway, name)
    const enough = costOf(whole) + reservedNanoUsd(whole[0] ?? ({ facts: { reservedCostNanoUsd: 0n } } as Entry))
    const kinds = new Set<string>()
    for (let part = 1n; part <= 40n; part++) {
      const budget = (enough * part) / 40n
      const answer = await runPattern(gateway, name, { max_cost_usd: formatUsd(budget) })
      const task = answer.run?.task ?? answer.error?.task ?? ''
      expect(costOf(await entriesOf(gateway, task))).toBeLessThanOrEqual(budget)
      expect(answer.status).toBe(answer.run ? 200 : 429)
      kinds.add(`${answer.status} ${kindOf(answer)}`)
    }
    expect([...kinds]).toEqual(expect.arrayContaining(['429 budget', '200 whole']))
  })

  it('is each run’s own, whatever task they name', async () => {
    const gateway = await open({ env: NO_SMALLER_CAPS })
    const whole = await calls(gateway, 'metacognition')
    const [last] = whole.slice(-1)
    const enough = formatUsd(lackingAt(whole, whole.length - 1) + 1n)
    const fields = { max_cost_usd: enough }
    const start = { headers: { 'x-bursar-task': 'one' } }
    for (let run = 0; run < 3; run++)
      expect(kindOf(await runPattern(gateway, 'metacognition', fields, start))).toBe('whole')
    expect(last?.facts.reservedCostNanoUsd).toBeGreaterThan(0n)
    expect(await entriesOf(gateway, 'one')).toHaveLength(3 * whole.length)
  })

  it('of nothing starts nothing', async () => {
    const gateway = await open()
    for (const budget of [0, '0', '0.000000001', 0.000000001]) {
      expect((await runPattern(gateway, 'rag', { max_cost_usd: budget })).status).toBe(429)
    }
    expect(await gateway.ledger.entries()).toEqual([])
  })

  it('is refused for a model without a known price, with no other limit, too', async () => {
    const gateway = await open()
    const answer = await runPattern(gateway, 'rag', { model: 'nobody-knows-it', max_cost_usd: 1 })
    expect([answer.status, errorOf(answer).code, errorOf(answer).param]).toEqual([400, 'unknown_price', 'model'])
    expect(gateway.provider.received).toEqual([])
  })

  it('is refused if costs are not tracked: it could not be kept', async () => {
    const gateway = await open({ env: { ENABLE_COST_TRACKING: 'false' } })
    const answer = await runPattern(gateway, 'rag', { max_cost_usd: 1 })
    expect([answer.status, errorOf(answer).param]).toEqual([400, 'max_cost_usd'])
    expect((await runPattern(gateway, 'rag')).status).toBe(200)
  })
})

describe('limits of a day', () => {
  it.each(PATTERN_NAMES)('%s ends where the day’s money does', async (name) => {
    let gateway = await open({ env: NO_SMALLER_CAPS })
    const whole = await calls(gateway, name)
    for (const [index] of whole.entries()) {
      await gateway.close()
      const costPerDay = formatUsd(lackingAt(whole, index))
      gateway = await open({ env: NO_SMALLER_CAPS, config: { limits: { global: { costPerDay } } } })
      const answer = await runPattern(gateway, name)
      expect([answer.status, kindOf(answer)]).toEqual([index === 0 ? 429 : 200, 'budget'])
      const entries = await gateway.ledger.holds(index)
      expect(entries).toHaveLength(index)
      if (index === 0)
        expect(answer.error?.details).toMatchObject({ reason: 'never', retry_after_ms: null, resets_at: null })
      else expect(answer.run?.stopped_because).toMatch(/^Spending limit reached: daily_spending_limit\. /)
    }
  })

  it.each([
    ['402', 402],
    ['400', 400],
  ])('end a run with MONEY_REFUSAL=%s as ever, and a run without a result has that status', async (setting, status) => {
    const env = { ...NO_SMALLER_CAPS, MONEY_REFUSAL: setting }
    let gateway = await open({ env })
    const whole = await calls(gateway, 'reflection')
    for (const index of [0, 1]) {
      const costPerDay = formatUsd(lackingAt(whole, index))
      gateway = await open({ env, config: { limits: { global: { costPerDay } } } })
      const answer = await runPattern(gateway, 'reflection')
      expect([answer.status, kindOf(answer)]).toEqual([index === 0 ? status : 200, 'budget'])
    }
    gateway = await open({ env, config: { limits: { global: { tokensPerCall: 1 } } } })
    expect(kindOf(await runPattern(gateway, 'reflection'))).toBe('error')
  })

  it('of one call’s cost end it as money does', async () => {
    const gateway = await open({ env: { MAX_COST_PER_REQUEST: '0.000001' } })
    const answer = await runPattern(gateway, 'rag')
    expect([answer.status, errorOf(answer).code, kindOf(answer)]).toEqual([429, 'insufficient_quota', 'budget'])
  })

  it('that are held by calls in flight are waited for', async () => {
    const prices = [{ ...OUTPUT_ONLY_PRICE, provider: 'openai', model: 'm' }]
    let gateway = await open({ env: NO_SMALLER_CAPS, config: { prices }, respond: metacognitionModel() })
    const [first] = await calls(gateway, 'metacognition', { model: 'm' })
    await (await gateway.client.asks('openai', { cap: 2_000 })).text()
    const held = (await gateway.ledger.entries()).find(({ facts }) => facts.capAsked === 2_000)
    if (!first || !held) throw new Error('nothing was settled')
    await gateway.close()
    // What the first request costs is already too much for the second, as long as the other call holds its part.
    const costPerDay = formatUsd(reservedNanoUsd(first) + reservedNanoUsd(held))
    const script = metacognitionModel()
    let release = () => {}
    gateway = await open({
      env: NO_SMALLER_CAPS,
      config: { prices, limits: { global: { costPerDay } } },
      respond: (call) => (call.body.includes('2000') ? void (release = () => void script(call)) : script(call)),
    })
    const holding = gateway.client.asks('openai', { cap: 2_000 })
    await waitFor(async () => gateway.provider.received[0])
    const startedMs = clock.monoMs
    const running = runPattern(gateway, 'metacognition', { model: 'm' })
    const isRefused = async (times: number) => {
      const { refused } = await gateway.client.asksOwner<{ refused: Record<string, number> }>('/llm/stats')
      return (refused.daily_spending_limit ?? 0) >= times ? true : undefined
    }
    await waitFor(() => isRefused(1))
    await waitFor(() => {
      clock.advance(250)
      return isRefused(2)
    })
    release()
    expect((await holding).status).toBe(200)
    expect(completedRun(await passTime(gateway, clock, running)).stopped).toBeNull()
    expect(clock.monoMs - startedMs).toBeGreaterThanOrEqual(2_000)
  })
})

describe('50 runs at once', () => {
  it('never spend more than the day has, and none hangs', async () => {
    const limits = { global: { costPerDay: '0.05' } }
    const patterns = { model: 'sim/echo' }
    const gateway = await open({ config: { limits, patterns }, env: { UPSTREAM_TIMEOUT_MS: '6000' } })
    const runs = Array.from({ length: 50 }, (_, index) =>
      runPattern(gateway, PATTERN_NAMES[index % PATTERN_NAMES.length] ?? 'rag'),
    )
    const answers = await passTime(gateway, clock, Promise.all(runs))
    expect(answers.filter(({ run }) => run?.stopped === null).length).toBeGreaterThan(0)
    for (const answer of answers) expect(answer.status).toBe(answer.run ? 200 : 429)
    expect(costOf(await gateway.ledger.holds(1))).toBeLessThanOrEqual(50_000_000n)
    const tasks = answers.flatMap(({ run }) => run ?? [])
    for (const run of tasks) {
      const { reported, settled } = await runAndLedgerSums(gateway, run)
      expect(reported).toEqual(settled)
    }
  })
})

describe('rates', () => {
  it('are waited for in the middle of a run', async () => {
    const gateway = await open({ env: { MAX_REQUESTS_PER_MINUTE: '120' } })
    const fill = () => gateway.client.asks('openai', { model: 'sim/echo', cap: 1 })
    while ((await fill()).status === 200) {}
    // Half a second for each request: there is room for the first.
    clock.advance(500)
    const startedMs = clock.monoMs
    const run = completedRun(await passTime(gateway, clock, runPattern(gateway, 'reflection', { model: 'sim/echo' })))
    expect([run.stopped, run.usage.requests]).toEqual([null, 3])
    expect(clock.monoMs - startedMs).toBeGreaterThanOrEqual(1_000)
    expect(run.steps.reduce((sum, { duration_ms }) => sum + duration_ms, 0)).toBeGreaterThanOrEqual(1_000)
  })

  it('that come back after minutes are waited for as exactly, though no header tells the wait', async () => {
    const gateway = await open({ config: { limits: { global: { requestsPerHour: 30 } } } })
    const fill = () => gateway.client.asks('openai', { model: 'sim/echo', cap: 1 })
    while ((await fill()).status === 200) {}
    clock.advance(120_000)
    const startedMs = clock.monoMs
    const run = completedRun(await passTime(gateway, clock, runPattern(gateway, 'reflection', { model: 'sim/echo' })))
    expect([run.stopped, run.usage.requests]).toEqual([null, 3])
    expect(clock.monoMs - startedMs).toBeGreaterThanOrEqual(240_000)
    const { refused } = await gateway.client.asksOwner<{ refused: Record<string, number> }>('/llm/stats')
    // The one that filled the hour, and one for each of the two waits.
    expect(refused).toMatchObject({ requests_per_hour: 3 })
  })

  it.each([false, true])('that no wait within the deadline helps end a run at once, stream: %s', async (stream) => {
    const gateway = await open({ env: { MAX_REQUESTS_PER_MINUTE: '2', UPSTREAM_TIMEOUT_MS: '20000' } })
    const first = await runPattern(gateway, 'reflection', { stream })
    expect([first.status, kindOf(first), first.run?.usage.requests]).toEqual([200, 'rate', 2])
    expect(first.run?.stopped_because).toMatch(/^Rate limit exceeded: requests_per_minute\. /)
    const second = await runPattern(gateway, 'reflection', { stream })
    expect([second.status, kindOf(second)]).toEqual([429, 'rate'])
    expect(errorOf(second)).toMatchObject({ code: 'rate_limit_exceeded', param: null })
    expect(second.headers.get('retry-after')).toBe('30')
    expect(second.headers.get('retry-after-ms')).toBe('30000')
  })

  it('of a provider are waited for as it says, but never without a pause', async () => {
    let refusals = 0
    const script = openaiModel((_, index) => {
      if (index === 0) return { reasoning: 'So.', answer: '8', confidence: 0.9 }
      if (index > 2) return { gaps: [], choice: 'answer', question: '', why: '', confidence: 0.9 }
      refusals += 1
      return ({ response }) => {
        const body = JSON.stringify({ error: { message: 'slow down', type: 'requests', code: 'rate_limit_exceeded' } })
        response.writeHead(429, { 'content-type': 'application/json', 'retry-after-ms': '-1' }).end(body)
      }
    })
    const gateway = await open({ respond: script })
    const startedMs = clock.monoMs
    const running = runPattern(gateway, 'metacognition', { model: 'm' })
    const run = completedRun(await passTime(gateway, clock, running))
    expect([run.stopped, run.usage.requests, refusals]).toEqual([null, 4, 2])
    expect(clock.monoMs - startedMs).toBeGreaterThanOrEqual(2_000)
  })

  it('that stop a gateway do not: a waiting run ends as soon as it closes', async () => {
    const gateway = await open({ env: { MAX_REQUESTS_PER_MINUTE: '2' } })
    const running = runPattern(gateway, 'reflection')
    await gateway.ledger.holds(2)
    gateway.app.gate.close()
    const startedMs = clock.monoMs
    const run = completedRun(await passTime(gateway, clock, running))
    expect(clock.monoMs - startedMs).toBeLessThanOrEqual(1_000)
    expect([run.stopped, run.stopped_because]).toEqual(['error', 'The gateway is stopping.'])
  })
})

describe('100 reflections at 60 per minute', () => {
  /** Has its criterion in it: one request is enough. */
  const content = { initial_output: 'It has clarity: it is clear.', criteria: { clarity: 'clear' } }

  it('of one request each: 60 run, the others get the time to come again', async () => {
    const gateway = await open({ env: { MAX_REQUESTS_PER_MINUTE: '60' } })
    const alone = completedRun(await runPattern(gateway, 'reflection', content))
    expect(alone.usage.requests).toBe(1)
    const answers = await Promise.all(Array.from({ length: 100 }, () => runPattern(gateway, 'reflection', content)))
    expect(answers.filter(({ run }) => run?.stopped === null)).toHaveLength(59)
    const refused = answers.filter(({ run }) => !run)
    expect(refused).toHaveLength(41)
    for (const answer of refused) {
      expect([answer.status, kindOf(answer), errorOf(answer).code]).toEqual([429, 'rate', 'rate_limit_exceeded'])
      expect(Number(answer.headers.get('retry-after'))).toBeGreaterThanOrEqual(1)
    }
  })

  it('of several requests each: some run, some wait, some are refused, and none hangs', async () => {
    const gateway = await open({ env: { MAX_REQUESTS_PER_MINUTE: '60', UPSTREAM_TIMEOUT_MS: '4000' } })
    const runs = Array.from({ length: 100 }, (_, index) =>
      runPattern(gateway, 'reflection', { stream: index % 2 === 0 }),
    )
    const answers = await passTime(gateway, clock, Promise.all(runs))
    const kinds = Map.groupBy(answers, (answer) => `${answer.status} ${kindOf(answer)}`)
    expect([...kinds.keys()].toSorted()).toEqual(expect.arrayContaining(['200 rate', '429 rate']))
    expect(
      [...kinds.keys()].every((kind) => ['200 whole', '200 rate', '200 deadline', '429 rate'].includes(kind)),
    ).toBe(true)
    expect(answers.filter(({ run }) => run).length).toBeGreaterThanOrEqual(20)
    expect((await gateway.ledger.entries()).length).toBeLessThanOrEqual(60 + 8)
    expect(gateway.app.gate.inFlight).toBe(0)
  })
})

describe('steps', () => {
  it('of a model that calls tools for ever end at max_steps', async () => {
    const gateway = await open({
      respond: openaiModel((_, index) => ({ calls: [['calculator', JSON.stringify({ expression: `1 + ${index}` })]] })),
    })
    for (const [maxSteps, asks] of [
      [16, 8],
      [7, 4],
      [1, 1],
    ] as const) {
      const fields = { model: 'm', ...(maxSteps === 16 ? {} : { max_steps: maxSteps }) }
      const answer = await runPattern(gateway, 'tool-use', fields)
      const run = completedRun(answer)
      expect([answer.status, run.stopped, run.steps.length, run.usage.requests]).toEqual([200, 'steps', maxSteps, asks])
      expect(run.limits.max_steps).toBe(maxSteps)
      expect(run.result).toMatchObject({ ended: 'cut_short' })
    }
  })

  it('of a model that makes the same call again and again end before that', async () => {
    const gateway = await open({ respond: openaiModel(() => ({ calls: [['calculator', '{"expression":"1 + 1"}']] })) })
    const run = completedRun(await runPattern(gateway, 'tool-use', { model: 'm', max_steps: 50 }))
    expect(run.result).toMatchObject({ ended: 'repeated' })
    expect(run.usage.requests).toBeLessThan(6)
  })

  it('of a text that never is good enough end, too', async () => {
    const gateway = await open({ respond: endlessReviser() })
    const run = completedRun(await runPattern(gateway, 'reflection', { model: 'm', max_steps: 50 }))
    expect(run.usage.requests).toBeLessThanOrEqual(50)
    expect(run.stopped === 'steps' || run.result.ended === 'no_improvement').toBe(true)
  })
})
