// Built-in tools: their output, and that no input of a model makes them throw or take long.

import { describe, expect, it } from 'vitest'
import { BUILT_IN_TOOLS } from '../../../src/patterns/tool-use/built-in.ts'
import { calculate } from '../../../src/patterns/tool-use/calculator.ts'
import { NOW_MS } from '../runs.ts'

const run = (name: string, args: object) => BUILT_IN_TOOLS[name]?.run({ ...args }, NOW_MS)

describe('the calculator', () => {
  it.each([
    ['1 + 2 * 3', 7],
    ['(1 + 2) * 3', 9],
    ['10 - 4 - 3', 3],
    ['2 ^ 3 ^ 2', 512],
    ['-2 ^ 2', -4],
    ['2 ^ -1', 0.5],
    ['(-2) ^ 2', 4],
    ['2 * -3', -6],
    ['1 - -1', 2],
    ['7 % 4 * 2', 6],
    ['1.5e3 + .5', 1_500.5],
    ['sqrt(16) + abs(-2)', 6],
    ['max(1, min(9, 4), 3)', 4],
    ['ROUND(2.5)', 3],
    ['sin(pi / 2)', 1],
    ['ln(e)', 1],
    ['tau / pi', 2],
    ['pow(2, 10)', 1_024],
  ])('%s is %d', (expression, value) => {
    expect(calculate(expression)).toBeCloseTo(value, 12)
  })

  it.each([
    ['', 'ends too early'],
    ['1 +', 'ends too early'],
    ['(1', 'not closed'],
    ['1)', 'did not expect ")"'],
    ['2 3', 'did not expect "3"'],
    ['2pi', 'did not expect "pi"'],
    ['1 / 0', 'division by zero'],
    ['1 % 0', 'division by zero'],
    ['9^9^9^9', 'too large'],
    ['1e999', 'too large'],
    ['sqrt(-1)', 'not a real number'],
    ['min()', 'did not expect'],
    ['pow(1)', 'takes at least 2'],
    ['sqrt(1, 2)', 'at most 1 values'],
    ['eval(1)', 'the function eval is unknown'],
    ['constructor(1)', 'the function constructor is unknown'],
    ['toString', 'did not expect'],
    ['process.exit()', 'cannot read'],
    ['1; 2', 'cannot read'],
    ['"a"', 'cannot read'],
    ['('.repeat(400), 'too deeply'],
    ['-'.repeat(999), 'too deeply'],
    [`${'2^'.repeat(499)}2`, 'too deeply'],
  ])('refuses %j', (expression, problem) => {
    expect(() => calculate(expression)).toThrow(problem)
  })
})

describe('the time', () => {
  it.each([
    ['UTC', '12:00:00'],
    ['', '12:00:00'],
    ['America/New_York', '7:00:00'],
  ])('in %j', (time_zone, time) => {
    expect(run('current_time', { time_zone })?.answered).toContain(time)
  })

  it('is refused in an unknown zone', () => {
    expect(run('current_time', { time_zone: '../../etc' })?.failed).toContain('time zone')
  })
})

describe('units', () => {
  it.each([
    [1, 'km', 'm', '1 km = 1000 m'],
    [100, 'celsius', 'fahrenheit', '100 celsius = 212 fahrenheit'],
    [5, 'celsius', 'fahrenheit', '5 celsius = 41 fahrenheit'],
    [90, ' minutes', 'hours ', '90  minutes = 1.5 hours '],
  ])('%d %s to %s', (value, from, to, answered) => {
    expect(run('convert_units', { value, from, to })).toEqual({ answered })
  })

  it.each([
    [1, 'km', 'kg', 'different measures'],
    [1, 'constructor', 'toString', 'the unit constructor is unknown'],
    [1, '__proto__', 'm', 'the unit __proto__ is unknown'],
    [1, 'm', 'parsecs of cheese', 'is unknown'],
    [1e308, 'km', 'nm', 'too large'],
    [Number.POSITIVE_INFINITY, 'km', 'm', 'value'],
  ])('not %d %s to %s', (value, from, to, problem) => {
    expect(run('convert_units', { value, from, to })?.failed).toContain(problem)
  })
})

describe('JSON', () => {
  const shop = '{"items": [{"name": "pen", "price": 3}, {"name": "ink", "price": 30}], "__proto__": {"a": 1}}'

  it.each([
    ['$.items[?@.price < 10].name', '["pen"]'],
    ['$..price', '[3,30]'],
    ['$.items[-1].name', '["ink"]'],
    ['$.nothing', '[]'],
    ['$.constructor', '[]'],
    ['$.items.length', '[]'],
    ['$.__proto__', '[{"a":1}]'],
  ])('%s finds %s', (path, answered) => {
    expect(run('json_query', { json: shop, path })).toEqual({ answered })
  })

  it('returns a hundred values, and the number of the others', () => {
    const json = JSON.stringify(Array.from({ length: 250 }, () => 1))
    expect(run('json_query', { json, path: '$[*]' })?.answered).toMatch(/^\[(1,){99}1\] and 150 more$/)
  })

  it.each([
    ['{"a": ', '$', 'JSON'],
    ['{}', 'a.b', "expected '$'"],
    ['{}', '$[', ''],
    ['{}', '$[?match(@.a, "(a+)+")]', 'match'],
    ['{}', '$[?search(@.a, "(a+)+")]', 'search'],
    ['{}', '$..*..*', '..'],
    ['{}', '$..[*,*,*]', 'commas'],
    ['{}', `$${'[*,*]'.repeat(4)}`, 'commas'],
    ['{}', '$[?@[?@[?@]]]', 'filter'],
    ['{}', '$[?count($[*]) > 1]', '@'],
    ['{}', `$${'.a'.repeat(200)}`, 'path'],
    [`${'['.repeat(9_000)}${']'.repeat(9_000)}`, '$..*', 'deeply'],
    [`["${'x'.repeat(15_000)}"]`, '$[0]', 'too long'],
    ['[1]', '$[99999999999999999999]', 'range'],
  ])('refuses %#', (json, path, problem) => {
    expect(run('json_query', { json, path })?.failed).toContain(problem)
  })

  it.each([
    '$..*',
    '$..[*]',
    '$..[?@.a]',
    '$..[?count(@[*]) > 0]',
    '$[*,*][*,*][*,*]',
    '$..[?@ == @]',
    '$[?@..a]',
    '$[*][?count(@..[*,*]) > 9]',
  ])('answers %s over large JSON quickly', (path) => {
    const json = `${'[{"a":'.repeat(15)}[${'[1],'.repeat(4_900)}[1]]${'}]'.repeat(15)}`
    const startedMs = performance.now()
    run('json_query', { json, path })
    expect(performance.now() - startedMs).toBeLessThan(3_000)
  })
})

describe('text', () => {
  it('is counted', () => {
    expect(
      JSON.parse(run('text_statistics', { text: "Hello, world. It's me!\nYes.\n\nBye, world" })?.answered ?? ''),
    ).toEqual({
      characters: 39,
      words: 7,
      distinct_words: 6,
      sentences: 4,
      lines: 4,
      paragraphs: 2,
      average_word_length: 3.86,
    })
  })

  it.each([' '.repeat(100_000), '\n'.repeat(100_000), '.'.repeat(100_000), "'a".repeat(50_000), '\n '.repeat(50_000)])(
    'is counted soon, whatever it is: %#',
    (text) => {
      const startedMs = performance.now()
      expect(run('text_statistics', { text })?.failed).toBeUndefined()
      expect(performance.now() - startedMs).toBeLessThan(3_000)
    },
  )
})
