// Circuits: when a target is left alone, who is let through to see, and what people are shown of it.

import { beforeEach, describe, expect, it } from 'vitest'
import { Circuits, type Passage } from '../../src/core/circuit.ts'

const CLOSED: Passage = { kind: 'closed' }
const PROBE: Passage = { kind: 'probe' }
const FIRST_OPEN_MS = 5_000
const LONGEST_OPEN_MS = 60_000
const SPAN_MS = 15_000

let circuits: Circuits
beforeEach(() => {
  circuits = new Circuits()
})

const enter = (nowMs: number) => circuits.enter('p', 'm', nowMs)

function ended(count: number, failed: boolean, nowMs: number): void {
  for (let call = 0; call < count; call++) circuits.ended('p', 'm', failed, CLOSED, nowMs)
}

function opened(nowMs = 0): void {
  ended(10, true, nowMs)
  expect(enter(nowMs)).toEqual({ kind: 'open', retryAfterMs: FIRST_OPEN_MS })
}

describe('it opens', () => {
  it.each([
    [9, 0, 'closed'],
    [10, 0, 'open'],
    [5, 5, 'open'],
    [4, 5, 'closed'],
    [49, 51, 'closed'],
  ])('after %i failures and %i successes it is %s', (failures, successes, kind) => {
    // Only from its first failure on is a target known.
    ended(1, true, 0)
    ended(successes, false, 0)
    ended(failures - 1, true, 0)
    expect(enter(0).kind).toBe(kind)
  })

  it('by its last success as well as by its last failure: half is half', () => {
    ended(5, true, 0)
    ended(4, false, 0)
    expect(enter(0)).toEqual(CLOSED)
    ended(1, false, 0)
    expect(enter(0).kind).toBe('open')
  })

  it('not by calls of long ago, and by those of the span before', () => {
    ended(9, true, 0)
    ended(1, true, 2 * SPAN_MS)
    expect(enter(2 * SPAN_MS)).toEqual(CLOSED)
    ended(8, true, 2 * SPAN_MS + 1)
    ended(1, true, 3 * SPAN_MS)
    expect(enter(3 * SPAN_MS).kind).toBe('open')
  })

  it('for one target, whatever becomes of others', () => {
    opened()
    expect(circuits.enter('p', 'other', 0)).toEqual(CLOSED)
    expect(circuits.enter('other', 'm', 0)).toEqual(CLOSED)
  })

  it('and stays so for as long, whoever else fails or does well meanwhile', () => {
    opened()
    ended(50, true, 4_000)
    ended(50, false, 4_000)
    expect(enter(4_999)).toEqual({ kind: 'open', retryAfterMs: 1 })
  })
})

