// Call ids are UUIDv7 in ascending order, whatever the clock does.

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { uuidV7Source } from '../../src/core/call-ids.ts'

const UUID_V7_PATTERN = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/
const timeOf = (id: string) => Number.parseInt(id.replaceAll('-', '').slice(0, 12), 16)

/** Bytes that differ with each call, and are the same in every run. */
function bytesSource(): (size: number) => Uint8Array {
  let state = 1
  return (size) => Uint8Array.from({ length: size }, () => (state = (state * 48_271) % 2_147_483_647) & 0xff)
}

describe('ids', () => {
  test('are UUIDs of version 7 that hold the time at which they were made', () => {
    const make = uuidV7Source(() => 1_795_000_000_000, bytesSource())
    const id = make()
    expect(id).toMatch(UUID_V7_PATTERN)
    expect(timeOf(id)).toBe(1_795_000_000_000)
  })

  test('ascend and never repeat, also within a millisecond and after the clock steps back', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: -5, max: 5 }), { minLength: 2, maxLength: 600 }), (steps) => {
        let nowMs = 1_795_000_000_000
        const make = uuidV7Source(() => nowMs, bytesSource())
        const ids = steps.map((step) => {
          nowMs += step
          return make()
        })
        expect(ids.every((id) => UUID_V7_PATTERN.test(id))).toBe(true)
        expect(ids.toSorted()).toEqual(ids)
        expect(new Set(ids).size).toBe(ids.length)
      }),
    )
  })

  test('ascend when a millisecond has no more room, and stay near the clock', () => {
    const make = uuidV7Source(() => 1_795_000_000_000, bytesSource())
    const ids = Array.from({ length: 20_000 }, make)
    expect(ids.toSorted()).toEqual(ids)
    expect(new Set(ids).size).toBe(ids.length)
    expect(timeOf(ids.at(-1) ?? '') - 1_795_000_000_000).toBeLessThan(10)
  })

  test('follow the clock again once it has caught up', () => {
    let nowMs = 1_795_000_000_000
    const make = uuidV7Source(() => nowMs, bytesSource())
    make()
    nowMs -= 3_600_000
    expect(timeOf(make())).toBe(1_795_000_000_000)
    nowMs += 3_600_001
    expect(timeOf(make())).toBe(1_795_000_000_001)
  })

  test('use one batch of random bytes for many ids', () => {
    let asked = 0
    const bytes = bytesSource()
    const make = uuidV7Source(
      () => 1,
      (size) => {
        asked++
        return bytes(size)
      },
    )
    for (let made = 0; made < 256; made++) make()
    expect(asked).toBe(1)
    make()
    expect(asked).toBe(2)
  })
})
