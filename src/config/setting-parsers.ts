// Setting parsers: from a setting's text to its value. Each throws an Error that says what the text must be. No message repeats
// a secret.

import { isTimeZone } from '../core/calendar.ts'
import { listOf } from '../core/issue-text.ts'
import { parseUsd } from '../core/money.ts'
import { didYouMean } from '../core/nearest-name.ts'

/** Throws an Error whose message follows the setting's name: `must be true or false`. */
export type SettingParser<Value> = (text: string) => Value

/** A key that callers may use, from `BURSAR_KEYS`. */
export interface ConfiguredKey {
  /** Its name: what the ledger and meters know it by. */
  readonly id: string
  readonly secret: string
}

const MIN_SECRET_CHARACTERS = 16

export function parseText(text: string): string {
  return text
}

/** One of these words. The empty word stands for an absent value. */
export function parseOneOf<const Word extends string>(...words: readonly Word[]): SettingParser<Word> {
  return (text) => {
    const found = words.find((word) => word === text)
    if (found === undefined) {
      const nearest = didYouMean(text, words).replace(/^ /, '. ')
      throw new Error(`must be ${listOf(words.map((word) => (word === '' ? 'empty' : word)))}${nearest}`)
    }
    return found
  }
}

/** A whole number from `min` to `max`. */
export function parseCount(min: number, max: number): SettingParser<number> {
  return (text) => {
    const number = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN
    if (!(number >= min && number <= max)) throw new Error(`must be a whole number from ${min} to ${max}`)
    return number
  }
}

export const MIN_RETENTION_DAYS = 32
export const MAX_RETENTION_DAYS = 36_500
export const RETENTION_EXPECTED = `must be a whole number from ${MIN_RETENTION_DAYS} to ${MAX_RETENTION_DAYS}: a limit of a calendar month needs the rows of that month`

/** Days, or null for ever. */
export function parseRetentionDays(text: string): number | null {
  if (text === '') return null
  const days = /^\d{1,5}$/.test(text) ? Number(text) : 0
  if (days < MIN_RETENTION_DAYS || days > MAX_RETENTION_DAYS) throw new Error(RETENTION_EXPECTED)
  return days
}

/** A limit on requests, tokens or calls in flight. */
export function parseCountLimit(text: string): bigint {
  if (!/^\d{1,15}$/.test(text)) throw new Error('must be a whole number, or empty for no limit')
  return BigInt(text)
}

/** A limit on cost: decimal dollars to nano-dollars. */
export function parseUsdLimit(text: string): bigint {
  const nanoUsd = parseUsd(text)
  if (nanoUsd === undefined) throw new Error('must be decimal dollars such as 2.50, or empty for no limit')
  return nanoUsd
}

export function parseFlag(text: string): boolean {
  if (text !== 'true' && text !== 'false') throw new Error('must be true or false')
  return text === 'true'
}

/** Without trailing slashes. */
function parseUrl(text: string): string {
  const parsed = URL.canParse(text) ? new URL(text) : undefined
  if (!parsed || (parsed.protocol !== 'https:' && parsed.protocol !== 'http:'))
    throw new Error('must be a URL that begins with https:// or http://')
  return text.replace(/\/+$/, '')
}

/** What is expected of the base URL of a provider, to which paths are added. */
export const BASE_URL_EXPECTED = 'must be a URL that begins with https:// or http://, without a query and without a key'

/** True for a URL that has no part which no request would carry. */
export function isBaseUrl(text: string): boolean {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (!url || (url.protocol !== 'https:' && url.protocol !== 'http:')) return false
  return url.username === '' && url.password === '' && url.search === '' && url.hash === ''
}

/** Without slashes at its end. */
export function parseBaseUrl(text: string): string {
  if (!isBaseUrl(text)) throw new Error(BASE_URL_EXPECTED)
  return text.replace(/\/+$/, '')
}

/** Like `parseUrl`; empty text stays empty. */
export function parseOptionalUrl(text: string): string {
  return text === '' ? '' : parseUrl(text)
}

export function parseTimeZone(text: string): string {
  if (!isTimeZone(text)) throw new Error('must be an IANA time zone such as Europe/Berlin')
  return text
}

export function parseStoreUrl(text: string): string {
  if (!/^(sqlite:.+|memory:)$/.test(text)) throw new Error('must be sqlite:PATH or memory:')
  return text
}

/** What can be sent in a header. */
export function parseHeaderValue(text: string): string {
  if (!/^[\x21-\x7e]*$/.test(text))
    throw new Error('must have only characters that can be sent in a header (is there a line break, or a space?)')
  return text
}

/** A secret, or empty for none. */
export function parseSecret(text: string): string {
  if (text !== '' && text.length < MIN_SECRET_CHARACTERS)
    throw new Error(`must have at least ${MIN_SECRET_CHARACTERS} characters`)
  return parseHeaderValue(text)
}

/** `name:secret,name:secret`, or empty for none. */
export function parseKeys(text: string): readonly ConfiguredKey[] {
  if (text === '') return []
  const keys = text.split(',').map(parseKey)
  if (new Set(keys.map((key) => key.id)).size < keys.length) throw new Error('must not name a key twice')
  if (new Set(keys.map((key) => key.secret)).size < keys.length)
    throw new Error('must not give two keys the same secret')
  return keys
}

function parseKey(pair: string, index: number): ConfiguredKey {
  const colon = pair.indexOf(':')
  const id = pair.slice(0, Math.max(colon, 0)).trim()
  const secret = pair.slice(colon + 1).trim()
  if (!/^[A-Za-z0-9_.-]{1,64}$/.test(id))
    throw new Error('must be name:secret,name:secret with at most 64 letters, digits, _ . - in a name')
  // The key's place and not its name: if an operator writes secret:name, the message must not hold the secret.
  if (secret.length < MIN_SECRET_CHARACTERS)
    throw new Error(`must have at least ${MIN_SECRET_CHARACTERS} characters in the secret of key ${index + 1}`)
  return { id, secret: parseHeaderValue(secret) }
}
