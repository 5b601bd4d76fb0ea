// Limits: what can be limited, as two tables (who × what × span), and the charges that a call takes from its limits. A new row is
// a new dimension. It holds no level.

import { SPAN_MS, type Span, windowAt } from './calendar.ts'
import type { Caller } from './ledger-entry.ts'
import type { Charge, Meter, Refill, What, Who } from './meter.ts'

/** One configured limit. It holds for one subject, or separately for each subject of its kind if `subject` is undefined. */
export interface Limit {
  readonly who: Who
  readonly subject: string | undefined
  readonly what: What
  readonly span: Span
  /** In the unit of `what`: requests, tokens, calls, or nano-dollars. */
  readonly capacity: bigint
  readonly refill: Refill
  /** False for a shadow limit: it is counted and refuses nothing. */
  readonly enforced: boolean
  /** What sets it, for people: the name of a setting, or the words of `bursar.json`. Refusals name it. */
  readonly source?: string | undefined
}

/** The properties of a call that limits apply to. */
export interface Subjects {
  readonly caller: Caller
  readonly provider: string
  /** Its name, with the date. */
  readonly model: string
}

/** The subjects of a call before it is sent. */
export interface LimitSubjects extends Subjects {
  /** The one name of all spellings and aliases of `model`, with the date. */
  readonly canonical: string
  /** The model that `canonical` belongs to. Limits on a model hold for its dated names and previews together. */
  readonly family: string
}

/** No subjects: only global limits apply. */
export const NO_SUBJECTS: LimitSubjects = {
  caller: { key: null, organisation: null, project: null, user: null, thread: null, agent: null, task: null },
  provider: '',
  model: '',
  canonical: '',
  family: '',
}

/** The subject of calls that name no user, thread, agent or task, so that a limit also holds for calls without the header. */
export const NO_SUBJECT = '(none)'

/** A subject that a caller declares is scoped by its key: user `7` of two keys is two subjects. */
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

/** All kinds of subjects. */
export const WHO = Object.keys(SUBJECT_OF) as readonly Who[]

/** The kinds in which the attempts of one call can have several subjects. */
export const OF_TARGETS: ReadonlySet<Who> = new Set(['provider', 'model'])

/** The kinds whose subjects have two parts, such as `alice/7`, and the kind of the first part. */
export const SCOPED_BY: Readonly<Partial<Record<Who, 'key' | 'provider'>>> = {
  user: 'key',
  thread: 'key',
  agent: 'key',
  task: 'key',
  model: 'provider',
}

/** The spans over which each quantity can be limited, and how its capacity comes back by default. */
export const DEFAULT_REFILLS: Readonly<Record<What, Partial<Record<Span, Refill>>>> = {
  requests: { minute: 'steady', hour: 'steady', day: 'window', month: 'window', total: 'window' },
  tokens: { minute: 'steady', hour: 'steady', day: 'window', month: 'window', total: 'window', call: 'call' },
  cost: { minute: 'window', hour: 'window', day: 'window', month: 'window', total: 'window', call: 'call' },
  inFlight: { call: 'none' },
}

/** Names that differ from `what_per_span`. */
const LIMIT_NAMES: Readonly<Record<string, string>> = {
  'cost/call': 'max_cost_per_request',
  'cost/day': 'daily_spending_limit',
  'cost/month': 'monthly_spending_limit',
  'cost/total': 'total_spending_limit',
  'tokens/call': 'max_tokens_per_request',
  'inFlight/call': 'max_in_flight',
}

/** The name of a limit in messages and headers: `requests_per_minute`. */
export function limitName(what: What, span: Span): string {
  return LIMIT_NAMES[`${what}/${span}`] ?? `${what}_per_${span}`
}

/** The subject of a call in one dimension of the ledger's sums. The model keeps its date there. */
export function subjectOf(who: Who, call: Subjects): string {
  return SUBJECT_OF[who](call)
}

/** Meters that are kept for one limit. If there are more, all are dropped and made again. */
const MAX_METERS_PER_LIMIT = 1_000

/** Without the limits that stand beside a stricter one for the same subjects. In the order of the limits. */
export function limitsThatCount(limits: readonly Limit[]): readonly Limit[] {
  return limits.filter((limit) => {
    const same = limits.filter(
      ({ who, what, span, subject }) =>
        who === limit.who && what === limit.what && span === limit.span && subject === limit.subject,
    )
    return strictestLimit(same) === limit
  })
}

/** All limits of one dimension: the default for every subject, and the limits of single subjects. */
interface LimitGroup {
  readonly who: Who
  readonly what: What
  readonly span: Span
  readonly defaultLimit: MeteredLimit | undefined
  readonly bySubject: ReadonlyMap<string, MeteredLimit>
}

/** A limit, and its meters by realm and subject. Keeping them from call to call saves 0.1 µs for each limit of a call. */
interface MeteredLimit {
  readonly limit: Limit
  readonly meters: Map<string, { readonly meter: Meter; readonly fromMs: number }>
}

