// The simulated provider's eyes: what of a request is pictures, sound or files, and how many tokens it takes for them.

import { isRecord } from '../../core/json-values.ts'

/** What one takes at most: its bytes say nothing of its size. */
export const MAX_MEDIA_TOKENS = 258
const BYTES_PER_TOKEN = 4
/** What stands beside base64 data in some dialect. */
const MEDIA_TYPE_FIELDS = ['media_type', 'mimeType', 'mime_type', 'format']

/** What a request takes in. @param asked its body, parsed */
export function inputTokens(bodyBytes: number, asked: unknown): number {
  let textBytes = bodyBytes
  let tokens = 0
  for (const { length } of mediaIn(asked)) {
    textBytes -= length
    tokens += Math.min(MAX_MEDIA_TOKENS, Math.ceil(length / BYTES_PER_TOKEN))
  }
  return Math.ceil(textBytes / BYTES_PER_TOKEN) + tokens
}

/** Data URLs, and base64 beside its type. */
function mediaIn(value: unknown): string[] {
  if (typeof value === 'string') return value.startsWith('data:') ? [value] : []
  if (Array.isArray(value)) return value.flatMap(mediaIn)
  if (!isRecord(value)) return []
  if (typeof value.data === 'string' && MEDIA_TYPE_FIELDS.some((name) => name in value)) return [value.data]
  return Object.values(value).flatMap(mediaIn)
}
