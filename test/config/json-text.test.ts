// The text of bursar.json: its value as JSON.parse reads it, and what is wrong with it, by line and column.

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { placeText } from '../../src/config/findings.ts'
import { readJsonText } from '../../src/config/json-text.ts'

const mistakesIn = (text: string) =>
  readJsonText(text).mistakes.map(
    ({ place, text: wrong, position: { line, column } }) => `${line}:${column} ${placeText(place)}: ${wrong}`,
  )

const VALUE = 'must be a value: text in double quotes, a number, true, false, null, an object or a list'
const TEXT_CHARACTERS =
  'must have no line breaks, tabs or other control characters in text. It ends with a double quote'

describe('JSON text', () => {
  test('is read as JSON.parse reads it, however it is laid out', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 6 }), fc.constantFrom(undefined, 2, '\t'), (value, indent) => {
        const text = JSON.stringify(value, null, indent)
        expect(readJsonText(text)).toMatchObject({ mistakes: [], value: JSON.parse(text) })
      }),
    )
  })

  test('is valid if and only if JSON.parse takes it, but for duplicates', () => {
    const piece = fc.constantFrom(
      '{',
      '}',
      '[',
      ']',
      ',',
      ':',
      '"a"',
      '"b"',
      '1',
      '-',
      '.5',
      'e3',
      'true',
      'nul',
      ' ',
      '\n',
      '"\\u00e',
      '\\"',
    )
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 12 }), (pieces) => {
        const text = pieces.join('')
        const mistakes = mistakesIn(text).filter((mistake) => !mistake.includes('must not stand twice'))
        expect([text, mistakes.length === 0]).toEqual([text, isJson(text)])
      }),
      { numRuns: 3_000 },
    )
  })

  test.each<[string, ...string[]]>([
    ['{"limits":{},\n "limits":{}}', '2:2 limits: must not stand twice. It is in line 1 already'],
    [
      '{"a":{"b":[{"c":1,"c":2}]},\n"a":1}',
      '1:19 a.b[0].c: must not stand twice. It is in line 1 already',
      '2:1 a: must not stand twice. It is in line 1 already',
    ],
    ['{"a":1,"\\u0061":2}', '1:8 a: must not stand twice. It is in line 1 already'],
    ['{"__proto__":1,"__proto__":2}', '1:16 __proto__: must not stand twice. It is in line 1 already'],
    ['// why\n{"a":1, /* and */ "b":2}', '1:1 file: must have no comments here or below. JSON has none'],
    ['{"a":1 # why\n}', '1:8 file: must have no comments here or below. JSON has none'],
    ['{"a":[1,],\n}', '1:8 a: must have no comma before its ]', '1:10 file: must have no comma before its }'],
    ['', '1:1 file: must not be empty. A file without content is {}'],
    ['\n \n', '3:1 file: must not be empty. A file without content is {}'],
    ['{"a":NaN}', `1:6 a: ${VALUE}`],
    ['{"a":\n  tru}', `2:3 a: ${VALUE}`],
    ["{'a':1}", '1:2 file: must have a key in double quotes here'],
    ['{"a":01}', `1:6 a: ${VALUE}`],
    ['{"a":"x\ny"}', `1:8 a: ${TEXT_CHARACTERS}`],
    ['{"a":"C:\\Users"}', '1:9 a: must have \\\\ for a backslash in text'],
    ['{"a" 1}', '1:6 a: must have a colon after its key'],
    ['{"a":{"b":1 "c":2}}', '1:13 a: must have a comma or a } here'],
    ['{"a":1} {}', '1:9 file: must end after its object'],
    ['{"limits":{"perKey":{"cost', '1:27 limits.perKey: must be complete, and the file ends here'],
    ['{"limits":{"perKey":', '1:21 limits.perKey: must be complete, and the file ends here'],
    ['['.repeat(100_000), '1:66 [0]: must not be nested more than 64 levels deep'],
  ])('%.40j is refused with its place', (text, ...mistakes) => {
    expect(mistakesIn(text)).toEqual(mistakes)
  })

  test('has a position for each place, and that of what is around it for a place that is missing', () => {
    const { positionOf } = readJsonText('{\n  "a": [\n    1,\n    {"b": 2}\n  ]\n}')
    expect(positionOf(['a'])).toEqual({ line: 2, column: 3 })
    expect(positionOf(['a', 1, 'b'])).toEqual({ line: 4, column: 6 })
    expect(positionOf(['a', 1, 'missing', 7])).toEqual({ line: 4, column: 5 })
    expect(positionOf(['missing'])).toEqual({ line: 1, column: 1 })
  })

  test('can be long', () => {
    const text = 'x\\n'.repeat(500_000)
    expect(mistakesIn(`{"a":"${text}"}`)).toEqual([])
    expect(mistakesIn(`{"a":"${text}`)).toHaveLength(1)
  })
})

function isJson(text: string): boolean {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}
