// The tokenizer's thread: counts text as OpenAI's models do. It starts when a call first needs it, because its tables are large.

import { parentPort } from 'node:worker_threads'
import { clearMergeCache, countTokens } from 'gpt-tokenizer/encoding/o200k_base'

/** A text to count. Replies come in the same order. */
export interface CountRequest {
  readonly id: number
  readonly text: string
}

/** The upper bound on the tokens of the text with this id. */
export interface CountReply {
  readonly id: number
  readonly tokens: number
}

/**
 * Long runs of one kind of character. The tokenizer does not split them, so its time grows with the square of their length.
 * They count one token per byte instead, which is their upper bound.
 */
const LONG_RUN = /[\p{L}\p{M}]{64,}|[^\s\p{L}\p{N}]{64,}|\s{64,}/gu

/** The names of special tokens count as plain text. */
const PLAIN_TEXT_OPTIONS = { disallowedSpecial: new Set<string>() }

/**
 * Escapes by code point, such as `\u00e9`, are decoded, because the character can take more tokens than its escape. Short escapes,
 * such as `\n`, stay as they are written, because their characters cannot.
 */
const ESCAPE = /\\(?:u([0-9a-fA-F]{4})|.)/g

/** An upper bound on the tokens of a JSON text: exact unless the text contains long runs. */
export function tokenUpperBound(json: string): number {
  let runBytes = 0
  const text = json.replace(ESCAPE, (written, hex: string | undefined) =>
    hex === undefined ? written : String.fromCharCode(Number.parseInt(hex, 16)),
  )
  const textWithoutRuns = text.replace(LONG_RUN, (run) => {
    runBytes += Buffer.byteLength(run)
    return ' '
  })
  const tokens = countTokens(textWithoutRuns, PLAIN_TEXT_OPTIONS)
  // Without this the cache grows with every text that callers send.
  clearMergeCache()
  return tokens + runBytes
}

parentPort?.on('message', ({ id, text }: CountRequest) => {
  parentPort?.postMessage({ id, tokens: tokenUpperBound(text) } satisfies CountReply)
})
