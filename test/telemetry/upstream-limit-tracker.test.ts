// What providers say of their own limits, through the gateway: in the ledger, in /llm/status, and in the log before they refuse.

import { gzipSync } from 'node:zlib'
import { expect, it } from 'vitest'
import type { CallFacts, Outcome, UpstreamLimits } from '../../src/core/ledger-entry.ts'
import { Telemetry } from '../../src/telemetry/call-events.ts'
import { UpstreamLimitTracker } from '../../src/telemetry/upstream-limit-tracker.ts'
import { PRICE, wholeAnswer } from '../call/dialect-fixtures.ts'
import { factsOf, outcomeOf } from '../stores/calls.ts'
import { TRANSPORTS } from '../support/client-and-ledger.ts'
import { ManualClock } from '../support/clocks.ts'
import { type GatewayFixture, useGateway } from '../support/gateway.ts'
import type { ProviderScript } from '../support/provider.ts'
import { QUOTE } from './events.ts'

interface StatusJson {
  readonly providers: readonly {
    readonly name: string
    readonly upstream_rate_limits?: object | null
    readonly upstream_rate_limits_by_model?: Readonly<Record<string, { readonly remaining_requests: number }>>
  }[]
}

async function openai(gateway: GatewayFixture) {
  const { providers } = await gateway.client.asksOwner<StatusJson>('/llm/status')
  return providers.find(({ name }) => name === 'openai')
}

const CONFIG = { prices: [PRICE, { ...PRICE, model: 'other' }], limits: {} }

function answerWith(headers: () => Readonly<Record<string, string>>): ProviderScript {
  return ({ response }) =>
    void response
      .writeHead(200, { 'content-type': 'application/json', ...headers() })
      .end(wholeAnswer('openai', { input: 5, output: 5 }))
}

it('the status shows the newest limits that a provider reported, and the limits by model', async () => {
  let remaining = '59'
  const clock = new ManualClock()
  const headers = () => ({ 'x-ratelimit-limit-requests': '60', 'x-ratelimit-remaining-requests': remaining })
  const gateway = await useGateway({ config: CONFIG, clock, respond: answerWith(headers) })
  expect((await openai(gateway))?.upstream_rate_limits).toBeNull()
  await (await gateway.client.asks('openai', { cap: 9 })).text()
  clock.advance(1_000)
  remaining = '40'
  await (await gateway.client.asks('openai', { model: 'other', cap: 9 })).text()
  await gateway.ledger.holds(2)
  const shown = await openai(gateway)
  expect(shown?.upstream_rate_limits).toEqual({
    limit_requests: 60,
    remaining_requests: 40,
    reset_requests_ms: null,
    limit_tokens: null,
    remaining_tokens: null,
    reset_tokens_ms: null,
    retry_after_ms: null,
    others: [],
    seen_at: new Date(clock.wallMs).toISOString(),
  })
  const byModel = Object.entries(shown?.upstream_rate_limits_by_model ?? {})
  expect(byModel.map(([model, { remaining_requests }]) => [model, remaining_requests])).toEqual([
    ['m', 59],
    ['other', 40],
  ])
})

it.each(TRANSPORTS)(
  '%s: a refusal that says when to come back in its words alone is kept with the call',
  async (transport) => {
    const body = '{"error":{"message":"Rate limit reached. Please try again in 5.289s.","code":"rate_limit_exceeded"}}'
    let encoded = false
    const script: ProviderScript = ({ response }) => {
      const headers = { 'content-type': 'application/json', ...(encoded ? { 'content-encoding': 'gzip' } : {}) }
      response.writeHead(429, headers).end(encoded ? gzipSync(body) : body)
    }
    const gateway = await useGateway({ config: CONFIG, respond: script })
    for (const count of [1, 2]) {
      const answer = await gateway.client.asks('openai', { cap: 9 }, {}, transport)
      expect(answer.status).toBe(429)
      if (transport === 'over sockets' || !encoded) expect(await answer.text()).toBe(body)
      const [entry] = await gateway.ledger.holds(count)
      expect(entry?.outcome?.upstreamLimits).toMatchObject({ retryAfterMs: 5_289, others: [] })
      expect(entry?.outcome?.cost.totalNanoUsd).toBe(0n)
      encoded = true
    }
  },
)

it('the log warns once before a provider refuses, and again when it had recovered', async () => {
  const clock = new ManualClock()
  let left = 100
  const headers = () => ({ 'x-ratelimit-limit-tokens': '1000', 'x-ratelimit-remaining-tokens': String(left) })
  const gateway = await useGateway({ config: CONFIG, clock, respond: answerWith(headers) })
  const warnings: number[] = []
  let calls = 0
  for (left of [1_000, 100, 99, 50, 0, 200, 99, 201, 99, 98]) {
    clock.advance(61_000)
    await (await gateway.client.asks('openai', { cap: 9 })).text()
    await gateway.ledger.holds(++calls)
    const lines = gateway.log.filter((line) => line.includes('is about to refuse'))
    if (lines.length > warnings.length) warnings.push(left)
  }
  expect(warnings).toEqual([99, 99])
  const line = JSON.parse(gateway.log.find((text) => text.includes('is about to refuse')) ?? '{}')
  expect(line).toMatchObject({
    level: 40,
    provider: 'openai',
    model: 'm',
    limit: 'tokens',
    remaining: 99,
    capacity: 1_000,
  })
})

