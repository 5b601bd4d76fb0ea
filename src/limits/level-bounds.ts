// Level bounds: between which amounts a level may lie if the ledger's sum does not determine the level. It changes nothing.
//
// There are two reasons. (1) A call that tried several targets is in the sums of the last one, while each attempt is charged to its own
// target: the ledger has the cost of each attempt, but not its tokens. An open call does not say which targets it has tried. (2) A window
// that started from the ledger in the middle has the calls that were open then at what they reserved, whatever they used in the end.

import { setImmediate } from 'node:timers/promises'
import { readScope } from '../config/limits.ts'
import { recordOf } from '../core/json-values.ts'
import { type Limit, type LimitPlan, OF_TARGETS, subjectOf } from '../core/limits.ts'
import type { Charge, LevelView } from '../core/meter.ts'
import { modelNameOf } from '../core/model-name.ts'
import type { Registry } from '../stores/registry.ts'
import type { BookedCost, MeteredCall, Store } from '../stores/store.ts'
import { windowName } from './seed-marks.ts'
import type { WindowGroup } from './windows-in-force.ts'

/** A change of a limit waits for others, and reads the ledger, for at most so long. */
const MAX_CHANGE_MS = 60_000
const CALLS_PER_TURN = 64
const AUDIT_LINES_PER_PAGE = 256

interface Target {
  readonly provider: string
  readonly model: string
}

/** One window of all its subjects, in one realm. */
export interface CheckedWindow {
  readonly group: WindowGroup
  readonly simulated: boolean
  /** Epoch milliseconds. */
  readonly fromMs: number
  readonly untilMs: number
}

/** A level that was seen to differ, twice and alike. */
export interface SeenLevel {
  readonly charge: Charge
  readonly view: LevelView
  readonly ledger: bigint
}

interface BoundsParts {
  readonly store: Pick<Store, 'sums' | 'callPages'> & { readonly registry: Pick<Registry, 'read' | 'audit'> }
  readonly plan: LimitPlan
}

/** What the calls of a subject may have left on its level. In the unit of the level. */
interface Bounds {
  /** On a target: of settled calls alone. */
  low: bigint
  high: bigint
  /** By how much a level may be over and under because the window started in the middle. */
  over: bigint
  under: bigint
}

export interface LevelBounds {
  includes(subject: string, level: SeenLevel): boolean
}

/** Reads all calls of the window once. Rejects with StoreUnavailable, and with the signal's reason if `signal` aborts. */
export async function boundsOf(
  { store, plan }: BoundsParts,
  { group, simulated, fromMs, untilMs }: CheckedWindow,
  levels: ReadonlyMap<string, SeenLevel>,
  signal: AbortSignal | undefined,
): Promise<LevelBounds> {
  const startsOf = await readStarts(store.registry, group, plan.timeZone, fromMs)
  const isOfTarget = OF_TARGETS.has(group.who)
  const subjects = new Map([...levels.keys()].map((subject) => [subject, startsOf(subject)]))
  const bounds = new Map<string, Bounds>()
  for (const subject of subjects.keys()) bounds.set(subject, { low: 0n, high: 0n, over: 0n, under: 0n })
  const isNeeded = isOfTarget || [...subjects.values()].some((starts) => starts.length > 0)
  if (isNeeded)
    for await (const page of store.callPages({ simulated, fromMs, untilMs }))
      for (let start = 0; start < page.length; start += CALLS_PER_TURN) {
        signal?.throwIfAborted()
        for (const call of page.slice(start, start + CALLS_PER_TURN)) addCall(call, group, subjects, bounds)
        await setImmediate()
      }
  const { who, what } = group
  // Retention keeps the sums of deleted calls by their last targets alone.
  const hasPruned =
    isOfTarget && fromMs === 0 && (await store.sums({ who, what, simulated, sinceMs: 0, untilMs: 1 })).size > 0
  return {
    includes(subject, { view, ledger }) {
      const { low, high, over, under } = bounds.get(subject) ?? { low: 0n, high: 0n, over: 0n, under: 0n }
      if (!isOfTarget) return isWithin(view.settled + view.reserved, ledger - under, ledger + over)
      return hasPruned || isWithin(view.settled, low - under, high + over)
    },
  }
}

function isWithin(amount: bigint, low: bigint, high: bigint): boolean {
  return amount >= low && amount <= high
}

function addCall(
  call: MeteredCall,
  { who, what }: WindowGroup,
  subjects: ReadonlyMap<string, readonly number[]>,
  bounds: ReadonlyMap<string, Bounds>,
): void {
  const parts = OF_TARGETS.has(who)
    ? targetParts(call, who, what)
    : [{ subject: subjectOf(who, call), low: 0n, high: 0n }]
  for (const { subject, low, high } of parts) {
    const sum = bounds.get(subject)
    if (!sum) continue
    sum.low += low
    sum.high += high
    if (!subjects.get(subject)?.some((startMs) => wasOpenAt(call, startMs))) continue
    const reserved = reservedOf(call, what)
    const excess = usedOf(call, what) - reserved
    sum.over += reserved
    if (excess > 0n) sum.under += excess
  }
}

