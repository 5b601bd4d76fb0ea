// Stage: a gateway, the upstream it sends to, and clients at both of its doors, for tests that watch calls from end to end.

import { randomBytes } from 'node:crypto'
import { createServer, type IncomingHttpHeaders, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { getRequestListener } from '@hono/node-server'
import pino from 'pino'
import { type App, createApp } from '../../src/app/app.ts'
import { readFileConfig } from '../../src/config/file.ts'
import { readSettings } from '../../src/config/settings.ts'
import { uuidV7Source } from '../../src/core/call-ids.ts'
import type { Clock, Timer, Timers } from '../../src/core/clock.ts'
import type { Entry } from '../../src/core/ledger-entry.ts'
import { callListener } from '../../src/http/calls.ts'
import { openRegistry, openStore } from '../../src/stores/index.ts'
import {
  type DialectName,
  PRICE,
  type ReportedUsage,
  type RequestOptions,
  requestFor,
  wholeAnswer,
} from '../call/dialect-fixtures.ts'

export const ADMIN_KEY = 'the-admin-key-of-tests'

/** One request as the upstream got it. */
export interface Received {
  readonly dialect: DialectName
  readonly path: string
  readonly headers: IncomingHttpHeaders
  readonly body: string
  readonly response: ServerResponse
  /** The gateway closed the connection before the answer was whole. */
  readonly cut: Promise<boolean>
}

const COUNT_PATH = /count_?tokens/i

export type Responder = (call: Received) => void | Promise<void>

/** A provider on a port of its own. Keeps a log of everything it received. */
export class Upstream {
  readonly received: Received[] = []
  respond: Responder
  readonly #server: Server

  private constructor(play: Responder, counts: boolean) {
    this.respond = play
    this.#server = createServer({ keepAliveTimeout: 60_000 }, (request, response) => {
      const chunks: Buffer[] = []
      request.on('data', (chunk: Buffer) => chunks.push(chunk))
      request.on('error', () => {})
      response.on('error', () => {})
      request.on('end', () => {
        const path = request.url ?? ''
        if (!counts && COUNT_PATH.test(path)) return response.writeHead(404).end()
        const dialect = path.includes('/chat/') ? 'openai' : path.includes('/messages') ? 'anthropic' : 'gemini'
        const cut = new Promise<boolean>((resolve) => response.on('close', () => resolve(!response.writableFinished)))
        const body = Buffer.concat(chunks).toString()
        const call = { dialect, path, headers: request.headers, body, response, cut } as const
        this.received.push(call)
        void this.respond(call)
      })
    })
  }

  /** @param counts true where counts of tokens are calls like others; else nobody counts here, and nobody is told of it */
  static async open(
    play: Responder = (call) => answerWhole(call, { input: 20, output: 10 }),
    counts = false,
  ): Promise<Upstream> {
    const upstream = new Upstream(play, counts)
    await new Promise<void>((resolve) => upstream.#server.listen(0, '127.0.0.1', resolve))
    return upstream
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  /** What a gateway has to be told to send here, whatever the dialect. */
  get env(): Record<string, string> {
    return {
      OPENAI_API_KEY: 'sk-upstream-openai-secret',
      OPENAI_BASE_URL: `${this.url}/v1`,
      ANTHROPIC_API_KEY: 'sk-upstream-anthropic-secret',
      ANTHROPIC_BASE_URL: this.url,
      GEMINI_API_KEY: 'upstream-gemini-secret',
      GEMINI_BASE_URL: this.url,
    }
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections()
    await new Promise((resolve) => this.#server.close(resolve))
  }
}

export function answerWhole({ dialect, response }: Received, said: ReportedUsage): void {
  response.writeHead(200, { 'content-type': 'application/json' }).end(wholeAnswer(dialect, said))
}

/** Writes events one by one, each in a packet of its own, and ends the body. */
export async function answerStream({ response }: Received, events: readonly string[], ends = true): Promise<void> {
  response.writeHead(200, { 'content-type': 'text/event-stream' })
  for (const event of events) {
    response.write(event)
    await sleep(1)
  }
  if (ends) response.end()
}

/** A clock that stands still until a test moves it, and timers that go off as it moves. */
export class ManualClock implements Clock, Timers {
  wallMs = Date.UTC(2026, 10, 22, 12)
  monoMs = this.wallMs
  readonly #timers: ManualTimer[] = []

  now() {
    return { wallMs: this.wallMs, monoMs: this.monoMs }
  }

  /** Moves both clocks, and calls back timers that fall due on the way, the earliest first. */
  advance(ms: number): void {
    const untilMs = this.monoMs + ms
    for (let due = this.#nextDue(untilMs); due; due = this.#nextDue(untilMs)) {
      this.#moveTo(Math.max(this.monoMs, due.dueMs))
      this.clearTimeout(due)
      due.callback()
    }
    this.#moveTo(untilMs)
  }

  setTimeout(callback: () => void, delayMs: number): Timer {
    const timer: ManualTimer = { callback, dueMs: this.monoMs + delayMs, unref: () => timer }
    this.#timers.push(timer)
    return timer
  }

  clearTimeout(timer: Timer | undefined): void {
    const timers: readonly (Timer | undefined)[] = this.#timers
    const index = timers.indexOf(timer)
    if (index >= 0) this.#timers.splice(index, 1)
  }

  /** How many timers are waiting. */
  get timerCount(): number {
    return this.#timers.length
  }

  #nextDue(untilMs: number): ManualTimer | undefined {
    const [earliest] = this.#timers.toSorted((one, other) => one.dueMs - other.dueMs)
    return earliest && earliest.dueMs <= untilMs ? earliest : undefined
  }

  #moveTo(monoMs: number): void {
    this.wallMs += monoMs - this.monoMs
    this.monoMs = monoMs
  }
}

