// Text bound: how many bytes a body's text can be once the provider has normalised it.

import { isAscii } from 'node:buffer'

/** The most that compatibility normalisation grows UTF-8 text: U+FDFA, 3 bytes to 33. Checked over all code points. */
const MOST_GROWTH = 11
/** Longer texts are bounded by `MOST_GROWTH` without being normalised: that takes time in proportion to what a caller sends. */
const MOST_NORMALISED_BYTES = 262_144

const UNICODE_ESCAPE = Buffer.from('\\u')

/**
 * Bytes of `body` after NFKC, at most. Tokenizers that normalise first (Anthropic's and Google's do) can see more text than
 * was sent; text in plain ASCII does not grow.
 */
export function normalisedBytes(body: Buffer): number {
  const escaped = body.includes(UNICODE_ESCAPE)
  if (!escaped && isAscii(body)) return body.length
  if (body.length > MOST_NORMALISED_BYTES) return body.length * MOST_GROWTH
  const text = body.toString()
  const decoded = escaped
    ? text.replace(/\\u([0-9a-fA-F]{4})/g, (_, hex) => String.fromCharCode(Number.parseInt(hex, 16)))
    : text
  return Math.max(body.length, Buffer.byteLength(decoded.normalize('NFKC')))
}
