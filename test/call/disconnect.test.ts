// Clients that leave, and how their calls are settled: read on to the end, charged in full, or charged what was seen.

import { describe, expect, it } from 'vitest'
import { TRANSPORTS, type Transport } from '../support/client-and-ledger.ts'
import { ManualClock } from '../support/clocks.ts'
import { answerWhole, type GatewayFixture, useGateway } from '../support/gateway.ts'
import type { ProviderRequest, ProviderScript } from '../support/provider.ts'
import { waitFor, withTimeout } from '../support/waiting.ts'
import { costOfUsage, DIALECT_NAMES, type DialectName, eventsOf } from './dialect-fixtures.ts'
import { expectSettled, LIMITED_CONFIG, readSettled } from './settlement-checks.ts'

/** Stands still: no deadline comes before a test says so. */
let clock: ManualClock

function open(env: Record<string, string>, script: ProviderScript = () => {}): Promise<GatewayFixture> {
  clock = new ManualClock()
  return useGateway({ config: LIMITED_CONFIG, respond: script, env, clock, timers: clock })
}

const transportsAndDialects: [Transport, DialectName][] = TRANSPORTS.flatMap((transport) =>
  DIALECT_NAMES.map((dialect): [Transport, DialectName] => [transport, dialect]),
)
const USAGE = { input: 21, output: 9 }

/** Sends a call, waits until the provider has it, and leaves. */
async function disconnectBeforeAnswer(
  gateway: GatewayFixture,
  dialect: DialectName,
  transport: Transport,
  stream = false,
): Promise<ProviderRequest> {
  const leaving = new AbortController()
  const asked = gateway.client.asks(dialect, { cap: 50, stream }, { signal: leaving.signal }, transport)
  const call = await waitFor(async () => gateway.provider.received[0])
  const aborted = expectAborted(asked)
  await gateway.untilClientGone(transport, () => leaving.abort())
  await aborted
  return call
}

/** Sends a call for a stream, reads its first event, and leaves. */
async function disconnectMidStream(
  gateway: GatewayFixture,
  dialect: DialectName,
  transport: Transport,
): Promise<ProviderRequest> {
  const leaving = new AbortController()
  const events = eventsOf(dialect, USAGE)
  gateway.provider.says(({ response }) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    response.write((events[0] ?? '') + events[1])
  })
  const answer = await gateway.client.asks(dialect, { cap: 50, stream: true }, { signal: leaving.signal }, transport)
  const reader = answer.body?.getReader()
  await reader?.read()
  if (transport === 'in process') await reader?.cancel()
  await gateway.untilClientGone(transport, () => leaving.abort())
  const [call] = gateway.provider.received
  if (!call) throw new Error('nothing was received')
  return call
}

