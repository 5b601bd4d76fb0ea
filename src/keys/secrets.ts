// Secrets: where a request carries a secret, and what a made secret looks like. It keeps none.

import { hash } from 'node:crypto'
import type { RequestLine } from '../wire/dialect.ts'

/** The headers in which SDKs send keys, beside `?key=`. */
export const KEY_HEADERS: readonly string[] = ['authorization', 'x-api-key', 'x-goog-api-key', 'api-key']
export const BEARER = /^bearer /i

/** How the secret of every made key begins. */
export const SECRET_START = 'bsr_'
const SECRET_BYTES = 32
const PREFIX_CHARACTERS = 8

/** @param randomBytes returns that many unpredictable bytes */
export function newSecret(randomBytes: (size: number) => Uint8Array): string {
  return SECRET_START + Buffer.from(randomBytes(SECRET_BYTES)).toString('base64url')
}

/** The part of a secret by which people tell keys apart: `bsr_AbCd`. */
export function prefixOf(secret: string): string {
  return secret.slice(0, PREFIX_CHARACTERS)
}

/** SHA-256, as hexadecimal digits. */
export function digest(secret: string): string {
  return hash('sha256', secret)
}

/**
 * The secret in `x-bursar-key`, otherwise in the headers or the parameter in which SDKs send keys. A place that is empty or blank
 * does not count. Undefined if every place is.
 */
export function secretInRequest(request: RequestLine): string | undefined {
  const authorization = request.header('authorization') ?? ''
  const secret =
    request.header('x-bursar-key')?.trim() ||
    (BEARER.test(authorization) && authorization.slice(7).trim()) ||
    request.header('x-api-key')?.trim() ||
    request.header('x-goog-api-key')?.trim() ||
    request.header('api-key')?.trim() ||
    secretInParameter(keyParameter(request.query)).trim()
  return secret === '' ? undefined : secret
}

/**
 * `key=…` exactly as the query holds it, or empty. Percent-encoded spellings of `key` do not count: the filter that keeps the
 * key from going upstream would not find them.
 */
export function keyParameter(query: string): string {
  return query.includes('key=') ? (query.split('&').find((part) => part.startsWith('key=')) ?? '') : ''
}

export function secretInParameter(parameter: string): string {
  return new URLSearchParams(parameter).get('key') ?? ''
}

/** The keys that a header's value can hold: a header sent twice arrives as one list, and some servers remove quotes. */
export function possibleSecrets(value: string): string[] {
  const bare = value.replace(BEARER, '').trim()
  return [bare, ...bare.split(/[,;"'\s]+/).map((part) => part.replace(BEARER, ''))]
}
