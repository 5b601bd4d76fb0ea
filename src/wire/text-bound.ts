// Text bound: how many bytes a body's text can be once the provider has normalised it.

import { isAscii } from 'node:buffer'

/** The most that compatibility normalisation grows UTF-8 text: U+FDFA, 3 bytes to 33. Checked over all code points. */
const MAX_GROWTH_FACTOR = 11
/** What that character grows by where it is written as an escape, 6 bytes to 33. */
const MAX_ESCAPE_GROWTH_BYTES = 27
/** Longer texts are bounded without being normalised: that takes time in proportion to what a caller sends. */
const MAX_NORMALISED_BYTES = 262_144

const UNICODE_ESCAPE = Buffer.from('\\u')
const BACKSLASH = 0x5c
const LETTER_U = 0x75

/**
 * Bytes of `body` after NFKC, at most. Tokenizers that normalise first (Anthropic's and Google's do) can see more text than
 * was sent; text in plain ASCII does not grow.
 */
export function maxNormalisedBytes(body: Buffer): number {
  const escaped = body.includes(UNICODE_ESCAPE)
  if (!escaped && isAscii(body)) return body.length
  if (body.length > MAX_NORMALISED_BYTES) return maxGrownBytes(body)
  return Math.max(body.length, Buffer.byteLength(body.toString().replace(ESCAPE, decodeEscape).normalize('NFKC')))
}

const ESCAPE = /\\(?:u([0-9a-fA-F]{4})|.)/g

/** Short escapes become as many spaces: what follows must not combine with their letter. */
function decodeEscape(_escape: string, hex: string | undefined): string {
  return hex === undefined ? '  ' : String.fromCharCode(Number.parseInt(hex, 16))
}

/** Media in base64 is ASCII, and most of a long body: only what can grow counts as growing. */
function maxGrownBytes(body: Buffer): number {
  let beyondAscii = 0
  let escapes = 0
  for (let at = 0; at < body.length; at++) {
    const byte = body[at] ?? 0
    if (byte >= 0x80) beyondAscii++
    else if (byte === BACKSLASH && body[at + 1] === LETTER_U) escapes++
  }
  return body.length + beyondAscii * (MAX_GROWTH_FACTOR - 1) + escapes * MAX_ESCAPE_GROWTH_BYTES
}
