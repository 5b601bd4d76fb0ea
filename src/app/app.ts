// App: constructs everything and joins it. It decides nothing, and reads neither a clock nor the environment.

import type { Hono } from 'hono'
import type { Logger } from 'pino'
import { Alerts } from '../alerts/alerts.ts'
import { resolveBySystem } from '../alerts/public-hosts.ts'
import { receivers } from '../alerts/receivers.ts'
import { Adjustments } from '../call/adjustments.ts'
import { Gate } from '../call/gate.ts'
import { Idempotency } from '../call/idempotency.ts'
import { Routing } from '../call/routing.ts'
import { Tracking } from '../call/tracking.ts'
import type { AlertRow } from '../config/alerts.ts'
import type { FileConfig, PatternModels } from '../config/file.ts'
import { scopeName } from '../config/limits.ts'
import { isExposed, type Settings } from '../config/settings.ts'
import { keysWatchedBy } from '../config/unmatched-alerts.ts'
import { keyOf, keysNamedIn, type MadeKeys } from '../config/unmatched-names.ts'
import { limitsOfCall, type PastCall } from '../core/call-limits.ts'
import { Circuits } from '../core/circuit.ts'
import type { Clock, Timers } from '../core/clock.ts'
import type { Scope } from '../core/limits.ts'
import { InputCounter } from '../counting/input-counter.ts'
import { routes } from '../http/index.ts'
import { Callers } from '../keys/callers.ts'
import { KeyAdministration } from '../keys/key-administration.ts'
import { KeyDirectory } from '../keys/key-directory.ts'
import { Backtests } from '../limits/backtest.ts'
import { LimitEditor } from '../limits/limit-editor.ts'
import { LimitsInForce } from '../limits/limits-in-force.ts'
import { LiveHub } from '../live/live-hub.ts'
import { namedCalls } from '../live/named-calls.ts'
import { alertsInForce, storedAlertWarnings } from '../overrides/alerts.ts'
import { readOverrides } from '../overrides/documents.ts'
import { KeyCipher } from '../overrides/key-cipher.ts'
import type { ConfigurationState, Overrides } from '../overrides/overrides.ts'
import { providerWarnings } from '../overrides/providers.ts'
import { retentionDaysOf, settingsInForce } from '../overrides/settings.ts'
import { createPriceBook, type EditablePriceBook } from '../prices/price-book.ts'
import { chooseDefaultModel, listModels, ProvidersInForce } from '../providers/index.ts'
import type { Provider } from '../providers/provider.ts'
import { Sessions } from '../sessions/sessions.ts'
import { SignInAttempts } from '../sessions/sign-in-attempts.ts'
import { Viewers } from '../sessions/viewers.ts'
import type { Store } from '../stores/store.ts'
import { AddressWatch } from '../telemetry/address-watch.ts'
import { BookingWatch } from '../telemetry/booking-watch.ts'
import { Telemetry } from '../telemetry/call-events.ts'
import { CallLog } from '../telemetry/call-log.ts'
import { ConfigurationWatch } from '../telemetry/configuration-watch.ts'
import { watchLedger } from '../telemetry/ledger-watch.ts'
import { PriceWatch } from '../telemetry/price-watch.ts'
import { QuoteWatch } from '../telemetry/quote-watch.ts'
import { RefusalCounter } from '../telemetry/refusal-counter.ts'
import { RefusalHistory } from '../telemetry/refusal-history.ts'
import { ShadowCounter } from '../telemetry/shadow-counter.ts'
import { UpstreamLimitTracker } from '../telemetry/upstream-limit-tracker.ts'
import { adminNames, nameWarnings, priceRowWarnings } from './load-configuration.ts'
import { PriceUpkeep } from './price-upkeep.ts'
import { ConfigurationInForce } from './reload.ts'
import { startRetention } from './retention.ts'
import { shutdown } from './shutdown.ts'
import { startSweeping, startSweepingSessions } from './sweep.ts'
import { warningSubjects } from './warning-subjects.ts'

/** Everything that comes from outside the program. Tests replace all of it. */
interface AppParts {
  readonly settings: Settings
  readonly file: FileConfig
  /** What to look at in the environment, for the log and `/llm/status`. A sentence each. */
  readonly warnings?: readonly string[]
  readonly clock: Clock
  readonly timers: Timers
  /** From 0 to below 1. */
  readonly random: () => number
  /** That many bytes that nobody can guess, for secrets and nonces. */
  readonly randomBytes: (size: number) => Uint8Array
  readonly newCallId: () => string
  readonly log: Logger
  /** Open. The app closes it. */
  readonly store: Store
}

