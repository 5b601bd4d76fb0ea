// A ledger that takes no calls: each call is a 503 in its dialect's form, /readyz says why, and the log says so once.

import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { LedgerHealth } from '../../src/stores/sqlite/ledger-health.ts'
import { temporaryFolder } from '../stores/folder.ts'
import { type GatewayFixture, useGateway } from '../support/gateway.ts'
import { DIALECT_NAMES } from './dialect-fixtures.ts'

async function openWithHealth(): Promise<{ readonly gateway: GatewayFixture; readonly health: LedgerHealth }> {
  const gateway = await useGateway({ path: join(temporaryFolder(), 'ledger.db') })
  const { health } = gateway.app.store
  if (!(health instanceof LedgerHealth)) throw new Error('The health of another store.')
  return { gateway, health }
}

const errorLines = (gateway: GatewayFixture) =>
  gateway.log.map((line) => JSON.parse(line)).filter(({ level, code }) => level >= 50 || code === 'ledger_available')

async function readiness(gateway: GatewayFixture): Promise<readonly [status: number, answer: unknown]> {
  const answer = await gateway.client.fetch('in process', '/readyz')
  return [answer.status, await answer.json()]
}

describe.each(DIALECT_NAMES)('%s:', (dialect) => {
  it('a lost ledger refuses calls until its file is back', async () => {
    const { gateway, health } = await openWithHealth()
    expect((await gateway.client.asks(dialect)).status).toBe(200)
    health.lost({ path: '/somewhere/secret/ledger.db', verb: 'deleted or moved' })
    for (let count = 0; count < 3; count++) {
      const answer = await gateway.client.asks(dialect)
      expect(answer.status).toBe(503)
      expect(answer.headers.get('x-bursar-source')).toBe('gateway')
      expect([answer.headers.get('x-should-retry'), answer.headers.get('retry-after')]).toEqual(['false', null])
      expect(await answer.text()).toContain('The ledger cannot be written; the call was not sent.')
    }
    const message = expect.stringMatching(/ledger\.db was deleted or moved while the gateway ran. No call is sent./)
    expect(await readiness(gateway)).toEqual([503, { status: 'ledger_unavailable', message }])
    expect(JSON.stringify(await readiness(gateway))).not.toContain('secret')
    expect(gateway.provider.received).toHaveLength(1)
    health.found()
    expect((await gateway.client.asks(dialect)).status).toBe(200)
    expect(await readiness(gateway)).toEqual([200, { status: 'ready' }])
    expect(errorLines(gateway)).toMatchObject([
      { code: 'ledger_unavailable', level: 50, reason: 'lost', file: '/somewhere/secret/ledger.db' },
      { code: 'ledger_available', level: 30 },
    ])
  })
})

it('the log says that the sums of deleted rows were lost, and calls go on', async () => {
  const { gateway, health } = await openWithHealth()
  health.sumsLost()
  expect(gateway.log.map((line) => JSON.parse(line)).filter(({ code }) => code === 'sums_lost')).toHaveLength(1)
  expect((await gateway.client.asks('openai')).status).toBe(200)
})
