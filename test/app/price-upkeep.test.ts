// Prices from PRICES_URL: only a valid, newer file comes into force, it is kept, and nothing waits for it.

import { readFileSync } from 'node:fs'
import { createServer, type RequestListener } from 'node:http'
import { describe, expect, it, onTestFinished, test } from 'vitest'
import { PriceUpkeep } from '../../src/app/price-upkeep.ts'
import { createPriceBook } from '../../src/prices/price-book.ts'
import { type PriceFile, readPriceFile } from '../../src/prices/price-file.ts'
import { PriceList } from '../../src/prices/price-list.ts'
import type { WarningSubjects } from '../../src/prices/price-warnings.ts'
import { MemoryRegistry } from '../../src/stores/memory/registry.ts'
import type { Notice } from '../../src/telemetry/call-events.ts'
import { ManualClock } from '../support/clocks.ts'
import { answerWhole, useGateway } from '../support/gateway.ts'
import { listen } from '../support/provider.ts'
import { waitFor } from '../support/waiting.ts'

const DAY_MS = 86_400_000
const NEWER_DAY = '2099-01-10'
const NOW_MS = Date.parse('2099-01-20')

type Writable<Value> = { -readonly [Name in keyof Value]: Value[Name] }
const SHIPPED_TEXT = readFileSync(new URL('../../src/prices/prices.json', import.meta.url), 'utf8')

/** The shipped file of another day, with another price of gpt-4o. */
function priceFile(input: number, date = NEWER_DAY, change: (file: Writable<PriceFile>) => void = () => {}): string {
  const file: Writable<PriceFile> = { ...readPriceFile(SHIPPED_TEXT), date }
  const models = (file.providers.openai?.models ?? []).map((model) =>
    model.id === 'gpt-4o' ? { ...model, spans: [{ rates: { input, output: 2 } }] } : model,
  )
  file.providers = { ...file.providers, openai: { ...file.providers.openai, models } }
  change(file)
  return JSON.stringify(file)
}

/** A web server for the test that is running. */
async function useServer(answer: RequestListener): Promise<string> {
  const server = createServer(answer)
  onTestFinished(() => new Promise((resolve) => server.close(() => resolve())))
  return listen(server)
}

const NO_SUBJECTS: WarningSubjects = { providers: [], models: [] }

function upkeepOf({
  url = '',
  registry = new MemoryRegistry(),
  subjects = NO_SUBJECTS,
  nowMs = NOW_MS,
}: {
  url?: string
  registry?: MemoryRegistry
  subjects?: WarningSubjects
  nowMs?: number
}) {
  const clock = new ManualClock()
  clock.wallMs = nowMs
  const notices: Notice[] = []
  const prices = createPriceBook()
  const telemetry = { notify: (notice: Notice) => void notices.push(notice) }
  const upkeep = new PriceUpkeep({ url, clock, timers: clock, telemetry, registry, prices, subjects: () => subjects })
  onTestFinished(() => upkeep.stop())
  const inputPrice = () => prices.find('openai', 'gpt-4o', clock.wallMs).price?.tiers.get('standard')?.[0]?.rates.input
  return { clock, notices, prices, upkeep, registry, inputPrice }
}

