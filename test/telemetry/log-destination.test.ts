// The log's destination: lines leave in batches, in order, soon, and none is lost when the log is flushed.

import { expect, it } from 'vitest'
import { LogDestination } from '../../src/telemetry/log-destination.ts'
import { ManualClock } from '../support/clocks.ts'

function gathered() {
  const batches: string[] = []
  const clock = new ManualClock()
  const destination = new LogDestination({ write: (text) => batches.push(text) }, clock)
  return { batches, clock, destination }
}

it('lines wait for 50 ms at most and leave together', () => {
  const { batches, clock, destination } = gathered()
  destination.write('one\n')
  clock.advance(49)
  destination.write('two\n')
  expect(batches).toEqual([])
  clock.advance(1)
  expect([batches, clock.timerCount]).toEqual([['one\ntwo\n'], 0])
})

it('a large batch leaves at once, and starts no timer of its own', () => {
  const { batches, clock, destination } = gathered()
  destination.write('a\n')
  destination.write(`${'x'.repeat(16_384)}\n`)
  expect([batches.length, clock.timerCount]).toEqual([1, 0])
})

it('a flush hands over what is pending, and nothing twice', () => {
  const { batches, clock, destination } = gathered()
  destination.write('last\n')
  destination.flush()
  destination.flush()
  clock.advance(1_000)
  expect(batches).toEqual(['last\n'])
})
