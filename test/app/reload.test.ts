// A reload takes all of a bursar.json or nothing, whatever fails on the way; and what is spent meanwhile counts.

import { randomBytes } from 'node:crypto'
import pino from 'pino'
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest'
import { type App, createApp } from '../../src/app/app.ts'
import { ConfigurationInForce } from '../../src/app/reload.ts'
import { type FileConfig, readFileConfig } from '../../src/config/file.ts'
import { readSettings } from '../../src/config/settings.ts'
import { MemoryRegistry } from '../../src/stores/memory/registry.ts'
import { MemoryStore } from '../../src/stores/memory/store.ts'
import type { Registry } from '../../src/stores/registry.ts'
import { StoreUnavailable } from '../../src/stores/store.ts'
import { ADMIN_KEY } from '../support/client-and-ledger.ts'
import { ManualClock, realTimers } from '../support/clocks.ts'
import { turns } from '../support/waiting.ts'

const DISK_FULL = 'the disk is full'
const ALICE = 'alice-secret-alice'

/** A registry that stops working when a test says so. */
class FailingRegistry extends MemoryRegistry {
  failsToRead = false
  /** Documents that can still be written. */
  writesLeft = Number.POSITIVE_INFINITY
  /** Failed writes after which it works again. */
  failuresLeft = Number.POSITIVE_INFINITY

  override async read(...query: Parameters<Registry['read']>) {
    if (this.failsToRead) throw new Error(DISK_FULL)
    return super.read(...query)
  }

  override async writeAll(...change: Parameters<Registry['writeAll']>) {
    const [{ length }] = change
    if (this.writesLeft < length && this.failuresLeft > 0) {
      this.failuresLeft -= 1
      throw new StoreUnavailable(DISK_FULL)
    }
    if (this.failuresLeft > 0) this.writesLeft -= length
    return super.writeAll(...change)
  }

  repair(): void {
    this.failsToRead = false
    this.writesLeft = this.failuresLeft = Number.POSITIVE_INFINITY
  }
}

class FailingStore extends MemoryStore {
  override readonly registry = new FailingRegistry()
  failing: 'sums' | 'seed' | undefined

  override async sums(...query: Parameters<MemoryStore['sums']>) {
    if (this.failing === 'sums') throw new Error(DISK_FULL)
    return super.sums(...query)
  }

  override async seed(...levels: Parameters<MemoryStore['seed']>) {
    if (this.failing === 'seed') throw new Error(DISK_FULL)
    return super.seed(...levels)
  }
}

const BEFORE = {
  prices: [{ provider: 'openai', model: 'our-model', input: '1', output: '2', contextWindow: 1_000 }],
  limits: { global: { costPerMonth: '100' }, perKey: { requestsPerDay: 50 } },
  providers: { first: { baseUrl: 'http://127.0.0.1:9/v1' }, openai: { callerKeys: 'forward' } },
  aliases: { ours: ['sim/echo'] },
  patterns: { model: 'sim/echo' },
}
const AFTER = {
  prices: [{ provider: 'openai', model: 'our-model', input: '3', output: '4', contextWindow: 1_000 }],
  limits: { perUser: { requestsPerDay: 70 }, perThread: { costPerMonth: '9' }, global: { costPerTotal: '11' } },
  providers: { second: { baseUrl: 'http://127.0.0.1:9/v1' } },
  aliases: { theirs: ['sim/echo'] },
  patterns: { model: 'sim/long-3' },
}

const configOf = (file: unknown): FileConfig => readFileConfig(JSON.stringify(file))

let registry: FailingRegistry
let store: FailingStore
let clock: ManualClock
let app: App

beforeEach(async () => {
  store = new FailingStore()
  registry = store.registry
  clock = new ManualClock()
  app = await createApp({
    settings: readSettings({ ADMIN_KEY, BURSAR_KEYS: `alice:${ALICE}`, MAX_REQUESTS_PER_MINUTE: '' }),
    file: configOf(BEFORE),
    clock,
    timers: realTimers,
    random: () => 0,
    randomBytes,
    newCallId: newIds(),
    log: pino({ level: 'silent' }),
    store,
  })
  onTestFinished(() => app.close(0))
})

