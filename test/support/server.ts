// Server: a whole gateway in this process, on a real socket. Its clock stands still until a test lets time pass.

import { mkdtemp, rm } from 'node:fs/promises'
import type { IncomingHttpHeaders, IncomingMessage, Server, ServerResponse } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createAdaptorServer } from '@hono/node-server'
import pino from 'pino'
import { type App, createApp } from '../../src/app/app.ts'
import { readFileConfig } from '../../src/config/file.ts'
import { readSettings } from '../../src/config/settings.ts'
import { uuidV7Source } from '../../src/core/call-ids.ts'
import type { Clock } from '../../src/core/clock.ts'
import type { Entry } from '../../src/core/ledger-entry.ts'
import { openStore } from '../../src/stores/index.ts'
import { realTimers } from './gateway-fixture.ts'

/** Noon: no window but the minute turns by accident. */
const NOON_MS = Date.UTC(2026, 10, 22, 12)

export interface TestClock extends Clock {
  /** Moves both clocks on. */
  advance(ms: number): void
}

function testClock(startMs = NOON_MS): TestClock {
  let passedMs = 0
  return {
    now: () => ({ wallMs: startMs + passedMs, monoMs: startMs + passedMs }),
    advance: (ms) => {
      passedMs += Math.ceil(ms)
    },
  }
}

export interface GatewayOptions {
  /** Settings as the environment would give them. Unset ones have their defaults, but for the log, which is silent. */
  readonly settings?: Readonly<Record<string, string>>
  /** What bursar.json would hold. */
  readonly file?: unknown
  /** `memory`, or a file that goes away with the gateway. */
  readonly ledger?: 'memory' | 'sqlite'
  readonly clock?: TestClock
}

/** A request as it reached the gateway's socket. */
export interface ReceivedRequest {
  readonly method: string
  readonly url: string
  readonly headers: IncomingHttpHeaders
  /** The client went away before its answer had ended. */
  clientGone: boolean
}

export interface Gateway extends AsyncDisposable {
  /** Its origin, without a trailing slash. */
  readonly url: string
  readonly app: App
  readonly clock: TestClock
  readonly receivedRequests: readonly ReceivedRequest[]
  /** Settled calls, newest first. */
  entries(): Promise<readonly Entry[]>
  /** Resolves when no call is in flight any more. */
  idle(): Promise<void>
}

export async function startGateway(options: GatewayOptions = {}): Promise<Gateway> {
  const clock = options.clock ?? testClock()
  const folder = options.ledger === 'sqlite' ? await mkdtemp(join(tmpdir(), 'bursar-test-')) : undefined
  const settings = readSettings({
    LOG_LEVEL: 'silent',
    DATABASE_URL: folder === undefined ? 'memory:' : `sqlite:${join(folder, 'ledger.db')}`,
    ...options.settings,
  })
  const store = await openStore(settings.DATABASE_URL, { now: clock.now(), maxEntries: settings.USAGE_HISTORY_SIZE })
  const app = await createApp({
    settings,
    file: readFileConfig(JSON.stringify(options.file ?? {})),
    clock,
    timers: realTimers,
    random: () => 0,
    newCallId: uuidV7Source(
      () => clock.now().wallMs,
      (size) => new Uint8Array(size),
    ),
    log: pino({ level: settings.LOG_LEVEL }),
    store,
    registry: store.registry,
  })
  const server = createAdaptorServer({ fetch: app.app.fetch }) as Server
  const arrivals: ReceivedRequest[] = []
  server.prependListener('request', ({ method = '', url = '', headers }: IncomingMessage, response: ServerResponse) => {
    const arrival = { method, url, headers, clientGone: false }
    arrivals.push(arrival)
    response.on('close', () => {
      arrival.clientGone = !response.writableEnded
    })
  })
  const url = await listen(server)
  return {
    url,
    app,
    clock,
    receivedRequests: arrivals,
    entries: () => app.store.entries({ simulated: false, limit: 1_000 }),
    idle: () => waitFor(() => app.gate.inFlight === 0),
    async [Symbol.asyncDispose]() {
      server.close()
      server.closeAllConnections()
      await app.close(0)
      if (folder !== undefined) await rm(folder, { recursive: true })
    },
  }
}

/** Listens on a free port of this machine. Resolves to the origin. */
export async function listen(server: Server): Promise<string> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(0, '127.0.0.1', resolve)
  })
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('the server has no port')
  return `http://127.0.0.1:${address.port}`
}

/** Looks again until it is so. Throws where that takes longer than anything here should. */
export async function waitFor(isSo: () => boolean | Promise<boolean>, withinMs = 5_000): Promise<void> {
  const giveUpAt = performance.now() + withinMs
  while (!(await isSo())) {
    if (performance.now() > giveUpAt) throw new Error(`not so within ${withinMs} ms: ${isSo}`)
    await new Promise((resolve) => setTimeout(resolve, 2))
  }
}
