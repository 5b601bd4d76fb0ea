// JSON strings: by how many bytes the numbers of JSON in a string can grow, how its members and levels are counted, and which strings can
// hold JSON.

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { beginsLikeJson, JsonStructure, measureJsonString } from '../../src/wire/json-strings.ts'

/** Some content of a string, as it is in a body. */
const inString = (content: unknown) =>
  Buffer.from(JSON.stringify(typeof content === 'string' ? content : JSON.stringify(content)))

/** Everything that is measured of the arguments of a call. */
function measureOf(bytes: Buffer) {
  const structure = new JsonStructure()
  const measure = measureJsonString(bytes, structure)
  return { ...measure, members: structure.members, depth: structure.maxDepth }
}

describe('numbers in a string', () => {
  test.each<[string, string, number]>([
    ['none', '{"a":[1,2.5,-3]}', 0],
    ['an exponent', '[1e9]', 22],
    ['exponents of every kind', '{"a":1E9,"b":[-2e-7,3.5e+10]}', 66],
    ['a number alone', '1e9', 22],
    ['a number after escaped space', '[\n1e9,\t1e9]', 44],
    ['seventeen digits', '[12345678901234567]', 3],
    ['long and with an exponent', '[1.2345678901234567e9]', 25],
    ['sixteen digits', '[1234567890123456]', 0],
    ['a number in quotes', '["1e9"]', 0],
    ['a hash', '["3e5a9e7b"]', 0],
    ['a word with digits', '[a1e9]', 0],
    ['a number behind an escape in a string', '{"a":"\\n1e9"}', 0],
  ])('%s: %s', (_what, content, grownBytes) => {
    expect(measureJsonString(inString(content)).grownBytes).toBe(grownBytes)
  })

  test('commas and colons count wherever they are', () => {
    expect(measureJsonString(inString('{"a":[1,2],"b":"x, y: z"}')).separators).toBe(6)
  })
})

describe('members of the outermost object, and levels', () => {
  test.each<[string, number, number]>([
    ['{}', 0, 1],
    ['{"a":1}', 1, 1],
    ['{"a":{"b":1,"c":[{}]},"d":2}', 2, 4],
    ['{"a":"}:{","b\\"}":"\\\\","c":":"}', 3, 1],
    ['{"é":"\\u007b","b":[]}', 2, 2],
    ['[{"a":1}]', 0, 2],
    ['}}{"a":1', 0, 0],
    ['', 0, 0],
  ])('%s: %i and %i', (content, members, depth) => {
    expect(measureOf(inString(content))).toMatchObject({ members, depth })
  })

  test('are the same however the string is escaped', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.jsonValue()), fc.integer(), (value, seed) => {
        const json = JSON.stringify(value)
        const escaped = Array.from({ length: json.length }, (_, index) =>
          (seed >> (index % 31)) & 1
            ? `\\u${json.charCodeAt(index).toString(16).padStart(4, '0')}`
            : JSON.stringify(json[index]).slice(1, -1),
        ).join('')
        const measure = measureOf(Buffer.from(`"${escaped}"`))
        expect(measure).toEqual(measureOf(inString(json)))
        expect(measure.members).toBe(Object.keys(value).length)
      }),
    )
  })
})

test.each<[string, boolean]>([
  ['[1]', true],
  ['{"a":1}', true],
  [' [1]', true],
  ['\n{}', true],
  ['-1e9', true],
  ['1e9', true],
  ['1e9 \n', true],
  ['\r\n\t {}', true],
  ['1\tconst a = [1e9]', false],
  ['2026-11-30', true],
  ['2026-11-30T09:00', false],
  ['- a list', false],
  ['It is 1e9.', false],
  ['', false],
])('%j can be JSON: %j', (content, canBe) => {
  expect(beginsLikeJson(inString(content))).toBe(canBe)
})

test('an escape may stand for a bracket, or for a digit', () => {
  expect(beginsLikeJson(Buffer.from('"\\u005b1e9]"'))).toBe(true)
  expect(beginsLikeJson(Buffer.from('"1\\u00659"'))).toBe(true)
})

test('a list of parts can hold JSON', () => {
  expect(beginsLikeJson(Buffer.from('[{"type":"text","text":"[1]"}]'))).toBe(true)
})