function newIds(): () => string {
  let count = 0
  return () => `call-${++count}`
}

function send(path: string, body?: unknown, key = ADMIN_KEY): Promise<Response> {
  const headers = { authorization: `Bearer ${key}`, 'content-type': 'application/json', 'x-bursar-user': 'bob' }
  const init = body === undefined ? { headers } : { method: 'POST', headers, body: JSON.stringify(body) }
  return Promise.resolve(app.app.fetch(new Request(`http://localhost${path}`, init)))
}

function sendCall(): Promise<Response> {
  const body = { model: 'sim/echo', messages: [{ role: 'user', content: 'hello' }] }
  return send('/v1/chat/completions', body, ALICE)
}

async function call(): Promise<void> {
  const response = await sendCall()
  expect(response.status).toBe(200)
  await response.text()
}

/** Everything that a file changes, as callers see it. */
async function inForce() {
  const limits = (await (await send('/llm/limits')).json()) as { limits: { limit: string }[] }
  const models = (await (await send('/v1/models')).json()) as { data: { id: string }[] }
  const run = await send('/api/patterns/tool-use', { task: 'Say hello.' }, ALICE)
  return {
    price: app.prices.find('openai', 'our-model', 0).price?.steps[0].rates.input,
    limits: limits.limits.map(({ limit }) => limit).sort(),
    providers: app.providers.map(({ name, callerKeys }) => `${name} ${callerKeys}`),
    aliases: models.data.map(({ id }) => id).filter((id) => id === 'ours' || id === 'theirs'),
    patternModel: ((await run.json()) as { model: string }).model,
    marks: (await MemoryRegistry.prototype.read.call(registry, 'limit-seed')).map(({ id }) => id).sort(),
  }
}

describe('a reload', () => {
  it('takes all of a file', async () => {
    expect(await inForce()).toMatchObject({
      price: 1_000_000_000n,
      providers: ['openai true', 'anthropic false', 'gemini false', 'first false', 'simulated false'],
      aliases: ['ours'],
      patternModel: 'sim/echo',
    })
    await app.reload(configOf(AFTER))
    const after = await inForce()
    expect(after).toMatchObject({
      price: 3_000_000_000n,
      providers: ['openai false', 'anthropic false', 'gemini false', 'second false', 'simulated false'],
      aliases: ['theirs'],
      patternModel: 'sim/long-3',
    })
    expect(after.limits.join()).not.toContain('costPerMonth')
  })

  it.each<[string, () => void]>([
    ['the registry cannot be read', () => void (registry.failsToRead = true)],
    ['the registry cannot be written', () => void (registry.writesLeft = 0)],
    ['the registry cannot be written but for one mark', () => void (registry.writesLeft = 1)],
    ['the registry cannot be written for a moment', () => void ([registry.writesLeft, registry.failuresLeft] = [1, 1])],
    ['the store cannot be summed', () => void (store.failing = 'sums')],
    ['the store cannot be seeded', () => void (store.failing = 'seed')],
  ])('takes nothing of it if %s, and a later one takes all', async (_what, fail) => {
    const before = await inForce()
    fail()
    await expect(app.reload(configOf(AFTER))).rejects.toThrow(DISK_FULL)
    registry.failsToRead = false
    const { marks: _marks, ...rest } = await inForce()
    expect({ ...rest, marks: before.marks }).toEqual(before)
    registry.repair()
    store.failing = undefined
    await app.reload(configOf(AFTER))
    const after = await inForce()
    expect(after).toMatchObject({ price: 3_000_000_000n, aliases: ['theirs'], patternModel: 'sim/long-3' })
    expect(after.marks).toHaveLength(4)
  })

  it('leaves no mark of limits that did not come into force', async () => {
    const { marks } = await inForce()
    ;[registry.writesLeft, registry.failuresLeft] = [2, 1]
    await expect(app.reload(configOf(AFTER))).rejects.toThrow(DISK_FULL)
    expect((await inForce()).marks).toEqual(marks)
  })

  it('takes nothing of a file whose price is no price', async () => {
    const before = await inForce()
    const file = configOf(AFTER)
    const wrong = { provider: 'openai', model: 'our-model', input: 'a dollar' }
    await expect(app.reload({ ...file, prices: [...file.prices, wrong] })).rejects.toThrow(/our-model: input/)
    expect(await inForce()).toEqual(before)
  })

  it.each([0, 1, 2])(
    'counts what is spent after it failed at write %d, once the limit is new again',
    async (writes) => {
      const file = configOf({ ...AFTER, limits: { ...AFTER.limits, perUser: { requestsPerDay: 2 } } })
      await call()
      registry.writesLeft = writes
      await expect(app.reload(file)).rejects.toThrow(DISK_FULL)
      await call()
      registry.repair()
      await app.reload(file)
      expect((await sendCall()).status).toBe(429)
    },
  )

  it('lets calls wait while limits change, and go on after it failed', async () => {
    await call()
    const { promise, resolve } = Promise.withResolvers<void>()
    const { sums } = store
    store.sums = async (query) => {
      await promise
      return sums.call(store, query)
    }
    const reload = app.reload(configOf(AFTER))
    let isOver = false
    const waiting = call().then(() => {
      isOver = true
    })
    await turns()
    expect(isOver).toBe(false)
    store.failing = 'seed'
    resolve()
    await expect(reload).rejects.toThrow(DISK_FULL)
    await waiting
  })

  it('waits for the one before', async () => {
    const order: string[] = []
    const first = app.reload(configOf(AFTER)).then(() => order.push('first'))
    const second = app.reload(configOf(BEFORE)).then(() => order.push('second'))
    await Promise.all([first, second])
    expect(order).toEqual(['first', 'second'])
    expect(await inForce()).toMatchObject({ price: 1_000_000_000n, aliases: ['ours'], patternModel: 'sim/echo' })
    registry.failsToRead = true
    const failing = app.reload(configOf(AFTER))
    const later = app.reload(configOf(AFTER))
    await expect(failing).rejects.toThrow(DISK_FULL)
    registry.repair()
    await later.catch(() => {})
    await app.reload(configOf(AFTER))
    expect((await inForce()).aliases).toEqual(['theirs'])
  })

  it('is refused once the gateway is stopping', async () => {
    app.gate.close()
    await expect(app.reload(configOf(AFTER))).rejects.toThrow('The gateway is stopping')
  })
})

