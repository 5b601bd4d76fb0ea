// The process's own manners: it stops in order, and does not start with settings or files it cannot make sense of.

import { createHash } from 'node:crypto'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest'
import { decodedSql } from '../../src/stores/sqlite/compact-values.ts'
import { requestFor } from '../call/dialect-fixtures.ts'
import { useProvider } from '../support/gateway.ts'
import { waitFor } from '../support/waiting.ts'
import { GatewayProcess } from './child.ts'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'bursar-stop-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
})

const env = () => ({ DATABASE_URL: `sqlite:${join(folder, 'ledger.db')}` })

function sendRequest(gateway: GatewayProcess, model: string): Promise<Response> {
  const { path, body } = requestFor('openai', { model, text: 'one two three four five six', cap: 50, stream: true })
  return fetch(gateway.url + path, { method: 'POST', body, headers: { 'content-type': 'application/json' } })
}

/** One connection, whose requests are sent without waiting for the answers before. */
class Connection {
  received = ''
  readonly closed: Promise<unknown>
  readonly #socket: Socket

  constructor(port: number) {
    this.#socket = connect(port, '127.0.0.1').setEncoding('utf8')
    this.#socket.on('data', (text) => (this.received += text))
    this.closed = new Promise((resolve, reject) => this.#socket.on('close', resolve).on('error', reject))
  }

  send(model: string): void {
    const { path, body } = requestFor('openai', { model, text: 'one two three four five six', cap: 50, stream: true })
    const headers = `host: 127.0.0.1\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}`
    this.#socket.write(`POST ${path} HTTP/1.1\r\n${headers}\r\n\r\n${body}`)
  }
}

describe('SIGTERM', () => {
  it('lets streams finish, takes nothing new, settles everything, and ends with 0', async () => {
    const gateway = await GatewayProcess.start(env())
    const answers = await Promise.all(Array.from({ length: 10 }, () => sendRequest(gateway, 'sim/slow-60')))
    const exit = gateway.kill('SIGTERM')
    const probe = waitFor(async () => {
      const ready = await fetch(`${gateway.url}/readyz`).then(
        (answer) => answer.status,
        () => 0,
      )
      return ready === 200 ? undefined : ready
    })
    expect([0, 503]).toContain(await probe)
    for (const answer of answers) expect(await answer.text()).toMatch(/"finish_reason":"stop".*\[DONE\]\s*$/s)
    expect(await exit).toEqual({ code: 0, signal: null })
    expect(rows()).toEqual(Array(10).fill({ ending: 'completed', certainty: 'exact' }))
    expect(gateway.stdout).toMatch(/"stopped"\}\n$/)
  })

  it('cuts with an error event what does not finish within DRAIN_TIMEOUT_MS, and settles it in full', async () => {
    const gateway = await GatewayProcess.start({ ...env(), DRAIN_TIMEOUT_MS: '300' })
    const answer = await sendRequest(gateway, 'sim/slow-2000')
    const startedMs = performance.now()
    const exit = gateway.kill('SIGTERM')
    expect(await answer.text()).toMatch(
      /"error":\{"message":"The provider simulated was still answering when the gateway stopped/,
    )
    expect(await exit).toEqual({ code: 0, signal: null })
    expect(performance.now() - startedMs).toBeLessThan(2_500)
    expect(rows()).toEqual([{ ending: 'failed', certainty: 'upperBound' }])
  })

  it('cuts a call whose provider hangs with 503, and is not kept by idle connections or a second signal', async () => {
    const gateway = await GatewayProcess.start({ ...env(), DRAIN_TIMEOUT_MS: '200' })
    await (await fetch(`${gateway.url}/healthz`)).text()
    const asked = sendRequest(gateway, 'sim/hang')
    await waitFor(async () => (await openCalls(gateway)) === 1 || undefined)
    const exit = gateway.kill('SIGTERM')
    void gateway.kill('SIGINT')
    expect((await asked).status).toBe(503)
    expect(await exit).toEqual({ code: 0, signal: null })
  })

  it('writes the answers of calls it cuts, also where closing its ledger and providers takes no time', async () => {
    const gateway = await GatewayProcess.start({ DATABASE_URL: 'memory:', DRAIN_TIMEOUT_MS: '0' })
    const stream = await sendRequest(gateway, 'sim/slow-2000')
    const exit = gateway.kill('SIGTERM')
    expect(await stream.text()).toContain('"code":"shutting_down"')
    expect(await exit).toEqual({ code: 0, signal: null })
  })

  it('answers a call that arrives too late with 503 in the words of its SDK, on a connection that was open', async () => {
    const gateway = await GatewayProcess.start({ ...env(), DRAIN_TIMEOUT_MS: '2000' })
    const connection = new Connection(gateway.port)
    connection.send('sim/slow-100')
    await waitFor(() => connection.received.includes('data: '))
    void gateway.kill('SIGTERM')
    await waitFor(() => gateway.stdout.includes('"stopping"'))
    connection.send('sim/echo')
    await connection.closed
    expect(connection.received).toMatch(/^HTTP\/1\.1 200 .*\[DONE\].*HTTP\/1\.1 503 .*"code":"shutting_down"/s)
    expect((await gateway.exit).code).toBe(0)
    expect(rows()).toHaveLength(1)
  })

  it('leaves the ledger whole where the provider is real, too', async () => {
    const provider = await useProvider(() => {})
    const gateway = await GatewayProcess.start({ ...env(), ...provider.env, DRAIN_TIMEOUT_MS: '200' })
    const { path, body } = requestFor('openai', { model: 'gpt-4o', cap: 50 })
    const asked = fetch(gateway.url + path, { method: 'POST', body, headers: { 'content-type': 'application/json' } })
    await waitFor(async () => provider.received[0])
    const exit = gateway.kill('SIGTERM')
    expect((await asked).status).toBe(503)
    expect((await exit).code).toBe(0)
    expect(rows()).toEqual([{ ending: 'failed', certainty: 'upperBound' }])
  })
})

it('bursar.json is read once it is there, and stays in force when it is gone', async () => {
  const path = join(folder, 'bursar.json')
  const gateway = await GatewayProcess.start({ ...env(), CONFIG_FILE: path })
  const statusOfCall = async () => (await sendRequest(gateway, 'sim/echo')).status
  const told = (code: string) => waitFor(() => gateway.stdout.includes(`"${code}"`))
  expect(await statusOfCall()).toBe(200)
  expect(gateway.stdout).not.toContain('configuration_')
  writeFileSync(path, '{"limits":{"perUser":{"requestsPerDay":0}}}')
  await told('configuration_reloaded')
  expect(gateway.stdout).not.toContain('configuration_not_reloaded')
  expect(await statusOfCall()).toBe(429)
  rmSync(path)
  await told('configuration_not_reloaded')
  expect(await statusOfCall()).toBe(429)
  expect(await gateway.kill('SIGTERM')).toEqual({ code: 0, signal: null })
})

describe('settings that make no sense', () => {
  it('are all named at once, and no secret is repeated', async () => {
    const gateway = GatewayProcess.run({
      ...env(),
      PORT: 'eighty',
      MAX_COST_PER_REQUEST: '-1',
      DAILY_SPENDING_LIMIT: '1e3',
      TIME_ZONE: 'Mars/Olympus',
      OPENAI_API_KEY: 'sk-sec\nret-1',
      BURSAR_KEYS: 'alice:alice-secret-alice\nx,alice:bob',
      ADMIN_KEY: 'short-secret',
      ENFORCEMENT: 'maybe',
    })
    expect(await gateway.exit).toEqual({ code: 1, signal: null })
    for (const name of [
      'PORT',
      'MAX_COST_PER_REQUEST',
      'DAILY_SPENDING_LIMIT',
      'TIME_ZONE',
      'OPENAI_API_KEY',
      'BURSAR_KEYS',
      'ADMIN_KEY',
      'ENFORCEMENT',
    ])
      expect(gateway.stderr).toMatch(new RegExp(`^ *${name}: `, 'm'))
    expect(gateway.stderr + gateway.stdout).not.toMatch(/sk-sec|ret-1|alice-secret|short-secret| at .*\.ts:/)
    expect(readdirSync(folder)).toEqual([])
  })

  it.each([
    [{ HOST: '0.0.0.0', ADMIN_KEY: '' }, /HOST: 0\.0\.0\.0 can be reached from outside/],
    [{ DATABASE_URL: 'mysql://root:hunter2@localhost/db' }, /DATABASE_URL: must be sqlite:PATH or memory:/],
    [{ PORT: '70000' }, /PORT: must be a whole number from 0 to 65535/],
  ])('%o: exit 1', async (wrong, message) => {
    const gateway = GatewayProcess.run({ ...env(), ...wrong })
    expect((await gateway.exit).code).toBe(1)
    expect(gateway.stderr).toMatch(message)
    expect(gateway.stderr).not.toMatch(/hunter2/)
  })

  it('a bursar.json that is wrong is refused with every mistake', async () => {
    const path = join(folder, 'bursar.json')
    writeFileSync(path, '{"limits":{"perKey":{"costPerDay":"ten"},"perPlanet":{}},"prices":[{"model":""}],"x":1}')
    const gateway = GatewayProcess.run({ ...env(), CONFIG_FILE: path })
    expect((await gateway.exit).code).toBe(1)
    expect(gateway.stderr).toMatch(/costPerDay/)
    expect(gateway.stderr).toMatch(/prices\[0\]\.model/)
  })
})

describe('a file that is no ledger', () => {
  it.each([
    ['text', () => writeFileSync(join(folder, 'ledger.db'), 'my diary\n'.repeat(100)), /is not an SQLite database/],
    ['half a header', () => writeFileSync(join(folder, 'ledger.db'), 'SQLite format 3\0'), /is not an SQLite database/],
    [
      "another application's",
      () => new DatabaseSync(join(folder, 'ledger.db')).exec('CREATE TABLE diary (page TEXT)'),
      /belongs to another application/,
    ],
    ['a folder', () => mkdtempSync(join(folder, 'x')), /cannot be opened|is a directory|not an SQLite/i],
  ])('%s: exit 1, and the file is as it was', async (what, make, message) => {
    make()
    const path = what === 'a folder' ? folder : join(folder, 'ledger.db')
    const before = digests()
    const gateway = GatewayProcess.run({ DATABASE_URL: `sqlite:${path}` })
    expect((await gateway.exit).code).toBe(1)
    expect(gateway.stderr).toMatch(message)
    expect(digests()).toMatchObject(before)
  })

  it('a ledger that is corrupt: exit 1, and the file is as it was', async () => {
    await (await GatewayProcess.start(env())).kill('SIGTERM')
    const path = join(folder, 'ledger.db')
    const bytes = readFileSync(path)
    writeFileSync(path, bytes.fill(0x41, 200, bytes.length - 200))
    const before = digests()
    const gateway = GatewayProcess.run(env())
    expect((await gateway.exit).code).toBe(1)
    expect(gateway.stderr).not.toBe('')
    expect(digests()['ledger.db']).toBe(before['ledger.db'])
  })
})

async function openCalls(gateway: GatewayProcess): Promise<number> {
  return (await gateway.page<{ reserved_now: { requests: number } }>('/llm/stats')).reserved_now.requests
}

function rows() {
  const db = new DatabaseSync(join(folder, 'ledger.db'), { readOnly: true })
  const found = db
    .prepare(`SELECT ${decodedSql('ending')} AS ending, ${decodedSql('certainty')} AS certainty FROM entry`)
    .all()
  db.close()
  return found.map((row) => ({ ...row }))
}

function digests(): Record<string, string> {
  const files = readdirSync(folder, { withFileTypes: true }).filter((entry) => entry.isFile())
  return Object.fromEntries(
    files.map(({ name }) => [
      name,
      createHash('sha256')
        .update(readFileSync(join(folder, name)))
        .digest('hex'),
    ]),
  )
}
