// Every endpoint there is.

import { type Context, Hono } from 'hono'
import type { Gate } from '../call/gate.ts'
import { FairSlots } from '../core/fair-slots.ts'
import type { Viewers } from '../sessions/viewers.ts'
import { ADJUST, type AdjustmentParts } from './adjustments.ts'
import { ALERTS, type AlertAdminParts, REMOVE_ALERT, SET_ALERT, TEST_ALERT } from './admin-alerts.ts'
import { AUDIT, type AuditParts } from './admin-audit.ts'
import { BACKTEST, type BacktestParts } from './admin-backtest.ts'
import { CONFIG, type ConfigParts } from './admin-config.ts'
import { type AdminKeyParts, KEY_ENDPOINTS } from './admin-keys.ts'
import { ADMIN_LIMIT_ENDPOINTS, type AdminLimitParts } from './admin-limits.ts'
import { PRICES, type PriceParts, SET_PRICES } from './admin-prices.ts'
import { PROVIDERS, type ProviderParts, REMOVE_PROVIDER, SET_PROVIDER, TEST_PROVIDER } from './admin-providers.ts'
import { SET_SETTINGS, type SettingParts } from './admin-settings.ts'
import { callRoutes, notFound } from './calls.ts'
import { dashboardRoutes } from './dashboard.ts'
import { type Endpoint, type EndpointRow, mount, type Role } from './endpoint.ts'
import { ESTIMATE } from './estimate.ts'
import { EXPLAIN, type ExplainParts } from './explain.ts'
import { EXPORT, type ExportParts } from './export.ts'
import { FRONT_PAGE } from './front-page.ts'
import { exchangeOf } from './hono-request.ts'
import { LIMITS, type LimitParts } from './limits.ts'
import { LIVE_ENDPOINTS, type LiveParts } from './live.ts'
import { METRIC_ENDPOINTS, type MetricParts } from './metrics.ts'
import { type ModelParts, modelRoutes } from './models.ts'
import { markEndpoints } from './own-routes.ts'
import { MAX_RUNS, PATTERN_ENDPOINTS, type PatternParts } from './patterns.ts'
import { PROBES } from './probes.ts'
import { problemResponse } from './problems.ts'
import { RECOMMENDATIONS, type RecommendationParts } from './recommendations.ts'
import { REFUSAL_REPORT } from './refusal-report.ts'
import { SELF_CHECK, type SelfCheckParts } from './self-check.ts'
import { SESSION_ADMIN_ENDPOINTS, SESSION_ENDPOINTS, type SessionParts } from './session.ts'
import { STATS, type StatsParts } from './stats.ts'
import { STATUS, type StatusParts } from './status.ts'
import { TOKEN_USAGE_ENDPOINTS } from './token-usage.ts'
import { TRACK } from './track.ts'
import type { TrackParts } from './tracked-calls.ts'
import { SERIES_ENDPOINTS } from './usage-series.ts'

type FigureParts = StatusParts &
  StatsParts &
  LimitParts &
  LiveParts &
  ExplainParts &
  MetricParts &
  TrackParts &
  RecommendationParts &
  SessionParts &
  ExportParts & { readonly gate: Gate }

type AdminParts = AdjustmentParts &
  AlertAdminParts &
  AdminKeyParts &
  AdminLimitParts &
  AuditParts &
  BacktestParts &
  ConfigParts &
  PriceParts &
  ProviderParts &
  SelfCheckParts &
  SessionParts &
  SettingParts

/** What the endpoints need of the gateway. */
type HttpParts = FigureParts & ModelParts & AdminParts & Omit<PatternParts, 'runSlots'>

/** The gateway's front page, its figures and its probes. */
const FIGURE_ENDPOINTS: readonly Endpoint<FigureParts>[] = [
  FRONT_PAGE,
  STATUS,
  STATS,
  LIMITS,
  ...LIVE_ENDPOINTS,
  ESTIMATE,
  EXPLAIN,
  ...TOKEN_USAGE_ENDPOINTS,
  ...SERIES_ENDPOINTS,
  RECOMMENDATIONS,
  TRACK,
  EXPORT,
  REFUSAL_REPORT,
  ...METRIC_ENDPOINTS,
  ...SESSION_ENDPOINTS,
  ...PROBES,
]

/** What operators change. */
const ADMIN_ENDPOINTS: readonly Endpoint<AdminParts>[] = [
  ADJUST,
  ALERTS,
  SET_ALERT,
  REMOVE_ALERT,
  TEST_ALERT,
  ...KEY_ENDPOINTS,
  ...SESSION_ADMIN_ENDPOINTS,
  BACKTEST,
  ...ADMIN_LIMIT_ENDPOINTS,
  AUDIT,
  SELF_CHECK,
  CONFIG,
  SET_SETTINGS,
  PRICES,
  SET_PRICES,
  PROVIDERS,
  SET_PROVIDER,
  REMOVE_PROVIDER,
  TEST_PROVIDER,
]

/** Every endpoint of our own. LLM calls and lists of models are not among them: those speak their vendors' dialects. */
export const ENDPOINTS: readonly EndpointRow<Role>[] = [...FIGURE_ENDPOINTS, ...PATTERN_ENDPOINTS, ...ADMIN_ENDPOINTS]

export function routes(parts: HttpParts): Hono {
  const { settings, clock, timers, gate, store, telemetry, callers, viewers, newCallId } = parts
  const { patternModels } = parts
  const runSlots = new FairSlots(MAX_RUNS)
  const runParts = {
    settings,
    clock,
    timers,
    gate,
    store,
    telemetry,
    callers,
    viewers,
    newCallId,
    patternModels,
    runSlots,
  }
  const app = new Hono()
  app.route('/', callRoutes(gate))
  app.route('/', modelRoutes(parts))
  app.route('/', dashboardRoutes())
  app.route('/', mount(FIGURE_ENDPOINTS, parts))
  app.route('/', mount(PATTERN_ENDPOINTS, runParts))
  app.route('/', mount(ADMIN_ENDPOINTS, parts))
  app.notFound((c) => answerUnknown(c, viewers))
  markEndpoints(app, gate)
  return app
}

/** Who may not administer learns nothing about the paths below `/admin/`. */
async function answerUnknown(c: Context, viewers: Viewers): Promise<Response> {
  try {
    if (/^\/admin(\/|$)/.test(c.req.path)) await viewers.identifyAdministrator(exchangeOf(c))
    return notFound(c)
  } catch (error) {
    return problemResponse(error)
  }
}
