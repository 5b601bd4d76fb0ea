// Clients that leave, and what is booked for them: read on to the end, charged in full, or charged what was seen.

import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, describe, expect, it } from 'vitest'
import {
  answerWhole,
  DOORS,
  type Door,
  type Play,
  type Received,
  Stage,
  until,
  within,
} from '../support/gateway-fixture.ts'
import { booked, expectBooked, LIMITED } from './booked.ts'
import { costOfSaid, eventsOf, SPOKEN, type Spoken } from './dialect-fixtures.ts'

let stage: Stage | undefined
afterEach(async () => {
  await stage?.close()
  stage = undefined
})

async function open(env: Record<string, string>, play: Play = () => {}): Promise<Stage> {
  stage = await Stage.open({ config: LIMITED, play, env })
  return stage
}

const everywhere: [Door, Spoken][] = DOORS.flatMap((door) => SPOKEN.map((spoken): [Door, Spoken] => [door, spoken]))
const SAID = { input: 21, output: 9 }

/** Asks, waits until the upstream has it, and leaves. */
async function leaveBeforeAnswer(stage: Stage, spoken: Spoken, door: Door, stream = false): Promise<Received> {
  const leaving = new AbortController()
  const asked = stage.call(spoken, { cap: 50, stream }, { signal: leaving.signal }, door)
  const call = await until(async () => stage.upstream.received[0])
  leaving.abort()
  await expectOver(asked)
  return call
}

/** Asks for a stream, reads its first event, and leaves. */
async function leaveInTheMiddle(stage: Stage, spoken: Spoken, door: Door): Promise<Received> {
  const leaving = new AbortController()
  const events = eventsOf(spoken, SAID)
  stage.upstream.play = ({ response }) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    response.write((events[0] ?? '') + events[1])
  }
  const answer = await stage.call(spoken, { cap: 50, stream: true }, { signal: leaving.signal }, door)
  const reader = answer.body?.getReader()
  await reader?.read()
  if (door === 'in process') await reader?.cancel()
  leaving.abort()
  const [call] = stage.upstream.received
  if (!call) throw new Error('nothing was received')
  return call
}

describe.each(everywhere)('%s, %s:', (door, spoken) => {
  it('drain: the answer to a client that left is read to its end and booked exactly', async () => {
    const stage = await open({ ON_DISCONNECT: 'drain' })
    const call = await leaveBeforeAnswer(stage, spoken, door)
    await sleep(30)
    expect(await stage.entries()).toHaveLength(0)
    answerWhole(call, SAID)
    await expectBooked(stage, { ending: 'canceled', certainty: 'exact', cost: costOfSaid(SAID), tokens: 30 })
  })

  it('drain: a stream too', async () => {
    const stage = await open({ ON_DISCONNECT: 'drain' })
    const call = await leaveInTheMiddle(stage, spoken, door)
    await sleep(30)
    for (const event of eventsOf(spoken, SAID).slice(2)) call.response.write(event)
    call.response.end()
    await expectBooked(stage, { ending: 'canceled', certainty: 'exact', cost: costOfSaid(SAID), tokens: 30 })
  })

  it('drain, but no longer than the deadline: then the whole reservation', async () => {
    const stage = await open({ ON_DISCONNECT: 'drain', UPSTREAM_TIMEOUT_MS: '150' })
    const call = await leaveBeforeAnswer(stage, spoken, door)
    expect(await call.cut).toBe(true)
    await expectBooked(stage, { certainty: 'upperBound', cost: 'whole' })
  })

  it.each([{ ON_DISCONNECT: 'drain', MAX_DRAINS: '0' }, { ON_DISCONNECT: 'charge' }])(
    '%o: the upstream is let go at once, and the whole reservation booked',
    async (env) => {
      const stage = await open(env)
      const call = await leaveInTheMiddle(stage, spoken, door)
      expect(await call.cut).toBe(true)
      await expectBooked(stage, { ending: 'canceled', certainty: 'upperBound', cost: 'whole' })
    },
  )

  it('charge: nothing but the request is booked for a client that left before anything was sent', async () => {
    const stage = await open({ ON_DISCONNECT: 'charge' }, (call) => answerWhole(call, SAID))
    const signal = AbortSignal.abort()
    await expectOver(stage.call(spoken, { cap: 50 }, { signal }, door))
    await until(async () => stage.app.gate.inFlight === 0 || undefined)
    expect(stage.upstream.received).toHaveLength(0)
    const { levels } = await booked(stage)
    expect([levels.costNanoUsd, levels.tokens]).toEqual([0n, 0])
  })

  it('cancel: the upstream is let go, and what was seen is booked as an estimate', async () => {
    const stage = await open({ ON_DISCONNECT: 'cancel' })
    const call = await leaveInTheMiddle(stage, spoken, door)
    expect(await call.cut).toBe(true)
    await stage.settled(1)
    const { levels, entries } = await booked(stage)
    const outcome = entries[0]?.outcome
    expect(outcome).toMatchObject({ ending: 'canceled', certainty: 'estimated' })
    expect(outcome?.cost.totalNanoUsd).toBeGreaterThan(0n)
    expect(outcome?.cost.totalNanoUsd).toBeLessThan(entries[0]?.facts.reservedCostNanoUsd ?? 0n)
    expect(levels.costNanoUsd).toBe(outcome?.cost.totalNanoUsd)
  })
})

describe.each(DOORS)('%s:', (door) => {
  it.each(['openai', 'anthropic'] as const)(
    '%s: a client that leaves after the last event has what it came for',
    async (spoken) => {
      const leaving = new AbortController()
      const stage = await open({ ON_DISCONNECT: 'charge' }, ({ response }) => {
        response.writeHead(200, { 'content-type': 'text/event-stream' })
        for (const event of eventsOf(spoken, SAID)) response.write(event)
      })
      const answer = await stage.call(spoken, { cap: 50, stream: true }, { signal: leaving.signal }, door)
      await answer.text()
      leaving.abort()
      await expectBooked(stage, { ending: 'completed', certainty: 'exact', cost: costOfSaid(SAID), tokens: 30 })
    },
  )

  it('drains are counted: one more than MAX_DRAINS is charged, and a place that is free again is used', async () => {
    const stage = await open({ ON_DISCONNECT: 'drain', MAX_DRAINS: '1' })
    const first = await leaveBeforeAnswer(stage, 'openai', door)
    stage.upstream.received.length = 0
    const second = await leaveBeforeAnswer(stage, 'openai', door)
    expect(await second.cut).toBe(true)
    answerWhole(first, SAID)
    await stage.settled(2)
    stage.upstream.received.length = 0
    answerWhole(await leaveBeforeAnswer(stage, 'openai', door), SAID)
    const entries = await stage.settled(3)
    expect(entries.map(({ outcome }) => outcome?.certainty).toReversed()).toEqual(['upperBound', 'exact', 'exact'])
  })
})

/** Nobody waits for ever for an answer that will not come: the promise is kept as an error of one kind or another. */
async function expectOver(asked: Promise<Response>): Promise<void> {
  const answer = await within(2_000, asked).catch((error: Error) => error)
  if (answer instanceof Response) expect(answer.ok).toBe(false)
  else expect(answer.message).toMatch(/abort/i)
}
