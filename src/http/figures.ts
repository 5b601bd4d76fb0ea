// The gateway's own figures: /llm/status, /llm/stats, /llm/limits, /llm/estimate, /llm/explain. The first two also under /api/patterns.

import { type Context, Hono } from 'hono'
import { type Gate, readBody } from '../call/gate.ts'
import type { Settings } from '../config/settings.ts'
import type { Circuits } from '../core/circuit.ts'
import type { Clock } from '../core/clock.ts'
import type { LimitPlan } from '../core/limits.ts'
import { SIMULATED_REALM } from '../core/limits.ts'
import { jsonUsd } from '../core/money.ts'
import { Problem } from '../core/problem.ts'
import type { Report, Tally } from '../core/report.ts'
import { WebExchange } from '../exchange/web.ts'
import type { Callers, Viewer } from '../keys/callers.ts'
import type { Provider } from '../providers/provider.ts'
import type { Store } from '../stores/store.ts'
import type { Recorder } from '../telemetry/recorder.ts'
import { dialectAt } from '../wire/index.ts'
import { amountJson } from '../wire/limit-headers.ts'
import { problemResponse, viewerOf } from './problems.ts'
import { circuitJson, entryJson, levelJson, overrunsJson, quoteJson, refusedJson } from './views.ts'

export interface LlmParts {
  readonly settings: Settings
  readonly clock: Clock
  readonly store: Store
  readonly gate: Gate
  readonly callers: Callers
  readonly recorder: Recorder
  readonly circuits: Circuits
  readonly providers: readonly Provider[]
  readonly plan: () => LimitPlan
}

const MAX_NEWEST_ENTRIES = 20

export function llmRoutes(parts: LlmParts): Hono {
  const app = new Hono()
  app.onError(problemResponse)
  for (const prefix of ['/llm', '/api/patterns/llm']) {
    app.get(`${prefix}/status`, (c) => c.json(status(parts, viewerOf(parts, c))))
    app.get(`${prefix}/stats`, async (c) => c.json(await stats(parts, viewerOf(parts, c))))
  }
  app.get('/llm/limits', async (c) => c.json(await limits(parts, c)))
  app.post('/llm/estimate', async (c) => c.json(await estimate(parts, c)))
  app.get('/llm/explain/:callId', async (c) => c.json(await explain(parts, viewerOf(parts, c), c.req.param('callId'))))
  return app
}

/** Simulated calls count only where there are no others: a handler behind `gate()` needs no provider of ours. */
async function showsSimulated(parts: LlmParts): Promise<boolean> {
  if (parts.providers.some((provider) => provider.configured && !provider.simulated)) return false
  const { report, open } = await parts.store.figures({ simulated: false })
  return open.calls === 0 && report.total().requests === 0
}

function status(parts: LlmParts, viewer: Viewer): unknown {
  const real = parts.providers.filter((provider) => !provider.simulated)
  const ready = real.filter((provider) => provider.configured)
  return {
    configured: ready.length > 0,
    configured_count: ready.length,
    total_providers: real.length,
    default_provider: parts.settings.DEFAULT_LLM_PROVIDER,
    providers: real.map((provider) =>
      provider.configured
        ? {
            name: provider.name,
            status: 'configured',
            model: provider.defaultModel,
            upstream_rate_limits: parts.recorder.upstreamLimits.newest(provider.name) ?? null,
            ...(viewer.key === null
              ? { upstream_rate_limits_by_model: parts.recorder.upstreamLimits.models(provider.name) }
              : {}),
          }
        : { name: provider.name, status: 'not_configured', setup_guide: provider.setupGuide },
    ),
    message:
      ready.length > 0
        ? `${ready.length} provider(s) ready`
        : 'No provider is configured; sim/ models answer without one',
    enforcement: parts.settings.ENFORCEMENT,
    targets: parts.circuits.views(parts.clock.now().monoMs).map(circuitJson),
    ...(viewer.key === null ? overrunsJson(parts.recorder.quoteOverruns.models()) : {}),
  }
}

async function stats(parts: LlmParts, viewer: Viewer): Promise<unknown> {
  const simulated = await showsSimulated(parts)
  const mine = viewer.key === null ? {} : { key: viewer.key }
  const newest = await parts.store.entries({ simulated, ...mine, limit: MAX_NEWEST_ENTRIES })
  const { report, open, lateSettlements } = await parts.store.figures({ simulated, ...mine })
  const total = report.total()
  return {
    total_requests: total.requests,
    total_tokens: total.tokens,
    total_cost: jsonUsd(total.costNanoUsd),
    average_cost: jsonUsd(total.requests === 0 ? 0n : total.costNanoUsd / BigInt(total.requests)),
    recent_hour: tallyJson(report.recentHour(parts.clock.now().wallMs)),
    daily_costs: dailyCosts(report),
    rate_limits: rateLimits(parts.plan()),
    tokens_by_class: total.tokensByClass,
    certainty: { exact: total.exact, estimated: total.estimated, upper_bound: total.upperBound },
    ...(viewer.key === null
      ? {
          refused: Object.fromEntries(report.refusals),
          reserved_now: { requests: open.calls, tokens: open.tokens, cost: jsonUsd(open.costNanoUsd) },
          late_settlements: lateSettlements,
        }
      : {}),
    simulated,
    newest: newest.map(entryJson),
  }
}

