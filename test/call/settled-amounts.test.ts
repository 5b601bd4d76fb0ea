// Settled amounts: what the ledger and the limits hold of a call whose usage was only seen in part, or came in several shares.

import { describe, expect, it } from 'vitest'
import { useGateway } from '../support/gateway.ts'
import type { ProviderScript } from '../support/provider.ts'
import { type DialectName, eventsOf, PRICE, type RequestOptions, requestFor } from './dialect-fixtures.ts'
import { LIMITED_CONFIG, nanoUsd } from './settlement-checks.ts'

const USAGE = { input: 21, output: 9 }

/** So many events of a stream that goes on. */
const saysInPart =
  (events: readonly string[]): ProviderScript =>
  ({ response }) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    response.write(events.join(''))
  }

/** What the ledger holds of a stream whose client leaves in its middle, if only what was seen is charged. */
async function settledInPart(dialect: DialectName, wanted: RequestOptions, events: readonly string[]) {
  const gateway = await useGateway({ config: LIMITED_CONFIG, env: { ON_DISCONNECT: 'cancel' } })
  gateway.provider.says(saysInPart(events))
  const leaving = new AbortController()
  const { path, body } = requestFor(dialect, { stream: true, ...wanted })
  const answer = await gateway.client.fetch('over sockets', path, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body,
    signal: leaving.signal,
  })
  const last = events.at(-1) ?? ''
  let read = ''
  for await (const chunk of answer.body?.pipeThrough(new TextDecoderStream()) ?? []) {
    read += chunk
    if (read.endsWith(last)) break
  }
  leaving.abort()
  const [entry] = await gateway.ledger.holds(1)
  expect(entry?.outcome).toMatchObject({ ending: 'canceled', certainty: 'estimated' })
  return entry
}

describe('a client left in the middle of a stream, and only what was seen is charged', () => {
  it('Anthropic: its input was reported, its output is the larger of the reported figure and the events', async () => {
    const [start = '', ...rest] = eventsOf('anthropic', USAGE, Array(7).fill('word '))
    const entry = await settledInPart('anthropic', { cap: 50 }, [start, ...rest.slice(0, 7)])
    // The first event reported one token out.
    expect(entry?.outcome?.usage).toMatchObject({ input: USAGE.input })
    expect(entry?.outcome?.usage.output).toBeGreaterThanOrEqual(7)
  })

  it('OpenAI: nothing was reported, and a token an event is never more than the cap', async () => {
    const events = eventsOf('openai', USAGE, Array(12).fill('word ')).slice(0, 12)
    expect((await settledInPart('openai', { cap: 50 }, events))?.outcome?.usage.output).toBe(12)
    expect((await settledInPart('openai', { cap: 5 }, events))?.outcome?.usage.output).toBe(5)
  })
})

it('a call that may go to a more expensive target, and breaks off at the cheap one, settles what the cheap one can cost', async () => {
  const prices = [
    { ...PRICE, model: 'cheap', input: '0.1', output: '0.2' },
    { ...PRICE, model: 'dear', input: '10', output: '20' },
  ]
  const aliases = { both: ['openai/cheap', 'openai/dear'] }
  const gateway = await useGateway({ config: { ...LIMITED_CONFIG, prices, aliases } })
  const events = eventsOf('openai', USAGE).slice(0, 2)
  gateway.provider.says(() => ({
    status: 200,
    headers: { 'content-type': 'text/event-stream' },
    pieces: events,
    cut: true,
  }))
  const answer = await gateway.client.asks('openai', { model: 'both', cap: 50, stream: true }, {}, 'over sockets')
  await answer.text().catch(() => {})
  const [entry] = await gateway.ledger.holds(1)
  const { facts, outcome } = entry ?? {}
  expect(outcome).toMatchObject({ ending: 'failed', certainty: 'upperBound' })
  const costNanoUsd = outcome?.cost.totalNanoUsd ?? 0n
  expect(costNanoUsd).toBeGreaterThan(0n)
  expect(costNanoUsd * 50n).toBeLessThan(facts?.reservedCostNanoUsd ?? 0n)
  const level = await gateway.ledger.level('daily_spending_limit')
  expect({ settled: nanoUsd(level.settled), reserved: level.reserved }).toEqual({ settled: costNanoUsd, reserved: 0 })
})

it('passes beside the answer are billed at the tier of the answer', async () => {
  const gateway = await useGateway({ config: {}, env: { MAX_COST_PER_REQUEST: '' } })
  const counts = { input_tokens: 100, output_tokens: 10 }
  const pass = (type: string) => ({ type, ...counts })
  const usage = { ...counts, iterations: [pass('compaction'), pass('message')] }
  const costs: bigint[] = []
  for (const speed of ['standard', 'fast']) {
    const message = {
      id: 'msg_1',
      type: 'message',
      role: 'assistant',
      model: 'claude-opus-4-6',
      content: [{ type: 'text', text: 'hi' }],
      stop_reason: 'end_turn',
      usage: { ...usage, speed },
    }
    gateway.provider.says(() => ({
      status: 200,
      headers: { 'content-type': 'application/json' },
      pieces: [JSON.stringify(message)],
    }))
    const answer = await gateway.client.asks('anthropic', { model: 'claude-opus-4-6', cap: 50 })
    expect(answer.status, await answer.text()).toBe(200)
    const [entry] = await gateway.ledger.holds(costs.length + 1)
    expect(entry?.outcome?.usage).toMatchObject({ input: 200, output: 20 })
    costs.push(entry?.outcome?.cost.totalNanoUsd ?? 0n)
  }
  const [standard = 0n, fast = 0n] = costs
  // Opus 4.6 costs $5 and $25 for a million tokens in and out, and six times that at its fast speed.
  expect([standard, fast]).toEqual([1_500_000n, 9_000_000n])
})

it('a user that the client declares goes before the one in its body', async () => {
  const gateway = await useGateway()
  const { path, body } = requestFor('openai', { cap: 10 })
  const send = (headers: Readonly<Record<string, string>>) =>
    gateway.client.fetch('in process', path, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body: JSON.stringify({ ...JSON.parse(body), user: 'in-the-body' }),
    })
  await (await send({})).text()
  await (await send({ 'x-bursar-user': 'declared' })).text()
  const entries = await gateway.ledger.holds(2)
  expect(entries.map(({ facts }) => facts.caller.user)).toEqual(['declared', 'in-the-body'])
})
