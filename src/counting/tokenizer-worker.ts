// The tokenizer's thread: counts text as OpenAI's models do. Loaded when a call first needs it, since its tables are large.

import { parentPort } from 'node:worker_threads'
import { clearMergeCache, countTokens } from 'gpt-tokenizer/encoding/o200k_base'

export interface CountRequest {
  readonly id: number
  readonly text: string
}

export interface CountReply {
  readonly id: number
  readonly tokens: number
}

/**
 * Runs of one kind of character that the tokenizer does not cut: it takes time in the square of their length. They count a
 * token for every byte instead, which is the most they can be.
 */
const LONG_RUN = /[\p{L}\p{M}]{64,}|[^\s\p{L}\p{N}]{64,}|\s{64,}/gu

/** Special tokens in a text are text. */
const PLAIN_TEXT_OPTIONS = { disallowedSpecial: new Set<string>() }

/** Characters written as escapes are more tokens than their escapes, some of them. Others stay: what they stand for is less. */
const ESCAPE = /\\(?:u([0-9a-fA-F]{4})|.)/g

/** At most so many tokens of a JSON text: exactly, but for runs that nobody writes. */
export function tokenUpperBound(json: string): number {
  let runBytes = 0
  const text = json.replace(ESCAPE, (written, hex: string | undefined) =>
    hex === undefined ? written : String.fromCharCode(Number.parseInt(hex, 16)),
  )
  const rest = text.replace(LONG_RUN, (run) => {
    runBytes += Buffer.byteLength(run)
    return ' '
  })
  const tokens = countTokens(rest, PLAIN_TEXT_OPTIONS)
  // Otherwise it grows with whatever callers send.
  clearMergeCache()
  return tokens + runBytes
}

parentPort?.on('message', ({ id, text }: CountRequest) => {
  parentPort?.postMessage({ id, tokens: tokenUpperBound(text) } satisfies CountReply)
})