/** A gateway that is ready for calls. */
export interface App {
  /** Every endpoint. */
  readonly app: Hono
  readonly gate: Gate
  readonly store: Store
  readonly prices: EditablePriceBook
  /** The providers in force now, in order of precedence. */
  readonly providers: readonly Provider[]
  /** Whether every call needs a key now. */
  readonly needKeys: boolean
  /** Emits events of calls, and notices. Add listeners here in tests; the gateway's own are listed in `construct`. */
  readonly telemetry: Telemetry
  /** Puts another bursar.json in force: all of it, or, if it rejects, nothing. A second reload waits for the first. */
  reload(file: FileConfig): Promise<void>
  /** Stops taking calls, waits up to `waitMs` for those in flight, settles them, and closes everything. */
  close(waitMs: number): Promise<void>
}

/**
 * The gateway on an open ledger, with the limits, prices, providers and routes of `parts.file` in force.
 *
 * Rejects with RangeError for a price that is no price, with ConfigError for a key of BURSAR_KEYS that was also made, and with the store's or the registry's error if the ledger cannot be
 * read or written. The store stays open then.
 *
 * @example
 * const store = await openStore('memory:', { now: clock.now() })
 * const app = await createApp({ settings, file, clock, timers, random, randomBytes, newCallId, log, store })
 * const response = await app.app.fetch(new Request('http://localhost/healthz'))
 * await app.close(25_000)
 */
export async function createApp(parts: AppParts): Promise<App> {
  const { settings, clock, timers, store } = parts
  const cipher = new KeyCipher(settings.BURSAR_SECRET, parts.randomBytes)
  const { overrides, warnings } = await readOverrides(store.registry, cipher, settings.ALERTS_ALLOW_PRIVATE)
  const constructed = construct({ ...parts, warnings: [...(parts.warnings ?? []), ...warnings] }, cipher, overrides)
  const { app, gate, prices, providers, live, telemetry, inputCounter, upkeep, configuration } = constructed
  const { keyAdministration, refusalCounter, alerts, limits, names, sessions } = constructed
  await keyAdministration.open()
  await sessions.open()
  let madeKeys: MadeKeys | undefined
  let namedKeys: ReadonlySet<string> = new Set()
  const warningsOf = (state: ConfigurationState) => [
    ...nameWarnings(settingsInForce(state), state.file, prices, clock.now().wallMs, limits.plan.limits, madeKeys),
    ...storedAlertWarnings(state, (row) => names.inAlert(row, limits.plan.limits, madeKeys)),
    ...providerWarnings(state),
    ...priceRowWarnings(state, prices, clock.now().wallMs),
  ]
  const refresh = () => configuration.refresh(warningsOf(live.state))
  const namedNow = () => [...keysNamedIn(live.state.file), ...keysWatchedBy(alertsInForce(live.state))]
  const findKeys = async () => {
    namedKeys = new Set(namedNow())
    madeKeys = await keyAdministration.madeAmong([...namedKeys])
  }
  live.onChange(() => {
    if (namedNow().every((key) => namedKeys.has(key))) refresh()
    else void findKeys().then(refresh, refresh)
  })
  limits.onChange(() => {
    if (alertsInForce(live.state).some((row) => row.limits)) refresh()
  })
  const reload = async (file: FileConfig) => {
    await live.reload(file)
    await findKeys()
    configuration.use(warningsOf(live.state))
  }
  // A key that is named may be made later, and the first key makes names of persons match.
  store.registry.watch('key', ({ id }) => {
    if (!madeKeys || (madeKeys.exist && (madeKeys.ids.has(id) || !namedKeys.has(id)))) return
    madeKeys = { exist: true, ids: namedKeys.has(id) ? new Set([...madeKeys.ids, id]) : madeKeys.ids }
    refresh()
  })
  await alerts.start()
  await reload(parts.file)
  await upkeep.start()
  const stopSweeping = startSweeping({ clock, timers, telemetry, store })
  const stopSweepingSessions = startSweepingSessions({ timers, telemetry, sessions })
  const stopDeleting = startRetention({ clock, timers, telemetry, store, days: () => retentionDaysOf(live.state) })
  return {
    app,
    gate,
    store,
    prices,
    get providers() {
      return providers.list
    },
    get needKeys() {
      return constructed.callers.needKeys
    },
    telemetry,
    reload,
    close: shutdown({
      clock,
      timers,
      gate,
      store,
      providers,
      inputCounter,
      upkeep,
      refusalCounter,
      alerts,
      hub: constructed.hub,
      stopSweeping: () => {
        stopSweeping()
        stopSweepingSessions()
      },
      stopDeleting,
    }),
  }
}

