// Gateway: the one fixture of a whole gateway in this process, on a socket, usually with a fake provider behind it. It speaks of
// what the provider says, what the client asks, and what the ledger holds.

import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer, type IncomingHttpHeaders, type Server, type ServerResponse } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setImmediate as turn } from 'node:timers/promises'
import { getRequestListener } from '@hono/node-server'
import pino from 'pino'
import { onTestFinished } from 'vitest'
import { type App, createApp } from '../../src/app/app.ts'
import { readFileConfig } from '../../src/config/file.ts'
import { readSettings } from '../../src/config/settings.ts'
import { uuidV7Source } from '../../src/core/call-ids.ts'
import type { Clock, Timers } from '../../src/core/clock.ts'
import { callListener } from '../../src/http/calls.ts'
import { openStore } from '../../src/stores/index.ts'
import { PRICE, type ReportedUsage, wholeAnswer } from '../call/dialect-fixtures.ts'
import { ADMIN_KEY, GatewayClient, GatewayLedger, type Transport } from './client-and-ledger.ts'
import { ManualClock, realClock, realTimers } from './clocks.ts'
import { FakeProvider, listen, type ProviderAnswer, type ProviderRequest, type ProviderScript } from './provider.ts'
import { waitFor } from './waiting.ts'

/** Settings without a limit. */
export const UNLIMITED_SETTINGS = {
  MAX_REQUESTS_PER_MINUTE: '',
  MAX_TOKENS_PER_MINUTE: '',
  MAX_COST_PER_REQUEST: '',
  DAILY_SPENDING_LIMIT: '',
}

const USUAL_USAGE: ReportedUsage = { input: 20, output: 10 }

/** A short answer that is whole, whatever was asked. */
function shortAnswer({ dialect }: ProviderRequest, usage: ReportedUsage): ProviderAnswer {
  const headers = { 'content-type': 'application/json' }
  return { status: 200, headers, pieces: [wholeAnswer(dialect, usage)] }
}

/** The provider of most tests: its answers are whole, and say that they used 20 tokens in and 10 out. */
export async function openProvider(says?: ProviderScript, countsTokens = false): Promise<FakeProvider> {
  const provider = await FakeProvider.open({ usual: shortAnswer, usage: USUAL_USAGE, countsTokens })
  if (says) provider.says(says)
  return provider
}

/** A script's part: answers whole, with this usage. */
export function answerWhole({ dialect, response }: ProviderRequest, usage: ReportedUsage): void {
  response.writeHead(200, { 'content-type': 'application/json' }).end(wholeAnswer(dialect, usage))
}

/** A script's part: writes events one by one, each in a packet of its own, and ends the body. */
export async function answerStream(
  { response }: ProviderRequest,
  events: readonly string[],
  ends = true,
): Promise<void> {
  response.writeHead(200, { 'content-type': 'text/event-stream' })
  for (const event of events) {
    response.write(event)
    await turn()
  }
  if (ends) response.end()
}

/** A request as it reached the gateway's socket. */
export interface ReceivedRequest {
  readonly method: string
  readonly url: string
  readonly headers: IncomingHttpHeaders
  readonly response: ServerResponse
  /** The client went away before its answer had ended. */
  clientGone: boolean
}

/** What every gateway of tests is made of. */
export interface GatewayParts<AnyClock extends Clock = Clock> {
  /** As the environment would give them. */
  readonly settings: Readonly<Record<string, string>>
  /** What bursar.json would hold. */
  readonly config: unknown
  readonly clock: AnyClock
  readonly timers?: Timers | undefined
  /** From 0 to 1; half of it without. */
  readonly random?: () => number
  /** Serves LLM calls through Hono as well, as in a user's app; else over Node's own streams, as the server does. */
  readonly servesByHono?: boolean
  /** `memory:` or `sqlite:` and a path. */
  readonly database: string
  readonly maxEntries?: number
  /** Runs last when the gateway closes. */
  readonly cleanUp?: () => Promise<unknown>
}

/** A gateway on a socket, whatever is behind it. */
export class Gateway<AnyClock extends Clock = Clock> implements AsyncDisposable {
  readonly app: App
  readonly clock: AnyClock
  /** Every log line so far. */
  readonly log: readonly string[]
  readonly receivedRequests: readonly ReceivedRequest[]
  /** What the client asks. */
  readonly client: GatewayClient
  /** What the ledger holds. */
  readonly ledger: GatewayLedger
  /** Its origin, without a trailing slash. */
  readonly url: string
  readonly #server: Server
  readonly #cleanUp: (() => Promise<unknown>) | undefined
  #closed: Promise<void> | undefined

  protected constructor(started: StartedGateway<AnyClock>) {
    const { app, clock, log, receivedRequests, url, server, cleanUp } = started
    this.app = app
    this.clock = clock
    this.log = log
    this.receivedRequests = receivedRequests
    this.url = url
    this.#server = server
    this.#cleanUp = cleanUp
    this.client = new GatewayClient(app, url)
    this.ledger = new GatewayLedger(app, this.client)
  }

  static async start<AnyClock extends Clock>(parts: GatewayParts<AnyClock>): Promise<Gateway<AnyClock>> {
    return new Gateway(await startParts(parts))
  }

  get port(): number {
    return Number(new URL(this.url).port)
  }

  /** How many clients over sockets went away before their answers had ended. */
  get goneClientCount(): number {
    return this.receivedRequests.filter(({ clientGone }) => clientGone).length
  }

