// Live: GET /llm/live, how the gateway stands now, as one answer or as server-sent events; GET /llm/limits/levels, every level, the fullest
// first.

import { z } from 'zod'
import type { Settings } from '../config/settings.ts'
import { windowAt } from '../core/calendar.ts'
import type { Circuits } from '../core/circuit.ts'
import type { Clock } from '../core/clock.ts'
import { percentile } from '../core/histogram.ts'
import { isSettled } from '../core/ledger-entry.ts'
import { WHO } from '../core/limits.ts'
import { jsonUsd } from '../core/money.ts'
import { Problem } from '../core/problem.ts'
import type { QuoteOverruns } from '../core/quote-overruns.ts'
import { newTally } from '../core/report.ts'
import { QUARTER_MS } from '../core/zone-days.ts'
import type { WebExchange } from '../exchange/web.ts'
import type { Viewer } from '../keys/callers.ts'
import { ATTENTION_KINDS, ATTENTION_PLACES, attentionOf } from '../live/attention.ts'
import { callerKeyOf, callIdOf, isRunning, type LiveCall } from '../live/live-calls.ts'
import type { LiveHub } from '../live/live-hub.ts'
import type { LevelRow } from '../live/live-levels.ts'
import type { Provider } from '../providers/provider.ts'
import { countSchema, usdSchema } from '../runs/run-answer.ts'
import type { Viewers } from '../sessions/viewers.ts'
import type { Store } from '../stores/store.ts'
import type { BookingWatch } from '../telemetry/booking-watch.ts'
import type { ConfigurationWatch } from '../telemetry/configuration-watch.ts'
import type { PriceWatch } from '../telemetry/price-watch.ts'
import type { RefusalHistory } from '../telemetry/refusal-history.ts'
import type { ShadowCounter } from '../telemetry/shadow-counter.ts'
import type { UpstreamLimitTracker } from '../telemetry/upstream-limit-tracker.ts'
import { entryJson, entrySchema } from './call-views.ts'
import { type Endpoint, endpointsFor } from './endpoint.ts'
import { limitJson, limitSchema } from './limits.ts'
import { LiveStream, type StateTexts, textsOf } from './live-stream.ts'
import { showsSimulated } from './stats.ts'
import { wholeNumber } from './usage-request.ts'
import {
  circuitJson,
  circuitSchema,
  msSchema,
  observedLimitsJson,
  observedLimitsSchema,
  type PriceStateView,
  timeJson,
  timeSchema,
} from './views.ts'

export interface LiveParts {
  readonly settings: Settings
  readonly clock: Clock
  readonly store: Store
  readonly providers: readonly Provider[]
  readonly viewers: Viewers
  readonly hub: LiveHub
  readonly circuits: Circuits
  readonly refusals: Pick<RefusalHistory, 'newest'>
  readonly shadows: Pick<ShadowCounter, 'count'>
  readonly upstreamLimits: Pick<UpstreamLimitTracker, 'newest'>
  readonly quoteOverruns: Pick<QuoteOverruns, 'models'>
  readonly bookings: Pick<BookingWatch, 'models'>
  readonly priceWatch: Pick<PriceWatch, 'models'>
  readonly configuration: Pick<ConfigurationWatch, 'state'>
  readonly upkeep: { readonly state: PriceStateView }
}

const endpoint = endpointsFor<LiveParts>()

const MINUTE_MS = 60_000
const MINUTES = 60
const MAX_FULLEST = 50
const MAX_CALLS = 50
/** The newest calls that are looked at, if filters leave out most of them. */
const MAX_LOOKED_AT = 500
const MAX_LEVELS = 1_000
const DEFAULT_LEVELS = 50
const MAX_OFFSET = 1_000_000
/** Figures that take a query are read again after this time, once for all who look. */
const QUERIED_FOR_MS = 5_000

const name = z.string().nullable()
const sumsSchema = z.strictObject({
  calls: countSchema,
  tokens: countSchema,
  cost_usd: usdSchema,
  refused: countSchema,
})

/** A limit and its level. `fullness`: used and reserved as a part of the capacity. */
const levelRowSchema = z.strictObject({ ...limitSchema.shape, fullness: z.number().min(0) })

const refusedCallSchema = z.strictObject({
  call_id: z.string(),
  status: z.literal('refused'),
  key: name,
  user: name,
  provider: z.string(),
  model: z.string(),
  refused_at: timeSchema,
  /** The limit that refused the call. */
  limit: z.string(),
  reason: z.string(),
})

