// Live state: what /llm/live sends, put together from its events.

import type { LiveCallJson, LiveJson } from '../../http/live.ts'
import type { Received } from './api.ts'

export type LiveAnswer = Received<LiveJson>
export type LiveCall = Received<LiveCallJson>
export type LiveLimit = LiveAnswer['limits']['fullest'][number]
export type LiveProvider = LiveAnswer['providers'][number]
export type Attention = LiveAnswer['attention'][number]
export type LiveMinute = LiveAnswer['minutes'][number]

/** A state as an event has it: the calls come in events of their own, and minutes that have not changed are left out. */
export type StateEvent = Omit<LiveAnswer, 'calls'>

export interface CallsEvent {
  readonly calls: readonly LiveCall[]
  /** One of so many calls is shown; refused and failed calls all. */
  readonly shown?: { readonly one_of: number }
  readonly skipped?: number
}

const MAX_CALLS = 200
const MAX_MINUTES = 60

/** The newer state, with the minutes of the older one that it leaves out. */
export function withState(known: LiveAnswer | undefined, event: StateEvent): LiveAnswer {
  const minutes = new Map<string, LiveMinute>()
  for (const minute of [...(known?.minutes ?? []), ...event.minutes]) minutes.set(minute.at, minute)
  const newest = [...minutes.values()].toSorted((a, b) => (a.at < b.at ? -1 : 1)).slice(-MAX_MINUTES)
  return { ...event, minutes: newest, calls: known?.calls ?? [] }
}

/** The calls with those that are new or have changed, the newest first. */
export function withCalls(known: readonly LiveCall[], newer: readonly LiveCall[]): readonly LiveCall[] {
  const byId = new Map<string, LiveCall>()
  for (const call of [...known, ...newer]) byId.set(call.call_id, call)
  return [...byId.values()].toSorted((a, b) => (timeOf(a) < timeOf(b) ? 1 : -1)).slice(0, MAX_CALLS)
}

export function timeOf(call: LiveCall): string {
  return 'reserved_at' in call ? call.reserved_at : call.refused_at
}
