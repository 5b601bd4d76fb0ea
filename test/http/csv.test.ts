// CSV: a table that any reader parses back to what was written, in which no text is a formula, sent as fast as the client takes it.

import { parse } from 'csv-parse/sync'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  type CsvColumn,
  csvHeader,
  csvLine,
  csvResponse,
  figure,
  text,
  textCell,
  wantsCsv,
} from '../../src/http/csv.ts'

interface Row {
  readonly name: string | null
  readonly cost: string | number | bigint | null
  readonly note: string | null
}

const COLUMNS: readonly CsvColumn<Row>[] = [
  text('name', ({ name }) => name),
  figure('cost', ({ cost }) => cost),
  text('note', ({ note }) => note),
]

const written = (row: Row) => csvHeader(COLUMNS) + csvLine(COLUMNS, row)
const parsed = (csv: string): string[][] => parse(csv, { record_delimiter: '\r\n' })

/** What a spreadsheet skips before it looks for a formula. */
const skipped = /^[\s\p{Z}\p{C}]*/u

describe('a cell of text', () => {
  it.each([
    ['=1+1', `"'=1+1"`],
    ['+1', `"'+1"`],
    ['-1', `"'-1"`],
    ['@SUM(A1)', `"'@SUM(A1)"`],
    ['\t=1', `"'\t=1"`],
    ['\r=1', `"'\r=1"`],
    ['\n=1', `"'\n=1"`],
    [' =1', `"' =1"`],
    ['\u00a0=1', `"'\u00a0=1"`],
    ['\ufeff=1', `"'\ufeff=1"`],
    ['\u200b=1', `"'\u200b=1"`],
    ['\0=1', `"'\0=1"`],
    ['＝1', `"'＝1"`],
    ['＋1', `"'＋1"`],
    ['－1', `"'－1"`],
    ['＠a', `"'＠a"`],
    ['=HYPERLINK("http://x","y")', `"'=HYPERLINK(""http://x"",""y"")"`],
    ['plain', 'plain'],
    ['a=1', 'a=1'],
    ['a,b', '"a,b"'],
    ['a"b', '"a""b"'],
    ['a\nb', '"a\nb"'],
    ['', ''],
  ])('%j is written as %s', (content, cell) => expect(textCell(content)).toBe(cell))

  it('is never a formula, and is what was written but for an apostrophe', () => {
    const hostile = fc.string({ unit: fc.constantFrom(...'=+-@＝＋－＠ \t\r\n",;\'a1\u00a0\ufeff\u2028é😀') })
    const property = fc.property(fc.oneof(fc.string({ unit: 'binary' }), hostile), hostile, (name, note) => {
      const [, row = []] = parsed(written({ name, cost: 1, note }))
      expect(row).toHaveLength(3)
      for (const [cell = '', content] of [
        [row[0], name],
        [row[2], note],
      ] as const) {
        expect(cell.replace(skipped, '')).not.toMatch(/^[=+\-@＝＋－＠]/)
        expect(cell === content || cell === `'${content}`).toBe(true)
      }
    })
    fc.assert(property, { numRuns: 1_000 })
  })
})

describe('a figure', () => {
  it.each([['-0.5'], ['123456789012.123456789'], ['0']])('of %s is not changed', (cost) => {
    expect(written({ name: 'a', cost, note: null })).toBe(`name,cost,note\r\na,${cost},\r\n`)
  })

  it('that is not there is an empty cell', () => {
    expect(parsed(written({ name: null, cost: null, note: null }))[1]).toEqual(['', '', ''])
  })
})

describe('a table', () => {
  const row: Row = { name: 'a', cost: 1, note: null }

  function table(pages: AsyncIterator<readonly Row[]>) {
    return csvResponse({ columns: COLUMNS, pages, fileName: 'calls', headers: { 'x-bursar-time-zone': 'UTC' } })
  }

  it('without rows is its header line', async () => {
    const response = await table((async function* () {})())
    expect(await response.text()).toBe('name,cost,note\r\n')
    expect(response.headers.get('content-type')).toContain('text/csv')
    expect(response.headers.get('content-disposition')).toBe('attachment; filename="calls.csv"')
  })

  it('is read a page at a time, and only as the client takes it', async () => {
    let pagesRead = 0
    const response = await table(
      (async function* () {
        for (; pagesRead < 5; ) {
          pagesRead++
          yield [row]
        }
      })(),
    )
    expect(pagesRead).toBe(1)
    const reader = response.body?.getReader()
    await reader?.read()
    expect(pagesRead).toBe(1)
    await reader?.read()
    expect(pagesRead).toBe(2)
    await reader?.cancel()
  })

  it('is not read further once the client has left', async () => {
    let isEnded = false
    const pages = (async function* () {
      try {
        for (;;) yield [row]
      } finally {
        isEnded = true
      }
    })()
    const response = await table(pages)
    const reader = response.body?.getReader()
    await reader?.read()
    await reader?.cancel()
    expect(isEnded).toBe(true)
  })

  it('whose first page cannot be read is no answer, and one that breaks off later is no whole answer', async () => {
    await expect(table(failing(0))).rejects.toThrow('gone')
    await expect((await table(failing(1))).text()).rejects.toThrow('could not be read to its end')

    async function* failing(afterPages: number): AsyncGenerator<readonly Row[]> {
      for (let page = 0; page < afterPages; page++) yield [row]
      throw new Error('gone')
    }
  })
})

describe('a request wants CSV', () => {
  it.each([
    ['csv', undefined, true],
    ['json', 'text/csv', false],
    [undefined, undefined, false],
    [undefined, '*/*', false],
    [undefined, 'text/csv', true],
    [undefined, 'application/json, TEXT/CSV;q=0.5', true],
    [undefined, 'text/csv;q=0', false],
    [undefined, 'text/csv-schema', false],
    [undefined, 'x-text/csv', false],
  ] as const)('with format %s and Accept %s: %s', (format, accept, wants) => {
    expect(wantsCsv(format, accept)).toBe(wants)
  })
})
