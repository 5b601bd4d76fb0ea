// What the app does by the clock: it settles calls that expired, and waits for calls when it stops.

import { expect, it } from 'vitest'
import { startRetention } from '../../src/app/retention.ts'
import { shutdown } from '../../src/app/shutdown.ts'
import { startSweeping } from '../../src/app/sweep.ts'
import type { Notice } from '../../src/telemetry/call-events.ts'
import { ManualClock } from '../support/clocks.ts'

/** Lets promises that are resolved go on. */
const settlePromises = () => new Promise((resolve) => setImmediate(resolve))

it('expired calls are settled every five seconds, also after one time failed, until that is stopped', async () => {
  const clock = new ManualClock()
  const startMs = clock.monoMs
  const sweptAtMs: number[] = []
  const notices: Notice[] = []
  const stop = startSweeping({
    clock,
    timers: clock,
    telemetry: { notify: (notice) => void notices.push(notice) },
    store: {
      sweep: async (now) => {
        sweptAtMs.push(now.monoMs - startMs)
        if (sweptAtMs.length === 2) throw new Error('the disk is full')
        return []
      },
    },
  })
  for (let seconds = 0; seconds < 16; seconds++) {
    clock.advance(1_000)
    await settlePromises()
  }
  expect(sweptAtMs).toEqual([5_000, 10_000, 15_000])
  expect(notices).toMatchObject([{ code: 'sweep_failed', level: 'error', error: new Error('the disk is full') }])
  stop()
  expect(clock.timerCount).toBe(0)
})

/** A gateway that is stopped: what happens, in order. */
it('old rows are deleted every minute, step by step, also after one step failed, until that is stopped', async () => {
  const clock = new ManualClock()
  const startMs = clock.monoMs
  const startWallMs = clock.wallMs
  const steps: (readonly [afterMs: number, msBeyond40Days: number])[] = []
  const notices: Notice[] = []
  let days: number | null = null
  const counts = [200, 7, 0]
  const stop = startRetention({
    clock,
    timers: clock,
    telemetry: { notify: (notice) => void notices.push(notice) },
    days: () => days,
    store: {
      prune: async (beforeMs, now) => {
        steps.push([now.monoMs - startMs, startWallMs + now.monoMs - startMs - beforeMs - 40 * 86_400_000])
        if (steps.length === 4) throw new Error('the disk is full')
        return counts.shift() ?? 0
      },
    },
  })
  const passMs = async (ms: number) => {
    for (let passed = 0; passed < ms; passed += 20) {
      clock.advance(20)
      await settlePromises()
    }
  }
  await passMs(60_000)
  expect(steps).toEqual([])
  days = 40
  await passMs(120_100)
  expect(steps).toEqual([
    [120_000, 0],
    [120_020, 20],
    [120_040, 40],
    [180_040, 0],
  ])
  expect(notices).toMatchObject([
    { code: 'rows_deleted', level: 'info', details: { rows: 207, days: 40 } },
    { code: 'rows_not_deleted', level: 'error', error: new Error('the disk is full') },
  ])
  stop()
  expect(clock.timerCount).toBe(0)
})

function stoppingGateway(gate: { inFlight: number; activeLeases: number; movesInProgress: number }) {
  const clock = new ManualClock()
  const steps: string[] = []
  const note = (step: string) => async () => void steps.push(step)
  const close = shutdown({
    clock,
    timers: clock,
    gate: Object.assign(gate, { close: note('turns calls away'), expireAll: note('cuts calls') }),
    store: { close: note('closes the ledger') },
    providers: { close: note('closes providers') },
    inputCounter: { close: note('closes the counter') },
    upkeep: { stop: note('stops upkeep of prices'), idle: async () => undefined },
    refusalCounter: { flush: note('counts the last refusals') },
    alerts: { close: note('closes alerts') },
    hub: { close: note('ends live figures') },
    stopSweeping: note('stops sweeping'),
    stopDeleting: note('stops deleting old rows'),
  })
  return { clock, steps, close, gate }
}

const REST = [
  'stops sweeping',
  'stops deleting old rows',
  'stops upkeep of prices',
  'counts the last refusals',
  'closes alerts',
  'closes the ledger',
  'closes providers',
  'closes the counter',
]

it('calls in flight have their time to finish', async () => {
  const { clock, steps, close, gate } = stoppingGateway({ inFlight: 1, activeLeases: 0, movesInProgress: 0 })
  const closed = close(1_000)
  clock.advance(500)
  await settlePromises()
  expect(steps).toEqual(['turns calls away', 'ends live figures'])
  gate.inFlight = 0
  clock.advance(20)
  await closed
  expect(steps).toEqual(['turns calls away', 'ends live figures', 'cuts calls', ...REST])
})

it('calls that take longer are cut, and have a second to be settled', async () => {
  const { clock, steps, close } = stoppingGateway({ inFlight: 1, activeLeases: 0, movesInProgress: 1 })
  const closed = close(100)
  for (let polls = 0; polls < 5; polls++) {
    await settlePromises()
    clock.advance(20)
  }
  await settlePromises()
  expect(steps).toEqual(['turns calls away', 'ends live figures', 'cuts calls'])
  for (let polls = 0; polls < 49; polls++) {
    clock.advance(20)
    await settlePromises()
  }
  expect(steps).toEqual(['turns calls away', 'ends live figures', 'cuts calls'])
  clock.advance(20)
  await closed
  expect(steps).toEqual(['turns calls away', 'ends live figures', 'cuts calls', ...REST])
})
