// Figures as people read them: no rounding hides what is spent or left.

import { describe, expect, it, test } from 'vitest'
import { change, count, duration, exactMoney, money, rate, share } from '../../src/dashboard/data/format.ts'

describe('money', () => {
  it.each([
    [0, '$0'],
    [4391.184027113, '$4,391.18'],
    [1, '$1.00'],
    [0.74, '$0.74'],
    [0.5, '$0.50'],
    [0.312, '$0.312'],
    [0.000123, '$0.000123'],
    [0.000000001, '$0.000000001'],
    [-12.5, '−$12.50'],
  ])('%d is %s', (dollars, text) => expect(money(dollars)).toBe(text))

  test('what is free is rounded down, and what is needed up', () => {
    expect([money(1.679, 'down'), money(1.671, 'up')]).toEqual(['$1.67', '$1.68'])
    expect([money(1.67, 'down'), money(1.67, 'up'), money(0.29, 'down')]).toEqual(['$1.67', '$1.67', '$0.29'])
    expect([money(0.0019999, 'down'), money(0.0010001, 'up')]).toEqual(['$0.00199', '$0.00101'])
    expect([money(0.9999, 'down'), money(0.9999, 'up')]).toEqual(['$0.999', '$1.00'])
  })

  it.each([
    [4391.184027113, '$4391.184027113'],
    [0.5, '$0.5'],
    [0, '$0'],
    [-0.000000001, '−$0.000000001'],
  ])('with every digit %d is %s', (dollars, text) => expect(exactMoney(dollars)).toBe(text))
})

describe('a count', () => {
  it.each([
    [0, '0'],
    [9766, '9,766'],
    [9999, '9,999'],
    [12_400, '12.4\u202fk'],
    [1_200_000, '1.2\u202fM'],
    [1_917_402_211, '1.92\u202fB'],
    [999_600, '1\u202fM'],
    [-3, '−3'],
  ])('of %d is %s', (value, text) => expect(count(value)).toBe(text))

  test('that is free is rounded down', () => expect(count(1_599_999, 'down')).toBe('1.59\u202fM'))
})

describe('a duration', () => {
  it.each([
    [2, '2 ms'],
    [840, '840 ms'],
    [6100, '6.1 s'],
    [59_999, '1 min'],
    [90_000, '1 min'],
    [3_600_000, '1 h'],
    [37_620_000, '10 h 27 min'],
    [273_600_000, '3 d 4 h'],
  ])('of %d ms is %s', (ms, text) => expect(duration(ms)).toBe(text))
})

test('rates, shares and changes', () => {
  expect([rate(3.5666), rate(0), rate(0.0166666)]).toEqual(['3.57', '0', '0.0167'])
  expect([share(0.112), share(1), share(0)]).toEqual(['11.2\u202f%', '100\u202f%', '0\u202f%'])
  expect(change(112.4, 100, money)).toBe('↑ 12.4\u202f% from $100.00')
  expect(change(50, 100, money)).toBe('↓ 50\u202f% from $100.00')
  expect(change(0, 0, money)).toBe('as before')
})
