// Alert: what receivers are notified of, as a value. It knows no receiver and no format.

import type { AlertKind } from '../config/alerts.ts'
import type { UsdJson } from '../core/money.ts'

/** Names and amounts of an alert, in snake_case with their unit. Money is decimal dollars. */
export type Figures = Readonly<Record<string, string | number | boolean | null | UsdJson>>

export interface Alert {
  readonly kind: AlertKind
  /** The type of the message, for programs: `limit.reached`, `provider.up`. */
  readonly type: string
  /** Epoch milliseconds. */
  readonly atMs: number
  /** Whom it is about: `key:ci`, `openai/gpt-4o`, `global`. */
  readonly subject: string
  /** One line. */
  readonly title: string
  /** Sentences: what happened, how much of how much, since when. */
  readonly text: string
  /** A sentence: what to do. */
  readonly advice: string
  readonly figures: Figures
  /** Subject and window: while the key is kept, no receiver is notified of it again. */
  readonly key: string
  /** A higher rank of the same key is notified of all the same: the percentage of a limit. */
  readonly rank: number
  /** Epoch milliseconds. */
  readonly keepUntilMs: number
}

export const HOUR_MS = 3_600_000
export const DAY_MS = 24 * HOUR_MS

const MAX_NAME_CHARACTERS = 128
/** Control characters, line and paragraph separators, and signs that change the direction of text. */
const UNSHOWN = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu

/** A name that somebody else chose, on one line and not too long. */
export function nameText(name: string): string {
  const text = name.replace(UNSHOWN, '�')
  return text.length > MAX_NAME_CHARACTERS ? `${text.slice(0, MAX_NAME_CHARACTERS)}…` : text
}

/** An instant for people: `2026-11-30 10:05 UTC`. */
export function timeText(atMs: number): string {
  return `${new Date(atMs).toISOString().slice(0, 16).replace('T', ' ')} UTC`
}
