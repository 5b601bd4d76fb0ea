// kill -9 at any moment: no answered call is lost, none is settled twice, no budget comes back.

import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { at, chargeOf } from './calls.ts'
import { temporaryFolder } from './folder.ts'
import { openSqlite } from './open-sqlite.ts'

const VICTIM = fileURLToPath(new URL('./victim.ts', import.meta.url))

const MIN_SETTLED = 25

/** The lines that a process wrote before it was killed, `afterMs` after it had settled `MIN_SETTLED` calls. */
async function killVictim(path: string, prefix: string, afterMs: number): Promise<string[]> {
  const child = spawn(process.execPath, [VICTIM, path, prefix], { stdio: ['ignore', 'pipe', 'inherit'] })
  let output = ''
  let dying = false
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text
    if (dying || output.split('settled').length <= MIN_SETTLED) return
    dying = true
    // Real time: the kill has to come while the other process writes.
    setTimeout(() => child.kill('SIGKILL'), afterMs)
  })
  const signal = await new Promise((resolve) => child.once('close', (_code, name) => resolve(name)))
  expect(signal).toBe('SIGKILL')
  return output.split('\n').slice(0, -1)
}

test('a process that is killed again and again keeps what it answered', async () => {
  const path = join(temporaryFolder(), 'ledger.db')
  const reserved = new Set<string>()
  const amended = new Set<string>()
  const settled = new Map<string, bigint>()
  for (let round = 0; round < 5; round++) {
    for (const line of await killVictim(path, `${round}`, 20 + 60 * round)) {
      const [word, callId = '', cost = '0'] = line.split(' ')
      if (word === 'reserved') reserved.add(callId)
      if (word === 'amended') amended.add(callId)
      if (word === 'settled') settled.set(callId, BigInt(cost))
    }
    const store = openSqlite(path)
    const entries = await store.entries({ limit: 1e6 })
    const byId = new Map(entries.map((entry) => [entry.facts.callId, entry]))
    expect(byId.size).toBe(entries.length)
    for (const callId of reserved) expect(byId.has(callId)).toBe(true)
    for (const callId of amended) {
      const entry = byId.get(callId)
      expect(entry?.facts.reservedCostNanoUsd).toBe(25n)
      if (entry?.outcome?.ending === 'expired') expect(entry.outcome.cost.totalNanoUsd).toBe(25n)
    }
    for (const [callId, cost] of settled) {
      expect(byId.get(callId)?.outcome).toMatchObject({ ending: 'completed', cost: { totalNanoUsd: cost } })
    }
    const sum = entries.reduce((before, { outcome }) => before + (outcome?.cost.totalNanoUsd ?? 0n), 0n)
    const inFlight = [chargeOf('inFlight', 0n, 1n), chargeOf('inFlight', 0n, 1n, { subject: 'b' })]
    const levels = await store.levels([chargeOf('cost/total', 0n, 1n), ...inFlight], at())
    expect(levels.map((level) => [level.settled, level.reserved])).toEqual([
      [sum, 0n],
      [0n, 0n],
      [0n, 0n],
    ])
    const total = (await store.figures({ simulated: false })).report.total()
    expect([total.requests, total.costNanoUsd]).toEqual([entries.length, sum])
    await store.close(at())
  }
  expect(settled.size).toBeGreaterThanOrEqual(5 * MIN_SETTLED)
  expect(amended.size).toBeGreaterThan(10)
})
