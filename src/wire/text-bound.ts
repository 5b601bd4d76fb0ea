// Text bound: how many bytes a body's text can have after the provider has normalised it.

import { isAscii } from 'node:buffer'

/** How much compatibility normalisation can lengthen UTF-8 text: U+FDFA, 3 bytes to 33. Checked over all code points. */
const MAX_GROWTH_FACTOR = 11
/** The same for that character as an escape, 6 bytes to 33. */
const MAX_ESCAPE_GROWTH_BYTES = 27
/** Longer texts are bounded without being normalised, which would take time in proportion to what a caller sends. */
const MAX_NORMALISED_BYTES = 262_144

const UNICODE_ESCAPE = Buffer.from('\\u')
const BACKSLASH = 0x5c
const LETTER_U = 0x75

/**
 * The most bytes that `body` can have after NFKC. Tokenizers that normalise first (Anthropic's and Google's do) can see more
 * text than was sent; plain ASCII does not grow.
 */
export function maxNormalisedBytes(body: Buffer): number {
  const escaped = body.includes(UNICODE_ESCAPE)
  if (!escaped && isAscii(body)) return body.length
  if (body.length > MAX_NORMALISED_BYTES) return maxGrownBytes(body)
  return Math.max(body.length, Buffer.byteLength(body.toString().replace(ESCAPE, decodeEscape).normalize('NFKC')))
}

const ESCAPE = /\\(?:u([0-9a-fA-F]{4})|.)/g

/** Short escapes become as many spaces: the next character must not combine with their letter. */
function decodeEscape(_escape: string, hex: string | undefined): string {
  return hex === undefined ? '  ' : String.fromCharCode(Number.parseInt(hex, 16))
}

/** Most of a long body is media in base64, which is ASCII: only what can grow is counted as growing. */
function maxGrownBytes(body: Buffer): number {
  let beyondAscii = 0
  let escapes = 0
  for (let index = 0; index < body.length; index++) {
    const byte = body[index] ?? 0
    if (byte >= 0x80) beyondAscii++
    else if (byte === BACKSLASH && body[index + 1] === LETTER_U) escapes++
  }
  return body.length + beyondAscii * (MAX_GROWTH_FACTOR - 1) + escapes * MAX_ESCAPE_GROWTH_BYTES
}
