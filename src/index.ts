// Bursar as a library: the gateway's app to mount, and `gate()` to put in front of handlers of your own.

import type { Hono, MiddlewareHandler } from 'hono'
import { runtimeMistake } from './app/node-version.ts'
import type { GateOptions, GateVariables } from './http/middleware.ts'
import type { UserPrice } from './prices/user-prices.ts'

export { ConfigError } from './config/config-error.ts'
export type { GateOptions, GateVariables, HandlerUsage } from './http/middleware.ts'
export type { UserPrice } from './prices/user-prices.ts'
export { StoreUnusable } from './stores/store.ts'

/** What a gateway is made with. Everything has a default. */
export interface BursarOptions {
  /**
   * Settings by the names of `.env.example`, as text: `{ DAILY_SPENDING_LIMIT: '5.00' }`. Nothing is read from the process: pass
   * `process.env` to use its variables. Keys that `config` writes as `$NAME` are looked up here, too.
   */
  readonly env?: Readonly<Record<string, string | undefined>>
  /**
   * What bursar.json would hold: an object with `limits`, `prices`, `aliases`, `retries`, `patterns` and `providers`, each
   * optional. `CONFIG_FILE` is not read.
   *
   * @example
   * { limits: { perUser: { costPerDay: '0.50' } }, aliases: { fast: ['openai/gpt-6-luna', 'gemini/gemini-3.5-flash-lite'] } }
   */
  readonly config?: unknown
}

/** A gateway in your process, with its ledger open. Close it to let another process open the ledger. */
export interface Bursar {
  /**
   * Every endpoint of the gateway: LLM calls, patterns, `/llm/…`, `/admin/…`, probes. Serve it, or mount it in an app of your own.
   * While there are no keys it answers this machine alone: hand on the server's bindings (`c.env`) if you call its `fetch` yourself.
   *
   * @example
   * app.route('/', bursar.app)
   */
  readonly app: Hono
  /**
   * Middleware for LLM calls that a handler of your own answers. Before the handler runs, the call is read and what it can cost
   * at most is reserved. The handler gets the request with its output cap set if the money left is short. Its answer is metered
   * and settled like a provider's; without usage in it, and without `c.var.bursar.settle`, the whole reservation is settled.
   *
   * Calls that do not fit get the dialect's own error, with status 429 (see `MONEY_REFUSAL`), and the handler does not run. Other requests get a 403, so that
   * nothing is spent that is not metered, except those that only read (GET, HEAD, OPTIONS), those whose path is listed in `unmetered`,
   * and those that `app` answers behind the middleware. These go on untouched. The middleware never throws.
   *
   * @param options `dialect` if the path does not tell it, such as `openai.chat`; `unmetered` for paths that pass without a limit, such
   *   as `['/v1/images/*']`. Throws TypeError for such a path without a leading slash, and for what is no dialect or no option.
   * @example
   * const app = new Hono<{ Variables: GateVariables }>()
   * app.use('/v1/*', bursar.gate())
   * app.post('/v1/chat/completions', async (c) => {
   *   const answer = await myModel(await c.req.json())
   *   c.var.bursar.settle({ inputTokens: answer.read, outputTokens: answer.written })
   *   return c.json(answer.completion)
   * })
   */
  gate(options?: GateOptions): MiddlewareHandler<{ Variables: GateVariables }>
  /**
   * Sets a model's price in code, from the next call on. It goes before a price in `config`, and corrects the price that is known
   * if it does not give both `input` and `output`. Throws RangeError for an amount that is no price.
   *
   * @param provider the provider's name, such as `openai`, or `*` for any
   * @param price in dollars per million tokens, as decimal text or numbers
   * @example
   * bursar.addPrice('openai', 'my-finetune', { input: '3.00', output: '12.00', contextWindow: 128_000 })
   */
  addPrice(provider: string, model: string, price: UserPrice): void
  /**
   * Puts another `config` in force, all of it or nothing. Calls under way finish as they began. Rejects with ConfigError for
   * mistakes, and with the ledger's error if it cannot be read or written.
   *
   * @example
   * await bursar.reload({ limits: { perUser: { costPerDay: '1.00' } } })
   */
  reload(config: unknown): Promise<void>
  /**
   * Stops the gateway: new calls get 503, calls in flight have time to finish, those left are cut and settled, the ledger is
   * closed.
   *
   * @param waitMs milliseconds for calls in flight; `DRAIN_TIMEOUT_MS` by default
   * @example
   * process.on('SIGTERM', () => void bursar.close(10_000).then(() => process.exit(0)))
   */
  close(waitMs?: number): Promise<void>
}

const OPTION_NAMES: readonly string[] = ['env', 'config'] satisfies readonly (keyof BursarOptions)[]

const mistake = runtimeMistake(globalThis)
if (mistake !== undefined) {
  const error = new Error(mistake)
  // The message is enough: the place in Bursar that throws it does not help the user.
  error.stack = mistake
  throw error
}

/**
 * Opens the ledger and joins everything. Nothing listens: serve `app`, or use `gate()`.
 *
 * Rejects with ConfigError, which has every mistake in `mistakes`, and with StoreUnusable if the ledger cannot be opened: another
 * process owns it, it is corrupt, or the file is no ledger. Importing this module throws if Node is too old, and
 * in a runtime that is not Node: Bun, Deno, Workers and the like.
 *
 * @example
 * import { serve } from '@hono/node-server'
 * import { createBursar } from 'bursar'
 *
 * const bursar = await createBursar({ env: { ...process.env, DAILY_SPENDING_LIMIT: '5.00' } })
 * serve({ fetch: bursar.app.fetch, hostname: '127.0.0.1', port: 8787 })
 */
export async function createBursar(options: BursarOptions = {}): Promise<Bursar> {
  // Loaded only now, because a Node that is too old cannot load it.
  const [
    { readFileValue, wholeFile },
    { unknownKeyText },
    { loadConfiguration },
    { openApp, systemClock },
    { gateMiddleware },
  ] = await Promise.all([
    import('./config/file.ts'),
    import('./config/schema.ts'),
    import('./app/load-configuration.ts'),
    import('./app/system.ts'),
    import('./http/middleware.ts'),
  ])
  const { env = {}, config } = options
  const unknown = Object.keys(options).filter((name) => !OPTION_NAMES.includes(name))
  const early = { mistakes: unknown.map((name) => `${name}: ${unknownKeyText(name, OPTION_NAMES)}`), warnings: [] }
  const configuration = loadConfiguration(env, () => readFileValue(config, env), systemClock.now().wallMs, early)
  const { settings } = configuration
  const { app, flush } = await openApp(configuration)
  return {
    app: app.app,
    gate: (options = {}) => gateMiddleware(app.gate, options),
    addPrice: (provider, model, price) => app.prices.addPrice(provider, model, price),
    // Async, so that mistakes reject.
    reload: async (newConfig) => app.reload(wholeFile(readFileValue(newConfig, env))),
    close: async (waitMs = settings.DRAIN_TIMEOUT_MS) => {
      await app.close(waitMs)
      flush()
    },
  }
}
