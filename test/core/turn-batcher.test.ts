// Turn's end: what comes in one turn is done in one go when it is over, in order, and nothing twice.

import { describe, expect, it } from 'vitest'
import { TurnBatcher } from '../../src/core/turn-batcher.ts'

/** A batcher whose turns end when the test says so. */
function manualBatcher(during: (item: string) => void = () => {}) {
  const deferred: (() => void)[] = []
  const done: string[] = []
  const end = new TurnBatcher<string>(
    (callback) => deferred.push(callback),
    (item) => {
      done.push(item)
      during(item)
    },
  )
  return { end, deferred, done, turn: () => deferred.shift()?.() }
}

describe("a turn's end", () => {
  it('does nothing before, and then all of it in order', () => {
    const { end, deferred, done, turn } = manualBatcher()
    for (const item of ['a', 'b', 'c']) end.push(item)
    expect(done).toEqual([])
    expect(deferred).toHaveLength(1)
    turn()
    expect(done).toEqual(['a', 'b', 'c'])
    expect(deferred).toHaveLength(0)
  })

  it('leaves what comes meanwhile to the next one', () => {
    const { end, done, turn } = manualBatcher((item) => item === 'a' && end.push('later'))
    end.push('a')
    end.push('b')
    turn()
    expect(done).toEqual(['a', 'b'])
    turn()
    expect(done).toEqual(['a', 'b', 'later'])
    turn()
    expect(done).toEqual(['a', 'b', 'later'])
  })
})
