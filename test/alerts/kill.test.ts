// kill -9 while an alert is being sent, and just after a limit was reached: after the restart, each alert is delivered once.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import { GatewayProcess } from '../app/child.ts'
import { PRICE, requestFor } from '../call/dialect-fixtures.ts'
import { useProvider } from '../support/gateway.ts'
import { listen } from '../support/provider.ts'
import { waitFor } from '../support/waiting.ts'

it('what was decided before a kill, and what was reached just before, is delivered once after it', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'bursar-alert-kill-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  const ids: string[] = []
  let hangs = true
  const taken: string[] = []
  const server = createServer((request, response) => {
    request.resume()
    const id = String(request.headers['webhook-id'])
    ids.push(id)
    if (hangs) return
    taken.push(id)
    response.end()
  })
  const url = await listen(server)
  onTestFinished(() => void server.close().closeAllConnections())
  const receiver = {
    name: 'ops',
    send: 'webhook',
    url,
    secret: `whsec_${'A'.repeat(32)}`,
    allowPrivate: true,
    at: [10, 60],
    on: ['limit'],
  }
  const file = join(folder, 'bursar.json')
  writeFileSync(file, JSON.stringify({ prices: [PRICE], alerts: [receiver] }))
  const provider = await useProvider()
  const env = {
    ...provider.env,
    DATABASE_URL: `sqlite:${join(folder, 'ledger.db')}`,
    CONFIG_FILE: file,
    DAILY_SPENDING_LIMIT: '0.001',
  }
  const call = async (gateway: GatewayProcess) => {
    const { path, body } = requestFor('openai', { model: PRICE.model, cap: 10 })
    const headers = { 'content-type': 'application/json' }
    await (await fetch(gateway.url + path, { method: 'POST', headers, body })).text()
  }
  const first = await GatewayProcess.start(env)
  for (let calls = 0; calls < 10; calls++) await call(first)
  await waitFor(() => ids.length === 1)
  // The last of them reach the higher percentage.
  for (let calls = 0; calls < 6; calls++) await call(first)
  await first.kill('SIGKILL')
  hangs = false
  const second = await GatewayProcess.start(env)
  await waitFor(() => taken.length === 2)
  await call(second)
  const isSent = async () => {
    const { alerts } = await second.page<{ alerts: { pending: number; last_sent_at: string | null }[] }>(
      '/admin/alerts',
    )
    return alerts[0]?.pending === 0 && alerts[0].last_sent_at !== null
  }
  for (let tries = 0; tries < 100 && !(await isSent()); tries++);
  // A stop reads the levels once more, and writes what is due.
  await second.kill('SIGTERM')
  expect(taken[0]).toBe(ids[0])
  expect(new Set(taken).size).toBe(2)
  expect(ids).toHaveLength(3)
})
