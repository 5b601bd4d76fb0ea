// The simulated provider's count of input: text by its bytes; images, audio and files by their own.

import { isRecord } from '../../core/json-values.ts'

/** The most tokens that one image, sound or file takes. */
export const MAX_MEDIA_TOKENS = 258
const BYTES_PER_TOKEN = 4
/** The fields that stand beside base64 data in some dialect. */
const MEDIA_TYPE_FIELDS = ['media_type', 'mimeType', 'mime_type', 'format']

/** How many tokens a request takes in. @param request its body, parsed */
export function inputTokens(bodyBytes: number, request: unknown): number {
  let textBytes = bodyBytes
  let tokens = 0
  for (const { length } of mediaIn(request)) {
    textBytes -= length
    tokens += Math.min(MAX_MEDIA_TOKENS, Math.ceil(length / BYTES_PER_TOKEN))
  }
  return Math.ceil(textBytes / BYTES_PER_TOKEN) + tokens
}

/** All data URLs, and all base64 that stands beside its type. */
function mediaIn(value: unknown): string[] {
  if (typeof value === 'string') return value.startsWith('data:') ? [value] : []
  if (Array.isArray(value)) return value.flatMap(mediaIn)
  if (!isRecord(value)) return []
  if (typeof value.data === 'string' && MEDIA_TYPE_FIELDS.some((name) => name in value)) return [value.data]
  return Object.values(value).flatMap(mediaIn)
}
