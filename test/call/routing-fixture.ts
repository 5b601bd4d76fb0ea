// Routing fixture: a gateway with endpoints of its own, `first`, `second` and `nowhere`, beside the built-in providers, and how they fail.

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import type { Clock, Timers } from '../../src/core/clock.ts'
import type { Entry } from '../../src/core/ledger-entry.ts'
import { GatewayFixture, openProvider } from '../support/gateway.ts'
import type { FakeProvider, ProviderRequest, ProviderScript } from '../support/provider.ts'
import {
  type DialectName,
  eventsOf,
  PRICE,
  type ReportedUsage,
  type RequestOptions,
  requestFor,
  wholeAnswer,
} from './dialect-fixtures.ts'
import { nanoUsd } from './settlement-checks.ts'

export const USAGE: ReportedUsage = { input: 20, output: 10 }
/** What an answer with `USAGE` costs with the model `m`: 20 × 1,000 + 10 × 2,000. */
export const COST_NANO_USD = 40_000n

/** The same model at ten times the price, and at a tenth. */
export const PRICES = [
  PRICE,
  { ...PRICE, model: 'dear', input: '10', output: '20' },
  { ...PRICE, model: 'cheap', input: '0.1', output: '0.2' },
]

/** Windows only, so that levels show sums. */
export const LIMITS = {
  global: { requestsPerDay: 10_000, tokensPerDay: 100_000_000, costPerDay: '100', inFlight: 500 },
}

export interface RoutingFixtureOptions {
  readonly file?: Readonly<Record<string, unknown>>
  readonly env?: Readonly<Record<string, string>>
  readonly clock?: Clock
  readonly timers?: Timers
  readonly first?: ProviderScript
  readonly second?: ProviderScript
  /** Of the built-in providers. */
  readonly respond?: ProviderScript
  readonly path?: string
}

export const STORES = ['memory', 'sqlite'] as const
export type StoreKind = (typeof STORES)[number]

/** A folder for ledgers, gone at the end. */
export class LedgerFolder {
  readonly #path = mkdtempSync(join(tmpdir(), 'bursar-routing-'))
  #fileCount = 0