  /** Over sockets: the newest answer. */
  get latestAnswer(): ServerResponse | undefined {
    return this.receivedRequests.at(-1)?.response
  }

  /** Runs `leave`, which makes a client go away, and resolves once the gateway knows. In process, the gateway knows at once. */
  async untilClientGone(transport: Transport, leave: () => unknown): Promise<void> {
    const before = this.goneClientCount
    await leave()
    if (transport === 'over sockets') await waitFor(() => this.goneClientCount > before)
  }

  /** Resolves when no call is in flight any more. */
  async idle(): Promise<void> {
    await waitFor(() => this.app.gate.inFlight === 0)
  }

  /** Closes once, however often it is called. */
  close(): Promise<void> {
    this.#closed ??= this.#close()
    return this.#closed
  }

  async #close(): Promise<void> {
    await this.app.close(0)
    this.#server.closeAllConnections()
    await new Promise((resolve) => this.#server.close(resolve))
    await this.#cleanUp?.()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
}

interface StartedGateway<AnyClock extends Clock> {
  readonly app: App
  readonly clock: AnyClock
  readonly log: readonly string[]
  readonly receivedRequests: readonly ReceivedRequest[]
  readonly url: string
  readonly server: Server
  readonly cleanUp: (() => Promise<unknown>) | undefined
}

async function startParts<AnyClock extends Clock>(parts: GatewayParts<AnyClock>): Promise<StartedGateway<AnyClock>> {
  const { clock, timers = realTimers, database, maxEntries = 100_000, cleanUp } = parts
  const log: string[] = []
  const store = await openStore(database, { now: clock.now(), maxEntries })
  const app = await createApp({
    settings: readSettings(parts.settings),
    file: readFileConfig(JSON.stringify(parts.config)),
    clock,
    timers,
    random: parts.random ?? (() => 0.5),
    randomBytes,
    newCallId: uuidV7Source(() => clock.now().wallMs, randomBytes),
    log: pino({ level: 'trace', base: null }, { write: (line) => log.push(line) }),
    store,
  })
  // The platform's own Request and Response stay those of in-process calls.
  const pages = getRequestListener(app.app.fetch, { overrideGlobalObjects: false })
  const server = createServer(parts.servesByHono ? pages : callListener(app.gate, pages))
  const receivedRequests: ReceivedRequest[] = []
  server.prependListener('request', ({ method = '', url = '', headers }, response) => {
    const received = { method, url, headers, response, clientGone: false }
    receivedRequests.push(received)
    response.on('close', () => {
      received.clientGone = !response.writableEnded
    })
  })
  const url = await listen(server)
  return { app, clock, log, receivedRequests, url, server, cleanUp }
}

export interface GatewayFixtureOptions {
  readonly env?: Readonly<Record<string, string>>
  readonly config?: unknown
  readonly clock?: Clock
  /** Without them, timers are the process's own. */
  readonly timers?: Timers | undefined
  /** What the provider says. */
  readonly respond?: ProviderScript | undefined
  /** Counts of tokens are calls like others at the provider. */
  readonly countsTokens?: boolean
  /** A file for the ledger; without one it is kept in memory. */
  readonly path?: string
}

/** A gateway without limits but those a test sets, and its provider. */
export class GatewayFixture extends Gateway {
  readonly provider: FakeProvider

  private constructor(started: StartedGateway<Clock>, provider: FakeProvider) {
    super(started)
    this.provider = provider
  }

  static async open(options: GatewayFixtureOptions = {}): Promise<GatewayFixture> {
    const { clock = realClock, config = { prices: [PRICE] }, path, timers } = options
    const provider = await openProvider(options.respond, options.countsTokens)
    const started = await startParts({
      settings: { ...provider.env, ...UNLIMITED_SETTINGS, ADMIN_KEY, ...options.env },
      config,
      clock,
      timers,
      database: path === undefined ? 'memory:' : `sqlite:${path}`,
      cleanUp: () => provider.close(),
    })
    return new GatewayFixture(started, provider)
  }
}

/** A gateway and its provider for the test that is running, closed when the test is over. Call it in a test, or in `beforeEach`. */
export async function useGateway(options: GatewayFixtureOptions = {}): Promise<GatewayFixture> {
  const gateway = await GatewayFixture.open(options)
  onTestFinished(() => gateway.close())
  return gateway
}

/** A provider for the test that is running, closed when the test is over. */
export async function useProvider(says?: ProviderScript): Promise<FakeProvider> {
  const provider = await openProvider(says)
  onTestFinished(() => provider.close())
  return provider
}

export interface GatewayOptions {
  /** Settings as the environment gives them. Others have their defaults. */
  readonly env?: Readonly<Record<string, string>>
  /** What bursar.json holds. */
  readonly config?: unknown
  /** In memory without it; `sqlite` is a file that goes away with the gateway. */
  readonly ledger?: 'memory' | 'sqlite'
}

/** A gateway with the default limits and no provider of its own. Its clock stands still until a test moves it. The caller closes it. */
export async function startGateway(options: GatewayOptions = {}): Promise<Gateway<ManualClock>> {
  const { env = {}, config = {}, ledger = 'memory' } = options
  const folder = ledger === 'sqlite' ? await mkdtemp(join(tmpdir(), 'bursar-test-')) : undefined
  return Gateway.start({
    settings: env,
    config,
    clock: new ManualClock(),
    random: () => 0,
    servesByHono: true,
    database: folder ? `sqlite:${join(folder, 'ledger.db')}` : 'memory:',
    ...(folder ? { cleanUp: () => rm(folder, { recursive: true }) } : {}),
  })
}
