// Clients that leave, and what is booked for them: read on to the end, charged in full, or charged what was seen.

import { afterEach, describe, expect, it } from 'vitest'
import { TRANSPORTS, type Transport } from '../support/client-and-ledger.ts'
import { ManualClock } from '../support/clocks.ts'
import { answerWhole, GatewayFixture } from '../support/gateway.ts'
import type { ProviderRequest, ProviderScript } from '../support/provider.ts'
import { waitFor, withTimeout } from '../support/waiting.ts'
import { costOfUsage, DIALECT_NAMES, type DialectName, eventsOf } from './dialect-fixtures.ts'
import { expectSettled, LIMITED_CONFIG, readSettled } from './settlement-checks.ts'

let fixture: GatewayFixture | undefined
afterEach(async () => {
  await fixture?.close()
  fixture = undefined
})

/** Stands still: no deadline comes before a test says so. */
let clock: ManualClock

async function open(env: Record<string, string>, play: ProviderScript = () => {}): Promise<GatewayFixture> {
  clock = new ManualClock()
  fixture = await GatewayFixture.open({ config: LIMITED_CONFIG, respond: play, env, clock, timers: clock })
  return fixture
}

const transportsAndDialects: [Transport, DialectName][] = TRANSPORTS.flatMap((door) =>
  DIALECT_NAMES.map((spoken): [Transport, DialectName] => [door, spoken]),
)
const USAGE = { input: 21, output: 9 }

/** Asks, waits until the upstream has it, and leaves. */
async function disconnectBeforeAnswer(
  stage: GatewayFixture,
  spoken: DialectName,
  door: Transport,
  stream = false,
): Promise<ProviderRequest> {
  const leaving = new AbortController()
  const asked = stage.client.asks(spoken, { cap: 50, stream }, { signal: leaving.signal }, door)
  const call = await waitFor(async () => stage.provider.received[0])
  const aborted = expectAborted(asked)
  await stage.untilClientGone(door, () => leaving.abort())
  await aborted
  return call
}

/** Asks for a stream, reads its first event, and leaves. */
async function disconnectMidStream(
  stage: GatewayFixture,
  spoken: DialectName,
  door: Transport,
): Promise<ProviderRequest> {
  const leaving = new AbortController()
  const events = eventsOf(spoken, USAGE)
  stage.provider.says(({ response }) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    response.write((events[0] ?? '') + events[1])
  })
  const answer = await stage.client.asks(spoken, { cap: 50, stream: true }, { signal: leaving.signal }, door)
  const reader = answer.body?.getReader()
  await reader?.read()
  if (door === 'in process') await reader?.cancel()
  await stage.untilClientGone(door, () => leaving.abort())
  const [call] = stage.provider.received
  if (!call) throw new Error('nothing was received')
  return call
}

