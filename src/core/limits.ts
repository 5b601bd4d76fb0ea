// Limits: who × what × span, as two tables, and the charges they make of a call. Adding a row adds a dimension.

import { SPAN_MS, type Span, windowAt } from './calendar.ts'
import type { Caller } from './ledger-entry.ts'
import type { Charge, Meter, Refill, What, Who } from './meter.ts'

/** One configured limit: on one subject, or (`subject` undefined) on each subject of its kind by itself. */
export interface Limit {
  readonly who: Who
  readonly subject: string | undefined
  readonly what: What
  readonly span: Span
  /** Requests, tokens, calls, or nano-dollars. */
  readonly capacity: bigint
  readonly refill: Refill
  readonly enforced: boolean
}

/** Who and what a call is, as far as limits go. */
export interface Subjects {
  readonly caller: Caller
  readonly provider: string
  readonly model: string
}

/** No subject at all: global limits alone apply. */
export const NO_SUBJECTS: Subjects = {
  caller: { key: null, organisation: null, project: null, user: null, thread: null, agent: null, task: null },
  provider: '',
  model: '',
}

/** Stands for the absent user, thread, agent or task, so that leaving a header out does not escape a limit. */
export const NO_SUBJECT = '(none)'

/** Subjects that a caller declares are scoped by its key: two keys' user `7` are two subjects. */
const scopedSubject = (caller: Caller, declared: string | null) =>
  `${caller.key ?? NO_SUBJECT}/${declared ?? NO_SUBJECT}`

const SUBJECT_OF: Readonly<Record<Who, (call: Subjects) => string>> = {
  global: () => '',
  organisation: (call) => call.caller.organisation ?? NO_SUBJECT,
  project: (call) => call.caller.project ?? NO_SUBJECT,
  key: (call) => call.caller.key ?? NO_SUBJECT,
  user: (call) => scopedSubject(call.caller, call.caller.user),
  thread: (call) => scopedSubject(call.caller, call.caller.thread),
  agent: (call) => scopedSubject(call.caller, call.caller.agent),
  task: (call) => scopedSubject(call.caller, call.caller.task),
  model: (call) => `${call.provider}/${call.model}`,
  provider: (call) => call.provider,
}

export const WHO = Object.keys(SUBJECT_OF) as readonly Who[]

/** Whose subjects have two parts, and what the first one is. */
export const SCOPED_BY: Readonly<Partial<Record<Who, 'key' | 'provider'>>> = {
  user: 'key',
  thread: 'key',
  agent: 'key',
  task: 'key',
  model: 'provider',
}

/** The spans each thing may be limited over, and how it comes back unless the limit says otherwise. */
export const DEFAULT_REFILLS: Readonly<Record<What, Partial<Record<Span, Refill>>>> = {
  requests: { minute: 'steady', hour: 'steady', day: 'window', month: 'window', total: 'window' },
  tokens: { minute: 'steady', hour: 'steady', day: 'window', month: 'window', total: 'window', call: 'call' },
  cost: { minute: 'window', hour: 'window', day: 'window', month: 'window', total: 'window', call: 'call' },
  inFlight: { call: 'none' },
}

/** Names that read better than `what_per_span`. */
const LIMIT_NAMES: Readonly<Record<string, string>> = {
  'cost/call': 'max_cost_per_request',
  'cost/day': 'daily_spending_limit',
  'cost/month': 'monthly_spending_limit',
  'cost/total': 'total_spending_limit',
  'tokens/call': 'max_tokens_per_request',
  'inFlight/call': 'max_in_flight',
}

/** The name a limit goes by in settings, messages and headers. */
export function limitName(what: What, span: Span): string {
  return LIMIT_NAMES[`${what}/${span}`] ?? `${what}_per_${span}`
}

/** The subject of a call in one dimension; also how the ledger's sums are keyed. */
export function subjectOf(who: Who, call: Subjects): string {
  return SUBJECT_OF[who](call)
}

/** Meters remembered for one limit; beyond it they are made anew. */
const MAX_METERS_PER_LIMIT = 1_000

/** Limits made ready for calls: by kind, the one for each subject and those for single ones. */
interface LimitGroup {
  readonly who: Who
  readonly what: What
  readonly span: Span
  readonly defaultLimit: MeteredLimit | undefined
  readonly bySubject: ReadonlyMap<string, MeteredLimit>
}

/** A limit and its meters, which live on from call to call: their names are long, and headers remember what they made of them. */
interface MeteredLimit {
  readonly limit: Limit
  readonly meters: Map<string, { readonly meter: Meter; readonly fromMs: number }>
}

/** What a call takes, by what limits count. */
export type Amounts = Readonly<Record<What, bigint>>

