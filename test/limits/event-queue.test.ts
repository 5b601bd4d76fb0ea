// The event queue: the order in which what is to happen happens.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { EventQueue } from '../../src/limits/event-queue.ts'

test('events leave by time, and those of one millisecond in the order in which they came', () => {
  fc.assert(
    fc.property(fc.array(fc.nat({ max: 9 })), fc.nat({ max: 9 }), (times, untilMs) => {
      const queue = new EventQueue<number>()
      for (const [index, atMs] of times.entries()) queue.push(atMs, index)
      const taken: (readonly [number, number])[] = []
      for (let due = queue.takeDue(untilMs); due; due = queue.takeDue(untilMs)) taken.push([due.atMs, due.event])
      const expected = times
        .map((atMs, index) => [atMs, index] as const)
        .filter(([atMs]) => atMs <= untilMs)
        .toSorted(([left], [right]) => left - right)
      expect(taken).toEqual(expected)
      expect(queue.size).toBe(times.length - taken.length)
    }),
  )
})
