// JsonCursor against JSON.parse: it reads the same members at the same places, and takes and refuses the same documents.
// Its stated limit: what is inside skipped strings and numbers is not judged (`"\q"` and `1.2.3` pass), the provider does.

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { Problem } from '../../../src/core/problem.ts'
import { JsonCursor } from '../../../src/wire/json/cursor.ts'
import { Fields, UNKNOWN_FIELD } from '../../../src/wire/json/fields.ts'
import { internedString } from '../../../src/wire/json/interned-string.ts'
import { handlersFor, ObjectReader } from '../../../src/wire/json/object-reader.ts'
import { KEYS, render, spaces, tree, type ValueSpan } from '../documents.ts'

const ALL = new Fields(...KEYS)
const NONE = new Fields()

/** The string that a document is. */
function stringIn(text: string): string {
  const json = new JsonCursor(Buffer.from(text))
  return json.stringAt(json.range(), 's')
}

/** Every value below the outermost, by entering each container. */
function walk(bytes: Buffer, fields: Fields): ValueSpan[] {
  const json = new JsonCursor(bytes)
  const values: ValueSpan[] = []
  const value = (key: number | null, outermost = false) => {
    const start = json.position
    let end = 0
    if (json.isObject()) {
      json.enterObject()
      for (let field = json.nextField(fields); field >= UNKNOWN_FIELD; field = json.nextField(fields)) value(field)
    } else if (json.isArray()) {
      json.enterArray()
      while (json.nextElement()) value(null)
    } else end = json.range().end
    if (!outermost) values.push({ key, start, end })
  }
  value(null, true)
  json.finish()
  return values
}

function skipWhole(bytes: Buffer): void {
  const json = new JsonCursor(bytes)
  json.skipValue()
  json.finish()
}

/** The code of the Problem thrown, or null. Anything else thrown is a bug. */
function errorOf(run: () => unknown): string | null {
  try {
    run()
    return null
  } catch (error) {
    if (error instanceof Problem) return error.code
    throw error
  }
}

/** What JSON.parse says of the structure alone: strings are emptied and numbers zeroed first. */
function isWellFormed(bytes: Buffer): boolean {
  const bare = bytes
    .toString('latin1')
    .replace(/"(?:[^"\\]|\\[\s\S])*"|[-\d][\d.eE+-]*/g, (token) => (token.startsWith('"') ? '""' : '0'))
  return parses(Buffer.from(bare))
}

function parses(bytes: Buffer): boolean {
  try {
    JSON.parse(bytes.toString())
    return true
  } catch {
    return false
  }
}

describe('a well-formed document', () => {
  test('is read at the same keys and places however it is entered', () => {
    fc.assert(
      fc.property(tree, spaces, (root, padding) => {
        const { bytes, values } = render(root, padding)
        const walked = walk(bytes, ALL)
        expect(walked.map(({ key, start }) => ({ key, start }))).toEqual(
          values.map(({ key, start }) => ({ key, start })),
        )
        for (const [index, { end }] of walked.entries()) if (end > 0) expect(end).toBe(values[index]?.end)
      }),
      { numRuns: 300 },
    )
  })

  test('gives members whose bytes parse to the values that JSON.parse finds', () => {
    fc.assert(
      fc.property(
        fc.dictionary(fc.string({ unit: 'grapheme' }), fc.jsonValue({ maxDepth: 3 }), { maxKeys: 6 }),
        (object) => {
          const bytes = Buffer.from(JSON.stringify(object, null, 1))
          const json = new JsonCursor(bytes)
          const found: unknown[] = []
          json.enterObject()
          while (json.nextField(NONE) === UNKNOWN_FIELD) found.push(JSON.parse(json.text(json.range())))
          json.finish()
          expect(found).toEqual(Object.values(JSON.parse(bytes.toString())))
        },
      ),
    )
  })

  test('never throws, skipped or walked', () => {
    fc.assert(
      fc.property(fc.json({ stringUnit: 'binary', maxDepth: 6 }), (text) => {
        skipWhole(Buffer.from(text))
        walk(Buffer.from(text), NONE)
      }),
      { numRuns: 500 },
    )
  })
})