describe.each(transportsAndDialects)('%s, %s:', (door, spoken) => {
  it('drain: the answer to a client that left is read to its end and booked exactly', async () => {
    const stage = await open({ ON_DISCONNECT: 'drain' })
    const call = await disconnectBeforeAnswer(stage, spoken, door)
    expect(await stage.ledger.entries()).toHaveLength(0)
    answerWhole(call, USAGE)
    await expectSettled(stage, { ending: 'canceled', certainty: 'exact', cost: costOfUsage(USAGE), tokens: 30 })
  })

  it('drain: a stream too', async () => {
    const stage = await open({ ON_DISCONNECT: 'drain' })
    const call = await disconnectMidStream(stage, spoken, door)
    for (const event of eventsOf(spoken, USAGE).slice(2)) call.response.write(event)
    call.response.end()
    await expectSettled(stage, { ending: 'canceled', certainty: 'exact', cost: costOfUsage(USAGE), tokens: 30 })
  })

  it('drain, but no longer than the deadline: then the whole reservation', async () => {
    const stage = await open({ ON_DISCONNECT: 'drain', UPSTREAM_TIMEOUT_MS: '150' })
    const call = await disconnectBeforeAnswer(stage, spoken, door)
    clock.advance(150)
    expect(await call.cut).toBe(true)
    await expectSettled(stage, { certainty: 'upperBound', cost: 'whole' })
  })

  it.each([{ ON_DISCONNECT: 'drain', MAX_DRAINS: '0' }, { ON_DISCONNECT: 'charge' }])(
    '%o: the upstream is let go at once, and the whole reservation booked',
    async (env) => {
      const stage = await open(env)
      const call = await disconnectMidStream(stage, spoken, door)
      expect(await call.cut).toBe(true)
      await expectSettled(stage, { ending: 'canceled', certainty: 'upperBound', cost: 'whole' })
    },
  )

  it('charge: nothing but the request is booked for a client that left before anything was sent', async () => {
    const stage = await open({ ON_DISCONNECT: 'charge' }, (call) => answerWhole(call, USAGE))
    const signal = AbortSignal.abort()
    await expectAborted(stage.client.asks(spoken, { cap: 50 }, { signal }, door))
    await waitFor(async () => stage.app.gate.inFlight === 0 || undefined)
    expect(stage.provider.received).toHaveLength(0)
    const { levels } = await readSettled(stage)
    expect([levels.costNanoUsd, levels.tokens]).toEqual([0n, 0])
  })

  it('cancel: the upstream is let go, and what was seen is booked as an estimate', async () => {
    const stage = await open({ ON_DISCONNECT: 'cancel' })
    const call = await disconnectMidStream(stage, spoken, door)
    expect(await call.cut).toBe(true)
    await stage.ledger.holds(1)
    const { levels, entries } = await readSettled(stage)
    const outcome = entries[0]?.outcome
    expect(outcome).toMatchObject({ ending: 'canceled', certainty: 'estimated' })
    expect(outcome?.cost.totalNanoUsd).toBeGreaterThan(0n)
    expect(outcome?.cost.totalNanoUsd).toBeLessThan(entries[0]?.facts.reservedCostNanoUsd ?? 0n)
    expect(levels.costNanoUsd).toBe(outcome?.cost.totalNanoUsd)
  })
})

describe.each(TRANSPORTS)('%s:', (door) => {
  it.each(['openai', 'anthropic'] as const)(
    '%s: a client that leaves after the last event has what it came for',
    async (spoken) => {
      const leaving = new AbortController()
      const stage = await open({ ON_DISCONNECT: 'charge' }, ({ response }) => {
        response.writeHead(200, { 'content-type': 'text/event-stream' })
        for (const event of eventsOf(spoken, USAGE)) response.write(event)
      })
      const answer = await stage.client.asks(spoken, { cap: 50, stream: true }, { signal: leaving.signal }, door)
      await answer.text()
      leaving.abort()
      await expectSettled(stage, { ending: 'completed', certainty: 'exact', cost: costOfUsage(USAGE), tokens: 30 })
    },
  )

  it('drains are counted: one more than MAX_DRAINS is charged, and a place that is free again is used', async () => {
    const stage = await open({ ON_DISCONNECT: 'drain', MAX_DRAINS: '1' })
    const first = await disconnectBeforeAnswer(stage, 'openai', door)
    stage.provider.received.length = 0
    const second = await disconnectBeforeAnswer(stage, 'openai', door)
    expect(await second.cut).toBe(true)
    answerWhole(first, USAGE)
    await stage.ledger.holds(2)
    stage.provider.received.length = 0
    answerWhole(await disconnectBeforeAnswer(stage, 'openai', door), USAGE)
    const entries = await stage.ledger.holds(3)
    expect(entries.map(({ outcome }) => outcome?.certainty).toReversed()).toEqual(['upperBound', 'exact', 'exact'])
  })
})

/** Nobody waits for ever for an answer that will not come: the promise is kept as an error of one kind or another. */
async function expectAborted(asked: Promise<Response>): Promise<void> {
  const answer = await withTimeout(2_000, asked).catch((error: Error) => error)
  if (answer instanceof Response) expect(answer.ok).toBe(false)
  else expect(answer.message).toMatch(/abort/i)
}
