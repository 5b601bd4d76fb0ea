// The events of calls that go through the gateway: which come, in what order, and that a broken listener harms no call.

import { expect, it } from 'vitest'
import type { CallEvent } from '../../src/telemetry/call-events.ts'
import { PRICE, wholeAnswer } from '../call/dialect-fixtures.ts'
import { ManualClock } from '../support/clocks.ts'
import { useGateway } from '../support/gateway.ts'

async function listeningGateway(limits: object, status = 200) {
  const clock = new ManualClock()
  const gateway = await useGateway({
    config: { prices: [PRICE], limits },
    clock,
    respond: ({ response }) =>
      void response
        .writeHead(status, { 'content-type': 'application/json' })
        .end(status === 200 ? wholeAnswer('openai', { input: 5, output: 5 }) : '{}'),
  })
  const events: CallEvent[] = []
  gateway.app.telemetry.listen({ name: 'test', hear: (event) => events.push(event) })
  return { gateway, events, clock }
}

it('a call is admitted and settled; a second one is refused by its limit', async () => {
  const { gateway, events } = await listeningGateway({ global: { requestsPerDay: 1 } })
  await (await gateway.client.asks('openai', { cap: 9 })).text()
  expect((await gateway.client.asks('openai', { cap: 9 })).status).toBe(429)
  expect(events.map(({ kind }) => kind)).toEqual(['admitted', 'settled', 'refused'])
  const [admitted, settled, refused] = events
  expect(admitted).toMatchObject({ facts: { model: 'm' }, unenforced: [], levels: [{ reserved: 1n, settled: 0n }] })
  expect(settled).toMatchObject({ outcome: { ending: 'completed' }, bounded: true, ownAccount: true })
  expect(refused).toMatchObject({ model: 'm', provider: 'openai', refusal: { meter: { name: 'requests_per_day' } } })
})

it('a call of an unknown form is rejected', async () => {
  const { gateway, events } = await listeningGateway({})
  const headers = { 'content-type': 'text/plain' }
  const request = new Request('http://127.0.0.1/v1/chat/completions', { method: 'POST', headers, body: 'hello' })
  expect((await gateway.app.app.fetch(request)).status).toBe(415)
  expect(events).toMatchObject([{ kind: 'rejected', problem: { code: 'unsupported_media_type' } }])
})

it('a target that keeps failing opens its circuit, and closes it when it answers again', async () => {
  const { gateway, events, clock } = await listeningGateway({}, 500)
  for (let index = 0; index < 10; index++) await (await gateway.client.asks('openai', { cap: 9 })).text()
  expect(events.filter(({ kind }) => kind.startsWith('circuit'))).toMatchObject([
    { kind: 'circuit_opened', provider: 'openai', model: 'm' },
  ])
  gateway.provider.says(
    ({ response }) =>
      void response
        .writeHead(200, { 'content-type': 'application/json' })
        .end(wholeAnswer('openai', { input: 5, output: 5 })),
  )
  clock.advance(5_000)
  await (await gateway.client.asks('openai', { cap: 9 })).text()
  expect(events.at(-1)?.kind).toBe('settled')
  expect(events.filter(({ kind }) => kind.startsWith('circuit')).map(({ kind }) => kind)).toEqual([
    'circuit_opened',
    'circuit_closed',
  ])
})

it('a listener that throws harms no call', async () => {
  const { gateway, events } = await listeningGateway({})
  gateway.app.telemetry.listen({
    name: 'broken',
    hear() {
      throw new Error('broken')
    },
  })
  expect((await gateway.client.asks('openai', { cap: 9 })).status).toBe(200)
  expect(events.map(({ kind }) => kind)).toEqual(['admitted', 'settled'])
  expect(gateway.app.telemetry.failures.get('broken')).toBe(2)
})
