// Limits: what can be limited, as two tables (who × what × span), and the charges that a call takes from its limits. A new row is
// a new dimension. It holds no level.

import type { Span } from './calendar.ts'
import type { KeyLimits } from './key-limits.ts'
import type { Caller } from './ledger-entry.ts'
import type { Charge, Refill, What, Who } from './meter.ts'
import { type Limit, MeteredLimit, type Raise, raisedCapacity, type WindowZone, windowZone } from './metered-limit.ts'

export { type Limit, limitName, meterOf, type Raise } from './metered-limit.ts'

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
  /** The limits of the caller's key. Absent for a key without a record. */
  readonly keyLimits?: KeyLimits | undefined
}

/** No subjects: only global limits apply. */
export const NO_SUBJECTS: LimitSubjects = {
  caller: {
    key: null,
    organisation: null,
    project: null,
    user: null,
    thread: null,
    agent: null,
    task: null,
    isPerson: false,
  },
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
  // Names of people have no slash, so that no user of a key is taken for a person.
  user: ({ caller }) => (caller.isPerson && caller.user !== null ? caller.user : scopedSubject(caller, caller.user)),
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

/** The subject of a call in one dimension of the ledger's sums. The model keeps its date there. */
export function subjectOf(who: Who, call: Subjects): string {
  return SUBJECT_OF[who](call)
}

/** Who a set of limits holds for. Without a subject, for each of its kind. */
export interface Scope {
  readonly who: Who
  readonly subject: string | undefined
}

/** Whether limits of a scope hold for a call. */
export function isInScope({ who, subject }: Scope, call: LimitSubjects): boolean {
  if (subject === undefined) return true
  if (who === 'model') return isModel(subject, call)
  return SUBJECT_OF[who](call) === subject
}

function isModel(subject: string, { provider, family, canonical }: LimitSubjects): boolean {
  return subject === `${provider}/${family}` || subject === `${provider}/${canonical}`
}

/** All limits of one dimension: the default for every subject, and the limits of single subjects, with what raises them. */
interface LimitGroup extends Pick<Limit, 'who' | 'what' | 'span'> {
  defaultLimit: MeteredLimit | undefined
  readonly bySubject: Map<string, MeteredLimit>
  defaultRaise: Raise | undefined
  /** Undefined if no single subject is raised, as nearly always. */
  raises: Map<string, Raise> | undefined
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
  readonly timeZone: string
  readonly #zone: WindowZone
  readonly #groupsByName = new Map<string, LimitGroup>()
  #groups: readonly LimitGroup[] = []
  /** How many limits count each thing. */
  readonly #counts: Record<What, number> = { requests: 0, tokens: 0, cost: 0, inFlight: 0 }

  /** @param timeZone the IANA zone in which calendar windows turn */
  constructor(limits: readonly Limit[], timeZone: string, raises: readonly Raise[] = []) {
    this.timeZone = timeZone
    this.#zone = windowZone(undefined, timeZone)
    for (const limit of limits) this.#add(limit)
    for (const raise of raises) this.#addRaise(raise)
    this.#groups = [...this.#groupsByName.values()]
  }

  /** Whether any limit counts this for a call: if it is cost, the call needs a bound, and so a known price. */
  counts(what: What, keyLimits: KeyLimits | undefined): boolean {
    return this.#counts[what] > 0 || keyLimits?.newest.counts(what) === true
  }

  /** Whether any limit counts what grows with the size of a call: money or tokens. */
  countsSize(keyLimits: KeyLimits | undefined): boolean {
    return this.counts('cost', keyLimits) || this.counts('tokens', keyLimits)
  }

  /** All limits in force, without those of keys' records. */
  get limits(): readonly Limit[] {
    return this.#groups.flatMap(({ defaultLimit, bySubject }) =>
      [...(defaultLimit ? [defaultLimit] : []), ...bySubject.values()].map(({ limit }) => limit),
    )
  }

  /** The limits in force on a subject: its own, or those on each of its kind. Without a subject, the latter. */
  limitsOf({ who, subject }: Scope): readonly Limit[] {
    return this.#groups.flatMap((group) => {
      if (group.who !== who) return []
      const metered = (subject === undefined ? undefined : group.bySubject.get(subject)) ?? group.defaultLimit
      return metered ? [metered.limit] : []
    })
  }

  /** The same with their capacities at an instant, which raises enlarge. @param wallMs epoch milliseconds */
  capacitiesOn(scope: Scope, wallMs: number): readonly { readonly limit: Limit; readonly capacity: bigint }[] {
    return this.limitsOf(scope).map((limit) => {
      const group = this.#groupOf(limit)
      return { limit, capacity: capacityIn(group, limit, scope.subject ?? '', wallMs, undefined) }
    })
  }

  /** Whether a subject has a window of its own for this. */
  hasOwnWindow({ who, subject = '', what, span }: Limit): boolean {
    return this.#groupsByName.get(nameOf({ who, what, span }))?.bySubject.get(subject)?.limit.refill === 'window'
  }

  /** Puts other limits and raises of one scope in the place of those before, in one step. It touches no other scope. */
  replace({ who, subject }: Scope, limits: readonly Limit[], raises: readonly Raise[]): void {
    for (const group of this.#groups) if (group.who === who) this.#remove(group, subject)
    for (const limit of limits) this.#add(limit)
    for (const raise of raises) this.#addRaise(raise)
    for (const [name, group] of this.#groupsByName) if (isEmpty(group)) this.#groupsByName.delete(name)
    this.#groups = [...this.#groupsByName.values()]
  }

  /**
   * The charges of one call: one per dimension, and for a dated name with limits of its own two.
   * @param wallMs epoch milliseconds, which select the calendar windows
   * @param realm a prefix that keeps simulated calls on separate meters; empty for real calls
   * @param soft true: no charge is enforced
   */
  chargesFor(call: LimitSubjects, amounts: Amounts, wallMs: number, realm: string, soft: boolean): Charge[] {
    const charges: Charge[] = []
    const own = call.keyLimits?.newest
    for (const group of this.#groups) {
      if (own && isReplaced(group, own)) continue
      for (const [metered, subject] of limitsIn(group, call)) {
        const { limit } = metered
        charges.push({
          meter: metered.meterOn(subject, wallMs, this.#zone, realm),
          amount: amounts[group.what],
          capacity: capacityIn(group, limit, subject, wallMs, own),
          enforced: limit.enforced && !soft,
        })
      }
    }
    own?.addCharges(charges, amounts, wallMs, realm, soft, this.timeZone)
    return charges
  }

  /**
   * The maximum that a single call may take, in the unit of `what`. Undefined if no enforced limit bounds it.
   * @param wallMs epoch milliseconds: raises end
   */
  ceiling(call: LimitSubjects, what: What, wallMs: number): bigint | undefined {
    let ceiling: bigint | undefined
    const lower = (limit: Limit, capacity: bigint) => {
      if (limit.enforced && (ceiling === undefined || capacity < ceiling)) ceiling = capacity
    }
    const own = call.keyLimits?.newest
    for (const group of this.#groups) {
      if (group.what !== what || group.span !== 'call' || (own && isReplaced(group, own))) continue
      for (const [{ limit }, subject] of limitsIn(group, call))
        lower(limit, capacityIn(group, limit, subject, wallMs, own))
    }
    for (const limit of own?.limits ?? [])
      if (own && limit.what === what && limit.span === 'call') lower(limit, own.capacityOf(limit, wallMs))
    return ceiling
  }

  #groupOf({ who, what, span }: Pick<Limit, 'who' | 'what' | 'span'>): LimitGroup {
    const name = nameOf({ who, what, span })
    let group = this.#groupsByName.get(name)
    if (!group) {
      group = {
        who,
        what,
        span,
        defaultLimit: undefined,
        bySubject: new Map(),
        defaultRaise: undefined,
        raises: undefined,
      }
      this.#groupsByName.set(name, group)
    }
    return group
  }

  /** Of two limits on the same, the stricter one holds. */
  #add(limit: Limit): void {
    const group = this.#groupOf(limit)
    const { subject } = limit
    const other = subject === undefined ? group.defaultLimit : group.bySubject.get(subject)
    if (!other) this.#counts[limit.what] += 1
    else if (strictestLimit(other.limit, limit) === other.limit) return
    const metered = new MeteredLimit(limit)
    if (subject === undefined) group.defaultLimit = metered
    else group.bySubject.set(subject, metered)
  }

  #addRaise(raise: Raise): void {
    const group = this.#groupOf(raise)
    if (raise.subject === undefined) group.defaultRaise = raise
    else group.raises = (group.raises ?? new Map()).set(raise.subject, raise)
  }

  #remove(group: LimitGroup, subject: string | undefined): void {
    const limit = subject === undefined ? group.defaultLimit : group.bySubject.get(subject)
    if (limit) this.#counts[group.what] -= 1
    if (subject === undefined) {
      group.defaultLimit = undefined
      group.defaultRaise = undefined
      return
    }
    group.bySubject.delete(subject)
    group.raises?.delete(subject)
    if (group.raises?.size === 0) group.raises = undefined
  }
}

