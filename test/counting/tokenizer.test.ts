// The tokenizer's counts end in time: if one takes too long, the bound by bytes stands. An idle thread ends.

import { afterEach, describe, expect, test } from 'vitest'
import { Tokenizer } from '../../src/counting/tokenizer.ts'
import { ManualClock } from '../support/clocks.ts'

describe('the tokenizer', () => {
  const clock = new ManualClock()
  const tokenizer = new Tokenizer(clock)
  afterEach(() => tokenizer.close())

  test('counts texts one after another, and ends its thread after a minute without one', async () => {
    expect(tokenizer.isRunning).toBe(false)
    const counts = await Promise.all(['"hello world"', '"hello"'].map((text) => tokenizer.count(text)))
    expect(counts).toEqual([4, 3])
    expect(clock.timerCount).toBe(1)
    clock.advance(59_999)
    expect(tokenizer.isRunning).toBe(true)
    clock.advance(1)
    expect(tokenizer.isRunning).toBe(false)
    expect(await tokenizer.count('"hello"')).toBe(3)
  })

  test('gives up a text after three seconds, in the thread or before it, and counts the next one in another thread', async () => {
    const counts = [tokenizer.count('"a"'), tokenizer.count('"b"')]
    clock.advance(3_000)
    expect(await Promise.all(counts)).toEqual([undefined, undefined])
    expect(tokenizer.isRunning).toBe(false)
    expect(await tokenizer.count('"hello"')).toBe(3)
  })

  test('counts a waiting text although the one before it timed out', async () => {
    const slow = tokenizer.count('"a"')
    clock.advance(2_000)
    const next = tokenizer.count('"hello"')
    clock.advance(1_000)
    expect(await slow).toBeUndefined()
    expect(await next).toBe(3)
  })

  test('counts no text longer than its bound, and none once it is closed', async () => {
    expect(await tokenizer.count('x'.repeat(262_145))).toBeUndefined()
    expect(tokenizer.isRunning).toBe(false)
    const counts = [tokenizer.count('"a"'), tokenizer.count('"b"')]
    await tokenizer.close()
    expect(await Promise.all(counts)).toEqual([undefined, undefined])
    expect(clock.timerCount).toBe(0)
  })
})