export const liveCallSchema = z.discriminatedUnion('status', [entrySchema, refusedCallSchema])
export type LiveCallJson = z.output<typeof liveCallSchema>

const providerSchema = z.strictObject({
  name: z.string(),
  configured: z.boolean(),
  /** Targets that failed or refused calls of late. */
  targets: z.array(circuitSchema),
  /** Of this quarter hour and of the one before. */
  calls: countSchema,
  errors: countSchema,
  error_rate: z.number().min(0).max(1).nullable(),
  latency_ms_p50: msSchema.nullable(),
  upstream_rate_limits: observedLimitsSchema.nullable(),
})

const attentionSchema = z.strictObject({
  kind: z.enum(ATTENTION_KINDS),
  severity: z.enum(['bad', 'warn', 'info']),
  subject: name,
  title: z.string(),
  text: z.string(),
  /** Where to act. */
  act: z.enum(ATTENTION_PLACES),
})

const liveSchema = z.strictObject({
  at: timeSchema,
  time_zone: z.string(),
  simulated: z.boolean(),
  enforcement: z.enum(['hard', 'soft']),
  /** The day that runs in the gateway's zone. */
  today: sumsSchema.extend({ day: z.iso.date(), ends_at: timeSchema }),
  /** What calls in flight hold. */
  open: z.strictObject({ calls: countSchema, tokens: countSchema, cost_usd: usdSchema }),
  /** Calls that were settled or refused in the sixty seconds before `at`. */
  last_minute: sumsSchema,
  /** The last sixty minutes by the reservations of their calls, the oldest first; the last one runs. */
  minutes: z.array(sumsSchema.extend({ at: timeSchema })),
  limits: z.strictObject({ count: countSchema, fullest: z.array(levelRowSchema) }),
  /** Empty for the holder of a key. */
  providers: z.array(providerSchema),
  /** Sorted by what stops calls. For the holder of a key: its own limits alone. */
  attention: z.array(attentionSchema),
  /** The newest first. */
  calls: z.array(liveCallSchema),
})
export type LiveJson = z.output<typeof liveSchema>
type LiveState = Omit<LiveJson, 'calls'>

const OUTCOMES = ['in_flight', 'completed', 'failed', 'canceled', 'expired', 'adjusted', 'refused'] as const
const text = z.string().max(1_024).optional()

/** Which of the newest calls to show. */
const FILTERS = { key: text, user: text, provider: text, model: text, outcome: z.enum(OUTCOMES).optional() }
type CallFilter = z.output<z.ZodObject<typeof FILTERS>>

const LIVE = endpoint({
  method: 'GET',
  path: '/llm/live',
  role: 'figures',
  summary:
    'How the gateway stands now: rates, limits, providers, what needs attention, the newest calls. Also as server-sent events.',
  query: z.strictObject({ ...FILTERS, stream: z.enum(['true', 'false']).optional() }),
  answer: liveSchema,
}).handle(async (parts, { sender, query, exchange, signal }) => {
  const { stream, ...filter } = query
  const isStream =
    stream === 'true' || (stream === undefined && /\btext\/event-stream\b/.test(exchange.header('accept') ?? ''))
  const view = new LiveView(parts, sender, filter)
  if (!isStream) return { answer: { ...(await view.state()), calls: await view.newestCalls() }, headers: NO_STORE }
  return { response: await openStream(parts, view, exchange, signal) }
})

const NO_STORE = { 'cache-control': 'no-store' }

async function openStream(
  parts: LiveParts,
  view: LiveView,
  exchange: WebExchange,
  signal: AbortSignal,
): Promise<Response> {
  const { hub, viewers } = parts
  if (hub.isFull || hub.isClosed)
    throw new Problem(
      'overloaded',
      'Too many clients read live events. Ask for /llm/live without the stream, every few seconds.',
      null,
      {
        headers: ['retry-after', `${QUERIED_FOR_MS / 1000}`],
      },
    )
  const stream = new LiveStream({
    hub,
    state: () => view.texts(),
    newestCalls: () => view.newestCalls(),
    changes: (seq, limit) => view.changes(seq, limit),
    mayRead: async () => {
      const viewer = await viewers.identifyForFigures(exchange)
      return viewer.key === view.key
    },
    lastEventId: exchange.header('last-event-id'),
  })
  // What is wrong with the request is a whole answer.
  await stream.begin()
  signal.addEventListener('abort', () => stream.end(), { once: true })
  if (signal.aborted) stream.end()
  return new Response(stream.body, {
    headers: { ...NO_STORE, 'content-type': 'text/event-stream; charset=utf-8', 'x-accel-buffering': 'no' },
  })
}