describe('a document broken', () => {
  // Keys with escapes are decoded to be compared, so a walk also refuses what is broken inside of them.
  const agrees = (bytes: Buffer) => {
    const skipped = errorOf(() => skipWhole(bytes))
    const walked = errorOf(() => walk(bytes, NONE))
    expect(skipped, bytes.toString()).toBe(isWellFormed(bytes) ? null : 'invalid_json')
    if (skipped !== null || parses(bytes)) expect(walked, bytes.toString()).toBe(skipped)
  }

  test('by being cut off anywhere is taken and refused as JSON.parse does', () => {
    fc.assert(
      fc.property(tree, spaces, (root, padding) => {
        const { bytes } = render(root, padding)
        for (let end = 0; end <= bytes.length; end++) agrees(bytes.subarray(0, end))
      }),
      { numRuns: 60 },
    )
  })

  test('by one byte replaced, dropped or put in is taken and refused as JSON.parse does', () => {
    const byte = fc.oneof(fc.constantFrom(...Buffer.from('{}[]",:\\0-tn \x01')), fc.integer({ min: 0, max: 255 }))
    fc.assert(
      fc.property(
        tree,
        spaces,
        byte,
        fc.nat(),
        fc.constantFrom(0, 1),
        fc.boolean(),
        (root, padding, with_, where, gone, put) => {
          const { bytes } = render(root, padding)
          const offset = where % (bytes.length + 1)
          agrees(
            Buffer.concat([bytes.subarray(0, offset), Buffer.from(put ? [with_] : []), bytes.subarray(offset + gone)]),
          )
        },
      ),
      { numRuns: 4000 },
    )
  })

  test.each([
    '',
    ' ',
    '[1,]',
    '[,1]',
    '{,}',
    '{"a":1,}',
    '{"a"}',
    '{a:1}',
    '[1 2]',
    '1 2',
    'truex',
    '+1',
    '.5',
    "'a'",
    '[}',
  ])('like %j is refused', (text) => agrees(Buffer.from(text)))

  test.each(['"\\q"', '[1.2.3]', '[-]', '"a\nb"'])(
    'only inside a string or number, like %j, is left to the provider',
    (text) => {
      expect(() => JSON.parse(text)).toThrow()
      expect(errorOf(() => skipWhole(Buffer.from(text)))).toBeNull()
    },
  )
})

describe('a large body', () => {
  /** Quotes, backslashes and bytes next to a quote's, in crowds and far apart. */
  const long = fc
    .array(
      fc.oneof(
        fc.constantFrom('"', '\\', '!', '#', '\u00a2', 'é', 'b'),
        fc.nat(1200).map((size) => 'a'.repeat(size)),
      ),
    )
    .map((parts) => parts.join(''))

  test('has its strings end where JSON.parse ends them, at every place of the bytes in memory', () => {
    fc.assert(
      fc.property(fc.array(long, { minLength: 1, maxLength: 12 }), fc.nat(7), (strings, offset) => {
        const text = JSON.stringify({ pad: 'x'.repeat(4096), strings, tail: {} })
        const bytes = Buffer.concat([Buffer.alloc(offset), Buffer.from(text)]).subarray(offset)
        const seen: unknown[] = []
        const object = new ObjectReader<unknown[]>({
          strings(json) {
            json.enterArray()
            while (json.nextElement()) seen.push(JSON.parse(json.text(json.range())))
          },
        })
        object.readDocument(bytes, seen)
        expect(seen).toEqual(strings)
      }),
    )
  })

  test('has strings of every length end where they do', () => {
    const strings = Array.from({ length: 600 }, (_, length) => `${'a'.repeat(length)}"`)
    const json = new JsonCursor(Buffer.from(JSON.stringify(strings)))
    const seen: unknown[] = []
    json.enterArray()
    while (json.nextElement()) seen.push(JSON.parse(json.text(json.range())))
    expect(seen).toEqual(strings)
  })

  test('cut off anywhere is broken', () => {
    fc.assert(
      fc.property(long, fc.nat(), (string, cut) => {
        const bytes = Buffer.from(JSON.stringify(['x'.repeat(4096), string]))
        expect(errorOf(() => skipWhole(bytes.subarray(0, 4097 + (cut % (bytes.length - 4097)))))).toBe('invalid_json')
      }),
    )
  })
})