/** Keys whose limits are known before their calls. */
const MAX_LISTED_KEYS = 1_000

/**
 * Every object of the gateway, each made with the parts that it names. Nothing of bursar.json is in force yet.
 * Longer than other functions, because it is one list: what is made of what.
 */
function construct(
  { settings, warnings = [], clock, timers, random, randomBytes, newCallId, log, store }: AppParts,
  cipher: KeyCipher,
  overrides: Overrides,
) {
  const prices = createPriceBook()
  const providers = new ProvidersInForce(settings)
  const limits = new LimitsInForce({
    store,
    clock,
    timeZone: settings.TIME_ZONE,
    countsCost: settings.ENABLE_COST_TRACKING,
  })
  const { BURSAR_KEYS: keys, ADMIN_KEY: adminKey, AUTH } = settings
  const directory = new KeyDirectory(store.registry, limits)
  const callers = new Callers({
    keys,
    directory,
    adminKey,
    authOff: AUTH === 'off',
    isExposed: isExposed(settings),
    clock,
  })
  const keyAdministration = new KeyAdministration({ registry: store.registry, directory, limits, keys, randomBytes })
  const sessions = new Sessions({ registry: store.registry, callers, clock, randomBytes })
  const publicOrigin = settings.PUBLIC_URL === '' ? '' : new URL(settings.PUBLIC_URL).origin
  const telemetry = new Telemetry()
  const refusals = new RefusalHistory()
  const refusalCounter = new RefusalCounter(store, telemetry, setImmediate)
  const shadows = new ShadowCounter()
  const quoteWatch = new QuoteWatch(telemetry)
  const bookings = new BookingWatch(telemetry)
  const addresses = new AddressWatch()
  const configuration = new ConfigurationWatch(telemetry, warnings)
  const upstreamLimits = new UpstreamLimitTracker(telemetry)
  const { HOST, PORT, PUBLIC_URL } = settings
  const priceWatch = new PriceWatch(telemetry)
  const { registry } = store
  const keyLimitsOf = async (key: string) => (await callers.findKey(key))?.limits
  const limitsOf = async (call: PastCall) => {
    const { key } = call.facts.caller
    const keyLimits = key === null ? undefined : await keyLimitsOf(key)
    return limitsOfCall(call, keyLimits, limits.plan, clock.now().wallMs, settings.ENFORCEMENT === 'soft')
  }
  const hub = new LiveHub({
    store,
    epoch: newCallId(),
    clock,
    timers,
    limitsOf,
    namedCalls: (simulated) => namedCalls(limits.plan, simulated),
    keys: async () => [
      ...keys.map(({ id }) => id),
      ...(await registry.page('key', { limit: MAX_LISTED_KEYS })).map(({ id }) => id),
    ],
    fail: (error) => {
      const message = 'Live levels could not be read. The figures before stay.'
      telemetry.notify({ code: 'live_levels_not_read', level: 'warn', message, error })
    },
  })
  registry.watch('key', ({ id }) => hub.changeKey(id))
  const alerts = new Alerts({
    store,
    receivers: receivers(timers, resolveBySystem),
    limitsOf,
    clock,
    timers,
    telemetry,
    random,
    newMessageId: newCallId,
    link: `${PUBLIC_URL || `http://${HOST.includes(':') ? `[${HOST}]` : HOST}:${PORT}`}/llm/limits`,
    timeZone: settings.TIME_ZONE,
  })
  // Each event goes through this list from top to bottom. An event that a listener emits goes through it at once. The
  // log is first, so that it has an event before those that follow from the event.
  const listeners = [
    new CallLog(log),
    refusalCounter,
    priceWatch,
    refusals,
    shadows,
    quoteWatch,
    bookings,
    addresses,
    configuration,
    upstreamLimits,
    alerts,
    hub,
  ]
  for (const listener of listeners) telemetry.listen(listener)
  watchLedger(store.health, telemetry)
  const quoteOverruns = quoteWatch.overruns
  const circuits = new Circuits()
  const inputCounter = new InputCounter(timers)
  // A getter wherever providers go: each call reads the list anew, because bursar.json changes it.
  const routing = new Routing({
    get providers() {
      return providers.list
    },
    prices,
    circuits,
  })
  const gate = new Gate({
    settings,
    clock,
    timers,
    store,
    prices,
    get providers() {
      return providers.list
    },
    callers,
    routing,
    circuits,
    idempotency: new Idempotency(store),
    telemetry,
    quoteOverruns,
    inputCounter,
    limits,
    newCallId,
    random,
  })
  const patterns = new PatternModelsInForce(providers, settings.DEFAULT_LLM_PROVIDER)
  const live = new ConfigurationInForce(
    { settings, clock, gate, prices, limits, providers, routing, patterns, registry, alerts },
    overrides,
  )
  const models = (name: string) => {
    const provider = providers.list.find((candidate) => candidate.name === name)
    if (!provider) return []
    const nowMs = clock.now().wallMs
    const ids = listModels(provider, prices.models(provider.priceName, nowMs))
    return ids.map((id) => ({ id, facts: prices.find(provider.priceName, id, nowMs) }))
  }
  const upkeep = new PriceUpkeep({
    url: settings.PRICES_URL,
    clock,
    timers,
    telemetry,
    registry,
    prices,
    subjects: () => warningSubjects(providers.list, [...routing.aliasTargets, patterns.models.model]),
  })
  const names = adminNames(() => live.state, prices, clock)
  const limitWarnings = async (scope: Scope) => {
    const key = keyOf(scope.who, scope.subject)
    return names.inLimits(scopeName(scope), scope, await keyAdministration.madeAmong(key === undefined ? [] : [key]))
  }
  const alertWarnings = async (row: AlertRow) =>
    names.inAlert(row, limits.plan.limits, await keyAdministration.madeAmong(keysWatchedBy([row])))
  const app = routes({
    settings,
    clock,
    timers,
    store,
    gate,
    callers,
    viewers: new Viewers(callers, sessions, publicOrigin),
    sessions,
    signInAttempts: new SignInAttempts(),
    publicOrigin,
    keyAdministration,
    hub,
    priceWatch,
    telemetry,
    refusals,
    shadows,
    upstreamLimits,
    quoteOverruns,
    bookings,
    addresses,
    configuration,
    upkeep,
    alerts,
    registry,
    live,
    cipher,
    adjustments: new Adjustments({ store, plan: () => limits.plan, keyLimitsOf, newCallId, telemetry }),
    tracking: new Tracking({
      store,
      limits,
      prices,
      get providers() {
        return providers.list
      },
      clock,
      telemetry,
      countsCost: settings.ENABLE_COST_TRACKING,
    }),
    backtests: new Backtests(store),
    circuits,
    get providers() {
      return providers.list
    },
    routing,
    prices,
    plan: () => limits.plan,
    limitEditor: new LimitEditor({ registry, limits, clock }),
    configuredLimits: () => limits.configured,
    limitWarnings,
    alertWarnings,
    keyWarnings: names.inKey,
    locate: (model) => routing.locate(model, clock.now().wallMs),
    models,
    listedAtMs: () => Date.parse(prices.list.date),
    patternModels: () => patterns.models,
    newCallId,
  })
  return {
    app,
    gate,
    prices,
    providers,
    live,
    telemetry,
    inputCounter,
    upkeep,
    refusalCounter,
    configuration,
    alerts,
    hub,
    callers,
    keyAdministration,
    limits,
    names,
    sessions,
  }
}

/** The models that patterns use if a request names none. */
class PatternModelsInForce {
  readonly #providers: ProvidersInForce
  #defaultProvider: string
  #configured: PatternModels = {}

  constructor(providers: ProvidersInForce, defaultProvider: string) {
    this.#providers = providers
    this.#defaultProvider = defaultProvider
  }

  get models(): { readonly model: string; readonly embeddingModel: string | undefined } {
    const { model, embeddingModel } = this.#configured
    return { model: model ?? chooseDefaultModel(this.#providers.list, this.#defaultProvider), embeddingModel }
  }

  change(models: PatternModels, defaultProvider: string): void {
    this.#configured = models
    this.#defaultProvider = defaultProvider
  }
}
