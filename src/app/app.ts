// App: constructs everything and joins it. Decides nothing.

import type { Hono } from 'hono'
import type { Logger } from 'pino'
import { Gate } from '../call/gate.ts'
import { Idempotency } from '../call/idempotency.ts'
import { Routing } from '../call/routing.ts'
import type { FileConfig, FilePrice, PatternModels } from '../config/file.ts'
import { type Settings, settingLimits } from '../config/settings.ts'
import { Circuits } from '../core/circuit.ts'
import type { Clock, Timers } from '../core/clock.ts'
import { InputCounter } from '../counting/input-counter.ts'
import { routes } from '../http/index.ts'
import { Callers } from '../keys/callers.ts'
import { LimitsInForce } from '../limits/limits-in-force.ts'
import { createPriceBook, type EditablePriceBook } from '../prices/price-book.ts'
import type { UserPrice, UserPriceEntry } from '../prices/user-prices.ts'
import { chooseDefaultModel, listModels, ProvidersInForce } from '../providers/index.ts'
import type { Provider } from '../providers/provider.ts'
import type { Registry } from '../stores/registry.ts'
import type { Store } from '../stores/store.ts'
import { Recorder } from '../telemetry/recorder.ts'

/** What comes from outside the program: everything that is not the same each time. */
export interface AppParts {
  readonly settings: Settings
  readonly file: FileConfig
  readonly clock: Clock
  readonly timers: Timers
  readonly random: () => number
  readonly newCallId: () => string
  readonly log: Logger
  readonly store: Store
  readonly registry: Registry
}

export interface App {
  readonly app: Hono
  readonly gate: Gate
  readonly store: Store
  readonly prices: EditablePriceBook
  readonly providers: readonly Provider[]
  /** Puts another bursar.json in force: all of it, or, rejecting, nothing. */
  reload(file: FileConfig): Promise<void>
  /** Stops taking calls, waits for those in flight up to `waitMs`, settles, and lets go of everything. */
  close(waitMs: number): Promise<void>
}

const SWEEP_INTERVAL_MS = 5_000
const CLOSE_POLL_MS = 20
const MAX_CLOSE_POLLS = 50

function waitForNextPoll(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, CLOSE_POLL_MS))
}

export async function createApp(parts: AppParts): Promise<App> {
  const { settings, store, registry, clock, log } = parts
  const prices = createPriceBook()
  const providers = new ProvidersInForce({
    openai: { apiKey: settings.OPENAI_API_KEY, baseUrl: settings.OPENAI_BASE_URL, model: settings.OPENAI_MODEL },
    anthropic: {
      apiKey: settings.ANTHROPIC_API_KEY,
      baseUrl: settings.ANTHROPIC_BASE_URL,
      model: settings.ANTHROPIC_MODEL,
    },
    gemini: { apiKey: settings.GEMINI_API_KEY, baseUrl: settings.GEMINI_BASE_URL, model: settings.GEMINI_MODEL },
  })
  const limits = new LimitsInForce(store, registry, settings.TIME_ZONE)
  const callers = new Callers({
    keys: settings.BURSAR_KEYS,
    adminKey: settings.ADMIN_KEY,
    authOff: settings.AUTH === 'off',
  })
  const recorder = new Recorder(log, store)
  const circuits = new Circuits()
  const inputCounter = new InputCounter(parts.timers)
  const shared = {
    ...parts,
    prices,
    callers,
    circuits,
    idempotency: new Idempotency(store),
    recorder,
    inputCounter,
    limits,
    plan: () => limits.plan,
    // Asked anew for every call: bursar.json changes them.
    get providers() {
      return providers.list
    },
  }
  const routing = new Routing(shared)
  const routed = Object.assign(shared, { routing })
  const gate = new Gate(routed)

  let patterns: PatternModels = {}
  const reload = async (file: FileConfig) => {
    const userPrices = file.prices.map(userPriceOf)
    prices.replaceUserPrices(userPrices)
    const fileLimits = file.limits.filter((limit) => settings.ENABLE_COST_TRACKING || limit.what !== 'cost')
    await limits.change([...settingLimits(settings), ...fileLimits], clock.now())
    providers.change(file.providers)
    routing.change(file.routes)
    patterns = file.patterns
  }
  await reload(parts.file)

  const sweeping = setInterval(() => {
    store.sweep(clock.now()).catch((error: unknown) => log.error({ err: error }, 'expired calls could not be settled'))
  }, SWEEP_INTERVAL_MS).unref()

  const modelsOf = (name: string) => {
    const provider = providers.list.find((one) => one.name === name)
    return provider ? listModels(provider, prices.models(provider.priceName)) : []
  }

  const patternModels = () => ({
    model: patterns.model ?? chooseDefaultModel(providers.list, settings.DEFAULT_LLM_PROVIDER),
    embeddingModel: patterns.embeddingModel,
  })

  return {
    app: routes(Object.assign(routed, { gate, models: modelsOf, patternModels })),
    gate,
    store,
    prices,
    get providers() {
      return providers.list
    },
    reload,
    async close(waitMs) {
      gate.close()
      const until = clock.now().monoMs + waitMs
      while (gate.inFlight + gate.activeLeases > 0 && clock.now().monoMs < until) await waitForNextPoll()
      gate.expireAll()
      for (let steps = 0; gate.movesInProgress + gate.activeLeases > 0 && steps < MAX_CLOSE_POLLS; steps++)
        await waitForNextPoll()
      clearInterval(sweeping)
      recorder.flush()
      await store.close(clock.now())
      await Promise.all([providers.close(), inputCounter.close()])
      // Ends of answers are written at the end of the turn they came in, which may be this one.
      await new Promise((resolve) => setImmediate(resolve))
    },
  }
}

function userPriceOf({ provider, model, ...price }: FilePrice): UserPriceEntry {
  const given = Object.entries(price).filter(([, value]) => value !== undefined)
  return { provider, model, price: Object.fromEntries(given) as UserPrice }
}