describe('half open', () => {
  it('lets one of 200 through', () => {
    opened()
    const passages = Array.from({ length: 200 }, () => enter(FIRST_OPEN_MS))
    expect(passages.filter(({ kind }) => kind === 'probe')).toHaveLength(1)
    expect(passages.filter(({ kind }) => kind === 'open')).toHaveLength(199)
  })

  it('closes when that one does well, and has forgotten everything', () => {
    opened()
    circuits.ended('p', 'm', false, enter(FIRST_OPEN_MS), FIRST_OPEN_MS)
    expect(enter(FIRST_OPEN_MS)).toEqual(CLOSED)
    ended(9, true, FIRST_OPEN_MS)
    expect(enter(FIRST_OPEN_MS)).toEqual(CLOSED)
    ended(1, true, FIRST_OPEN_MS)
    expect(enter(FIRST_OPEN_MS)).toEqual({ kind: 'open', retryAfterMs: FIRST_OPEN_MS })
  })

  it('opens for twice as long when it fails, again and again, up to a minute', () => {
    opened()
    let nowMs = FIRST_OPEN_MS
    for (const openForMs of [10_000, 20_000, 40_000, LONGEST_OPEN_MS, LONGEST_OPEN_MS]) {
      expect(enter(nowMs)).toEqual(PROBE)
      circuits.ended('p', 'm', true, PROBE, nowMs)
      expect(enter(nowMs)).toEqual({ kind: 'open', retryAfterMs: openForMs })
      nowMs += openForMs
    }
    circuits.ended('p', 'm', false, enter(nowMs), nowMs)
    ended(10, true, nowMs)
    expect(enter(nowMs)).toEqual({ kind: 'open', retryAfterMs: FIRST_OPEN_MS })
  })

  it('takes back a probe that was never sent, and no other', () => {
    opened()
    expect(enter(FIRST_OPEN_MS)).toEqual(PROBE)
    circuits.leave('p', 'm', CLOSED)
    expect(enter(FIRST_OPEN_MS).kind).toBe('open')
    circuits.leave('p', 'm', PROBE)
    expect(enter(FIRST_OPEN_MS)).toEqual(PROBE)
  })

  it('does not wait for ever for a probe that nobody reports', () => {
    opened()
    expect(enter(FIRST_OPEN_MS)).toEqual(PROBE)
    expect(enter(FIRST_OPEN_MS + 119_999).kind).toBe('open')
    expect(enter(FIRST_OPEN_MS + 120_000)).toEqual(PROBE)
  })

  it('learns nothing from calls that were sent before it opened', () => {
    opened()
    expect(enter(FIRST_OPEN_MS)).toEqual(PROBE)
    ended(100, false, FIRST_OPEN_MS)
    expect(enter(FIRST_OPEN_MS).kind).toBe('open')
  })
})

describe('cooling', () => {
  it('lasts as long as was said, at most a minute, and the longest word counts', () => {
    circuits.cool('p', 'm', 3_000, 0)
    circuits.cool('p', 'm', 1_000, 0)
    expect(circuits.coolingMs('p', 'm', 0)).toBe(3_000)
    expect(circuits.coolingMs('p', 'm', 4_000)).toBe(0)
    circuits.cool('p', 'm', 86_400_000, 0)
    expect(circuits.coolingMs('p', 'm', 0)).toBe(60_000)
    expect(circuits.coolingMs('p', 'unheard of', 0)).toBe(0)
  })

  it('stops no call', () => {
    circuits.cool('p', 'm', 3_000, 0)
    expect(enter(0)).toEqual(CLOSED)
  })
})

describe('what people see', () => {
  const view = (nowMs: number) => circuits.views(nowMs)[0]

  it('is nothing of targets that did well', () => {
    ended(100, false, 0)
    expect(circuits.views(0)).toEqual([])
  })

  it('is every state, with its figures', () => {
    ended(3, true, 0)
    ended(4, false, 0)
    const of = { provider: 'p', model: 'm', failures: 3, calls: 7, retryAfterMs: 0, coolingMs: 0 }
    expect(view(0)).toEqual({ ...of, state: 'closed' })
    expect(view(2 * SPAN_MS)).toEqual({ ...of, state: 'closed', failures: 0, calls: 0 })
    opened(3 * SPAN_MS)
    circuits.cool('p', 'm', 700, 3 * SPAN_MS)
    const open = { ...of, failures: 10, calls: 10, coolingMs: 600 }
    expect(view(3 * SPAN_MS + 100)).toEqual({ ...open, state: 'open', retryAfterMs: 4_900 })
    expect(view(3 * SPAN_MS + FIRST_OPEN_MS)).toEqual({ ...open, state: 'half-open', coolingMs: 0 })
  })

  it('stays bounded, whatever models callers make up', () => {
    for (let at = 0; at < 3_000; at++) circuits.ended('p', `made up ${at}`, true, CLOSED, 0)
    const names = circuits.views(0).map(({ model }) => model)
    expect(names).toHaveLength(1_000)
    expect(names.at(-1)).toBe('made up 2999')
  })
})