interface ManualTimer extends Timer {
  readonly callback: () => void
  readonly dueMs: number
}

/** Timers that nobody waits for: a timer of less than a second goes off in the next turn of the event loop, others never do. */
export class EagerTimers implements Timers {
  readonly #immediates = new WeakMap<Timer, NodeJS.Immediate>()

  setTimeout(callback: () => void, delayMs: number): Timer {
    const timer: Timer = { unref: () => timer }
    if (delayMs < 1_000) this.#immediates.set(timer, setImmediate(callback))
    return timer
  }

  clearTimeout(timer: Timer | undefined): void {
    if (timer) clearImmediate(this.#immediates.get(timer))
  }
}

export const realTimers: Timers = {
  setTimeout: (callback, delayMs) => setTimeout(callback, delayMs),
  clearTimeout: (timer) => clearTimeout(timer as NodeJS.Timeout | undefined),
}

const wallClock: Clock = {
  now: () => ({ wallMs: Date.now(), monoMs: Math.floor(performance.timeOrigin + performance.now()) }),
}

export interface GatewayFixtureOptions {
  readonly env?: Readonly<Record<string, string>>
  readonly config?: unknown
  readonly clock?: Clock
  /** Without them, timers are the process's own. */
  readonly timers?: Timers
  readonly respond?: Responder
  /** The upstream counts tokens, by `play`. */
  readonly countsTokens?: boolean
  /** A file for the ledger; without one it is kept in memory. */
  readonly path?: string
}

/** No limits but those a test sets. */
const UNLIMITED_SETTINGS = {
  MAX_REQUESTS_PER_MINUTE: '',
  MAX_TOKENS_PER_MINUTE: '',
  MAX_COST_PER_REQUEST: '',
  DAILY_SPENDING_LIMIT: '',
}

export type Transport = 'over sockets' | 'in process'
export const TRANSPORTS: readonly Transport[] = ['over sockets', 'in process']

export class GatewayFixture {
  readonly app: App
  readonly upstream: Upstream
  /** Every log line so far. */
  readonly log: readonly string[]
  /** Over sockets: the newest answer, and how many clients went away before their answers had ended. */
  latestAnswer: ServerResponse | undefined
  goneClientCount = 0
  readonly #server: Server

  private constructor(app: App, upstream: Upstream, log: readonly string[], server: Server) {
    this.app = app
    this.upstream = upstream
    this.log = log
    this.#server = server
    server.on('request', (_, response: ServerResponse) => {
      this.latestAnswer = response
      response.on('close', () => {
        if (!response.writableEnded) this.goneClientCount += 1
      })
    })
  }

