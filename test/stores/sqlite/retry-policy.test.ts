// What follows a failed commit: a busy file, a full disk with and without reservations, and the delays between attempts.

import { describe, expect, test } from 'vitest'
import { RetryPolicy } from '../../../src/stores/sqlite/retry-policy.ts'

const BUSY = Object.assign(new Error('database is locked'), { errcode: 5 })
const FULL = Object.assign(new Error('database or disk is full'), { errcode: 13 })
const waits = (delayMs: number) => ({ kind: 'wait', isBusy: false, delayMs })
const waitsWhileBusy = { kind: 'wait', isBusy: true, delayMs: 2 }

describe('after a failed commit', () => {
  test.each([
    ['a busy file is tried again soon, with its reservations', BUSY, true, waitsWhileBusy],
    ['a busy file is tried again soon, without reservations', BUSY, false, waitsWhileBusy],
    ['a full disk drops the reservations', FULL, true, { kind: 'drop' }],
    ['a full disk keeps the settlements', FULL, false, waits(100)],
    ['an error that is not of SQLite keeps the settlements', new Error('bug'), false, waits(100)],
  ])('%s', (_name, error, hasReserves, decision) => {
    expect(new RetryPolicy().afterFailure(error, hasReserves)).toEqual(decision)
  })

  test('delays double up to two seconds, and start anew after a success', () => {
    const policy = new RetryPolicy()
    const delays = Array.from({ length: 7 }, () => policy.afterFailure(FULL, false))
    expect(delays).toEqual([100, 200, 400, 800, 1600, 2000, 2000].map(waits))
    expect(policy.isFailing).toBe(true)
    policy.afterSuccess()
    expect(policy.isFailing).toBe(false)
    expect(policy.afterFailure(FULL, false)).toEqual(waits(100))
  })

  test('a file that stays busy for five seconds counts as a failure', () => {
    const policy = new RetryPolicy()
    for (let retry = 1; retry < 2500; retry++) expect(policy.afterFailure(BUSY, true)).toEqual(waitsWhileBusy)
    expect(policy.isFailing).toBe(false)
    expect(policy.afterFailure(BUSY, true)).toEqual({ kind: 'drop' })
    expect(policy.afterFailure(BUSY, false)).toEqual(waits(100))
  })
})