it('a change by /admin/ that cannot be written leaves everything as it is', async () => {
  const put = (path: string, body: unknown) => {
    const headers = { authorization: `Bearer ${ADMIN_KEY}`, 'content-type': 'application/json' }
    const init = { method: 'PUT', headers, body: JSON.stringify(body) }
    return Promise.resolve(app.app.fetch(new Request(`http://localhost/admin/${path}`, init)))
  }
  const before = await inForce()
  const { providers } = app
  registry.writesLeft = 0
  const prices = [{ ...BEFORE.prices[0], input: '9' }]
  for (const [path, body] of [
    ['prices', { prices }],
    ['settings', { default_models: { first: 'm' } }],
    ['providers/first', { base_url: 'http://127.0.0.1:9/other' }],
  ] as const)
    expect((await put(path, body)).status).toBe(503)
  expect(await inForce()).toEqual(before)
  expect(app.providers).toBe(providers)
  registry.repair()
  expect((await put('prices', { prices })).status).toBe(200)
  expect((await inForce()).price).toBe(9_000_000_000n)
})

it('closes the providers it opened if the limits cannot be changed', async () => {
  const steps: string[] = []
  const configuration = new ConfigurationInForce({
    settings: readSettings({}),
    clock,
    gate: app.gate,
    prices: { useUserPrices: () => steps.push('prices') },
    limits: { prepare: async () => Promise.reject(new Error(DISK_FULL)) },
    alerts: { use: () => steps.push('alerts') },
    providers: {
      list: [],
      prepare: () => ({
        list: [],
        putInForce: () => steps.push('providers'),
        discard: async () => void steps.push('discard'),
      }),
    },
    routing: { change: () => steps.push('routes') },
    patterns: { change: () => steps.push('patterns') },
    registry,
  })
  await expect(configuration.reload(configOf(AFTER))).rejects.toThrow(DISK_FULL)
  expect(steps).toEqual(['discard'])
})
