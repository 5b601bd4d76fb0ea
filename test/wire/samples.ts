// Samples: bodies in any layout, what an edit did to one, and the refusals and levels that every dialect has to put into words.

import fc from 'fast-check'
import { meterOf } from '../../src/core/limits.ts'
import type { LevelView, Refill, What } from '../../src/core/meter.ts'
import type { RefusalKind } from '../../src/core/refusal.ts'
import { type Refusal, refusalOf } from '../../src/core/refusal.ts'
import type { RequestLine } from '../../src/wire/dialect.ts'
import { render, spaces } from './documents.ts'

export const NOW_MS = Date.parse('2026-11-22T12:00:00Z')
export const CONTEXT = { callId: '019a-call', nowMs: NOW_MS }

export function lineTo(path: string, query = ''): RequestLine {
  return { path, query, header: () => undefined }
}

type Member = readonly [key: string, json: string]

/** The same object in every order and whitespace, with unknown members between, as bytes. */
export function bodies(members: readonly Member[]): fc.Arbitrary<Buffer> {
  const unknown: Member[] = [
    ['x', '{"model":"no","max_tokens":1,"generationConfig":{"maxOutputTokens":1}}'],
    ['ünknown', '["}",{"stream_options":null}]'],
    ['', '"é\\u0000\\\\"'],
  ]
  const order = fc.shuffledSubarray(unknown).chain((picked) => {
    const all = [...members, ...picked]
    return fc.shuffledSubarray(all, { minLength: all.length })
  })
  return fc.tuple(order, spaces).map(([picked, padding]) => {
    const tree = { members: picked.map(([key, json]) => ({ key, escapes: 0, value: { text: json } })) }
    return render(tree, padding).bytes
  })
}

/** What is gone from `before` and what is new in `after`, between the bytes they share at both ends. */
export function diffBytes(before: Buffer, after: Buffer): { readonly gone: string; readonly added: string } {
  const shorter = Math.min(before.length, after.length)
  let start = 0
  while (start < shorter && before[start] === after[start]) start++
  let end = 0
  while (end < shorter - start && before[before.length - 1 - end] === after[after.length - 1 - end]) end++
  return {
    gone: before.toString('utf8', start, before.length - end),
    added: after.toString('utf8', start, after.length - end),
  }
}

const REFILLS: Readonly<Record<What, Refill>> = {
  requests: 'steady',
  tokens: 'steady',
  cost: 'window',
  inFlight: 'none',
}

export function levelOf(what: What, capacity: bigint, free: bigint, resetMs: number, key?: string): LevelView {
  const span = what === 'cost' ? 'day' : what === 'inFlight' ? 'call' : 'minute'
  const limit = { what, span, capacity, refill: REFILLS[what], enforced: true } as const
  const meter = meterOf({ ...limit, who: key ? 'key' : 'global', subject: key }, key ?? '', NOW_MS, 'UTC', '')
  return { meter, capacity, enforced: true, settled: capacity - free, reserved: 0n, free, resetMs }
}

/** A call that needs `needed` was turned away from this level. */
export function refusalAt(level: LevelView, needed: bigint, kind: RefusalKind, cap: number | null = null): Refusal {
  const { meter, capacity } = level
  const shortfall = kind === 'time' ? { kind, waitMs: level.resetMs } : { kind }
  const charge = { meter, amount: needed, capacity, enforced: true }
  return refusalOf([{ charge, reason: shortfall, level }], { inFlightMs: 1_700, fittingCap: cap })
}
