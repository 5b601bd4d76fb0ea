// Bursar as a library: the gateway's app to mount, and `gate()` to put in front of handlers of one's own.

import type { Hono, MiddlewareHandler } from 'hono'
import { openApp } from './app/system.ts'
import { readFileConfig } from './config/file.ts'
import { readSettings } from './config/settings.ts'
import { type GateOptions, type GateVariables, gateMiddleware } from './http/middleware.ts'
import type { UserPrice } from './prices/user-prices.ts'

export { ConfigError } from './config/config-error.ts'
export type { GateOptions, GateVariables, HandlerUsage } from './http/middleware.ts'
export type { UserPrice } from './prices/user-prices.ts'
export { StoreUnusable } from './stores/store.ts'

export interface BursarOptions {
  /** Settings by the names of `.env.example`. Nothing is read from the process: pass `process.env` to use it. */
  readonly env?: Readonly<Record<string, string | undefined>>
  /** What bursar.json would hold. */
  readonly config?: unknown
}

export interface Bursar {
  /** Every endpoint of the gateway, to serve or to mount. */
  readonly app: Hono
  /** Limits, meters and accounts for LLM calls that a handler of your own answers. */
  gate(options?: GateOptions): MiddlewareHandler<{ Variables: GateVariables }>
  /** Dollars per million tokens; see `prices` in bursar.json. `provider` may be `*`. */
  addPrice(provider: string, model: string, price: UserPrice): void
  /** Replaces what `config` held. Rejects with ConfigError, and changes nothing, where it is wrong. */
  reload(config: unknown): Promise<void>
  /** Waits up to `waitMs` for calls in flight, then settles everything and closes the ledger. */
  close(waitMs?: number): Promise<void>
}

/** Opens the ledger and joins everything. Throws ConfigError or StoreUnusable. */
export async function createBursar(options: BursarOptions = {}): Promise<Bursar> {
  const settings = readSettings(options.env ?? {})
  const file = readFileConfig(JSON.stringify(options.config ?? {}), options.env)
  const { app, flush } = await openApp(settings, file)
  return {
    app: app.app,
    gate: (gateOptions = {}) => gateMiddleware(app.gate, gateOptions),
    addPrice: (provider, model, price) => app.prices.addPrice(provider, model, price),
    reload: (config) => app.reload(readFileConfig(JSON.stringify(config ?? {}), options.env)),
    close: async (waitMs = settings.DRAIN_TIMEOUT_MS) => {
      await app.close(waitMs)
      flush()
    },
  }
}