describe('nesting', () => {
  test.each([['['], ['{"a":'], ['[{"a":']])('of 100,000 %s is refused at once', (opening) => {
    const bomb = Buffer.from(opening.repeat(100_000))
    const before = performance.now()
    expect(errorOf(() => skipWhole(bomb))).toBe('invalid_json')
    expect(errorOf(() => walk(bomb, NONE))).toBe('invalid_json')
    expect(performance.now() - before).toBeLessThan(1_000)
  })

  test('side by side is not nesting', () => {
    expect(walk(Buffer.from(`[${'[{"a":{}}],'.repeat(300)}1]`), NONE)).toHaveLength(901)
  })

  test('of 256 levels passes and of 257 does not, whether entered or skipped', () => {
    const nested = (levels: number) => Buffer.from('['.repeat(levels) + ']'.repeat(levels))
    for (const read of [skipWhole, (bytes: Buffer) => walk(bytes, NONE)])
      expect([256, 257].map((levels) => errorOf(() => read(nested(levels))))).toEqual([null, 'invalid_json'])
  })
})

describe('known fields', () => {
  const NAMES = ['model', 'max_tokens', 'stream', 'maxOutputTokens', 'k_1']
  const OBJECT = new ObjectReader<string[]>(
    handlersFor(NAMES, (json, seen: string[], _context: undefined, name) => {
      seen.push(`${name}=${json.text(json.range())}`)
    }),
  )
  const read = (text: string): string[] => OBJECT.readDocument(Buffer.from(text), [])

  test('are found with every way to escape their letters', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...NAMES),
        fc.array(fc.boolean(), { minLength: 15, maxLength: 15 }),
        (name, escaped) => {
          const key = [...name]
            .map((unit, index) => (escaped[index] ? `\\u00${unit.charCodeAt(0).toString(16)}` : unit))
            .join('')
          expect(read(`{"other":{"${name}":0}, "${key}" : 7}`)).toEqual([`${name}=7`])
        },
      ),
    )
  })

  test('in any other case are refused, by the name that was meant', () => {
    fc.assert(
      fc.property(fc.constantFrom(...NAMES), fc.array(fc.boolean(), { minLength: 15, maxLength: 15 }), (name, flip) => {
        const key = [...name].map((unit, index) => (flip[index] ? otherCase(unit) : unit)).join('')
        fc.pre(key !== name)
        expect(() => read(`{"${key}":1}`)).toThrow(expect.objectContaining({ code: 'invalid_request', param: name }))
      }),
    )
  })

  test.each(['Max_Tokens', 'ſtream', '\\u017ftream', 'ｍodel', '\\u004dodel', 'MODEL', '\u212a_1', 'maxoutputtokens'])(
    'written %s are refused',
    (key) => {
      expect(() => read(`{"${key}":1}`)).toThrow(expect.objectContaining({ code: 'invalid_request' }))
    },
  )

  test.each(['{"model":1,"model":1}', '{"model":1,"x":{},"\\u006dodel":2}', '{"stream":null,"stream":null}'])(
    'that come twice are refused: %s',
    (text) => {
      expect(() => read(text)).toThrow(/Duplicate field/)
    },
  )

  test('are no other words: near names, prototype names and repeated unknown ones pass by', () => {
    expect(
      read('{"__proto__":{"model":1},"constructor":1,"mode":1,"models":1,"mod\\u0000el":1,"x":1,"x":2,"":3}'),
    ).toEqual([])
    expect(Object.hasOwn(Object.prototype, 'model')).toBe(false)
  })
})

test('of an answer’s figures, keys in another case are other keys, and of equal ones the last counts', () => {
  const figures = ObjectReader.exact<unknown[]>(
    handlersFor(['input_tokens', 'output_tokens'], (json, seen: unknown[], _context: undefined, name) => {
      seen.push([name, json.numberValue()])
    }),
  )
  const answer =
    '{"Input_tokens":1,"input_tokens":2,"INPUT_TOKENS":{"input_tokens":9},"input_token\\u0053":4,"input_tokens":3}'
  expect(figures.readDocument(Buffer.from(answer), [])).toEqual([
    ['input_tokens', 2],
    ['input_tokens', 3],
  ])
})

