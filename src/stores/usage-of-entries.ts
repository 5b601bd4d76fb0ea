// Usage of entries in memory: the reference for every other store.

import type { Entry } from '../core/ledger-entry.ts'
import { addEntryTo, addUsageSum, newUsageSum, type UsageSum } from '../core/usage-sum.ts'
import type { Dimension, Period, RecordPage, RecordQuery, UsageFilter, UsageGroups, UsageQuery } from './usage-query.ts'
import type { PlainReport } from './usage-series.ts'

const VALUE_OF: Readonly<Record<Dimension, (entry: Entry) => string | null>> = {
  organisation: ({ facts }) => facts.caller.organisation || null,
  project: ({ facts }) => facts.caller.project || null,
  key: ({ facts }) => facts.caller.key || null,
  user: ({ facts }) => facts.caller.user || null,
  thread: ({ facts }) => facts.caller.thread || null,
  agent: ({ facts }) => facts.caller.agent || null,
  task: ({ facts }) => facts.caller.task || null,
  operation: ({ facts }) => facts.operation || null,
  provider: ({ facts }) => facts.provider,
  model: ({ facts }) => `${facts.provider}/${facts.model}`,
}

export function usageOf(entries: Iterable<Entry>, { period, simulated, where, by, cuts, maxGroups }: UsageQuery) {
  const starts = [period.fromMs, ...(cuts ?? [])]
  const parts = starts.map(newUsageSum)
  const total = newUsageSum()
  const sumsBy = new Map((by ?? []).map((dimension) => [dimension, new Map<string | null, UsageSum>()]))
  for (const entry of entries) {
    if (entry.facts.simulated !== simulated || !isWithin(period, entry) || !matches(where, entry)) continue
    addEntryTo(total, entry)
    const part = parts[starts.findLastIndex((startMs) => entry.facts.reservedAtMs >= startMs)]
    if (part) addEntryTo(part, entry)
    for (const [dimension, sums] of sumsBy) {
      const value = VALUE_OF[dimension](entry)
      let sum = sums.get(value)
      if (!sum) sums.set(value, (sum = newUsageSum()))
      addEntryTo(sum, entry)
    }
  }
  const groups = [...sumsBy].map(([dimension, sums]) => [dimension, groupsOf(sums, maxGroups)] as const)
  return { total, parts, by: Object.fromEntries(groups) } satisfies PlainReport
}

/** The dearest first; of equally dear ones, the one with more requests, then by name. */
export function groupsOf(sums: ReadonlyMap<string | null, UsageSum>, maxGroups = sums.size): UsageGroups {
  const all = [...sums].map(([value, sum]) => ({ value, sum })).toSorted(byCost)
  const rest = all.slice(maxGroups)
  const others = rest.length === 0 ? null : rest.reduce((sum, group) => addUsageSum(sum, group.sum), newUsageSum())
  return { groups: all.slice(0, maxGroups), count: all.length, others }
}

function byCost(left: { value: string | null; sum: UsageSum }, right: { value: string | null; sum: UsageSum }): number {
  if (left.sum.costNanoUsd !== right.sum.costNanoUsd) return left.sum.costNanoUsd > right.sum.costNanoUsd ? -1 : 1
  if (left.sum.requests !== right.sum.requests) return right.sum.requests - left.sum.requests
  return (left.value ?? '') < (right.value ?? '') ? -1 : 1
}

export function recordsOf(entries: readonly Entry[], query: RecordQuery): RecordPage {
  const { period, simulated, where, cursor, limit } = query
  const before = cursor === undefined ? undefined : parseCursor(cursor)
  const found = entries
    .filter((entry) => entry.facts.simulated === simulated && isWithin(period, entry) && matches(where, entry))
    .filter((entry) => !before || byTime(entry, before) < 0)
    .toSorted((left, right) => byTime(right, left))
  const page = found.slice(0, limit)
  const last = page.at(-1)
  const next = found.length > limit && last ? `${last.facts.reservedAtMs}.${last.settledSeq}` : null
  return { entries: page, next }
}

interface PlaceInTime {
  readonly facts: Pick<Entry['facts'], 'reservedAtMs'>
  readonly settledSeq: number | null
}

function byTime(left: PlaceInTime, right: PlaceInTime): number {
  return left.facts.reservedAtMs - right.facts.reservedAtMs || (left.settledSeq ?? 0) - (right.settledSeq ?? 0)
}

function parseCursor(cursor: string): PlaceInTime {
  const [, atMs, seq] = /^(\d{1,15})\.(\d{1,15})$/.exec(cursor) ?? []
  if (atMs === undefined || seq === undefined) throw new RangeError('The cursor is none of a page before.')
  return { facts: { reservedAtMs: Number(atMs) }, settledSeq: Number(seq) }
}

function isWithin({ fromMs, untilMs }: Period, { facts: { reservedAtMs } }: Entry): boolean {
  return reservedAtMs >= fromMs && reservedAtMs < untilMs
}

function matches(where: UsageFilter | undefined, entry: Entry): boolean {
  if (!where) return true
  for (const dimension in where) {
    const wanted = where[dimension as Dimension]
    if (wanted !== undefined && VALUE_OF[dimension as Dimension](entry) !== wanted) return false
  }
  return true
}
