// Cache options: how long a request of OpenAI asks the cache to keep what is written.

import type { JsonCursor } from '../json/cursor.ts'
import { ObjectReader } from '../json/object-reader.ts'
import type { RequestDraft } from '../request-reader.ts'

const CACHE = new ObjectReader<RequestDraft>({
  ttl(json, draft) {
    if (json.stringOrNull() === '12h') draft.cacheWrite = '12h'
  },
})

/** Half an hour, or twelve of them. */
export function readCacheLifetime(json: JsonCursor, draft: RequestDraft): void {
  CACHE.readIfObject(json, draft)
}
