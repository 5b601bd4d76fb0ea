// bursar export: the calls of a period for other programs, as a stream or a file.

import { isRecord, recordOf } from '../core/json-values.ts'
import type { GatewayClient } from './client.ts'
import type { Command, DraftFile, Invocation, Options, Sink } from './command.ts'
import { CommandError, UsageError } from './errors.ts'
import { PERIOD_OPTIONS, periodOf } from './period-options.ts'

const FORMATS = ['csv', 'focus', 'json']
const PAGE_RECORDS = '1000'

type Query = Readonly<Record<string, string>>
type CountRows = (chunk: Uint8Array) => number

export const EXPORT: Command = {
  name: 'export',
  summary: 'The calls of a period for other programs: a row for each, or rows of FOCUS 1.0.',
  details: `csv: a row for each call. focus: rows by day or hour, key, model and class of tokens, with the columns of FOCUS 1.0. json: an
object for each call, on a line of its own. Without --out, rows go to standard output. A file gets its name once it is whole.`,
  options: {
    format: { type: 'string', value: 'FORMAT', text: 'csv, focus or json. Without it: csv.' },
    out: { type: 'string', value: 'FILE', text: 'The file to write, which only its owner can read.' },
    ...PERIOD_OPTIONS,
    key: { type: 'string', value: 'KEY', text: 'Only calls of this key.' },
    granularity: { type: 'string', value: 'SPAN', text: 'What a row of focus sums: day or hour. Without it: day.' },
  },
  examples: [
    'bursar export --out calls.csv --days 90',
    'bursar export --format focus --from 2026-11-01 --to 2026-11-30 --out focus.csv',
    'bursar export --format json --key ci | jq -c .total_cost',
  ],
  run: async (invocation) => {
    const { options, files, terminal } = invocation
    if (options.has('json')) throw new UsageError('export takes --format json in place of --json.')
    const format = options.text('format') ?? 'csv'
    if (!FORMATS.includes(format)) throw new UsageError(`--format must be one of ${FORMATS.join(', ')}.`)
    const query = queryOf(format, options)
    const path = options.text('out')
    if (path === '') throw new UsageError('--out needs a name: --out=FILE.')
    if (path === undefined)
      return { json: '', text: '', note: endText(await write(invocation, format, query, terminal.output)) }
    const draft = await files.create(path)
    const written = await writeWhole(draft, () => write(invocation, format, query, draft))
    return { json: '', text: '', note: `${path}: ${endText(written)}` }
  },
}

/** Throws UsageError. */
function queryOf(format: string, options: Options): Query {
  const [key, granularity] = [options.text('key'), options.text('granularity')]
  if (granularity !== undefined && format !== 'focus') throw new UsageError('--granularity needs --format focus.')
  return {
    ...periodOf(options),
    ...(key === undefined ? {} : { key }),
    ...(granularity === undefined ? {} : { granularity }),
  }
}

interface Written {
  readonly rows: number
  readonly bytes: number
}

/** Nothing stays of a file that is not whole. */
async function writeWhole(draft: DraftFile, work: () => Promise<Written>): Promise<Written> {
  try {
    const written = await work()
    await draft.keep()
    return written
  } catch (error) {
    await draft.discard()
    throw error
  }
}

/** Copies rows as they come, so that memory does not grow with them. */
async function write({ client, terminal }: Invocation, format: string, query: Query, sink: Sink): Promise<Written> {
  let rows = 0
  let bytes = 0
  const table = format === 'json' ? undefined : new TableRows()
  const chunks = table ? await tableChunks(client, format, query) : jsonLines(client, query)
  const count: CountRows = table ? (chunk) => table.count(chunk) : countLines
  for await (const chunk of chunks) {
    await sink.write(chunk)
    rows += count(chunk)
    bytes += chunk.length
    terminal.progress(`${rows} rows, ${bytesText(bytes)} …`)
  }
  terminal.progress('')
  if (table && !table.isWhole) throw new CommandError('The answer of the gateway ended in the middle of a row.')
  return { rows, bytes }
}

async function tableChunks(client: GatewayClient, format: string, query: Query): Promise<AsyncIterable<Uint8Array>> {
  const { chunks } = await client.open(`/token-usage/export?${new URLSearchParams({ format, ...query })}`, 'viewer')
  return chunks
}

const encoder = new TextEncoder()

/** An object on each line. All pages have the period of the first, also if a day ends meanwhile. */
async function* jsonLines(client: GatewayClient, query: Query): AsyncGenerator<Uint8Array> {
  let next: Query = { ...query, limit: PAGE_RECORDS }
  for (;;) {
    const { json, value } = await client.send('GET', `/token-usage/all?${new URLSearchParams(next)}`, { as: 'viewer' })
    const lines = linesOf(json)
    if (lines !== '') yield encoder.encode(lines)
    const cursor = value.next_cursor
    if (typeof cursor !== 'string') return
    if (cursor === next.cursor) throw new CommandError('The gateway answered the same page twice.')
    const { from, to } = recordOf(value.period)
    if (typeof from !== 'string' || typeof to !== 'string')
      throw new CommandError('The gateway did not state the period of its answer.')
    const { days: _, ...others } = next
    next = { ...others, from, to, cursor }
  }
}

/** Numbers are written as they came: a double would lose nano-dollars of large amounts. */
const parseExactly = JSON.parse as (
  text: string,
  reviver: (name: string, value: unknown, context: { readonly source?: string }) => unknown,
) => unknown

function linesOf(json: string): string {
  const answer = parseExactly(json, (_name, value, { source }) =>
    typeof value === 'number' && source !== undefined ? JSON.rawJSON(source) : value,
  )
  const records = isRecord(answer) ? answer.records : undefined
  if (!Array.isArray(records)) throw new CommandError('The gateway answered without records. Is it of this version?')
  return records.map((record) => `${JSON.stringify(record)}\n`).join('')
}

const LINE_FEED = 0x0a
const QUOTE = 0x22

const countLines: CountRows = (chunk) => chunk.reduce((lines, byte) => (byte === LINE_FEED ? lines + 1 : lines), 0)

/** Counts the rows of a CSV table below its header. A line break in a quoted cell ends no row. */
class TableRows {
  #isQuoted = false
  #isHeader = true
  #lastByte = LINE_FEED

  count(chunk: Uint8Array): number {
    let rows = 0
    for (const byte of chunk) {
      if (byte === QUOTE) this.#isQuoted = !this.#isQuoted
      else if (byte === LINE_FEED && !this.#isQuoted) rows++
    }
    this.#lastByte = chunk.at(-1) ?? this.#lastByte
    if (!this.#isHeader || rows === 0) return rows
    this.#isHeader = false
    return rows - 1
  }

  /** Whether the table has a header, and its last row has an end. */
  get isWhole(): boolean {
    return !this.#isHeader && !this.#isQuoted && this.#lastByte === LINE_FEED
  }
}

function endText({ rows, bytes }: Written): string {
  return `${rows} rows, ${bytes} bytes\n`
}

function bytesText(bytes: number): string {
  return bytes < 1_000_000 ? `${Math.ceil(bytes / 1_000)} kB` : `${(bytes / 1_000_000).toFixed(1)} MB`
}
