// Shortener: long lines keep their structure and lose the insides of their strings, other lines lose nothing.

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { Shortener } from '../../../src/wire/taps/shortener.ts'
import { bytewise } from '../streams.ts'

const LONG_CHARACTERS = 65_536

function shortened(bytes: Buffer, size = bytes.length): Buffer {
  const shortener = new Shortener()
  return Buffer.concat([...bytewise(bytes, size)].map((chunk) => shortener.push(chunk)))
}

/** Every string cut to what is certainly kept; lengths of longer ones depend on where the line grew long. */
function truncateStrings(value: unknown): unknown {
  if (typeof value === 'string') return value.slice(0, 64)
  if (Array.isArray(value)) return value.map(truncateStrings)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([key, member]) => [key, truncateStrings(member)]))
}

describe('lines', () => {
  test.each([1, 7, LONG_CHARACTERS, 3 * LONG_CHARACTERS])(
    'up to 64 kB pass as they are, %d bytes at a time',
    (size) => {
      const bytes = Buffer.from(`event: a\ndata: {"b":"${'c'.repeat(LONG_CHARACTERS - 100)}"}\n\n`.repeat(3))
      expect(shortened(bytes, size).equals(bytes)).toBe(true)
    },
  )

  test('that are longer stay the JSON they were, however they are cut, and so do those around them', () => {
    const word = fc.oneof(fc.string({ unit: 'binary' }), fc.constantFrom('"', '\\', '\u0000"', '\n', 'é'))
    const words = fc.tuple(word, fc.integer({ min: 0, max: 4_000 })).map(([text, times]) => text.repeat(times))
    const value = fc.dictionary(fc.string(), fc.oneof(word, words, fc.array(words, { minLength: 20 }), fc.double()), {
      maxKeys: 8,
    })
    const lines = fc.array(value, { minLength: 1, maxLength: 4 })
    fc.assert(
      fc.property(lines, fc.integer({ min: 500, max: 2 * LONG_CHARACTERS }), (values, size) => {
        const text = values.map((document) => `${JSON.stringify(document)}\n`).join('')
        const kept = shortened(Buffer.from(text), size).toString('latin1').trimEnd().split('\n')
        const expected = values.map((document) => JSON.parse(Buffer.from(JSON.stringify(document)).toString('latin1')))
        expect(kept.map((line) => truncateStrings(JSON.parse(line)))).toEqual(truncateStrings(expected))
      }),
      { numRuns: 50, endOnFailure: true },
    )
  })

  test('behind a longer one pass as they are', () => {
    const short = `{"b":"${'c'.repeat(1_000)}"}\n`
    const kept = shortened(
      Buffer.from(`{"a":"${'b'.repeat(2 * LONG_CHARACTERS)}"}\n${short}${short}`),
      1_000,
    ).toString()
    expect(kept.length).toBeLessThan(LONG_CHARACTERS + 4_000)
    expect(kept.slice(kept.indexOf('\n') + 1)).toBe(`${short}${short}`)
  })
})
