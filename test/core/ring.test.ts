// Ring buffer: it holds the newest items.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { Ring } from '../../src/core/ring.ts'

test('holds the newest items, newest first', () => {
  const property = fc.property(
    fc.nat(6),
    fc.array(fc.nat(), { maxLength: 20 }),
    fc.nat(8),
    (capacity, items, limit) => {
      const ring = new Ring<number>(capacity)
      for (const item of items) ring.push(item)
      const kept = capacity === 0 ? [] : items.slice(-capacity).reverse()
      expect(ring.newest()).toEqual(kept)
      expect(ring.newest(limit)).toEqual(kept.slice(0, limit))
      expect(ring.size).toBe(kept.length)
    },
  )
  fc.assert(property)
})

test('finds the newest item that matches', () => {
  const ring = new Ring<number>(3)
  for (const item of [1, 2, 3, 4]) ring.push(item)
  expect([ring.find((item) => item < 4), ring.find((item) => item === 1)]).toEqual([3, undefined])
})
