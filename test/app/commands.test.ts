// The commands of `bursar` against a real gateway: explain, estimate and backtest, and the process that runs them.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { describe, expect, it } from 'vitest'
import { ADMIN_KEY } from '../support/client-and-ledger.ts'
import { ManualClock } from '../support/clocks.ts'
import { useGateway } from '../support/gateway.ts'

const BIN = join(import.meta.dirname, '../../bin/bursar.js')
const KEYS = { BURSAR_KEYS: 'alice:alice-secret-alice' }
const ALICE = { authorization: 'Bearer alice-secret-alice', 'x-bursar-user': 'u' }

async function bursar(args: readonly string[], env: Readonly<Record<string, string>>, input = '') {
  const child = spawn(process.execPath, [BIN, ...args], { env: { PATH: process.env.PATH, ...env }, stdio: 'pipe' })
  child.stdin.end(input)
  const [stdout, stderr, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'exit')])
  return { stdout, stderr, code: code as number }
}

async function open() {
  const clock = new ManualClock()
  const gateway = await useGateway({ clock, env: { ...KEYS, DAILY_SPENDING_LIMIT: '5' } })
  const ids: string[] = []
  for (let count = 0; count < 3; count++) {
    const answer = await gateway.client.asks('openai', { cap: 10 }, { headers: ALICE })
    await answer.text()
    ids.push(answer.headers.get('x-bursar-call-id') ?? '')
    clock.advance(1)
  }
  await gateway.ledger.holds(3)
  const env = { BURSAR_URL: gateway.url, BURSAR_ADMIN_KEY: ADMIN_KEY, BURSAR_CALLER_KEY: 'alice-secret-alice' }
  return { ids, env }
}

describe('bursar', () => {
  it('explains a call', async () => {
    const { ids, env } = await open()
    const { stdout, stderr, code } = await bursar(['explain', ids[0] ?? ''], env)
    expect({ stderr, code }).toEqual({ stderr: '', code: 0 })
    expect(stdout).toMatch(new RegExp(`^call_id +${ids[0]}\nstatus +completed\n`))
    expect(stdout).toMatch(/^cost_usd\.total +\$0\.00004$/m)
    expect(stdout).not.toMatch(/ 0$.*web_searches/s)
    const unknown = await bursar(['explain', 'nothing'], env)
    expect(unknown).toMatchObject({ code: 1, stdout: '', stderr: expect.stringMatching(/^There is no such call\./) })
  })

  it('estimates the call on standard input', async () => {
    const { env } = await open()
    const body = JSON.stringify({ model: 'm', max_tokens: 10, messages: [{ role: 'user', content: 'hello' }] })
    const { stdout, stderr, code } = await bursar(['estimate'], env, body)
    expect({ stderr, code }).toEqual({ stderr: '', code: 0 })
    expect(stdout).toMatch(/^fits +true$/m)
    expect(stdout).toMatch(/^daily_spending_limit +global +usd +\$[\d.]+ +\$[\d.]+ +\$5 +yes$/m)
    expect((await bursar(['estimate'], env)).code).toBe(2)
    expect(await bursar(['estimate'], { BURSAR_URL: env.BURSAR_URL }, body)).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/^The gateway needs a key that makes calls: set BURSAR_CALLER_KEY to one\./),
    })
  })

  it('backtests limits', async () => {
    const { ids, env } = await open()
    const line = ['backtest', '--days=1', '--set', 'perUser.requestsPerDay=1', '--set', 'global.inFlight=9']
    const { stdout, stderr, code } = await bursar(line, env)
    expect({ stderr, code }).toEqual({ stderr: '', code: 0 })
    expect(stdout).toMatch(
      /^2 of 3 calls would have been refused \(66\.67 %\)\.\nThey used 60 of 90 tokens and \$0\.00008 of \$0\.00012\.\n/m,
    )
    expect(stdout).toContain(`The first: ${ids[1]} at 2026-11-22T12:00:00.001Z.`)
    expect(stdout).toMatch(/^perUser\.requestsPerDay +2 +60 +\$0\.00008 +2026-11-22T12:00:00\.001Z$/m)
    expect(stdout).toMatch(/^user:alice\/u +2 /m)
    expect(stdout).toMatch(/^Calls that were refused at the time are not in the ledger/m)
    const { stdout: json } = await bursar([...line, '--json'], env)
    expect(JSON.parse(json)).toMatchObject({ refused: { calls: 2, calls_percent: 66.67 } })
    expect(await bursar(line, { BURSAR_URL: env.BURSAR_URL, BURSAR_ADMIN_KEY: 'wrong' })).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/^The gateway does not accept the key in BURSAR_ADMIN_KEY\./),
    })
  })

  it('says how to start a gateway if none runs, and which file cannot be read', async () => {
    expect(await bursar(['keys', 'list'], { BURSAR_URL: 'http://127.0.0.1:9' })).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/^No gateway answers at http:\/\/127\.0\.0\.1:9.*\. Start one with: npx bursar\./),
    })
    expect(await bursar(['backtest', '--limits', 'nowhere.json'], {})).toMatchObject({
      code: 1,
      stderr: 'nowhere.json cannot be read: there is no such file.\n',
    })
  })

  it('prints its help', async () => {
    const { stdout, code } = await bursar(['--help'], {})
    expect(code).toBe(0)
    expect(stdout).toContain('bursar backtest')
  })
})