function nameOf({ who, what, span }: Pick<Limit, 'who' | 'what' | 'span'>): string {
  return `${who}/${what}/${span}`
}

function isEmpty({ defaultLimit, bySubject, defaultRaise, raises }: LimitGroup): boolean {
  return !defaultLimit && bySubject.size === 0 && !defaultRaise && !raises
}

/** Whether the key has a limit of its own in place of the group's. */
function isReplaced({ who, what, span }: LimitGroup, own: KeyLimits): boolean {
  return who === 'key' && own.has(what, span)
}

function capacityIn(
  group: LimitGroup,
  limit: Limit,
  subject: string,
  wallMs: number,
  own: KeyLimits | undefined,
): bigint {
  const capacity = own && group.who === 'key' ? own.capacityOf(limit, wallMs) : limit.capacity
  if (!group.raises && !group.defaultRaise) return capacity
  const raised = raisedCapacity(capacity, group.raises?.get(subject), wallMs)
  return limit.subject === undefined ? raisedCapacity(raised, group.defaultRaise, wallMs) : raised
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

/** The limit that counts if two set the same: an enforced limit before a shadow limit, then the smaller one. */
export function strictestLimit(first: Limit, second: Limit): Limit {
  if (first.enforced !== second.enforced) return first.enforced ? first : second
  return first.capacity <= second.capacity ? first : second
}

/** The prefix of simulated calls' meters: simulated calls are limited like real calls, but separately. */
export const SIMULATED_REALM = 'simulated/'
