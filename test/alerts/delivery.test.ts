// Delivery through a whole gateway: receivers and providers that fail in every way, while time is moved by hand.

import { createServer, type Server, type Socket } from 'node:net'
import { expect, it, onTestFinished } from 'vitest'
import { readFileConfig } from '../../src/config/file.ts'
import type { Timer, Timers } from '../../src/core/clock.ts'
import { PRICE } from '../call/dialect-fixtures.ts'
import { ManualClock } from '../support/clocks.ts'
import { answerWhole, type GatewayFixture, useGateway } from '../support/gateway.ts'
import { turns, waitFor } from '../support/waiting.ts'

const SECRET = `whsec_${'A'.repeat(32)}`
const MINUTE_MS = 60_000
const HOUR_MS = 60 * MINUTE_MS
/** The most that an attempt takes. */
const ATTEMPT_MS = 15_000
/** A call costs 4 % of it. */
const LIMITS = { DAILY_SPENDING_LIMIT: '0.001' }

const OK = (socket: Socket) => void socket.end('HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n')
type Reply = (socket: Socket) => void

/** What a receiver got. */
interface Attempt {
  readonly id: string
  readonly type: string
  readonly atMs: number
  readonly reply: Reply
}

/** Time that moves by hand, and knows of attempts that have not ended. */
class DeliveryTime implements Timers {
  readonly clock = new ManualClock()
  readonly #attempts = new Set<Timer | undefined>()
  isHanging = false

  setTimeout(callback: () => void, delayMs: number): Timer {
    const timer = this.clock.setTimeout(() => {
      this.#attempts.delete(timer)
      callback()
    }, delayMs)
    if (delayMs === ATTEMPT_MS) this.#attempts.add(timer)
    return timer
  }

  clearTimeout(timer: Timer | undefined): void {
    this.#attempts.delete(timer)
    this.clock.clearTimeout(timer)
  }

  /** Moves time on, and lets attempts end before it moves on again, unless they hang. */
  async pass(ms: number): Promise<void> {
    this.isHanging = false
    this.clock.advance(ms)
    await turns(10)
    await waitFor(() => this.#attempts.size === 0 || this.isHanging)
    await turns(10)
  }

  async passUntil(look: () => boolean, stepMs: number): Promise<void> {
    for (let step = 0; step < 1_000; step++) {
      if (look()) return
      await this.pass(stepMs)
    }
    throw new Error(`This did not happen in ${stepMs} steps: ${look}`)
  }
}

/** A receiver on a socket of its own. Replies are taken from the list, and then it takes everything. */
class ScriptedReceiver {
  readonly attempts: Attempt[] = []
  readonly replies: Reply[]
  readonly #clock: ManualClock
  readonly #server: Server
  port = 0

  constructor(clock: ManualClock, replies: readonly Reply[] = []) {
    this.#clock = clock
    this.replies = [...replies]
    this.#server = createServer((socket) => {
      let text = ''
      socket.on('error', () => {})
      socket.on('data', (data) => {
        text += data
        // The body is the last thing that comes.
        if (text.endsWith('}')) this.#answer(socket, text)
      })
      onTestFinished(() => void socket.destroy())
    })
    onTestFinished(() => void this.#server.close())
  }