/** The amounts that a call takes, each in its own unit; cost in nano-dollars. */
export type Amounts = Readonly<Record<What, bigint>>

/** The amounts of no call, for views of limits. */
export const ZERO_AMOUNTS: Amounts = { requests: 0n, tokens: 0n, cost: 0n, inFlight: 0n }

/**
 * The limits of a configuration, prepared for calls. The plan keeps no level: a store counts the charges that it returns.
 *
 * @example
 * const plan = new LimitPlan(limits, 'Europe/Berlin')
 * const charges = plan.chargesFor(subjects, { requests: 1n, tokens: 900n, cost: 4_000_000n, inFlight: 1n }, now.wallMs, '', false)
 */
export class LimitPlan {
  readonly limits: readonly Limit[]
  readonly timeZone: string
  readonly #groups: readonly LimitGroup[]

  /** @param timeZone the IANA zone in which calendar windows turn */
  constructor(limits: readonly Limit[], timeZone: string) {
    this.limits = limits
    this.timeZone = timeZone
    const limitsByDimension = new Map<string, Limit[]>()
    for (const limit of limits) {
      const name = `${limit.who}/${limit.what}/${limit.span}`
      limitsByDimension.set(name, [...(limitsByDimension.get(name) ?? []), limit])
    }
    this.#groups = [...limitsByDimension.values()].flatMap((members) =>
      members[0] ? [limitGroupOf(members[0], members)] : [],
    )
  }

  /** True if any limit counts money: the cost of every call then needs a bound, and so a known price. */
  get hasCostLimit(): boolean {
    return this.limits.some((limit) => limit.what === 'cost')
  }

  /** True if any limit counts what grows with the size of a call: money or tokens. */
  get hasSizeLimit(): boolean {
    return this.limits.some(({ what }) => what === 'cost' || what === 'tokens')
  }

  /**
   * The charges of one call: one per dimension, and for a dated name with limits of its own two.
   * @param wallMs epoch milliseconds, which select the calendar windows
   * @param realm a prefix that keeps simulated calls on separate meters; empty for real calls
   * @param soft true: no charge is enforced
   */
  chargesFor(call: LimitSubjects, amounts: Amounts, wallMs: number, realm: string, soft: boolean): Charge[] {
    const charges: Charge[] = []
    for (const group of this.#groups) {
      for (const [metered, subject] of limitsIn(group, call)) {
        const { limit } = metered
        charges.push({
          meter: this.#meterOf(metered, subject, wallMs, realm),
          amount: amounts[group.what],
          capacity: limit.capacity,
          enforced: limit.enforced && !soft,
        })
      }
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

  /** The maximum that a single call may take, in the unit of `what`. Undefined if no enforced limit bounds it. */
  ceiling(call: LimitSubjects, what: What): bigint | undefined {
    let ceiling: bigint | undefined
    for (const group of this.#groups) {
      if (group.what !== what || group.span !== 'call') continue
      for (const [{ limit }] of limitsIn(group, call))
        if (limit.enforced && (ceiling === undefined || limit.capacity < ceiling)) ceiling = limit.capacity
    }
    return ceiling
  }
}

/** The limits of a group that hold for a call, each with its subject. */
function limitsIn(group: LimitGroup, call: LimitSubjects): readonly (readonly [MeteredLimit, subject: string])[] {
  const { who, bySubject, defaultLimit } = group
  const subject = who === 'model' ? `${call.provider}/${call.family}` : SUBJECT_OF[who](call)
  const metered = bySubject.get(subject) ?? defaultLimit
  const ofSubject = metered ? [[metered, subject] as const] : []
  if (who !== 'model' || call.family === call.canonical) return ofSubject
  const dated = `${call.provider}/${call.canonical}`
  const ofDated = bySubject.get(dated)
  return ofDated ? [...ofSubject, [ofDated, dated] as const] : ofSubject
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
    source: limit.source,
  }
}

/** The limit that counts if a setting and a file both set it: an enforced limit before a shadow limit, then the smaller one. */
function strictestLimit(limits: readonly Limit[]): Limit | undefined {
  const enforced = limits.filter((limit) => limit.enforced)
  const [first, ...others] = enforced.length > 0 ? enforced : limits
  return others.reduce(
    (strictest, limit) => (strictest && strictest.capacity <= limit.capacity ? strictest : limit),
    first,
  )
}

function limitGroupOf(first: Limit, members: readonly Limit[]): LimitGroup {
  const bySubject = new Map<string, MeteredLimit>()
  for (const limit of members)
    if (limit.subject !== undefined) bySubject.set(limit.subject, { limit, meters: new Map() })
  const everySubject = strictestLimit(members.filter((limit) => limit.subject === undefined))
  return {
    who: first.who,
    what: first.what,
    span: first.span,
    defaultLimit: everySubject && { limit: everySubject, meters: new Map() },
    bySubject,
  }
}

/** The prefix of simulated calls' meters: simulated calls are limited like real calls, but separately. */
export const SIMULATED_REALM = 'simulated/'
