// Unmatched alerts: limits that alerts name and that nothing sets. These are warnings and no mistakes, because limits and keys may come
// later.

import { listOf } from '../core/issue-text.ts'
import type { Limit } from '../core/limits.ts'
import { didYouMean } from '../core/nearest-name.ts'
import type { AlertRow, WatchedLimit } from './alerts.ts'
import { type Finding, shown } from './findings.ts'
import { limitText, scopeName } from './limits.ts'
import { keyOf, type NamedThings, unmatchedScope } from './unmatched-names.ts'

/** Everything that alerts can name. */
export interface WatchableThings extends NamedThings {
  /** All limits in force but those of keys' records. */
  readonly limits: readonly Limit[]
}

const MAX_SHOWN_LIMITS = 10

/** A warning for each limit of an alert that nothing sets, with the nearest limit that is set. */
export function unmatchedInAlert({ limits }: Pick<AlertRow, 'limits'>, things: WatchableThings): Finding[] {
  return (limits ?? []).flatMap((watched, index) => {
    const text = unmatchedLimit(watched, things)
    return text === undefined ? [] : [{ place: ['limits', index], text }]
  })
}

/** The keys whose limits, or whose callers' limits, alerts name. */
export function keysWatchedBy(rows: readonly Pick<AlertRow, 'limits'>[]): readonly string[] {
  return rows.flatMap(({ limits }) => (limits ?? []).flatMap(({ scope }) => keyOf(scope.who, scope.subject) ?? []))
}

function unmatchedLimit(watched: WatchedLimit, things: WatchableThings): string | undefined {
  const { scope } = watched
  if (scope.subject !== undefined) {
    const unmatched = unmatchedScope(scopeName(scope), scope, things, 'watches')
    if (unmatched !== undefined) return unmatched
  }
  // The records of keys that are made have limits of their own.
  if (scope.who === 'key' && things.madeKeys?.exist) return undefined
  if (things.limits.some((limit) => isOn(limit, watched))) return undefined
  const name = limitText({ ...scope, ...watched })
  const names = things.limits.filter(({ refill }) => refill !== 'call').map(limitText)
  const advice = didYouMean(name, names) || limitsText(names)
  return `watches nothing: no limit ${shown(name)} is set.${advice}`
}

function isOn(limit: Limit, { scope, what, span }: WatchedLimit): boolean {
  if (limit.who !== scope.who || limit.what !== what || limit.span !== span) return false
  return scope.subject === undefined || limit.subject === undefined || limit.subject === scope.subject
}

function limitsText(names: readonly string[]): string {
  if (names.length === 0 || names.length > MAX_SHOWN_LIMITS) return ''
  return ` Limits that are set: ${listOf(names.map(shown))}`
}
