// Compact values: how rows of the ledger store what is long and often the same, in fewer bytes. Rows of older versions hold the whole
// values, and are read as they are.

import type { DatabaseSync, SQLInputValue, SQLOutputValue, StatementSync } from 'node:sqlite'

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/

/** A UUID as its 16 bytes; any other id as it is. */
export function storedCallId(callId: string): SQLInputValue {
  return UUID.test(callId) ? Buffer.from(callId.replaceAll('-', ''), 'hex') : callId
}

export function readCallId(value: SQLOutputValue | undefined): string {
  if (!(value instanceof Uint8Array)) return typeof value === 'string' ? value : ''
  const hex = Buffer.from(value).toString('hex')
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`
}

/** The call id of a row as text, in SQL. */
export const CALL_ID_SQL = callIdSql()

function callIdSql(): string {
  const parts = [
    [1, 8],
    [9, 4],
    [13, 4],
    [17, 4],
    [21, 12],
  ].map(([from, length]) => `substr(hex(entry.call_id), ${from}, ${length})`)
  return `iif(typeof(entry.call_id) = 'blob', lower(${parts.join(" || '-' || ")}), entry.call_id)`
}

/** Nothing for the day of the instant in UTC, which most ledgers count by. */
export function storedDay(day: string, atMs: number): string {
  return day === dayInUtc(atMs) ? '' : day
}

export function readDay(value: SQLOutputValue | undefined, atMs: number): string {
  return typeof value === 'string' && value !== '' ? value : dayInUtc(atMs)
}

const DAY_MS = 86_400_000
/** The last one asked for: nearly every call is of today. */
let knownDay = { number: Number.NaN, text: '' }

function dayInUtc(atMs: number): string {
  const number = Math.floor(atMs / DAY_MS)
  if (number !== knownDay.number) knownDay = { number, text: new Date(number * DAY_MS).toISOString().slice(0, 10) }
  return knownDay.text
}

/** Codes begin with this; no text that is stored whole does. */
const CODE_START = '#'

/** Short codes for texts of which there are few, such as versions of prices. */
export class TextCodes {
  readonly #find: StatementSync
  readonly #add: StatementSync
  readonly #codes = new Map<string, string>()

  constructor(db: DatabaseSync) {
    this.#find = db.prepare('SELECT id FROM text_code WHERE text = ?')
    this.#add = db.prepare('INSERT INTO text_code (text) VALUES (?) RETURNING id')
  }

  /** The code of a text, new if need be, inside a transaction of the caller. */
  codeOf(text: string): string {
    let code = this.#codes.get(text)
    if (code === undefined) {
      code = `${CODE_START}${(this.#find.get(text) ?? this.#add.get(text))?.id}`
      this.#codes.set(text, code)
    }
    return code
  }

  /** Forgets codes that a transaction made and did not commit. */
  forget(): void {
    this.#codes.clear()
  }
}

/** The text of a column that holds a code, or the text itself, in SQL. */
export function decodedSql(column: string): string {
  const id = `CAST(substr(${column}, 2) AS INTEGER)`
  return `iif(substr(${column}, 1, 1) = '${CODE_START}', (SELECT text FROM text_code WHERE id = ${id}), ${column})`
}
