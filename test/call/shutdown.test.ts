// A gateway that is stopping: a call on a connection that was open is refused, and the connection closes behind the answer.

import { Agent, type IncomingMessage, request } from 'node:http'
import { text } from 'node:stream/consumers'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { type GatewayFixture, useGateway } from '../support/gateway.ts'
import { withTimeout } from '../support/waiting.ts'
import { DIALECT_NAMES, type DialectName, requestFor } from './dialect-fixtures.ts'

let gateway: GatewayFixture
/** It keeps one connection, as clients do. */
let agent: Agent
beforeEach(async () => {
  gateway = await useGateway()
  agent = new Agent({ keepAlive: true, maxSockets: 1 })
})
afterEach(() => agent.destroy())

/** A call over the agent's connection. `closed` resolves once the connection is closed. */
async function call(dialect: DialectName) {
  const { path, body } = requestFor(dialect, { cap: 10 })
  const headers = { 'content-type': 'application/json' }
  const sent = request({ agent, port: gateway.port, host: '127.0.0.1', method: 'POST', path, headers })
  const closed = new Promise<void>((resolve) => sent.on('socket', (socket) => socket.once('close', () => resolve())))
  const answer = await withTimeout(
    5_000,
    new Promise<IncomingMessage>((resolve, reject) => {
      sent.on('response', resolve).on('error', reject).end(body)
    }),
  )
  const { statusCode: status, headers: received } = answer
  return { status, headers: received, body: await text(answer), reused: sent.reusedSocket, closed }
}

it.each(DIALECT_NAMES)('%s: a call that comes too late is 503, and closes its connection', async (dialect) => {
  const before = await call(dialect)
  expect([before.status, before.headers.connection]).toEqual([200, 'keep-alive'])
  gateway.app.gate.close()
  const late = await call(dialect)
  expect([late.status, late.headers.connection, late.reused]).toEqual([503, 'close', true])
  expect(late.body).toContain('The gateway is stopping.')
  await withTimeout(5_000, late.closed)
  expect(gateway.provider.received).toHaveLength(1)
  expect(await gateway.ledger.holds(1)).toHaveLength(1)
})