/** For reading limits without a call. */
export const ZERO_AMOUNTS: Amounts = { requests: 0n, tokens: 0n, cost: 0n, inFlight: 0n }

export class LimitPlan {
  readonly limits: readonly Limit[]
  readonly timeZone: string
  readonly #groups: readonly LimitGroup[]

  constructor(limits: readonly Limit[], timeZone: string) {
    this.limits = limits
    this.timeZone = timeZone
    const families = new Map<string, Limit[]>()
    for (const limit of limits) {
      const name = `${limit.who}/${limit.what}/${limit.span}`
      families.set(name, [...(families.get(name) ?? []), limit])
    }
    this.#groups = [...families.values()].flatMap((members) => (members[0] ? [limitGroupOf(members[0], members)] : []))
  }

  /** True when some limit counts money, so that a call without a known price cannot be bounded. */
  get hasCostLimit(): boolean {
    return this.limits.some((limit) => limit.what === 'cost')
  }

  /**
   * The charges of one call: at most one per family. `soft` enforces none of them.
   * @param realm a prefix that keeps simulated calls on meters of their own; empty for real ones
   */
  chargesFor(call: Subjects, amounts: Amounts, wallMs: number, realm: string, soft: boolean): Charge[] {
    const charges: Charge[] = []
    for (const family of this.#groups) {
      const subject = SUBJECT_OF[family.who](call)
      const metered = family.bySubject.get(subject) ?? family.defaultLimit
      if (!metered) continue
      const { limit } = metered
      charges.push({
        meter: this.#meterOf(metered, subject, wallMs, realm),
        amount: amounts[family.what],
        capacity: limit.capacity,
        enforced: limit.enforced && !soft,
      })
    }
    return charges
  }

  #meterOf({ limit, meters }: MeteredLimit, subject: string, wallMs: number, realm: string): Meter {
    const name = realm + subject
    const known = meters.get(name)
    if (known && wallMs >= known.fromMs && wallMs < known.meter.endsAtMs) return known.meter
    if (meters.size >= MAX_METERS_PER_LIMIT) meters.clear()
    const meter = meterOf(limit, subject, wallMs, this.timeZone, realm)
    const fromMs = limit.refill === 'window' ? windowAt(limit.span, this.timeZone, wallMs).startsAtMs : 0
    meters.set(name, { meter, fromMs })
    return meter
  }

  /** The least that a single call may take of something, or undefined where no enforced limit says. */
  ceiling(call: Subjects, what: What): bigint | undefined {
    let least: bigint | undefined
    for (const family of this.#groups) {
      if (family.what !== what || family.span !== 'call') continue
      const limit = (family.bySubject.get(SUBJECT_OF[family.who](call)) ?? family.defaultLimit)?.limit
      if (limit?.enforced && (least === undefined || limit.capacity < least)) least = limit.capacity
    }
    return least
  }
}

/** The meter of a limit on one subject, at an instant. */
export function meterOf(limit: Limit, subject: string, wallMs: number, timeZone: string, realm: string): Meter {
  const window = limit.refill === 'window' ? windowAt(limit.span, timeZone, wallMs) : undefined
  return {
    key: `${realm}${limit.who}:${subject}/${limit.what}/${window ? window.id : limit.span}`,
    name: limitName(limit.what, limit.span),
    who: limit.who,
    subject,
    what: limit.what,
    span: limit.span,
    refill: limit.refill,
    spanMs: SPAN_MS[limit.span],
    endsAtMs: window ? window.endsAtMs : Number.POSITIVE_INFINITY,
  }
}

/** Of limits on the same subjects: a setting and a line of a file, say. What is only watched gives way to what is enforced. */
function strictestLimit(limits: readonly Limit[]): Limit | undefined {
  const enforced = limits.filter((limit) => limit.enforced)
  const [first, ...others] = enforced.length > 0 ? enforced : limits
  return others.reduce((least, other) => (least && least.capacity <= other.capacity ? least : other), first)
}

function limitGroupOf(first: Limit, members: readonly Limit[]): LimitGroup {
  const bySubject = new Map<string, MeteredLimit>()
  for (const limit of members)
    if (limit.subject !== undefined) bySubject.set(limit.subject, { limit, meters: new Map() })
  const each = strictestLimit(members.filter((limit) => limit.subject === undefined))
  return {
    who: first.who,
    what: first.what,
    span: first.span,
    defaultLimit: each && { limit: each, meters: new Map() },
    bySubject,
  }
}

/** Simulated calls have meters of their own: they are limited like real ones, and spend nothing of theirs. */
export const SIMULATED_REALM = 'simulated/'