/** Figures that take a query, for all who look at the same. */
interface Queried {
  readonly readAtMs: number
  readonly refusedToday: number
  readonly providers: LiveJson['providers']
}

/** The texts of a second, for all who read the same. */
interface SharedTexts {
  readonly tickCount: number
  readonly states: Map<string, Promise<StateTexts>>
  readonly changes: Map<string, Promise<string>>
}

const textsByHub = new WeakMap<LiveHub, SharedTexts>()
const queriedByHub = new WeakMap<LiveHub, Map<string, Promise<Queried>>>()

function sharedTexts(hub: LiveHub): SharedTexts {
  let texts = textsByHub.get(hub)
  if (texts?.tickCount !== hub.tickCount)
    textsByHub.set(hub, (texts = { tickCount: hub.tickCount, states: new Map(), changes: new Map() }))
  return texts
}

function shared<Value>(known: Map<string, Promise<Value>>, name: string, make: () => Promise<Value>): Promise<Value> {
  let value = known.get(name)
  if (!value) known.set(name, (value = make()))
  return value
}

/** What one viewer sees. */
class LiveView {
  readonly #parts: LiveParts
  readonly #filter: CallFilter
  /** The key whose calls are seen; null for everyone's. */
  readonly key: string | null

  constructor(parts: LiveParts, viewer: Viewer, filter: CallFilter) {
    this.#parts = parts
    this.key = viewer.key
    if (viewer.role === 'key' && filter.key !== undefined && filter.key !== viewer.key)
      throw new Problem('forbidden', 'An API key sees its own calls alone: leave the parameter key out.', 'key')
    this.#filter = filter
  }