  /** Undefined for the store in memory. */
  pathFor(kind: StoreKind): { readonly path?: string } {
    return kind === 'sqlite' ? { path: join(this.#path, `${++this.#fileCount}.db`) } : {}
  }

  remove(): void {
    rmSync(this.#path, { recursive: true, force: true })
  }
}

export class RoutingFixture {
  readonly gateway: GatewayFixture
  readonly first: FakeProvider
  readonly second: FakeProvider

  private constructor(gateway: GatewayFixture, first: FakeProvider, second: FakeProvider) {
    this.gateway = gateway
    this.first = first
    this.second = second
  }

  /** The alias `both` asks `first/m`, then `second/m`, unless the file says otherwise. */
  static async open({ file, ...options }: RoutingFixtureOptions = {}): Promise<RoutingFixture> {
    const first = await openProvider(options.first ?? succeeds)
    const second = await openProvider(options.second ?? succeeds)
    const config = { ...fileFor(first.url, second.url), ...file }
    const gateway = await GatewayFixture.open({ respond: succeeds, ...options, config })
    return new RoutingFixture(gateway, first, second)
  }

  send(wanted: RequestOptions = {}, init: RequestInit = {}, dialect: DialectName = 'openai'): Promise<Response> {
    return this.gateway.client.asks(dialect, { model: 'both', cap: 50, ...wanted }, init, 'over sockets')
  }

  /** How often each endpoint was asked. */
  get requestCounts(): readonly [number, number] {
    return [this.first.received.length, this.second.received.length]
  }

  /** The one call there was, once it is settled. */
  async settledEntry(): Promise<Entry> {
    const [entry, ...others] = await this.gateway.ledger.holds(1)
    if (!entry || others.length > 0) throw new Error(`${others.length + 1} entries in place of one`)
    return entry
  }

  /** What one call to a model would reserve by itself. The name's length counts. */
  async reservationNanoUsd(
    model: string,
    wanted: RequestOptions = {},
    dialect: DialectName = 'openai',
  ): Promise<bigint> {
    const { path, body } = requestFor(dialect, { cap: 50, ...wanted, model })
    const init = { method: 'POST', body, headers: { 'content-type': 'application/json' } }
    const { cost_usd } = await this.gateway.client.asksOwner<{ cost_usd: number }>(`/llm/estimate?path=${path}`, init)
    return nanoUsd(cost_usd)
  }

  targets(): Promise<readonly TargetJson[]> {
    return this.gateway.client.asksOwner<{ targets: TargetJson[] }>('/llm/status').then(({ targets }) => targets)
  }

  async close(): Promise<void> {
    await this.gateway.close()
    await Promise.all([this.first.close(), this.second.close()])
  }
}

/** A gateway with two endpoints for the test that is running, closed when the test is over. */
export async function useRouting(options: RoutingFixtureOptions = {}): Promise<RoutingFixture> {
  const routing = await RoutingFixture.open(options)
  onTestFinished(() => routing.close())
  return routing
}

/** A target as `/llm/status` shows it. */
export interface TargetJson {
  readonly target: string
  readonly circuit: string
  readonly failed: number
  readonly of: number
  readonly retry_after_ms: number
  readonly cooling_ms: number
}

/** What bursar.json holds where the endpoints are at these origins. */
export function fileFor(first: string, second: string) {
  return {
    prices: PRICES,
    limits: LIMITS,
    providers: { first: endpointAt(first), second: endpointAt(second), nowhere: endpointAt(UNREACHABLE_URL) },
    aliases: { both: { targets: ['first/m', 'second/m'], retries: 0 } },
  }
}

/** With as few tokens of its own as the built-in providers have. */
export const endpointAt = (origin: string) => ({
  baseUrl: `${origin}/v1`,
  auth: 'none',
  tokensPerCall: 64,
  tokensWithTools: 128,
})

/** No server listens there. */
export const UNREACHABLE_URL = 'http://127.0.0.1:1'

export const wantsStream = ({ body, path }: ProviderRequest): boolean => /"stream":true|:stream/.test(body + path)

/** Answers as it is asked to: whole or as a stream, as the model that was asked. */
export function succeeds(call: ProviderRequest): void {
  const stream = wantsStream(call)
  const text = stream ? streamOf(call.dialect).join('') : wholeAnswer(call.dialect, USAGE)
  const model = /"model":("\w+")/.exec(call.body)?.[1] ?? '"m"'
  const type = stream ? 'text/event-stream' : 'application/json'
  call.response.writeHead(200, { 'content-type': type }).end(text.replaceAll('"model":"m"', `"model":${model}`))
}

/** A stream with everything that an SDK wants to see of it. */
export function streamOf(dialect: DialectName): string[] {
  const events = eventsOf(dialect, USAGE)
  if (dialect !== 'anthropic') return events
  const event = (type: string, fields: object) =>
    `event: ${type}\ndata: ${JSON.stringify({ type, index: 0, ...fields })}\n\n`
  const start = event('content_block_start', { content_block: { type: 'text', text: '' } })
  return [...events.slice(0, 1), start, ...events.slice(1, -2), event('content_block_stop', {}), ...events.slice(-2)]
}

/** Answers with an error. */
export function fails(status: number, headers: Readonly<Record<string, string>> = {}, message = 'no'): ProviderScript {
  return ({ response }) => {
    const body = JSON.stringify({ error: { message, type: 'error', code: null, param: null } })
    response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(body)
  }
}

/** The request was read, and nothing comes of it. */
export const resets: ProviderScript = ({ response }) => void response.socket?.resetAndDestroy()
/** The same, in order. */
export const closes: ProviderScript = ({ response }) => void response.destroy()
export const hangs: ProviderScript = () => {}

/** One script after the other; the last one stays. */
export function inTurn(...scripts: readonly ProviderScript[]): ProviderScript {
  let index = 0
  return (call) => (scripts[index++] ?? scripts[scripts.length - 1] ?? succeeds)(call)
}
