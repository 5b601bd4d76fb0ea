// Circuits: when they open, which call is the probe, when they close, and what people see of them.

import { beforeEach, describe, expect, it } from 'vitest'
import { type CircuitPass, Circuits } from '../../src/core/circuit.ts'

const CLOSED: CircuitPass = { kind: 'closed' }
const PROBE: CircuitPass = { kind: 'probe' }
const FIRST_OPEN_MS = 5_000
const MAX_OPEN_MS = 60_000
const SPAN_MS = 15_000

let circuits: Circuits
beforeEach(() => {
  circuits = new Circuits()
})

const acquire = (nowMs: number) => circuits.acquire('p', 'm', nowMs)

function endCalls(count: number, failed: boolean, nowMs: number): void {
  for (let call = 0; call < count; call++) circuits.recordResult('p', 'm', failed, CLOSED, nowMs)
}

function openCircuit(nowMs = 0): void {
  endCalls(10, true, nowMs)
  expect(acquire(nowMs)).toEqual({ kind: 'open', retryAfterMs: FIRST_OPEN_MS })
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
    endCalls(1, true, 0)
    endCalls(successes, false, 0)
    endCalls(failures - 1, true, 0)
    expect(acquire(0).kind).toBe(kind)
  })

  it('at half of the calls, whether the last one succeeds or fails', () => {
    endCalls(5, true, 0)
    endCalls(4, false, 0)
    expect(acquire(0)).toEqual(CLOSED)
    endCalls(1, false, 0)
    expect(acquire(0).kind).toBe('open')
  })

  it('for calls of this span and the span before, not for older calls', () => {
    endCalls(9, true, 0)
    endCalls(1, true, 2 * SPAN_MS)
    expect(acquire(2 * SPAN_MS)).toEqual(CLOSED)
    endCalls(8, true, 2 * SPAN_MS + 1)
    endCalls(1, true, 3 * SPAN_MS)
    expect(acquire(3 * SPAN_MS).kind).toBe('open')
  })

  it('by spans of fixed lengths, however late in a span the views are read', () => {
    endCalls(3, true, 0)
    endCalls(2, true, 1.5 * SPAN_MS)
    expect(circuits.views(2 * SPAN_MS - 1)[0]).toMatchObject({ calls: 5, failures: 5 })
    expect(circuits.views(2 * SPAN_MS)[0]).toMatchObject({ calls: 2, failures: 2 })
  })

  it('for one target alone', () => {
    openCircuit()
    expect(circuits.acquire('p', 'other', 0)).toEqual(CLOSED)
    expect(circuits.acquire('other', 'm', 0)).toEqual(CLOSED)
  })

  it('for its full time, whether earlier calls fail or succeed meanwhile', () => {
    openCircuit()
    endCalls(50, true, 4_000)
    endCalls(50, false, 4_000)
    expect(acquire(4_999)).toEqual({ kind: 'open', retryAfterMs: 1 })
  })
})