test('a table of two fields with the same hash, or of more fields than two numbers have bits, cannot be made', () => {
  expect(() => new Fields('model', 'Model')).toThrow('have the same hash')
  expect(() => new Fields(...Array.from({ length: 65 }, (_, index) => `field_${index}`))).toThrow('at most 64 fields')
})

test('a known field comes once in an object, whatever its place in the table', () => {
  const names = Array.from({ length: 40 }, (_, index) => String.fromCodePoint(0x41 + (index % 26)).repeat(index + 1))
  const reader = new ObjectReader(
    handlersFor<string[], undefined>(names, (json, seen, _, name) => {
      seen.push(name)
      json.skipValue()
    }),
  )
  const read = (members: readonly string[]) =>
    reader.readDocument(Buffer.from(`{${members.map((name) => `"${name}":1`).join()}}`), [] as string[])
  expect(read(names)).toEqual(names)
  for (const name of names) expect(() => read([...names, name])).toThrow(name)
})

test('short texts are what their bytes say, made once', () => {
  fc.assert(
    fc.property(
      fc.array(fc.string({ unit: 'binary', maxLength: 60 }), { maxLength: 40 }),
      fc.nat(5),
      (texts, start) => {
        for (const text of [...texts, ...texts]) {
          const bytes = Buffer.from(`${'-'.repeat(start)}${text}-`)
          expect(internedString(bytes, start, bytes.length - 1)).toBe(bytes.toString('utf8', start, bytes.length - 1))
          bytes.fill(0)
        }
      },
    ),
  )
  // Of one length and one hash.
  for (const text of ['--Aa', '--BB', '--Aa']) expect(internedString(Buffer.from(text), 0, 4)).toBe(text)
})

describe('a value', () => {
  const cursorAt = (text: string) => new JsonCursor(Buffer.from(text))

  test.each([
    ['7', 7],
    ['1e2', 100],
    ['-0', -0],
    ['null', null],
    ['4096.0', 4096],
  ])('%s is a count', (text, expected) => {
    expect(cursorAt(text).count('n', 0)).toBe(expected)
  })

  test.each(['-1', '1.5', '"7"', 'true', '1e999', '9007199254740993', '{}', '[1]', '1'.repeat(60)])(
    '%s is no count',
    (text) => expect(() => cursorAt(text).count('n', 0)).toThrow(Problem),
  )

  test('that is a string decodes as JSON.parse decodes it', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        expect(stringIn(JSON.stringify(text))).toBe(text)
      }),
    )
    expect(() => stringIn('"\\q"')).toThrow(expect.objectContaining({ code: 'invalid_json' }))
    expect(() => stringIn('7')).toThrow(expect.objectContaining({ param: 's' }))
  })

  test('that is a figure is what JSON.parse finds', () => {
    fc.assert(
      fc.property(fc.oneof(fc.json({ maxDepth: 2 }), fc.nat(), fc.maxSafeNat()), (value) => {
        const text = String(value)
        expect(cursorAt(text).numberValue()).toEqual(JSON.parse(text))
      }),
    )
    for (const text of ['0', '999999999999999', '9999999999999999', '-0', '1e3', '0.5', 'null'])
      expect(cursorAt(text).numberValue()).toEqual(JSON.parse(text))
    expect(() => cursorAt('007').numberValue()).toThrow(SyntaxError)
  })

  test('that is true, false or null is a boolean', () => {
    expect(['true', 'false', 'null'].map((text) => cursorAt(text).boolean('b'))).toEqual([true, false, false])
  })

  test('that is a number, a string or an array is no boolean', () => {
    for (const text of ['1', '"true"', '[]'])
      expect(() => cursorAt(text).boolean('b')).toThrow(expect.objectContaining({ param: 'b' }))
  })
})

function otherCase(unit: string): string {
  return unit === unit.toLowerCase() ? unit.toUpperCase() : unit.toLowerCase()
}
