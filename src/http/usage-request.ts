// Usage requests: the parameters that all reports share. They say which calls of which period a report is of, and who may see them.

import { z } from 'zod'
import { timeZoneId } from '../core/calendar.ts'
import type { Clock } from '../core/clock.ts'
import { Problem } from '../core/problem.ts'
import { dayNumberOf, ZoneDays } from '../core/zone-days.ts'
import type { Callers, Viewer } from '../keys/callers.ts'
import { secretInRequest } from '../keys/secrets.ts'
import type { Provider } from '../providers/provider.ts'
import type { Store } from '../stores/store.ts'
import { type Period, QUARTER_MS, type UsageFilter } from '../stores/usage-query.ts'
import type { RequestLine } from '../wire/dialect.ts'
import { wantsCsv } from './csv.ts'
import { showsSimulated } from './stats.ts'
import { timeJson, timeSchema } from './views.ts'

/** What the parameters are read with. */
export interface UsageRequestParts {
  readonly clock: Clock
  readonly settings: { readonly TIME_ZONE: string }
  readonly store: Store
  readonly providers: readonly Provider[]
  readonly callers: Pick<Callers, 'findKey'>
}

const DAY_MS = 86_400_000
const DEFAULT_DAYS = 30
const MAX_DAYS = 3_660
const MIN_TIME_MS = Date.UTC(2000, 0, 1)
const MAX_TIME_MS = Date.UTC(3000, 0, 1)
const MAX_FILTER_CHARACTERS = 1_024
const MAX_ZONE_CHARACTERS = 64

const DAYS_TEXT = `must be a whole number from 1 to ${MAX_DAYS}`
const TIME_TEXT =
  'must be a date such as 2026-11-22, or a time with its zone such as 2026-11-22T00:00:00Z, from the year 2000 to 2999'
const ZONE_TEXT = 'must be an IANA time zone such as Europe/Berlin'
const KEY_TEXT = 'must be the id of a key of this gateway, or of a key that made calls'

/** A whole number in a query. */
export function wholeNumber(min: number, max: number) {
  const text = `must be a whole number from ${min} to ${max}`
  return z
    .string()
    .regex(/^\d{1,9}$/, text)
    .transform(Number)
    .refine((value) => value >= min && value <= max, text)
}

/** Which period, in which zone. */
export const PERIOD_FIELDS = {
  /** Today and the days before it, so many together, in the zone. */
  days: z
    .string()
    .regex(/^\d{1,4}$/, DAYS_TEXT)
    .transform(Number)
    .refine((days) => days >= 1 && days <= MAX_DAYS, DAYS_TEXT)
    .optional(),
  /** In place of `days`: a date in the zone, or a time with its zone. */
  from: z.string().optional(),
  /** A date is included whole; a time is not included. Without it: up to now. */
  to: z.string().optional(),
  tz: z.string().max(MAX_ZONE_CHARACTERS, ZONE_TEXT).optional(),
}

/** The name of a user, thread or task in a path. */
export const SUBJECT_ID = z.string().max(MAX_FILTER_CHARACTERS)

const filter = z.string().max(MAX_FILTER_CHARACTERS).optional()

/** Only calls with these values. An empty value: calls without one. */
export const FILTER_FIELDS = {
  key: filter,
  organisation: filter,
  project: filter,
  user: filter,
  thread: filter,
  agent: filter,
  task: filter,
  operation: filter,
  provider: filter,
  /** `provider/model`, or the model alone beside `provider`. */
  model: filter,
}

export const FORMAT_FIELD = { format: z.enum(['json', 'csv']).optional() }

type Query<Fields extends z.ZodRawShape> = Partial<z.output<z.ZodObject<Fields>>>

/** The parameters that a report has. */
export type UsageParameters = Query<typeof PERIOD_FIELDS> & Query<typeof FILTER_FIELDS> & Query<typeof FORMAT_FIELD>

/** Which calls a report is of. */
export interface UsageRequest {
  readonly simulated: boolean
  /** Whole quarter hours. */
  readonly period: Period
  /** As it was named. */
  readonly timeZone: string
  /** The same zone by its one name. */
  readonly zoneId: string
  readonly days: ZoneDays
  readonly where: UsageFilter
  readonly wantsCsv: boolean
}

interface SentQuery {
  readonly sender: Viewer
  readonly exchange: RequestLine
  readonly query: UsageParameters
}

/**
 * Reads the parameters of a report. A viewer with a key is confined to its calls, whatever the request names. Rejects with Problem
 * `invalid_request`, which names the parameter, and `forbidden` for the key of somebody else.
 */
export async function readUsageRequest(
  parts: UsageRequestParts,
  { sender, exchange, query }: SentQuery,
  defaultDays = DEFAULT_DAYS,
): Promise<UsageRequest> {
  const key = seenKey(sender, exchange, query.key)
  const zoneOfCalls = await zoneOfKey(parts, sender, key)
  const timeZone = query.tz ?? zoneOfCalls ?? parts.settings.TIME_ZONE
  const zoneId = timeZoneId(timeZone) ?? offsetZone(timeZone, query.tz)
  const days = new ZoneDays(zoneId)
  const nowMs = parts.clock.now().wallMs
  return {
    simulated: await showsSimulated(parts),
    period: periodOf(query, days, nowMs, defaultDays),
    timeZone: shownZone(timeZone, zoneId),
    zoneId,
    days,
    where: { ...filterOf(query), ...(key === undefined ? {} : { key }) },
    wantsCsv: wantsCsv(query.format, exchange.header('accept')),
  }
}

/**
 * The key whose calls are seen. Null: calls without a key. Undefined: calls of all keys.
 *
 * A secret can come as `?key=`, as SDKs of Google's send theirs. Then the parameter names no key.
 */
