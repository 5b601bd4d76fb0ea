// The text bound is never below what compatibility normalisation makes of the strings in a body, however they are written.

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { maxNormalisedBytes } from '../../src/wire/text-bound.ts'

const LIGATURE = '\ufdfa' // 3 bytes, 33 once normalised: nothing grows more.

/** Every unit of a string escaped, as some clients write what is not ASCII. */
const escaped = (text: string) =>
  Array.from({ length: text.length }, (_, index) => `\\u${text.charCodeAt(index).toString(16).padStart(4, '0')}`).join(
    '',
  )

/** What a tokenizer can see of a body: each string decoded and normalised by itself. */
function boundBytes(value: unknown): number {
  if (typeof value === 'string') return Buffer.byteLength(value.normalize('NFKC'))
  if (Array.isArray(value)) return value.reduce((sum: number, element) => sum + boundBytes(element), 0)
  if (typeof value !== 'object' || value === null) return 0
  return Object.entries(value).reduce((sum, [key, member]) => sum + boundBytes(key) + boundBytes(member), 0)
}

describe('the text bound', () => {
  test.each<[string, string, number]>([
    ['of ASCII is its length', '{"a":"b\\n"}', 11],
    ['of a ligature is what it becomes', `"${LIGATURE}"`, 35],
    ['of an escaped ligature, too', '"\\ufdfa"', 35],
    ['of upper-case hex, too', '"\\uFDFA"', 35],
    ['of what shrinks is what was sent', '"ｆｕｌｌ"', 14],
    ['of a backslash before a u is no escape', `"\\\\ufdfa${LIGATURE}"`, 42],
    ['of marks after a line break joins nothing', `"${'\\r\u0323\u0304'.repeat(10)}${LIGATURE}"`, 95],
    ['of escapes for ASCII is what was sent', '"\\u0041"', 8],
  ])('%s', (_what, text, bytes) => {
    expect(maxNormalisedBytes(Buffer.from(text))).toBe(bytes)
  })

  const piece = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 8 }),
    fc.string({ unit: 'grapheme-composite', maxLength: 8 }),
    fc.constantFrom(
      LIGATURE,
      '\\ufdfa',
      '\\',
      '\r\u0323\u0304',
      '\n\u0301',
      '"',
      '\u0041\u030a',
      '\ud835\udc00',
      '\ud835',
      'e',
      '\u0301',
    ),
  )
  const value = fc.oneof(
    piece.map(escapedOrNot),
    fc.array(fc.tuple(piece, fc.boolean()), { maxLength: 12 }).map(joined),
  )

  /** JSON of a text, and the text. */
  function escapedOrNot(text: string): readonly [json: string, text: string] {
    return [JSON.stringify(text), text]
  }

  function joined(pieces: readonly (readonly [string, boolean])[]): readonly [json: string, text: string] {
    const json = pieces.map(([text, escape_]) => (escape_ ? escaped(text) : JSON.stringify(text).slice(1, -1))).join('')
    return [`"${json}"`, pieces.map(([text]) => text).join('')]
  }

  test('is never below it', () => {
    fc.assert(
      fc.property(fc.array(value, { maxLength: 4 }), (values) => {
        const body = Buffer.from(`{"é":[${values.map(([json]) => json).join(',')}]}`)
        const texts = values.map(([, text]) => text)
        expect(maxNormalisedBytes(body)).toBeGreaterThanOrEqual(boundBytes(texts))
        expect(maxNormalisedBytes(body)).toBeGreaterThanOrEqual(body.length)
      }),
      { numRuns: 3_000 },
    )
  })

  test('of a long body is above it without looking closer, and follows what can grow', () => {
    const long = 'A'.repeat(300_000)
    for (const text of [LIGATURE, escaped(LIGATURE), `é${escaped('é')}`, '\\\\']) {
      const bound = maxNormalisedBytes(Buffer.from(`"${long}${text.repeat(1_000)}"`))
      const seen = boundBytes(JSON.parse(`"${long}${text.repeat(1_000)}"`))
      expect(bound).toBeGreaterThanOrEqual(seen)
      // Media in base64 does not grow: it must not be counted eleven times.
      expect(bound).toBeLessThan(1.4 * seen)
    }
  })

  test('of any one character is never below it, long or short', () => {
    for (let code = 0; code < 0x110000; code += 4_096) {
      const units = Array.from({ length: 4_096 }, (_, index) => code + index).filter(
        (unit) => unit < 0xd800 || unit > 0xdfff,
      )
      const text = units.map((unit) => String.fromCodePoint(unit)).join('')
      const single = units.reduce(
        (sum, unit) => sum + Buffer.byteLength(String.fromCodePoint(unit).normalize('NFKC')),
        0,
      )
      const padding = 'A'.repeat(262_144)
      expect(maxNormalisedBytes(Buffer.from(`"${padding}${text}"`))).toBeGreaterThanOrEqual(single + padding.length)
      expect(maxNormalisedBytes(Buffer.from(`"${padding}${escaped(text)}"`))).toBeGreaterThanOrEqual(
        single + padding.length,
      )
    }
  })
})
