// Money at its edges: what text is a sum of money, and that no digit is lost on the way in and out.

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { divideUp, formatUsd, jsonUsd, NANO_PER_USD, parseUsd, usdOf } from '../../src/core/money.ts'

describe('parseUsd', () => {
  test.each([
    ['0', 0n],
    ['0.50', 500_000_000n],
    ['10', 10_000_000_000n],
    ['0.000000001', 1n],
    ['007.5', 7_500_000_000n],
    ['999999999999.999999999', 999_999_999_999_999_999_999n],
  ])('%j is %d nano-dollars', (text, nanoUsd) => {
    expect(parseUsd(text)).toBe(nanoUsd)
  })

  test.each([
    '',
    '.5',
    '5.',
    '-1',
    '+1',
    '1e3',
    '1,5',
    ' 1',
    '1 ',
    '0.0000000001',
    '1000000000000',
    'NaN',
    'Infinity',
    '$1',
  ])('%j is not money', (text) => {
    expect(parseUsd(text)).toBeUndefined()
  })
})

describe('usdOf', () => {
  test.each([
    [1e-9, 1n],
    [5e-7, 500n],
    [1.5e-7, 150n],
    [1.23e-7, 123n],
    [0.000001, 1_000n],
    [0, 0n],
    [-0, 0n],
    [0.1, 100_000_000n],
    [2.5, 2_500_000_000n],
    ['0.50', 500_000_000n],
  ])('%j is %d nano-dollars', (value, nanoUsd) => {
    expect(usdOf(value)).toBe(nanoUsd)
  })

  test.each([
    1e-10,
    1.5e-9,
    5e-324,
    -1e-9,
    1e12,
    1e21,
    Number.NaN,
    Number.POSITIVE_INFINITY,
    '1e-9',
    true,
    null,
    [1],
    {},
  ])('%j is not money', (value) => {
    expect(usdOf(value)).toBeUndefined()
  })

  test('takes every number of whole nano-dollars as its text', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 1_000_000_000 }), (nanoUsd) => {
        expect(usdOf(Number(formatUsd(BigInt(nanoUsd))))).toBe(BigInt(nanoUsd))
      }),
    )
  })
})

describe('formatUsd', () => {
  test.each([
    [0n, '0'],
    [1n, '0.000000001'],
    [1_500_000_000n, '1.5'],
    [-1n, '-0.000000001'],
    [-2_000_000_000n, '-2'],
    [9_007_199_254_740_993n, '9007199.254740993'],
  ])('%d nano-dollars are %j', (nanoUsd, text) => {
    expect(formatUsd(nanoUsd)).toBe(text)
  })

  test('is what parseUsd reads, for every sum', () => {
    fc.assert(
      fc.property(fc.bigInt(0n, 10n ** 21n - 1n), (nanoUsd) => {
        expect(parseUsd(formatUsd(nanoUsd))).toBe(nanoUsd)
      }),
    )
  })
})

test('jsonUsd keeps digits that a double would lose', () => {
  expect(JSON.stringify({ cost: jsonUsd(9_007_199_254_740_993n * NANO_PER_USD + 1n) })).toBe(
    '{"cost":9007199254740993.000000001}',
  )
})

test('divideUp is the smallest whole number that is enough', () => {
  fc.assert(
    fc.property(fc.bigInt(0n, 10n ** 30n), fc.bigInt(1n, 10n ** 12n), (dividend, divisor) => {
      const quotient = divideUp(dividend, divisor)
      expect(quotient * divisor >= dividend && (quotient === 0n || (quotient - 1n) * divisor < dividend)).toBe(true)
    }),
  )
})