function seenKey(sender: Viewer, exchange: RequestLine, named: string | undefined): string | null | undefined {
  const isCredential = sender.role !== 'open' && named !== undefined && named === secretInRequest(exchange)
  if (sender.role !== 'key') return named === undefined || isCredential ? undefined : named === '' ? null : named
  if (named !== undefined && named !== sender.key && !isCredential)
    throw new Problem('forbidden', 'An API key sees its own calls alone: leave the parameter key out.', 'key')
  return sender.key
}

/**
 * The zone of the one key that is seen; undefined if several are, or if the key has none. Rejects with Problem for a key that there is not,
 * and never was: a key that BURSAR_KEYS has no more is known by its calls.
 */
async function zoneOfKey({ callers, store }: UsageRequestParts, sender: Viewer, key: string | null | undefined) {
  if (sender.role === 'key') return sender.record.limits?.timeZone
  if (key === undefined || key === null) return undefined
  const record = await callers.findKey(key)
  if (!record && !(await hasCalls(store, key))) throw new Problem('invalid_request', `key: ${KEY_TEXT}`, 'key')
  return record?.limits?.timeZone
}

async function hasCalls(store: Store, key: string): Promise<boolean> {
  for (const simulated of [false, true]) {
    const { report, open } = await store.figures({ simulated, key })
    if (open.calls > 0 || report.total().requests > 0) return true
  }
  return false
}

/** A setting may be an offset such as +05:30, which has no name. A request may not. */
function offsetZone(timeZone: string, asked: string | undefined): string {
  if (asked === undefined) return timeZone
  throw new Problem('invalid_request', `tz: ${ZONE_TEXT}`, 'tz')
}

/** The zone as the request named it, but for upper and lower case if it is the one name. */
function shownZone(timeZone: string, zoneId: string): string {
  return zoneId.toLowerCase() === timeZone.toLowerCase() ? zoneId : timeZone
}

function filterOf({ model, ...query }: UsageParameters): UsageFilter {
  const where: { -readonly [Name in keyof UsageFilter]: UsageFilter[Name] } = {}
  for (const name of ['organisation', 'project', 'user', 'thread', 'agent', 'task', 'operation', 'provider'] as const) {
    const value = query[name]
    if (value !== undefined) where[name] = value === '' ? null : value
  }
  if (model !== undefined) where.model = modelFilter(model, query.provider)
  return where
}

function modelFilter(model: string, provider: string | undefined): string {
  if (provider !== undefined && provider !== '')
    return model.startsWith(`${provider}/`) ? model : `${provider}/${model}`
  if (model.includes('/')) return model
  throw new Problem('invalid_request', 'model: must be provider/model, such as openai/gpt-4o', 'model')
}

function periodOf(query: UsageParameters, days: ZoneDays, nowMs: number, defaultDays: number): Period {
  const { days: count, from, to } = query
  if (from === undefined && to === undefined) {
    const today = days.numberAt(nowMs)
    return { fromMs: days.startOf(today - (count ?? defaultDays) + 1), untilMs: days.startOf(today + 1) }
  }
  if (count !== undefined) throw new Problem('invalid_request', 'days: must not stand beside from and to', 'days')
  if (from === undefined) throw new Problem('invalid_request', 'from: must stand beside to', 'from')
  const fromMs = floorQuarter(timeOf('from', from, days))
  const untilMs = to === undefined ? floorQuarter(nowMs) + QUARTER_MS : ceilQuarter(timeOf('to', to, days))
  if (fromMs >= untilMs)
    throw new Problem('invalid_request', `from: must be before ${to === undefined ? 'now' : 'to'}`, 'from')
  if (untilMs - fromMs > (MAX_DAYS + 1) * DAY_MS)
    throw new Problem('invalid_request', `from: must be at most ${MAX_DAYS} days before to`, 'from')
  return { fromMs, untilMs }
}

/** A date begins with its first quarter hour in the zone; as `to`, it ends with its last. */
function timeOf(name: 'from' | 'to', text: string, days: ZoneDays): number {
  const day = dayNumberOf(text)
  // A plus sign that is not percent-encoded arrives as a blank.
  const time = z.iso.datetime({ offset: true }).safeParse(text.replace(/ (?=\d\d:\d\d$)/, '+'))
  const atMs = day !== undefined ? day * DAY_MS : time.success ? Date.parse(time.data) : Number.NaN
  if (!(atMs >= MIN_TIME_MS && atMs < MAX_TIME_MS)) throw new Problem('invalid_request', `${name}: ${TIME_TEXT}`, name)
  return day === undefined ? atMs : days.startOf(name === 'from' ? day : day + 1)
}

export function floorQuarter(wallMs: number): number {
  return Math.floor(wallMs / QUARTER_MS) * QUARTER_MS
}

function ceilQuarter(wallMs: number): number {
  return Math.ceil(wallMs / QUARTER_MS) * QUARTER_MS
}

export const periodSchema = z.strictObject({ from: timeSchema, to: timeSchema, time_zone: z.string() })

/** The period as it was really used: `from ≤ t < to`. */
export function periodJson({ period, timeZone }: Pick<UsageRequest, 'period' | 'timeZone'>) {
  return { from: timeJson(period.fromMs), to: timeJson(period.untilMs), time_zone: timeZone }
}

/** What a CSV table says of itself in headers, as JSON does in `period` and `simulated`. */
export function periodHeaders(request: UsageRequest): Readonly<Record<string, string>> {
  const { from, to, time_zone } = periodJson(request)
  return {
    'x-bursar-from': from,
    'x-bursar-to': to,
    'x-bursar-time-zone': time_zone,
    'x-bursar-simulated': String(request.simulated),
  }
}