const NO_LIMITS: UpstreamLimits = {
  limitRequests: null,
  remainingRequests: null,
  resetRequestsMs: null,
  limitTokens: null,
  remainingTokens: null,
  resetTokensMs: null,
  retryAfterMs: null,
  others: [],
}

/** A call of a model, seen at a moment, that settled then. */
function callWithLimits(model: string, atMs: number, limits: Partial<UpstreamLimits>): [CallFacts, Outcome] {
  const facts = factsOf(`${model}-${atMs}`, { provider: 'openai', model, reservedAtMs: atMs })
  const upstreamLimits = { ...NO_LIMITS, ...limits }
  return [facts, outcomeOf(1, 1n, { upstreamLimits, settledAtMs: atMs, latencyMs: 0, timeToFirstTokenMs: null })]
}

/** A tracker that hears of calls through telemetry, and the limits it warned of. */
function trackedBy() {
  const telemetry = new Telemetry()
  const tracker = new UpstreamLimitTracker(telemetry)
  const warnings: string[] = []
  telemetry.listen(tracker)
  telemetry.listen({
    name: 'test',
    hear: (event) => {
      if (event.kind === 'upstream_limit_low') warnings.push(event.limit.name)
    },
  })
  const hear = (facts: CallFacts, outcome: Outcome, ownAccount = true) => {
    const now = { wallMs: outcome.settledAtMs, monoMs: outcome.settledAtMs }
    telemetry.emit({
      kind: 'settled',
      at: now,
      facts,
      outcome,
      quote: QUOTE,
      bounded: true,
      isIncredible: false,
      ownAccount,
    })
  }
  return { tracker, warnings, hear }
}

it('a limit that is used up and refilled all the time is warned of once a minute', () => {
  const { warnings, hear } = trackedBy()
  for (let atMs = 0; atMs < 600_000; atMs += 500) {
    const remainingRequests = (atMs / 500) % 2
    hear(...callWithLimits('m', atMs, { limitRequests: 2, remainingRequests }))
  }
  expect(warnings).toHaveLength(10)
})

it('the limit with the least left is named; beyond a priority tier calls go on', () => {
  const { warnings, hear } = trackedBy()
  const others = [
    { name: 'priority-input-tokens', limit: 100, remaining: 0, resetMs: null },
    { name: 'input-tokens', limit: 100, remaining: 3, resetMs: 7 },
    { name: 'images', limit: null, remaining: 0, resetMs: null },
  ]
  const limits = { limitTokens: 100, remainingTokens: 5, limitRequests: 0, remainingRequests: 0, others }
  hear(...callWithLimits('m', 0, limits))
  hear(...callWithLimits('n', 0, { others: others.slice(0, 1) }))
  hear(...callWithLimits('o', 0, { ...limits, others: [] }))
  expect(warnings).toEqual(['input-tokens', 'tokens'])
})

it("limits of a caller's own account and of simulated calls are not ours", () => {
  const { tracker, warnings, hear } = trackedBy()
  const [facts, outcome] = callWithLimits('m', 0, { limitRequests: 10, remainingRequests: 0 })
  hear(facts, outcome, false)
  hear({ ...facts, simulated: true }, outcome)
  expect([warnings, tracker.newest('openai')]).toEqual([[], undefined])
})

it('limits in the head of a long stream do not replace those of later calls', () => {
  const { tracker, warnings, hear } = trackedBy()
  hear(...callWithLimits('m', 5_000, { limitRequests: 10, remainingRequests: 9 }))
  const [facts, outcome] = callWithLimits('m', 1_000, { limitRequests: 10, remainingRequests: 0 })
  hear(facts, { ...outcome, settledAtMs: 9_000, latencyMs: 8_000, timeToFirstTokenMs: 5 })
  expect(warnings).toEqual([])
  expect(tracker.newest('openai')).toMatchObject({ remainingRequests: 9, seenAtMs: 5_000 })
})

it('a thousand targets are kept, and the one that reported nothing for longest makes room', () => {
  const { tracker, hear } = trackedBy()
  for (let index = 0; index < 3_000; index++) {
    hear(...callWithLimits(`made-up-${index}`, index, { limitRequests: index }))
    hear(...callWithLimits('used', index, { limitRequests: 7 }))
  }
  const models = tracker.models('openai')
  expect(Object.keys(models)).toHaveLength(1_000)
  expect(models.used?.limitRequests).toBe(7)
  expect([models['made-up-0'], models['made-up-2999']?.limitRequests]).toEqual([undefined, 2_999])
})
