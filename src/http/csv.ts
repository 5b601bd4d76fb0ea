// CSV: tables by RFC 4180, streamed page by page, with text that no spreadsheet takes for a formula. Numbers are never changed.

/** A column: its name in the header line, and its value in each row. */
export interface CsvColumn<Row> {
  readonly name: string
  /** `figure`: a number, a time or another word of our own, which is written as it is. `text`: what others wrote, which is guarded. */
  readonly kind: 'figure' | 'text'
  /** Null and undefined are an empty cell. */
  readonly value: (row: Row) => string | number | bigint | boolean | null | undefined
}

export function figure<Row>(name: string, value: CsvColumn<Row>['value']): CsvColumn<Row> {
  return { name, kind: 'figure', value }
}

export function text<Row>(name: string, value: CsvColumn<Row>['value']): CsvColumn<Row> {
  return { name, kind: 'text', value }
}

/** What spreadsheets take for the start of a formula, or skip before one: signs, their full-width forms, blanks, control characters. */
const FORMULA_START = /^[=+\-@＝＋－＠\s\p{Z}\p{C}]/u
const ACCEPTS_CSV = /^\s*text\/csv\s*(?:;|$)/i
const REFUSED_QUALITY = /;\s*q=0(?:\.0*)?\s*(?:;|$)/i
const NEEDS_QUOTES = /[",\r\n]/

/** A cell of text. An apostrophe guards text that may begin a formula. */
export function textCell(content: string): string {
  const isGuarded = FORMULA_START.test(content)
  if (!isGuarded && !NEEDS_QUOTES.test(content)) return content
  return `"${isGuarded ? "'" : ''}${content.replaceAll('"', '""')}"`
}

/** The header line of a table, with its end. */
export function csvHeader<Row>(columns: readonly CsvColumn<Row>[]): string {
  return `${columns.map(({ name }) => textCell(name)).join(',')}\r\n`
}

/** A line of a table, with its end. */
export function csvLine<Row>(columns: readonly CsvColumn<Row>[], row: Row): string {
  let line = ''
  let separator = ''
  for (const { kind, value } of columns) {
    const cell = value(row)
    line += separator
    if (cell !== null && cell !== undefined) line += kind === 'text' ? textCell(String(cell)) : cell
    separator = ','
  }
  return `${line}\r\n`
}

/** A table whose rows are read while it is sent. */
export interface CsvTable<Row> {
  readonly columns: readonly CsvColumn<Row>[]
  /** Each page is read once the client takes more. Ended if the client leaves. */
  readonly pages: AsyncIterator<readonly Row[]>
  /** Without its ending. */
  readonly fileName: string
  readonly headers: Readonly<Record<string, string>>
}

/**
 * The answer that sends a table. Rejects as the first page does, so that what is wrong with a request is a whole answer. If a later page
 * rejects, the answer breaks off, and the client sees that it is not whole.
 */
export async function csvResponse<Row>({ columns, pages, fileName, headers }: CsvTable<Row>): Promise<Response> {
  const encoder = new TextEncoder()
  const nextPage = async () => {
    try {
      return await pages.next()
    } catch (error) {
      // A server may show the message to its client.
      throw new Error('The table could not be read to its end.', { cause: error })
    }
  }
  let page: IteratorResult<readonly Row[]> | undefined = await pages.next()
  let head = csvHeader(columns)
  const body = new ReadableStream<Uint8Array>(
    {
      async pull(sink) {
        const { done, value: rows } = page ?? (await nextPage())
        page = undefined
        let lines = head
        head = ''
        if (!done) for (const row of rows) lines += csvLine(columns, row)
        if (lines !== '') sink.enqueue(encoder.encode(lines))
        if (done) sink.close()
      },
      async cancel() {
        await pages.return?.()
      },
    },
    { highWaterMark: 0 },
  )
  return new Response(body, {
    headers: {
      'content-type': 'text/csv; charset=utf-8; header=present',
      'content-disposition': `attachment; filename="${fileName}.csv"`,
      'cache-control': 'no-store',
      ...headers,
    },
  })
}

/** Rows of a page, which are written at once. */
const PAGE_ROWS = 500

/** The pages of a table whose rows are all there. */
export async function* inPages<Row>(rows: readonly Row[]): AsyncGenerator<readonly Row[]> {
  for (let start = 0; start < rows.length; start += PAGE_ROWS) yield rows.slice(start, start + PAGE_ROWS)
}

/** Whether a request wants CSV, by `format=csv` or by its `Accept` header. */
export function wantsCsv(format: string | undefined, accept: string | undefined): boolean {
  if (format !== undefined) return format === 'csv'
  return (accept ?? '').split(',').some((range) => ACCEPTS_CSV.test(range) && !REFUSED_QUALITY.test(range))
}
