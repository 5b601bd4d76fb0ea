// Slots are few, and no caller gets all of them.

import { describe, expect, test } from 'vitest'
import { FairSlots } from '../../src/core/fair-slots.ts'

/** Sixteen slots, and work in them that goes on until `end`. */
function sixteenSlots() {
  const all = new FairSlots(16)
  const ends: (() => void)[] = []
  const work = () => new Promise<'done'>((resolve) => ends.push(() => resolve('done')))
  const take = (caller: string | null, times: number) => Array.from({ length: times }, () => all.withSlot(caller, work))
  const end = () => {
    for (const finish of ends.splice(0)) finish()
  }
  return { all, take, end, busy: () => ends.length }
}

describe('slots', () => {
  test('are for everybody while half of them are free', async () => {
    const { take, end, busy } = sixteenSlots()
    const taken = take('a', 20)
    expect(busy()).toBe(8)
    end()
    expect((await Promise.all(taken)).filter((result) => result === 'done')).toHaveLength(8)
  })

  test('beyond half are for those who hold less than a quarter', () => {
    const { take, busy } = sixteenSlots()
    take('a', 100)
    take('b', 100)
    expect(busy()).toBe(12)
    take('a', 1)
    take('c', 3)
    expect(busy()).toBe(15)
    take('d', 100)
    expect(busy()).toBe(16)
    take('e', 1)
    expect(busy()).toBe(16)
  })

  test('are all taken where there are no callers to tell apart, and no more', () => {
    const { take, busy } = sixteenSlots()
    take(null, 100)
    expect(busy()).toBe(16)
  })

  test('are given back, also by work that fails, and callers are forgotten', async () => {
    const { all, take, end, busy } = sixteenSlots()
    for (let round = 0; round < 3; round++) {
      const taken = take('a', 100)
      expect(busy()).toBe(8)
      end()
      await Promise.all(taken)
    }
    const failed = await Promise.allSettled(
      Array.from({ length: 20 }, () => all.withSlot('a', () => Promise.reject(new Error('no')))),
    )
    expect(failed.filter(({ status }) => status === 'rejected')).toHaveLength(8)
    expect(all.callerCount).toBe(0)
    take('a', 8)
    expect(busy()).toBe(8)
  })
})
