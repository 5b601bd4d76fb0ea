// Client and ledger: what a test asks of a gateway, and what it finds in the ledger behind it.

import type { App } from '../../src/app/app.ts'
import type { Entry } from '../../src/core/ledger-entry.ts'
import { type DialectName, type RequestOptions, requestFor } from '../call/dialect-fixtures.ts'
import { waitFor } from './waiting.ts'

export const ADMIN_KEY = 'the-admin-key-of-tests'

/** Where a client stands: at the gateway's socket, or in the gateway's process. */
export type Transport = 'over sockets' | 'in process'

export const TRANSPORTS: readonly Transport[] = ['over sockets', 'in process']

export interface LevelJson {
  readonly limit: string
  readonly subject: string
  readonly capacity: number
  readonly settled: number
  readonly reserved: number
  readonly free: number
}

/** What the client asks. */
export class GatewayClient {
  readonly #app: App
  readonly #url: string

  constructor(app: App, url: string) {
    this.#app = app
    this.#url = url
  }

  fetch(transport: Transport, path: string, init: RequestInit = {}): Promise<Response> {
    if (transport === 'over sockets') return fetch(this.#url + path, init)
    return Promise.resolve(this.#app.app.fetch(new Request(`http://localhost${path}`, init)))
  }

  /** Sends a call and resolves once its answer has begun. */
  asks(
    dialect: DialectName,
    options: RequestOptions = {},
    init: RequestInit = {},
    transport: Transport = 'in process',
  ): Promise<Response> {
    const { path, body } = requestFor(dialect, options)
    const headers = { 'content-type': 'application/json', ...init.headers }
    return this.fetch(transport, path, { method: 'POST', body, ...init, headers })
  }

  /** One of the gateway's own endpoints, as its owner sees it. */
  async asksOwner<Page>(path: string, init: RequestInit = {}): Promise<Page> {
    const headers = { authorization: `Bearer ${ADMIN_KEY}`, ...init.headers }
    return (await this.fetch('in process', path, { ...init, headers })).json() as Promise<Page>
  }
}

/** What the ledger holds. */
export class GatewayLedger {
  readonly #app: App
  readonly #client: GatewayClient

  constructor(app: App, client: GatewayClient) {
    this.#app = app
    this.#client = client
  }

  /** Every entry, the newest first, of simulated calls too. */
  entries(): Promise<readonly Entry[]> {
    return this.#app.store.entries({ limit: 100_000 })
  }

  /** The entries, once there are at least `count` and all are settled. */
  holds(count: number): Promise<readonly Entry[]> {
    return waitFor(async () => {
      const entries = await this.entries()
      return entries.length >= count && (await this.#app.store.figures({ simulated: false })).open.calls === 0
        ? entries
        : undefined
    })
  }

  /** Levels by limit, without the time until they are as good as new. */
  async levels(query = ''): Promise<LevelJson[]> {
    const page = await this.#client.asksOwner<{ limits: (LevelJson & { resets_in_ms?: number })[] }>(
      `/llm/limits${query}`,
    )
    return page.limits.map(({ resets_in_ms: _, ...level }) => level)
  }

  async level(limit: string, query = ''): Promise<LevelJson> {
    const level = (await this.levels(query)).find((row) => row.limit === limit)
    if (!level) throw new Error(`There is no limit ${limit}.`)
    return level
  }
}