/** Whether a call may have been open when a window started. */
function wasOpenAt({ reservedAtMs, settled }: MeteredCall, startMs: number): boolean {
  return reservedAtMs < startMs + MAX_CHANGE_MS && (!settled || settled.atMs >= startMs - MAX_CHANGE_MS)
}

/** What a settled call may have left on each target that it tried. */
function targetParts(call: MeteredCall, who: Limit['who'], what: WindowGroup['what']) {
  const { settled, corrections } = call
  if (!settled) return subjectsOfTarget(who, call).map((subject) => ({ subject, low: 0n, high: 0n }))
  const tried = settled.targets.flatMap((target) => subjectsOfTarget(who, target))
  const booked = [settled, ...corrections]
  return [...new Set([...subjectsOfTarget(who, call), ...tried])].map((subject) => {
    const isOn = (target: Target) => subjectsOfTarget(who, target).includes(subject)
    if (what === 'cost') {
      const cost = booked.reduce((sum, part) => sum + costOn(part, call, isOn), 0n)
      return { subject, low: cost, high: cost }
    }
    const used = usedOf(call, what)
    return { subject, low: isOn(call) && settled.targets.every(isOn) ? used : 0n, high: used }
  })
}

/** The part of a cost that targets have. What no attempt has is the answering target's. */
function costOn({ costNanoUsd, targets }: BookedCost, call: Target, isOn: (target: Target) => boolean): bigint {
  let ofOthers = 0n
  let cost = 0n
  for (const target of targets) {
    if (target.provider === call.provider && target.model === call.model) continue
    ofOthers += target.costNanoUsd
    if (isOn(target)) cost += target.costNanoUsd
  }
  return isOn(call) ? cost + costNanoUsd - ofOthers : cost
}

function subjectsOfTarget(who: Limit['who'], { provider, model }: Target): readonly string[] {
  if (who === 'provider') return [provider]
  const { canonical, family } = modelNameOf(provider, model)
  return canonical === family ? [`${provider}/${family}`] : [`${provider}/${family}`, `${provider}/${canonical}`]
}

function usedOf(call: MeteredCall, what: WindowGroup['what']): bigint {
  const { settled } = call
  if (what === 'requests') return 1n
  if (!settled) return reservedOf(call, what)
  return what === 'tokens' ? BigInt(settled.tokens) : settled.costNanoUsd
}

function reservedOf({ reservedTokens, reservedCostNanoUsd }: MeteredCall, what: WindowGroup['what']): bigint {
  if (what === 'requests') return 1n
  return what === 'tokens' ? BigInt(reservedTokens) : reservedCostNanoUsd
}

/**
 * When the present window of a subject may have started from the ledger, in epoch milliseconds: at a mark of the limit, and at each change
 * of the subject's limits that the audit has.
 */
async function readStarts(
  registry: Pick<Registry, 'read' | 'audit'>,
  group: WindowGroup,
  timeZone: string,
  fromMs: number,
): Promise<(subject: string) => readonly number[]> {
  const marks = new Map<string, number>()
  for (const { id, value } of await registry.read('limit-seed')) {
    const { since } = recordOf(value)
    if (typeof since === 'number' && since >= fromMs) marks.set(id, since)
  }
  const changes = await readChanges(registry, group, fromMs)
  return (subject) => {
    const names = [undefined, subject].map((each) => windowName({ ...group, subject: each }, timeZone))
    const marked = names.flatMap((name) => marks.get(name) ?? [])
    return [...marked, ...(changes.get(undefined) ?? []), ...(changes.get(subject) ?? [])]
  }
}

/** The times at which limits of the group's kind changed, by subject. Undefined: of all subjects. */
async function readChanges(
  registry: Pick<Registry, 'audit'>,
  { who }: WindowGroup,
  fromMs: number,
): Promise<ReadonlyMap<string | undefined, readonly number[]>> {
  const changes = new Map<string | undefined, number[]>()
  const add = (subject: string | undefined, atMs: number) => {
    const times = changes.get(subject)
    if (times) times.push(atMs)
    else changes.set(subject, [atMs])
  }
  for (let beforeVersion: number | undefined; ; ) {
    const before = beforeVersion === undefined ? {} : { beforeVersion }
    const lines = await registry.audit({ ...before, limit: AUDIT_LINES_PER_PAGE })
    for (const { kind, id, atMs } of lines) {
      if (atMs < fromMs) continue
      if (kind === 'key' && who === 'key') add(id, atMs)
      if (kind !== 'limit') continue
      const named = readScope(id)
      if ('scope' in named && named.scope.who === who) add(named.scope.subject, atMs)
    }
    const last = lines.at(-1)
    if (!last || lines.length < AUDIT_LINES_PER_PAGE || last.atMs < fromMs) return changes
    beforeVersion = last.version
  }
}
