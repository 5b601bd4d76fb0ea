// Which limit counts if settings, bursar.json and the registry set several.

import { describe, expect, it } from 'vitest'
import type { Limit } from '../../src/core/limits.ts'
import { mergeLimits } from '../../src/limits/merge-limits.ts'

const LIMIT: Limit = {
  who: 'global',
  subject: undefined,
  what: 'cost',
  span: 'day',
  capacity: 10n,
  refill: 'window',
  enforced: true,
}
const capacity = (amount: bigint, more: Partial<Limit> = {}): Limit => ({ ...LIMIT, capacity: amount, ...more })
const SHADOW = { enforced: false }
const KEY = { who: 'key', subject: 'ci' } as const

describe('the limits in force', () => {
  it.each<[what: string, settings: Limit[], file: Limit[], registry: Limit[], inForce: Limit[]]>([
    ['none', [], [], [], []],
    ['settings alone', [capacity(5n)], [], [], [capacity(5n)]],
    ['the file alone', [], [capacity(5n)], [], [capacity(5n)]],
    ['the stricter one: settings', [capacity(5n)], [capacity(9n)], [], [capacity(5n)]],
    ['the stricter one: the file', [capacity(9n)], [capacity(5n)], [], [capacity(5n)]],
    ['the first of equal ones', [capacity(5n, { source: 'A' })], [capacity(5n)], [], [capacity(5n, { source: 'A' })]],
    ['what is enforced before a shadow', [capacity(5n, SHADOW)], [capacity(9n)], [], [capacity(9n)]],
    ['the stricter one of two shadows', [capacity(5n, SHADOW)], [capacity(4n, SHADOW)], [], [capacity(4n, SHADOW)]],
    ['the registry alone', [], [], [capacity(5n)], [capacity(5n)]],
    ['the registry, although it is wider', [capacity(5n)], [capacity(4n)], [capacity(900n)], [capacity(900n)]],
    ['the registry, although it is a shadow', [capacity(5n)], [], [capacity(1n, SHADOW)], [capacity(1n, SHADOW)]],
    [
      'the registry for its subject alone',
      [],
      [capacity(5n, { who: 'key' }), capacity(6n, KEY)],
      [capacity(9n, KEY)],
      [capacity(5n, { who: 'key' }), capacity(9n, KEY)],
    ],
    [
      'the registry for its span alone',
      [capacity(5n), capacity(50n, { span: 'month' })],
      [],
      [capacity(9n)],
      [capacity(50n, { span: 'month' }), capacity(9n)],
    ],
    [
      'the registry for its quantity alone',
      [capacity(5n, { what: 'requests' })],
      [capacity(5n)],
      [capacity(9n)],
      [capacity(5n, { what: 'requests' }), capacity(9n)],
    ],
    [
      'the registry, with another refill',
      [capacity(5n)],
      [],
      [capacity(9n, { refill: 'steady' })],
      [capacity(9n, { refill: 'steady' })],
    ],
  ])('are %s', (_what, settings, file, registry, inForce) => {
    expect(mergeLimits({ settings, file, registry })).toEqual(inForce)
  })

  it('tells a subject from a kind, whatever the subject is named', () => {
    const named = capacity(1n, { who: 'key', subject: 'undefined' })
    expect(mergeLimits({ settings: [], file: [capacity(5n, { who: 'key' })], registry: [named] })).toHaveLength(2)
  })
})
