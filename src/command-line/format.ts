// Format: the gateway's answers as lines for people. It knows no endpoint.

import { isRecord, recordOf } from '../core/json-values.ts'

/** Rows of cells in columns, below a head. Columns of numbers are flush right. */
export function tableText(head: readonly string[], rows: readonly (readonly string[])[]): string {
  if (rows.length === 0) return 'none\n'
  const lines = [head, ...rows].map((cells) => cells.map(printable))
  const widths = head.map((_, column) => Math.max(...lines.map((cells) => cells[column]?.length ?? 0)))
  const isNumeric = head.map((_, column) => {
    const cells = lines.slice(1).map((line) => line[column] ?? '')
    return cells.some((cell) => cell !== '-') && cells.every((cell) => /^(?:[-$]?[\d.,]+(?: %)?|-)$/.test(cell))
  })
  const lineOf = (cells: readonly string[]) =>
    cells
      .map((cell, column) =>
        isNumeric[column] ? cell.padStart(widths[column] ?? 0) : cell.padEnd(widths[column] ?? 0),
      )
      .join('  ')
      .trimEnd()
  return `${lines.map(lineOf).join('\n')}\n`
}

/** Names and values, a line each. Fields of objects are named with a point; what is null or empty is left out. */
export function fieldsText(record: Readonly<Record<string, unknown>>): string {
  const fields = flatFields(record, '')
  const width = Math.max(0, ...fields.map(([name]) => name.length))
  return fields.map(([name, value]) => `${name.padEnd(width)}  ${value}\n`).join('')
}

/** The warnings of an answer, a line each. Empty if there are none. */
export function warningsText({ warnings }: Readonly<Record<string, unknown>>): string {
  return Array.isArray(warnings) ? warnings.map((warning) => `Warning: ${cellOf(warning)}\n`).join('') : ''
}

function flatFields(record: Readonly<Record<string, unknown>>, prefix: string): (readonly [string, string])[] {
  return Object.entries(record).flatMap(([key, value]): (readonly [string, string])[] => {
    const name = printable(prefix + key)
    if (isRecord(value)) return flatFields(value, `${prefix}${key}.`)
    if (Array.isArray(value) && value.some(isRecord))
      return value.flatMap((item, index) =>
        isRecord(item)
          ? flatFields(item, `${prefix}${key}[${index}].`)
          : [[`${name}[${index}]`, cellOf(item)] as const],
      )
    const text = cellOf(value)
    return text === '-' ? [] : [[name, name.endsWith('_usd') ? usdText(value) : text]]
  })
}

/** The objects of a list; none if the value is no list. */
export function recordsIn(value: unknown): readonly Readonly<Record<string, unknown>>[] {
  return Array.isArray(value) ? value.map(recordOf) : []
}

/** How a list goes on; empty if it does not. A cursor can hold blanks and quotes. */
export function moreText(cursor: unknown): string {
  if (typeof cursor !== 'string') return ''
  const isPlain = /^[\w.:/-]+$/.test(cursor)
  return `There are more: --cursor=${isPlain ? cursor : `'${printable(cursor).replaceAll("'", `'\\''`)}'`}\n`
}

/** A value as a cell: `-` if there is none. */
export function cellOf(value: unknown): string {
  if (value === null || value === undefined || value === '') return '-'
  if (Array.isArray(value)) return value.length === 0 ? '-' : value.map(cellOf).join(', ')
  return printable(typeof value === 'object' ? JSON.stringify(value) : String(value))
}

/** Dollars. */
export function usdText(value: unknown): string {
  return typeof value === 'number' ? `$${decimalText(value)}` : cellOf(value)
}

/** An amount in the unit that the same object names. */
export function amountText(value: unknown, unit: unknown): string {
  if (unit === 'usd') return usdText(value)
  return typeof value === 'number' ? decimalText(value) : cellOf(value)
}

/** `40 s`, `12 min`, `11 h 5 min`. */
export function durationText(ms: unknown): string {
  if (typeof ms !== 'number' || ms <= 0) return '-'
  const seconds = Math.ceil(ms / 1_000)
  if (seconds < 60) return `${seconds} s`
  const minutes = Math.ceil(seconds / 60)
  if (minutes < 60) return `${minutes} min`
  const hours = Math.floor(minutes / 60)
  if (hours < 48) return minutes % 60 === 0 ? `${hours} h` : `${hours} h ${minutes % 60} min`
  return `${Math.ceil(hours / 24)} d`
}

/** A number without an exponent. */
function decimalText(value: number): string {
  return Math.abs(value) < 1e-6 && value !== 0 ? value.toFixed(9).replace(/0+$/, '') : String(value)
}

/** Without characters that would move the cursor or colour the terminal. */
export function printable(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\u2028\u2029]/gu, (character) => JSON.stringify(character).slice(1, -1))
}
