// Cache options: how long a chat completion or a response asks the cache to keep what is written.

import type { JsonCursor } from '../json/cursor.ts'
import { ObjectReader } from '../json/object-reader.ts'
import type { RequestDraft } from '../request-reader.ts'

const CACHE = new ObjectReader<RequestDraft>({
  ttl(json, draft) {
    const lifetime = json.stringOrNull()
    if (lifetime === '12h' || (lifetime === '1h' && draft.cacheWrite !== '12h')) draft.cacheWrite = lifetime
  },
})

/** Half an hour or twelve hours at OpenAI; an hour for Claude behind a server that speaks OpenAI's API. */
export function readCacheLifetime(json: JsonCursor, draft: RequestDraft): void {
  CACHE.readIfObject(json, draft)
}