  async listen(port = 0): Promise<void> {
    await new Promise<void>((resolve) => this.#server.listen(port, '127.0.0.1', resolve))
    this.port = (this.#server.address() as { port: number }).port
  }

  async refuseConnections(): Promise<void> {
    await new Promise((resolve) => this.#server.close(resolve))
  }

  /** The ids of messages that it took. */
  get taken(): readonly string[] {
    return this.attempts.filter(({ reply }) => reply === OK).map(({ id }) => id)
  }

  get types(): readonly string[] {
    return this.attempts.map(({ type }) => type)
  }

  #answer(socket: Socket, text: string): void {
    const reply = this.replies.shift() ?? OK
    const id = /webhook-id: (\S+)/.exec(text)?.[1] ?? ''
    const { type } = JSON.parse(text.slice(text.indexOf('\r\n\r\n')))
    this.attempts.push({ id, type, atMs: this.#clock.wallMs, reply })
    reply(socket)
  }
}

const configFor = ({ port }: ScriptedReceiver, more: object) => ({
  prices: [PRICE],
  alerts: [
    { name: 'ops', send: 'webhook', url: `http://127.0.0.1:${port}/`, secret: SECRET, allowPrivate: true, ...more },
  ],
})

const startGateway = (time: DeliveryTime, config: object, env: Readonly<Record<string, string>> = LIMITS) =>
  useGateway({ clock: time.clock, timers: time, config, env })

const call = async (gateway: GatewayFixture) => (await gateway.client.asks('openai', { cap: 10 })).text()

const codesIn = (gateway: GatewayFixture) => gateway.log.map((line) => JSON.parse(line).code)

it('a receiver that fails in every way gets each alert once, by one id, and no call waits', async () => {
  const time = new DeliveryTime()
  const elsewhere = new ScriptedReceiver(time.clock)
  await elsewhere.listen()
  const slow: Reply = (socket) => void socket.end('HTTP/1.1 429 Slow\r\nretry-after: 7200\r\ncontent-length: 0\r\n\r\n')
  const hang: Reply = () => {
    time.isHanging = true
  }
  const faults: Reply[] = [
    slow,
    hang,
    (socket) => void socket.end('HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n'),
    (socket) => {
      socket.write('HTTP/1.1 503 No\r\ncontent-length: 100\r\n\r\nhalf')
      setImmediate(() => socket.resetAndDestroy())
    },
    (socket) => void socket.end('no HTTP\u0000\r\n\r\n'),
    (socket) => {
      socket.write('HTTP/1.1 502 No\r\ntransfer-encoding: chunked\r\n\r\n')
      for (let count = 0; count < 100; count++) socket.write(`10000\r\n${'x'.repeat(65_536)}\r\n`)
    },
    (socket) =>
      void socket.end(`HTTP/1.1 307 No\r\nlocation: http://127.0.0.1:${elsewhere.port}/\r\ncontent-length: 0\r\n\r\n`),
    (socket) => void socket.destroy(),
  ]
  const receiver = new ScriptedReceiver(time.clock, faults)
  await receiver.listen()
  await receiver.refuseConnections()
  const gateway = await startGateway(time, configFor(receiver, { on: ['limit'], at: [1, 10, 30] }))
  await call(gateway)
  // It refuses the connection.
  await time.pass(1_000)
  await time.pass(1_000)
  expect(receiver.attempts).toHaveLength(0)
  await receiver.listen(receiver.port)
  await time.passUntil(() => receiver.attempts.length === 1, 1_000)
  for (let count = 0; count < 5; count++) await call(gateway)
  await time.passUntil(() => time.isHanging, MINUTE_MS)
  // No call waits for the message that hangs.
  for (let count = 0; count < 10; count++) await call(gateway)
  await time.passUntil(() => receiver.replies.length === 0, 10 * MINUTE_MS)
  await time.passUntil(() => receiver.taken.length === 3, 10 * MINUTE_MS)
  await time.pass(HOUR_MS)
  expect(new Set(receiver.taken).size).toBe(3)
  expect(new Set(receiver.attempts.map(({ id }) => id)).size).toBe(3)
  expect(receiver.attempts).toHaveLength(faults.length + 3)
  expect(elsewhere.attempts).toHaveLength(0)
  const [first, second] = receiver.attempts.filter(({ id }) => id === receiver.attempts[0]?.id)
  expect((second?.atMs ?? 0) - (first?.atMs ?? 0)).toBeGreaterThanOrEqual(2 * HOUR_MS)
  expect((await gateway.app.store.alerts.deliveries())[0]?.pending).toBe(0)
  expect(codesIn(gateway)).not.toContain('alert_not_delivered')
  expect(codesIn(gateway)).not.toContain('alerts_lost')
})

it('a provider that goes down, comes and goes, and is up again makes two alerts', async () => {
  const time = new DeliveryTime()
  const receiver = new ScriptedReceiver(time.clock)
  await receiver.listen()
  const gateway = await startGateway(time, configFor(receiver, { on: ['provider_down'] }), {})
  let isUp = false
  gateway.provider.says((request) =>
    isUp ? answerWhole(request, { input: 1, output: 1 }) : void request.response.writeHead(500).end('{}'),
  )
  const calls = async (count: number) => {
    for (let index = 0; index < count; index++) await call(gateway)
  }
  const outage = async () => {
    isUp = false
    await calls(12)
    await time.pass(MINUTE_MS)
    isUp = true
    await calls(1)
    await time.pass(MINUTE_MS)
  }
  await outage()
  await outage()
  await time.passUntil(() => receiver.types.length >= 2, MINUTE_MS)
  for (let count = 0; count < 10; count++) await time.pass(MINUTE_MS)
  expect(receiver.types).toEqual(['provider.down', 'provider.up'])
  // The next outage is another one.
  isUp = false
  await calls(12)
  await time.passUntil(() => receiver.types.length === 3, MINUTE_MS)
  expect(receiver.types[2]).toBe('provider.down')
})

it('after status 410 alerts wait until the address changes', async () => {
  const time = new DeliveryTime()
  const receiver = new ScriptedReceiver(time.clock, [
    (socket) => void socket.end('HTTP/1.1 410 Gone\r\ncontent-length: 0\r\n\r\n'),
  ])
  const other = new ScriptedReceiver(time.clock)
  await receiver.listen()
  await other.listen()
  const rules = { on: ['limit'], at: [1, 10] }
  const gateway = await startGateway(time, configFor(receiver, rules))
  const isGone = async () =>
    (await gateway.client.asksOwner<{ alerts: { gone: boolean; pending: number }[] }>('/admin/alerts')).alerts[0]
  await call(gateway)
  await time.passUntil(() => receiver.attempts.length === 1, 1_000)
  for (let count = 0; count < 5; count++) await call(gateway)
  for (let count = 0; count < 10; count++) await time.pass(HOUR_MS)
  expect(receiver.attempts).toHaveLength(1)
  expect(await isGone()).toMatchObject({ gone: true, pending: 2 })
  const reload = (to: ScriptedReceiver) => gateway.app.reload(readFileConfig(JSON.stringify(configFor(to, rules))))
  await reload(receiver)
  await time.pass(HOUR_MS)
  expect(receiver.attempts).toHaveLength(1)
  await reload(other)
  await time.passUntil(() => other.taken.length === 2, 1_000)
  expect(other.taken[0]).toBe(receiver.attempts[0]?.id)
  expect(await isGone()).toMatchObject({ gone: false, pending: 0 })
})

it.each([
  ['a call that was made elsewhere', 'tracked'],
  ['a correction', 'corrected'],
  ['a call that cost more than its reservation', 'dearer'],
])('%s raises the alert without another call', async (_, kind) => {
  const time = new DeliveryTime()
  const receiver = new ScriptedReceiver(time.clock)
  await receiver.listen()
  const gateway = await startGateway(time, configFor(receiver, { on: ['limit'], at: [50] }))
  // The look back after the start is over.
  await time.pass(5_000)
  if (kind === 'dearer') gateway.provider.usage = { input: 200, output: 200 }
  const answer = await gateway.client.asks('openai', { cap: 10 })
  await answer.text()
  const post = async (path: string, body: object) => {
    const init = { method: 'POST', body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }
    await gateway.client.asksOwner(path, init)
  }
  const timestamp = new Date(time.clock.wallMs).toISOString()
  const elsewhere = { id: '1', model: 'openai/m', input_tokens: 100, output_tokens: 200, timestamp }
  if (kind === 'tracked') await post('/token-usage/track', elsewhere)
  const correction = { call_id: answer.headers.get('x-bursar-call-id'), cost_usd: '0.0006', reason: 'invoice' }
  if (kind === 'corrected') {
    await time.pass(5_000)
    expect(receiver.attempts).toHaveLength(0)
    await post('/admin/adjustments', correction)
  }
  await time.passUntil(() => receiver.taken.length === 1, 500)
  // What counts in windows that are over is no alert.
  const yesterday = new Date(time.clock.wallMs - 30 * HOUR_MS).toISOString()
  await post('/token-usage/track', { ...elsewhere, id: '2', timestamp: yesterday })
  for (let count = 0; count < 10; count++) await time.pass(1_000)
  expect(receiver.taken).toHaveLength(1)
})

it('a receiver that is added hears of what the newest calls have reached, and later of nothing twice', async () => {
  const time = new DeliveryTime()
  const receiver = new ScriptedReceiver(time.clock)
  await receiver.listen()
  const gateway = await startGateway(time, { prices: [PRICE] })
  await call(gateway)
  const reload = (more: object) =>
    gateway.app.reload(readFileConfig(JSON.stringify(configFor(receiver, { on: ['limit'], at: [1], ...more }))))
  await reload({})
  await time.passUntil(() => receiver.taken.length === 1, 500)
  await reload({ at: [1, 90] })
  for (let count = 0; count < 10; count++) await time.pass(1_000)
  expect(receiver.taken).toHaveLength(1)
})

it('a reload just after a limit was reached loses no alert', async () => {
  const time = new DeliveryTime()
  const receiver = new ScriptedReceiver(time.clock)
  await receiver.listen()
  const config = configFor(receiver, { on: ['limit'], at: [1] })
  const gateway = await startGateway(time, config)
  await time.pass(5_000)
  await call(gateway)
  await gateway.app.reload(readFileConfig(JSON.stringify(config)))
  await time.passUntil(() => receiver.taken.length === 1, 500)
})

it('a limit that an alert names and nothing sets is a warning until it is set', async () => {
  const file = {
    prices: [PRICE],
    alerts: [{ name: 'a', send: 'slack', url: 'https://1.1.1.1/', limits: ['perUser.costPerDay'] }],
  }
  const gateway = await useGateway({ config: file, env: { BURSAR_SECRET: 'the-bursar-secret-of-tests' } })
  const warnings = async () => {
    const { configuration } = await gateway.client.asksOwner<{ configuration: { warnings: string[] } }>('/llm/status')
    return configuration.warnings
  }
  const send = (path: string, body: object) =>
    gateway.client.asksOwner<{ warnings: string[] }>(path, {
      method: 'PUT',
      body: JSON.stringify(body),
      headers: { 'content-type': 'application/json' },
    })
  expect(await warnings()).toEqual(['alerts[0].limits[0]: watches nothing: no limit perUser.costPerDay is set.'])
  const row = { send: 'slack', url: 'https://1.1.1.1/', limits: ['perUser.costPerDay', 'global.costPerDay'] }
  const set = await send('/admin/alerts/b', row)
  expect(set.warnings).toEqual([
    'limits[0]: watches nothing: no limit perUser.costPerDay is set.',
    'limits[1]: watches nothing: no limit global.costPerDay is set.',
  ])
  expect(await warnings()).toHaveLength(3)
  await send('/admin/limits/perUser', { costPerDay: '1' })
  expect(await warnings()).toEqual([
    '/admin/alerts/b: limits[1]: watches nothing: no limit global.costPerDay is set. Limits that are set: perUser.costPerDay',
  ])
  expect((await send('/admin/alerts/b', { ...row, limits: ['perUser.costPerDay'] })).warnings).toEqual([])
})
