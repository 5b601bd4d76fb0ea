// Sign-in attempts: how many wrong keys one address may try, and all together.

import { describe, expect, it } from 'vitest'
import { type Attempt, SignInAttempts } from '../../src/sessions/sign-in-attempts.ts'
import { ManualClock } from '../support/clocks.ts'

function start() {
  const clock = new ManualClock()
  const attempts = new SignInAttempts()
  /** Seconds to wait; 0 for an attempt that was begun. */
  const waitAt = (address: string | undefined): number => {
    try {
      attempts.begin(address, clock.now())
      return 0
    } catch (error) {
      expect(error).toMatchObject({ code: 'too_many_attempts', status: 429 })
      return Number((error as { advice: { headers: string[] } }).advice.headers[1])
    }
  }
  const countAt = (address: string | undefined, max = 200) => {
    let count = 0
    while (count < max && waitAt(address) === 0) count += 1
    return count
  }
  return { clock, attempts, waitAt, countAt }
}

describe('attempts of an address', () => {
  it('are five, and then one each thirty seconds', () => {
    const { clock, waitAt, countAt } = start()
    expect(countAt('10.0.0.1')).toBe(5)
    expect(waitAt('10.0.0.1')).toBe(30)
    for (let count = 0; count < 4; count++) {
      clock.advance(29_999)
      expect(waitAt('10.0.0.1')).toBe(1)
      clock.advance(1)
      expect(countAt('10.0.0.1')).toBe(1)
    }
    clock.advance(90_000)
    expect(countAt('10.0.0.1')).toBe(3)
  })

  it.each([
    ['10.0.0.1', '10.0.0.2', false],
    ['10.0.0.1', '::ffff:10.0.0.1', true],
    ['2001:db8:0:1::1', '2001:db8:0:1:ffff:ffff:ffff:ffff', true],
    ['2001:db8:0:1::1', '2001:db8:0:2::1', false],
    ['2001:db8::1', '2001:db8:0:0:1::', true],
    ['::1', '::2', true],
    ['fe80::1%eth0', 'fe80::2', true],
    [undefined, '', true],
    [undefined, '10.0.0.1', false],
  ])('%s and %s: one address is %s', (left, right, isOne) => {
    const { countAt } = start()
    expect(countAt(left)).toBe(5)
    expect(countAt(right)).toBe(isOne ? 0 : 5)
  })

  it('take nothing if they are refused, and nothing if they are given back', () => {
    const { clock, attempts, waitAt, countAt } = start()
    for (let count = 0; count < 50; count++) attempts.giveBack(attempts.begin('10.0.0.1', clock.now()))
    expect(countAt('10.0.0.1')).toBe(5)
    for (let count = 0; count < 50; count++) expect(waitAt('10.0.0.1')).toBe(30)
    expect(waitAt('10.0.0.2')).toBe(0)
  })
})

describe('attempts of all addresses', () => {
  it('are a hundred a minute', () => {
    const { clock, waitAt, countAt } = start()
    let count = 0
    for (let host = 0; host < 30; host++) count += countAt(`10.0.1.${host}`)
    expect(count).toBe(100)
    expect(waitAt('10.0.2.1')).toBe(1)
    clock.advance(600)
    expect(countAt('10.0.2.1')).toBe(1)
    clock.advance(30_000)
    count = 0
    for (let host = 0; host < 30; host++) count += countAt(`10.0.3.${host}`)
    expect(count).toBe(50)
  })

  it('are what a client is told, if they are used up before its own', () => {
    const { clock, attempts, countAt } = start()
    for (let host = 0; host < 19; host++) countAt(`10.0.1.${host}`)
    const last: Attempt[] = []
    for (const address of ['10.0.2.1', '10.0.2.2', '10.0.2.3', '10.0.2.4'])
      last.push(attempts.begin(address, clock.now()))
    const [attempt] = last
    expect(attempt && attempts.leftAfter(attempt, clock.now())).toEqual({ attempts: 1, waitMs: 600 })
  })
})