function tallyJson(tally: Tally): unknown {
  return { requests: tally.requests, tokens: tally.tokens, cost: jsonUsd(tally.costNanoUsd) }
}

function dailyCosts(report: Report): unknown {
  const days = [...report.days].toSorted(([a], [b]) => (a < b ? -1 : 1))
  return Object.fromEntries(days.map(([day, tally]) => [day, jsonUsd(tally.costNanoUsd)]))
}

/** The global limits by the names of the settings; null where there is none. */
function rateLimits(plan: LimitPlan): unknown {
  const found: Record<string, unknown> = {
    requests_per_minute: null,
    tokens_per_minute: null,
    max_cost_per_request: null,
    daily_spending_limit: null,
  }
  for (const { meter, capacity } of plan.chargesFor(NO_SUBJECTS, ZERO_AMOUNTS, 0, '', false))
    if (meter.who === 'global') found[meter.name] = amountJson(meter, capacity)
  return found
}

const ZERO_AMOUNTS = { requests: 0n, tokens: 0n, cost: 0n, inFlight: 0n }
const NO_SUBJECTS = {
  caller: { key: null, organisation: null, project: null, user: null, thread: null, agent: null, task: null },
  provider: '',
  model: '',
}

/** Live levels of the limits on everyone and on the viewer's key, and on a user, thread, agent, task, model or provider asked for. */
async function limits(parts: LlmParts, c: Context): Promise<unknown> {
  const viewer = viewerOf(parts, c)
  const asked = (name: string) => c.req.query(name) ?? null
  const key = viewer.key ?? asked('key')
  const subjects = {
    caller: {
      ...NO_SUBJECTS.caller,
      key,
      user: asked('user'),
      thread: asked('thread'),
      agent: asked('agent'),
      task: asked('task'),
    },
    ...targetInQuery(asked('provider') ?? '', asked('model') ?? ''),
  }
  const now = parts.clock.now()
  const realm = (await showsSimulated(parts)) ? SIMULATED_REALM : ''
  const charges = parts
    .plan()
    .chargesFor(subjects, ZERO_AMOUNTS, now.wallMs, realm, parts.settings.ENFORCEMENT === 'soft')
    .filter(({ meter }) => meter.who === 'global' || (meter.who === 'key' ? key !== null : asked(meter.who) !== null))
  const levels = await parts.store.levels(charges, now)
  return { enforcement: parts.settings.ENFORCEMENT, time_zone: parts.plan().timeZone, limits: levels.map(levelJson) }
}

/** A model may come with its provider in front. */
function targetInQuery(provider: string, model: string): { readonly provider: string; readonly model: string } {
  const slash = model.indexOf('/')
  const named = slash > 0 ? model.slice(0, slash) : ''
  return named === '' || (provider !== '' && provider !== named)
    ? { provider, model }
    : { provider: named, model: model.slice(slash + 1) }
}

/**
 * What a call would reserve and whether it fits now; nothing is reserved or sent. Takes the body of a chat completion, or of
 * the call whose path is in `?path=`.
 */
async function estimate(parts: LlmParts, c: Context): Promise<unknown> {
  const url = new URL(c.req.url)
  const path = url.searchParams.get('path') ?? '/v1/chat/completions'
  const dialect = dialectAt(path)
  if (!dialect) throw new Problem('invalid_request', `No call is made at ${path.slice(0, 256)}.`, 'path')
  if (!URL.canParse(path, url.origin)) throw new Problem('invalid_request', 'It must be a path.', 'path')
  const exchange = new WebExchange(new Request(new URL(path, url.origin), c.req.raw))
  parts.callers.identify(exchange)
  const applicant = await parts.gate.withBufferLease((holding) =>
    readBody(exchange, parts.settings.MAX_BODY_BYTES, holding).then((body) =>
      parts.gate.applicantFor(exchange, dialect, body),
    ),
  )
  const now = parts.clock.now()
  const quote = parts.gate.admissionControl.quote(applicant, now)
  const charges = parts.gate.admissionControl.charges(applicant, quote, now)
  const levels = await parts.store.levels(charges, now)
  const checks = charges.map((charge, at) => {
    const level = levels[at]
    const fits =
      level !== undefined && (charge.meter.what === 'cost' && charge.amount === 0n ? true : level.free >= charge.amount)
    return { ...(level ? levelJson(level) : {}), needed: amountJson(charge.meter, charge.amount), fits }
  })
  return {
    provider: applicant.first.provider.name,
    model: applicant.first.model,
    fits: checks.every((check) => check.fits),
    ...quoteJson(quote),
    unbounded: applicant.first.request.unbounded,
    limits: checks,
  }
}

async function explain(parts: LlmParts, viewer: Viewer, callId: string): Promise<unknown> {
  const entry = await parts.store.entry(callId)
  if (entry && (viewer.key === null || entry.facts.caller.key === viewer.key)) return entryJson(entry)
  const refused = parts.recorder.findRefusal(callId)
  if (refused && (viewer.key === null || refused.key === viewer.key)) return refusedJson(refused)
  throw new Problem('not_found', 'No such call. Refused calls are kept for a while only.', 'callId')
}
