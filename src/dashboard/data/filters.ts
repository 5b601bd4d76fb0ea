// Filters: what a page shows, in its address, so that a link shows the same.

import { useCallback, useMemo } from 'react'
import { useLocation, useSearch } from 'wouter'

/** What calls are filtered by, as the endpoints name it. */
export const FILTER_NAMES = [
  'key',
  'user',
  'thread',
  'agent',
  'operation',
  'project',
  'organisation',
  'task',
  'provider',
  'model',
] as const
export type FilterName = (typeof FILTER_NAMES)[number]

export interface Filters {
  readonly get: (name: string) => string | undefined
  /** Changes some, and leaves the others; undefined removes one. */
  readonly set: (changes: Readonly<Record<string, string | undefined>>) => void
  /** The filters of calls that are set. */
  readonly ofCalls: readonly (readonly [name: FilterName, value: string])[]
}

export function useFilters(): Filters {
  const search = useSearch()
  const [path, navigate] = useLocation()
  const parameters = useMemo(() => new URLSearchParams(search), [search])
  const set = useCallback(
    (changes: Readonly<Record<string, string | undefined>>) => {
      const next = new URLSearchParams(search)
      for (const [name, value] of Object.entries(changes))
        if (value === undefined) next.delete(name)
        else next.set(name, value)
      const text = next.toString()
      navigate(text === '' ? path : `${path}?${text}`, { replace: true })
    },
    [search, path, navigate],
  )
  return {
    get: (name) => parameters.get(name) ?? undefined,
    set,
    ofCalls: FILTER_NAMES.flatMap((name) => {
      const value = parameters.get(name)
      return value === null ? [] : [[name, value] as const]
    }),
  }
}

/** The query of a report: its period, its zone and its filters. */
export function reportQuery(
  filters: Filters,
  defaultDays: string,
  more: Readonly<Record<string, string>> = {},
): string {
  const query = new URLSearchParams()
  const [from, to] = [filters.get('from'), filters.get('to')]
  if (from !== undefined) query.set('from', from)
  else query.set('days', filters.get('days') ?? defaultDays)
  if (from !== undefined && to !== undefined) query.set('to', to)
  const zone = filters.get('tz')
  if (zone !== undefined) query.set('tz', zone)
  for (const [name, value] of filters.ofCalls) query.set(name, value)
  for (const [name, value] of Object.entries(more)) query.set(name, value)
  return query.toString()
}