describe.each(transportsAndDialects)('%s, %s:', (transport, dialect) => {
  it('drain: the answer to a client that left is read to its end and settled exactly', async () => {
    const gateway = await open({ ON_DISCONNECT: 'drain' })
    const call = await disconnectBeforeAnswer(gateway, dialect, transport)
    expect(await gateway.ledger.entries()).toHaveLength(0)
    answerWhole(call, USAGE)
    await expectSettled(gateway, { ending: 'canceled', certainty: 'exact', cost: costOfUsage(USAGE), tokens: 30 })
  })

  it('drain: a stream too', async () => {
    const gateway = await open({ ON_DISCONNECT: 'drain' })
    const call = await disconnectMidStream(gateway, dialect, transport)
    for (const event of eventsOf(dialect, USAGE).slice(2)) call.response.write(event)
    call.response.end()
    await expectSettled(gateway, { ending: 'canceled', certainty: 'exact', cost: costOfUsage(USAGE), tokens: 30 })
  })

  it('drain, but no longer than the deadline: then the whole reservation', async () => {
    const gateway = await open({ ON_DISCONNECT: 'drain', UPSTREAM_TIMEOUT_MS: '150' })
    const call = await disconnectBeforeAnswer(gateway, dialect, transport)
    clock.advance(150)
    expect(await call.cut).toBe(true)
    await expectSettled(gateway, { certainty: 'upperBound', cost: 'whole' })
  })

  it.each([{ ON_DISCONNECT: 'drain', MAX_DRAINS: '0' }, { ON_DISCONNECT: 'charge' }])(
    '%o: the provider is let go at once, and the whole reservation is settled',
    async (env) => {
      const gateway = await open(env)
      const call = await disconnectMidStream(gateway, dialect, transport)
      expect(await call.cut).toBe(true)
      await expectSettled(gateway, { ending: 'canceled', certainty: 'upperBound', cost: 'whole' })
    },
  )

  it('charge: only the request counts if a client left before anything was sent', async () => {
    const gateway = await open({ ON_DISCONNECT: 'charge' }, (call) => answerWhole(call, USAGE))
    const signal = AbortSignal.abort()
    await expectAborted(gateway.client.asks(dialect, { cap: 50 }, { signal }, transport))
    await waitFor(async () => gateway.app.gate.inFlight === 0 || undefined)
    expect(gateway.provider.received).toHaveLength(0)
    const { levels } = await readSettled(gateway)
    expect([levels.costNanoUsd, levels.tokens]).toEqual([0n, 0])
  })

  it('cancel: the provider is let go, and what was seen is settled as an estimate', async () => {
    const gateway = await open({ ON_DISCONNECT: 'cancel' })
    const call = await disconnectMidStream(gateway, dialect, transport)
    expect(await call.cut).toBe(true)
    await gateway.ledger.holds(1)
    const { levels, entries } = await readSettled(gateway)
    const outcome = entries[0]?.outcome
    expect(outcome).toMatchObject({ ending: 'canceled', certainty: 'estimated' })
    expect(outcome?.cost.totalNanoUsd).toBeGreaterThan(0n)
    expect(outcome?.cost.totalNanoUsd).toBeLessThan(entries[0]?.facts.reservedCostNanoUsd ?? 0n)
    expect(levels.costNanoUsd).toBe(outcome?.cost.totalNanoUsd)
  })
})

describe.each(TRANSPORTS)('%s:', (transport) => {
  it.each(['openai', 'anthropic'] as const)(
    '%s: a client that leaves after the last event has what it came for',
    async (dialect) => {
      const leaving = new AbortController()
      const gateway = await open({ ON_DISCONNECT: 'charge' }, ({ response }) => {
        response.writeHead(200, { 'content-type': 'text/event-stream' })
        for (const event of eventsOf(dialect, USAGE)) response.write(event)
      })
      const answer = await gateway.client.asks(
        dialect,
        { cap: 50, stream: true },
        { signal: leaving.signal },
        transport,
      )
      await answer.text()
      leaving.abort()
      await expectSettled(gateway, { ending: 'completed', certainty: 'exact', cost: costOfUsage(USAGE), tokens: 30 })
    },
  )

  it('drains are counted: one more than MAX_DRAINS is charged, and a place that is free again is used', async () => {
    const gateway = await open({ ON_DISCONNECT: 'drain', MAX_DRAINS: '1' })
    const first = await disconnectBeforeAnswer(gateway, 'openai', transport)
    gateway.provider.received.length = 0
    const second = await disconnectBeforeAnswer(gateway, 'openai', transport)
    expect(await second.cut).toBe(true)
    answerWhole(first, USAGE)
    await gateway.ledger.holds(2)
    gateway.provider.received.length = 0
    answerWhole(await disconnectBeforeAnswer(gateway, 'openai', transport), USAGE)
    const entries = await gateway.ledger.holds(3)
    expect(entries.map(({ outcome }) => outcome?.certainty).toReversed()).toEqual(['upperBound', 'exact', 'exact'])
  })
})

/** The promise of an answer that will not come ends in an error of one kind or another, and soon. */
async function expectAborted(asked: Promise<Response>): Promise<void> {
  const answer = await withTimeout(2_000, asked).catch((error: Error) => error)
  if (answer instanceof Response) expect(answer.ok).toBe(false)
  else expect(answer.message).toMatch(/abort/i)
}