  /** The state as text, made once a second for all readers of the same key. */
  texts(): Promise<StateTexts> {
    const { states } = sharedTexts(this.#parts.hub)
    return shared(states, JSON.stringify(this.key), async () => textsOf(await this.state(true)))
  }

  /** @param isOfSecond levels are those that the last second left */
  async state(isOfSecond = false): Promise<LiveState> {
    const { settings, clock, store, hub } = this.#parts
    const simulated = await showsSimulated(this.#parts)
    const own = this.key === null ? {} : { key: this.key }
    const levels = await (isOfSecond ? hub.levelsOfSecond(simulated) : hub.levels(simulated))
    const { report, open } = await store.figures({ simulated, ...own })
    const { wallMs } = clock.now()
    const day = windowAt('day', settings.TIME_ZONE, wallMs)
    const { refusedToday, providers } = await this.#queried(simulated, day.startsAtMs, wallMs)
    const today = report.days.get(day.id.slice('day:'.length)) ?? newTally()
    const { rows, count } = levels.find({ key: this.key }, MAX_FULLEST)
    return {
      at: timeJson(wallMs),
      time_zone: settings.TIME_ZONE,
      simulated,
      enforcement: settings.ENFORCEMENT,
      today: {
        day: day.id.slice('day:'.length),
        ends_at: timeJson(day.endsAtMs),
        ...sumsJson({ ...today, calls: today.requests, refused: refusedToday }),
      },
      open: { calls: open.calls, tokens: open.tokens, cost_usd: jsonUsd(open.costNanoUsd) },
      last_minute: sumsJson(hub.rates.lastMinute(this.key, simulated, wallMs)),
      minutes: Array.from({ length: MINUTES }, (_, index) => {
        const minute = Math.floor(wallMs / MINUTE_MS) - MINUTES + 1 + index
        const tally = report.minutes.get(minute) ?? newTally()
        const refused = hub.rates.refusedIn(this.key, simulated, minute)
        return { at: timeJson(minute * MINUTE_MS), ...sumsJson({ ...tally, calls: tally.requests, refused }) }
      }),
      limits: { count, fullest: rows.map((row) => this.#levelJson(row, simulated)) },
      providers: this.key === null ? providers : [],
      attention: this.#attention(rows).map((item) => ({ ...item })),
    }
  }

  #levelJson({ view, fullness }: LevelRow, simulated: boolean) {
    return { ...limitJson(view, this.#parts, simulated), fullness }
  }

  #attention(levels: readonly LevelRow[]) {
    const { store, circuits, clock, priceWatch, quoteOverruns, bookings, upkeep, configuration } = this.#parts
    const isEveryones = this.key === null
    return attentionOf({
      ledgerFailure: store.health.failure?.message,
      levels,
      circuits: isEveryones ? circuits.views(clock.now().monoMs) : [],
      unpricedModels: isEveryones ? priceWatch.models : [],
      overruns: isEveryones ? quoteOverruns.models() : [],
      bookings: isEveryones ? bookings.models() : [],
      priceWarnings: isEveryones ? upkeep.state.warnings : [],
      configurationWarnings: isEveryones ? configuration.state.warnings : [],
      notReloaded: isEveryones ? configuration.state.notReloaded : null,
    })
  }

  async #queried(simulated: boolean, dayStartsAtMs: number, nowMs: number): Promise<Queried> {
    const { hub } = this.#parts
    let known = queriedByHub.get(hub)
    if (!known) queriedByHub.set(hub, (known = new Map()))
    const scope = JSON.stringify([this.key, simulated])
    const found = await known.get(scope)
    if (found && nowMs - found.readAtMs < QUERIED_FOR_MS && nowMs >= found.readAtMs) return found
    const reading = this.#readQueried(simulated, dayStartsAtMs, nowMs)
    // Scopes are those of keys that look: few. The oldest go.
    known.delete(scope)
    known.set(scope, reading)
    for (const other of known.keys()) {
      if (known.size <= MAX_FULLEST) break
      known.delete(other)
    }
    reading.catch(() => known.delete(scope))
    return reading
  }

  async #readQueried(simulated: boolean, dayStartsAtMs: number, nowMs: number): Promise<Queried> {
    const { store, providers } = this.#parts
    const quarter = Math.floor(nowMs / QUARTER_MS) * QUARTER_MS
    const untilMs = quarter + QUARTER_MS
    const ofKey = this.key === null ? {} : { key: this.key }
    const fromMs = Math.floor(dayStartsAtMs / QUARTER_MS) * QUARTER_MS
    const refusals = await store.refusalCounts({ simulated, period: { fromMs, untilMs }, ...ofKey })
    const refusedToday = refusals.reduce((sum, { isShadow, count }) => (isShadow ? sum : sum + count), 0)
    if (this.key !== null) return { readAtMs: nowMs, refusedToday, providers: [] }
    const period = { fromMs: quarter - QUARTER_MS, untilMs }
    const { by } = await store.usage({ simulated, period, by: ['provider'] })
    const sums = new Map((by.provider?.groups ?? []).map(({ value, sum }) => [value, sum]))
    return {
      readAtMs: nowMs,
      refusedToday,
      providers: providers
        .filter((provider) => provider.simulated === simulated || (simulated && provider.configured))
        .map((provider) => this.#providerJson(provider, sums.get(provider.name))),
    }
  }

  #providerJson(provider: Provider, sum: Parameters<typeof providerFigures>[0]): LiveJson['providers'][number] {
    const { circuits, clock, upstreamLimits } = this.#parts
    const newest = upstreamLimits.newest(provider.name)
    return {
      name: provider.name,
      configured: provider.configured,
      targets: circuits
        .views(clock.now().monoMs)
        .filter((circuit) => circuit.provider === provider.name)
        .map(circuitJson),
      ...providerFigures(sum),
      upstream_rate_limits: newest ? observedLimitsJson(newest) : null,
    }
  }

  /** The newest calls of the ledger, running ones included, and those that were refused. */
  async newestCalls(): Promise<LiveCallJson[]> {
    const { store, refusals } = this.#parts
    const simulated = await showsSimulated(this.#parts)
    const own = this.key === null ? {} : { key: this.key }
    const entries = await store.entries({ simulated, ...own, limit: MAX_LOOKED_AT })
    const calls: LiveCall[] = [
      // Running calls stand here alone, and settled ones come again from the ledger.
      ...this.#parts.hub.calls.after(0, isRunning, MAX_LOOKED_AT).calls,
      ...entries.map((entry) => ({ entry })),
      ...refusals.newest(MAX_LOOKED_AT).map((refused) => ({ refused })),
    ]
    return [...new Map(calls.map((call) => [callIdOf(call), call])).values()]
      .filter((call) => this.#matches(call, simulated))
      .map(callJson)
      .toSorted((left, right) => (timeOf(left) < timeOf(right) ? 1 : -1))
      .slice(0, MAX_CALLS)
  }

  /** What happened to calls after a number, the oldest first, as text: made once for all readers who are as far. Empty if nothing did. */
  changes(seq: number, limit: number): Promise<string> {
    const { hub } = this.#parts
    return shared(sharedTexts(hub).changes, JSON.stringify([this.key, this.#filter, seq, limit]), async () => {
      const simulated = await showsSimulated(this.#parts)
      const { calls, skipped } = hub.calls.after(seq, (call) => this.#matches(call, simulated), limit)
      const shown = hub.calls.oneOf > 1 ? { shown: { one_of: hub.calls.oneOf } } : {}
      return calls.length === 0 ? '' : JSON.stringify({ calls: calls.map(callJson), skipped, ...shown })
    })
  }

  #matches(call: LiveCall, simulated: boolean): boolean {
    if (this.key !== null && callerKeyOf(call) !== this.key) return false
    const { caller, provider, model } = 'refused' in call ? call.refused : call.entry.facts
    if (('refused' in call ? call.refused : call.entry.facts).simulated !== simulated) return false
    const { key, user, outcome } = this.#filter
    if (key !== undefined && (caller.key ?? '') !== key) return false
    if (user !== undefined && (caller.user ?? '') !== user) return false
    if (this.#filter.provider !== undefined && provider !== this.#filter.provider) return false
    if (this.#filter.model !== undefined && ![model, `${provider}/${model}`].includes(this.#filter.model)) return false
    return outcome === undefined || outcomeOf(call) === outcome
  }
}

function outcomeOf(call: LiveCall): (typeof OUTCOMES)[number] {
  if ('refused' in call) return 'refused'
  return isSettled(call.entry) ? call.entry.outcome.ending : 'in_flight'
}

function callJson(call: LiveCall): LiveCallJson {
  if ('entry' in call) return entryJson(call.entry)
  const { callId, caller, provider, model, at, refusal } = call.refused
  return {
    call_id: callId,
    status: 'refused',
    key: caller.key,
    user: caller.user,
    provider,
    model,
    refused_at: timeJson(at.wallMs),
    limit: refusal.meter.name,
    reason: refusal.message,
  }
}

function timeOf(call: LiveCallJson): string {
  return call.status === 'refused' ? call.refused_at : call.reserved_at
}

interface Sums {
  readonly calls: number
  readonly tokens: number
  readonly costNanoUsd: bigint
  readonly refused: number
}

function sumsJson({ calls, tokens, costNanoUsd, refused }: Sums): z.output<typeof sumsSchema> {
  return { calls, tokens, cost_usd: jsonUsd(costNanoUsd), refused }
}

function providerFigures(sum: Awaited<ReturnType<Store['usage']>>['total'] | undefined) {
  if (!sum) return { calls: 0, errors: 0, error_rate: null, latency_ms_p50: null }
  const { requests, endings, latency } = sum
  return {
    calls: requests,
    errors: endings.failed,
    error_rate: requests === 0 ? null : endings.failed / requests,
    latency_ms_p50: percentile(latency, 0.5),
  }
}

const LEVELS = endpoint({
  method: 'GET',
  path: '/llm/limits/levels',
  role: 'figures',
  summary: 'Every level of every limit that counts calls of late, the fullest first, by search.',
  query: z.strictObject({
    /** Words in the subject or in the name of the limit. */
    search: text,
    who: z.enum(WHO).optional(),
    limit: wholeNumber(1, MAX_LEVELS).optional(),
    /** How many to pass over. */
    offset: wholeNumber(0, MAX_OFFSET).optional(),
  }),
  answer: z.strictObject({ at: timeSchema, count: countSchema, limits: z.array(levelRowSchema) }),
}).handle(async (parts, { sender, query }) => {
  const { search, who, limit = DEFAULT_LEVELS, offset = 0 } = query
  const simulated = await showsSimulated(parts)
  const levels = await parts.hub.levels(simulated)
  const { rows, count } = levels.find({ key: sender.key, search, who }, offset + limit)
  return {
    answer: {
      at: timeJson(parts.clock.now().wallMs),
      count,
      limits: rows.slice(offset).map(({ view, fullness }) => ({ ...limitJson(view, parts, simulated), fullness })),
    },
    headers: NO_STORE,
  }
})

export const LIVE_ENDPOINTS: readonly Endpoint<LiveParts>[] = [LIVE, LEVELS]