describe('a file that is downloaded', () => {
  it('is in force when it is newer, is shown with its date, and is used after a restart before anything is downloaded', async () => {
    let requests = 0
    const url = await useServer((_request, response) => {
      requests += 1
      response.end(priceFile(7))
    })
    const first = upkeepOf({ url })
    const shipped = first.prices.list.date
    await first.upkeep.start()
    expect(first.upkeep.state).toMatchObject({ origin: 'shipped', date: shipped, downloadedAtMs: null })
    await first.upkeep.idle()
    expect(first.upkeep.state).toEqual({
      version: expect.stringMatching(/^prices@2099-01-10#[0-9a-f]+$/),
      date: NEWER_DAY,
      origin: 'downloaded',
      warnings: [],
      downloadedAtMs: NOW_MS,
      downloadError: null,
    })
    expect([requests, first.notices]).toEqual([1, []])
    const { registry } = first
    const second = upkeepOf({ url: 'http://127.0.0.1:9', registry })
    await second.upkeep.start()
    expect(second.upkeep.state).toMatchObject({ origin: 'downloaded', date: NEWER_DAY, downloadedAtMs: NOW_MS })
    await second.upkeep.idle()
    expect(second.upkeep.state.date).toBe(NEWER_DAY)
    const without = upkeepOf({ registry })
    await without.upkeep.start()
    expect(without.upkeep.state).toMatchObject({ origin: 'shipped', date: shipped, downloadedAtMs: null })
  })

  it('is fetched again a day later, and not after a stop', async () => {
    let requests = 0
    const url = await useServer((_request, response) => {
      requests += 1
      response.end(priceFile(requests))
    })
    const { upkeep, clock } = upkeepOf({ url })
    await upkeep.start()
    await upkeep.idle()
    clock.advance(DAY_MS - 1)
    await upkeep.idle()
    expect(requests).toBe(1)
    clock.advance(1)
    await upkeep.idle()
    expect(requests).toBe(2)
    upkeep.stop()
    clock.advance(2 * DAY_MS)
    await upkeep.idle()
    expect([requests, clock.timerCount]).toEqual([2, 0])
  })

  it('is followed where it has moved to', async () => {
    const url = await useServer(({ url }, response) => {
      if (url === '/') response.writeHead(302, { location: '/there' }).end()
      else response.end(priceFile(7))
    })
    const { upkeep } = upkeepOf({ url })
    await upkeep.start()
    await upkeep.idle()
    expect(upkeep.state.date).toBe(NEWER_DAY)
  })

  const BROKEN: [string, RequestListener, string | RegExp][] = [
    ['is no JSON', (_request, response) => response.end('<html>'), 'The price file is not JSON'],
    ['is cut', (_request, response) => response.end(priceFile(7).slice(0, -3)), 'The price file is not JSON'],
    [
      'has a negative price',
      (_request, response) => response.end(priceFile(-1)),
      /not valid at providers\.openai\.models\.\d+\.spans\.0\.rates/,
    ],
    ['is not there', (_request, response) => response.writeHead(404).end('secret'), 'answered with status 404'],
    [
      'breaks off',
      (_request, response) => {
        response.writeHead(200, { 'content-length': '9999' }).write('{', () => response.destroy())
      },
      'aborted',
    ],
    [
      'goes round in circles',
      (_request, response) => response.writeHead(301, { location: '/' }).end(),
      'redirects too often',
    ],
    [
      'is somewhere that is no web address',
      (_request, response) => response.writeHead(301, { location: 'file:///etc/passwd' }).end(),
      'redirects to an address that is not safe',
    ],
    [
      'is of a day that is to come',
      (_request, response) => response.end(priceFile(7, '2099-02-01')),
      'which is to come',
    ],
    ['is of no day', (_request, response) => response.end(priceFile(7, '2099-99-99')), 'not valid at date'],
    [
      'has no models',
      (_request, response) => response.end(priceFile(7, NEWER_DAY, (file) => (file.providers = {}))),
      /no prices of anthropic/,
    ],
    [
      'makes a configured model free',
      (_request, response) => response.end(priceFile(0, NEWER_DAY).replace('"input":0,"output":2', '')),
      'no price for openai/gpt-4o, which is configured',
    ],
    [
      'is larger than any price file',
      (_request, response) => response.end(Buffer.alloc(16_777_217, ' ')),
      'larger than 16777216 bytes',
    ],
  ]
  test.each(BROKEN)('and %s is never used, and says so', async (_what, answer, reason) => {
    const url = await useServer(answer)
    const subjects = { providers: [], models: [{ provider: 'openai', model: 'gpt-4o' }] }
    const { upkeep, notices, prices, registry } = upkeepOf({ url, subjects })
    const before = prices.list
    await upkeep.start()
    await upkeep.idle()
    expect(prices.list).toBe(before)
    expect(upkeep.state).toMatchObject({ origin: 'shipped', downloadError: expect.stringMatching(reason) })
    expect(notices.map(({ code }) => code)).toContain('prices_not_downloaded')
    expect(await registry.read('price-file', 'newest')).toEqual([])
  })

  it('and is older than what is in force is refused, and what was stored stays for the next start', async () => {
    let text = priceFile(7)
    const url = await useServer((_request, response) => response.end(text))
    const { upkeep, prices, registry, notices, clock } = upkeepOf({ url })
    await upkeep.start()
    await upkeep.idle()
    const newer = prices.list
    text = priceFile(7, '2099-01-09')
    clock.advance(DAY_MS)
    await upkeep.idle()
    const older = 'The price file is of 2099-01-09, which is older than the prices in force'
    expect(prices.list).toBe(newer)
    expect(upkeep.state).toMatchObject({ date: NEWER_DAY, downloadedAtMs: NOW_MS, downloadError: older })
    expect(notices.map(({ message }) => message)).toEqual([
      `Prices could not be taken from PRICES_URL: ${older}. Those of ${NEWER_DAY} stay in force.`,
    ])
    const next = upkeepOf({ registry, url: 'http://127.0.0.1:9' })
    await next.upkeep.start()
    expect(next.upkeep.state).toMatchObject({ origin: 'downloaded', date: NEWER_DAY, downloadedAtMs: NOW_MS })
  })

  it('and was stored by an earlier version that shipped older prices is left out without a word', async () => {
    const registry = new MemoryRegistry()
    await registry.write(
      { kind: 'price-file', id: 'newest', value: { text: priceFile(7, '2026-01-01'), downloadedAtMs: 5 } },
      { actor: 'gateway', atMs: 5, audit: false },
    )
    const { upkeep, notices } = upkeepOf({ registry, url: 'http://127.0.0.1:9' })
    await upkeep.start()
    expect(upkeep.state).toMatchObject({ origin: 'shipped', downloadError: null })
    expect(notices).toEqual([])
  })

  it('and comes a byte at a time is given up after two minutes, and no warning waits for it', async () => {
    let connections = 0
    let closed = 0
    const url = await useServer((_request, response) => {
      connections += 1
      response.on('close', () => closed++)
      response.write(' ')
    })
    const subjects = { providers: [], models: [{ provider: 'openai', model: 'gpt-4o' }] }
    const { upkeep, notices, clock } = upkeepOf({ url, subjects })
    await upkeep.start()
    await waitFor(() => connections === 1)
    clock.advance(9_999)
    expect(notices).toEqual([])
    clock.advance(1)
    expect(notices.map(({ code }) => code)).toEqual(['prices_old', 'model_ends'])
    clock.advance(109_999)
    expect(upkeep.state.downloadError).toBeNull()
    clock.advance(1)
    await upkeep.idle()
    expect(upkeep.state.downloadError).toBe('the download took longer than 120 seconds')
    expect(notices.map(({ code }) => code)).toEqual(['prices_old', 'model_ends', 'prices_not_downloaded'])
    await waitFor(() => closed === 1)
  })

  it('leaves the address out of errors but for its host', async () => {
    const url = await useServer((_request, response) => response.writeHead(500).end())
    const { upkeep, notices } = upkeepOf({ url: `${url}/prices.json?token=hidden-token` })
    await upkeep.start()
    await upkeep.idle()
    expect(JSON.stringify([upkeep.state, notices])).not.toContain('hidden-token')
  })
})

describe('warnings', () => {
  const warningsAt = (day: string, subjects: WarningSubjects) =>
    upkeepOf({ nowMs: Date.parse(day), subjects }).upkeep.state.warnings.map(({ message }) => message)

  it('say that prices are old after 45 days', async () => {
    const { prices } = upkeepOf({})
    const days = (count: number) => new Date(Date.parse(prices.list.date) + count * DAY_MS).toISOString()
    expect(warningsAt(days(45.9), NO_SUBJECTS)).toEqual([])
    expect(warningsAt(days(46), NO_SUBJECTS)).toEqual([
      `Prices are of ${prices.list.date}, 46 days ago. Update bursar, or set PRICES_URL.`,
    ])
  })

  it('name the prices of configured providers that change within a week', () => {
    const gemini = { providers: ['gemini'], models: [] }
    const argon = 'The price of gemini/gemini-4-argon changes on 2026-12-01.'
    expect(warningsAt('2026-11-23', gemini)).not.toContain(argon)
    expect(warningsAt('2026-11-25', gemini)).toContain(argon)
    expect(warningsAt('2026-11-25', NO_SUBJECTS)).toEqual([])
    expect(warningsAt('2026-12-01T01:00:00Z', gemini)).not.toContain(argon)
  })

  it('name a configured model that ends, before and after, with what follows', () => {
    const subjects = { providers: [], models: [{ provider: 'openai', model: 'gpt-4o' }] }
    expect(warningsAt('2026-11-01', subjects)).toEqual([])
    expect(warningsAt('2026-11-30', subjects)).toEqual([
      expect.stringMatching(/^The model openai\/gpt-4o ends on 2027-01-14\./),
    ])
    expect(warningsAt('2027-01-14T12:00:00Z', subjects)[0]).toContain('ended on 2027-01-14')
  })

  it('are one for each model, by plain names, however many providers have the prices', () => {
    const providers = ['gemini+regional', 'google', 'vertex', 'vertex_ai+regional']
    const models = [
      ...providers.map((provider) => ({ provider, model: 'google/gemini-omni-1.1-flash' })),
      { provider: 'gemini', model: 'gemini-omni-1.1-flash' },
    ]
    const messages = warningsAt('2026-11-25', { providers, models })
    expect(messages.filter((message) => message.includes('gemini-4-argon'))).toEqual([
      'The price of gemini/gemini-4-argon changes on 2026-12-01.',
    ])
    expect(messages.filter((message) => message.startsWith('The model'))).toEqual([
      'The model gemini/gemini-omni-1.1-flash ends on 2026-12-03. The provider recommends gemini-omni-1.2-flash.',
    ])
  })

  it('are notices at the start and once a day', async () => {
    const { upkeep, notices, clock } = upkeepOf({ nowMs: Date.parse('2099-06-01') })
    await upkeep.start()
    await upkeep.idle()
    expect(notices.map(({ code }) => code)).toEqual(['prices_old'])
    clock.advance(DAY_MS)
    await upkeep.idle()
    expect(notices).toHaveLength(2)
  })
})

it('a gateway takes prices from PRICES_URL, shows them, and settles a call with those that it began with', async () => {
  const today = new Date().toISOString().slice(0, 10)
  const url = await useServer((_request, response) => response.end(priceFile(4, today)))
  const release = Promise.withResolvers<void>()
  const { app, client, ledger } = await useGateway({
    env: { PRICES_URL: `${url}/prices.json` },
    config: {},
    respond: async (request) => {
      await release.promise
      answerWhole(request, { input: 1_000, output: 0 })
    },
  })
  await waitFor(() => app.prices.find('openai', 'gpt-4o', 0).price?.steps[0].rates.input === 4_000_000_000n)
  const { version } = app.prices.list
  expect(await client.asksOwner('/llm/status')).toMatchObject({ prices: { version, origin: 'downloaded' } })
  const body = JSON.stringify({ model: 'openai/gpt-4o', messages: [{ role: 'user', content: 'hi' }], max_tokens: 5 })
  const answer = client.fetch('in process', '/v1/chat/completions', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body,
  })
  await waitFor(() => app.gate.inFlight === 1)
  app.prices.useList(new PriceList(readPriceFile(priceFile(9)), 'later'))
  release.resolve()
  expect((await answer).status).toBe(200)
  const [entry] = await ledger.holds(1)
  expect(entry?.outcome?.cost.totalNanoUsd).toBe(4_000_000n)
  expect(entry?.facts.priceVersion).toBe(version)
})