describe('half open', () => {
  it('lets one of 200 calls through', () => {
    openCircuit()
    const passages = Array.from({ length: 200 }, () => acquire(FIRST_OPEN_MS))
    expect(passages.filter(({ kind }) => kind === 'probe')).toHaveLength(1)
    expect(passages.filter(({ kind }) => kind === 'open')).toHaveLength(199)
  })

  it('is open to other calls while the probe is under way', () => {
    const isOpen = (nowMs: number) => circuits.isOpen('p', 'm', nowMs)
    expect(isOpen(0)).toBe(false)
    openCircuit()
    expect([isOpen(FIRST_OPEN_MS - 1), isOpen(FIRST_OPEN_MS)]).toEqual([true, false])
    expect(acquire(FIRST_OPEN_MS)).toEqual(PROBE)
    expect(isOpen(FIRST_OPEN_MS)).toBe(true)
    circuits.release('p', 'm', PROBE)
    expect(isOpen(FIRST_OPEN_MS)).toBe(false)
  })

  it('closes if the probe succeeds, and has forgotten everything', () => {
    openCircuit()
    circuits.recordResult('p', 'm', false, acquire(FIRST_OPEN_MS), FIRST_OPEN_MS)
    expect(acquire(FIRST_OPEN_MS)).toEqual(CLOSED)
    endCalls(9, true, FIRST_OPEN_MS)
    expect(acquire(FIRST_OPEN_MS)).toEqual(CLOSED)
    endCalls(1, true, FIRST_OPEN_MS)
    expect(acquire(FIRST_OPEN_MS)).toEqual({ kind: 'open', retryAfterMs: FIRST_OPEN_MS })
  })

  it('opens for twice as long each time the probe fails, up to a minute', () => {
    openCircuit()
    let nowMs = FIRST_OPEN_MS
    for (const openForMs of [10_000, 20_000, 40_000, MAX_OPEN_MS, MAX_OPEN_MS]) {
      expect(acquire(nowMs)).toEqual(PROBE)
      circuits.recordResult('p', 'm', true, PROBE, nowMs)
      expect(acquire(nowMs)).toEqual({ kind: 'open', retryAfterMs: openForMs })
      nowMs += openForMs
    }
    circuits.recordResult('p', 'm', false, acquire(nowMs), nowMs)
    endCalls(10, true, nowMs)
    expect(acquire(nowMs)).toEqual({ kind: 'open', retryAfterMs: FIRST_OPEN_MS })
  })

  it('takes back the pass of a probe that was not sent, and no other pass', () => {
    openCircuit()
    expect(acquire(FIRST_OPEN_MS)).toEqual(PROBE)
    circuits.release('p', 'm', CLOSED)
    expect(acquire(FIRST_OPEN_MS).kind).toBe('open')
    circuits.release('p', 'm', PROBE)
    expect(acquire(FIRST_OPEN_MS)).toEqual(PROBE)
  })

  it('stops waiting for a probe without a result', () => {
    openCircuit()
    expect(acquire(FIRST_OPEN_MS)).toEqual(PROBE)
    expect(acquire(FIRST_OPEN_MS + 119_999).kind).toBe('open')
    expect(acquire(FIRST_OPEN_MS + 120_000)).toEqual(PROBE)
  })

  it('learns nothing from calls that were sent before it opened', () => {
    openCircuit()
    expect(acquire(FIRST_OPEN_MS)).toEqual(PROBE)
    endCalls(100, false, FIRST_OPEN_MS)
    expect(acquire(FIRST_OPEN_MS).kind).toBe('open')
  })
})

describe('cooling', () => {
  it('lasts as long as it is given, at most a minute, and the longest one counts', () => {
    circuits.startCooling('p', 'm', 3_000, 0)
    circuits.startCooling('p', 'm', 1_000, 0)
    expect(circuits.coolingMs('p', 'm', 0)).toBe(3_000)
    expect(circuits.coolingMs('p', 'm', 4_000)).toBe(0)
    circuits.startCooling('p', 'm', 86_400_000, 0)
    expect(circuits.coolingMs('p', 'm', 0)).toBe(60_000)
    expect(circuits.coolingMs('p', 'unheard of', 0)).toBe(0)
  })

  it('stops no call', () => {
    circuits.startCooling('p', 'm', 3_000, 0)
    expect(acquire(0)).toEqual(CLOSED)
  })
})

describe('what people see', () => {
  const view = (nowMs: number) => circuits.views(nowMs)[0]

  it('has no targets that never failed', () => {
    endCalls(100, false, 0)
    expect(circuits.views(0)).toEqual([])
  })

  it('has every state, with its figures', () => {
    endCalls(3, true, 0)
    endCalls(4, false, 0)
    const of = { provider: 'p', model: 'm', failures: 3, calls: 7, retryAfterMs: 0, coolingMs: 0 }
    expect(view(0)).toEqual({ ...of, state: 'closed' })
    expect(view(2 * SPAN_MS)).toEqual({ ...of, state: 'closed', failures: 0, calls: 0 })
    openCircuit(3 * SPAN_MS)
    circuits.startCooling('p', 'm', 700, 3 * SPAN_MS)
    const open = { ...of, failures: 10, calls: 10, coolingMs: 600 }
    expect(view(3 * SPAN_MS + 100)).toEqual({ ...open, state: 'open', retryAfterMs: 4_900 })
    expect(view(3 * SPAN_MS + FIRST_OPEN_MS)).toEqual({ ...open, state: 'half-open', coolingMs: 0 })
  })

  it('stays bounded, whichever model names callers make up', () => {
    for (let index = 0; index < 3_000; index++) circuits.recordResult('p', `made up ${index}`, true, CLOSED, 0)
    const names = circuits.views(0).map(({ model }) => model)
    expect(names).toHaveLength(1_000)
    expect(names.at(-1)).toBe('made up 2999')
  })
})