  static async open(options: GatewayFixtureOptions = {}): Promise<GatewayFixture> {
    const { clock = wallClock, config = { prices: [PRICE] } } = options
    const upstream = await Upstream.open(options.respond, options.countsTokens)
    const settings = readSettings({ ...upstream.env, ...UNLIMITED_SETTINGS, ADMIN_KEY, ...options.env })
    const log: string[] = []
    const url = options.path === undefined ? 'memory:' : `sqlite:${options.path}`
    const store = await openStore(url, { now: clock.now(), maxEntries: 100_000 })
    const app = await createApp({
      settings,
      file: readFileConfig(JSON.stringify(config)),
      clock,
      timers: options.timers ?? realTimers,
      random: () => 0.5,
      newCallId: uuidV7Source(() => clock.now().wallMs, randomBytes),
      log: pino({ level: 'trace', base: null }, { write: (line) => log.push(line) }),
      store,
      registry: openRegistry(store),
    })
    // In process, the platform's own Request and Response are to be met.
    const pages = getRequestListener(app.app.fetch, { overrideGlobalObjects: false })
    const server = createServer(callListener(app.gate, pages))
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    return new GatewayFixture(app, upstream, log, server)
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`
  }

  fetch(door: Transport, path: string, init: RequestInit = {}): Promise<Response> {
    if (door === 'over sockets') return fetch(this.url + path, init)
    return Promise.resolve(this.app.app.fetch(new Request(`http://localhost${path}`, init)))
  }

  /** Sends a call and resolves once its answer has begun. */
  call(
    dialect: DialectName,
    wanted: RequestOptions = {},
    init: RequestInit = {},
    door: Transport = 'in process',
  ): Promise<Response> {
    const { path, body } = requestFor(dialect, wanted)
    const headers = { 'content-type': 'application/json', ...init.headers }
    return this.fetch(door, path, { method: 'POST', body, ...init, headers })
  }

  /** One of the gateway's own pages, as its owner sees it. */
  async fetchPage<Page>(path: string, init: RequestInit = {}): Promise<Page> {
    const headers = { authorization: `Bearer ${ADMIN_KEY}`, ...init.headers }
    return (await this.fetch('in process', path, { ...init, headers })).json() as Promise<Page>
  }

  /** Levels by limit, without the time until they are as good as new. */
  async levels(query = ''): Promise<LevelJson[]> {
    const page = await this.fetchPage<{ limits: (LevelJson & { resets_in_ms?: number })[] }>(`/llm/limits${query}`)
    return page.limits.map(({ resets_in_ms: _, ...level }) => level)
  }

  async level(limit: string, query = ''): Promise<LevelJson> {
    const found = (await this.levels(query)).find((level) => level.limit === limit)
    if (!found) throw new Error(`there is no limit ${limit}`)
    return found
  }

  entries(): Promise<readonly Entry[]> {
    return this.app.store.entries({ limit: 100_000 })
  }

  /** Settled entries, once there are this many. */
  async settledEntries(count: number): Promise<readonly Entry[]> {
    return waitFor(async () => {
      const entries = await this.entries()
      return entries.length >= count && this.app.store.openTotals(false).calls === 0 ? entries : undefined
    })
  }

  /** Runs what makes a client leave, and resolves once the gateway knows that it is gone. In process, it knows at once. */
  async untilClientGone(door: Transport, leave: () => unknown): Promise<void> {
    const before = this.goneClientCount
    await leave()
    if (door === 'over sockets') await waitFor(async () => this.goneClientCount > before || undefined)
  }

  async close(): Promise<void> {
    await this.app.close(0)
    this.#server.closeAllConnections()
    await Promise.all([new Promise((resolve) => this.#server.close(resolve)), this.upstream.close()])
  }
}

export interface LevelJson {
  readonly limit: string
  readonly subject: string
  readonly capacity: number
  readonly settled: number
  readonly reserved: number
  readonly free: number
}

/** Asks again and again until there is an answer. */
export async function waitFor<Answer>(ask: () => Promise<Answer | undefined>, withinMs = 10_000): Promise<Answer> {
  const lastMs = performance.now() + withinMs
  for (;;) {
    const answer = await ask()
    if (answer !== undefined) return answer
    if (performance.now() > lastMs) throw new Error('waited in vain')
    await sleep(5)
  }
}

/** What is promised, or an error where it does not come in time. */
export async function withTimeout<Answer>(ms: number, promised: Promise<Answer>): Promise<Answer> {
  const given = new AbortController()
  const tooLate = sleep(ms, undefined, { signal: given.signal }).then(() => {
    throw new Error(`nothing came within ${ms} ms`)
  })
  try {
    return await Promise.race([promised, tooLate])
  } finally {
    given.abort()
    tooLate.catch(() => {})
  }
}
