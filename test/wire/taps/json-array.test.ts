// The array tap: a JSON array is metered element by element, whatever way it is cut, and passes on as it came.

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { geminiGenerate } from '../../../src/wire/gemini/generate.ts'
import { bytewise, feed, GEMINI_ARRAYS } from '../streams.ts'

const tap = () => geminiGenerate.createTap(true, 'application/json; charset=UTF-8', false)

describe('a stream that is one JSON array means the same however it is cut, with', () => {
  test.each(GEMINI_ARRAYS)('$name', ({ text, usage, ends }) => {
    const bytes = Buffer.from(text)
    const expected = { out: text, usage, ends }
    const fed = (chunks: Iterable<Buffer>) => {
      const { out, ...rest } = feed(tap(), chunks)
      return { out: out.toString(), ...rest }
    }
    expect(fed([bytes])).toEqual(expected)
    expect(fed(bytewise(bytes)), 'byte by byte').toEqual(expected)
    for (let offset = 1; offset < bytes.length; offset++)
      expect(fed([bytes.subarray(0, offset), bytes.subarray(offset)]), `split at ${offset}`).toEqual(expected)
    fc.assert(
      fc.property(fc.array(fc.nat(bytes.length), { maxLength: 12 }), (cuts) => {
        const offsets = [0, ...cuts.toSorted((a, b) => a - b), bytes.length]
        expect(fed(offsets.slice(1).map((end, index) => bytes.subarray(offsets[index], end)))).toEqual(expected)
      }),
      { numRuns: 50 },
    )
  })

  test('any strings and brackets inside its elements', () => {
    const usageMetadata = { promptTokenCount: 8, candidatesTokenCount: 5 }
    const element = fc.record({ candidates: fc.constant([]), noise: fc.jsonValue({ stringUnit: 'binary' }) })
    fc.assert(
      fc.property(fc.array(element), fc.integer({ min: 1, max: 9 }), fc.nat(4), (elements, size, indent) => {
        const whole = JSON.stringify([...elements, { noise: '"\\]}[{', usageMetadata }], null, indent)
        const counting = tap()
        const fed = feed(counting, bytewise(Buffer.from(whole), size))
        expect(fed).toMatchObject({ usage: { input: 8, output: 5 }, ends: [false, false, false] })
        expect(counting.eventCount).toBe(elements.length + 1)
      }),
    )
  })
})

test('what is no array of objects counts for nothing, and passes on', () => {
  for (const text of [
    '',
    ']',
    '}}]]',
    '[1,2]',
    '["{\\"usageMetadata\\":{\\"promptTokenCount\\":8}}"]',
    '{"error":',
    '[[',
    'null',
  ]) {
    const bytes = Buffer.from(text)
    const fed = feed(tap(), bytewise(bytes))
    expect(fed.usage).toBeNull()
    expect(fed.out.equals(bytes)).toBe(true)
  }
})
