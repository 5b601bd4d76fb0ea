// Grounding: what an answer of Gemini's says that Google looked up for it, and the units that this is billed by.

import { modelNameOf } from '../../core/model-name.ts'
import type { UnitsByClass } from '../../core/usage.ts'
import type { JsonCursor } from '../json/cursor.ts'
import { eachObject, handlersFor, ObjectReader } from '../json/object-reader.ts'

/** What an answer says that Google looked up for it. Searches are billed by the query, or by the prompt that makes any. */
export interface Grounding {
  /** Of the web, for pages and for pictures; of maps, if the answer has places and no pages. */
  readonly queries: Set<string>
  usesMaps: boolean
  usesWeb: boolean
  /** Searches in a data store of the caller's, which Vertex AI bills. */
  usesStore: boolean
  /** Pages that the caller names, which are listed like pages that were found. */
  readsPages: boolean
}

export function newGrounding(): Grounding {
  return { queries: new Set(), usesMaps: false, usesWeb: false, usesStore: false, readsPages: false }
}

/** Queries beyond this number are not counted. */
const MAX_QUERIES = 1_000

export const GROUNDING = new ObjectReader<Grounding>({
  ...handlersFor(['webSearchQueries', 'imageSearchQueries'], (json, grounding: Grounding) => {
    eachText(json, (query) => {
      if (grounding.queries.size < MAX_QUERIES) grounding.queries.add(query)
    })
  }),
  retrievalQueries(json, grounding) {
    eachText(json, () => {
      grounding.usesStore = true
    })
  },
  groundingChunks(json, grounding) {
    eachObject(json, readGroundingChunk, grounding)
  },
  googleMapsWidgetContextToken(json, grounding) {
    if (!json.isNull()) grounding.usesMaps = true
    json.skipValue()
  },
})

/** Calls `take` with each text of a list that is not empty. */
function eachText(json: JsonCursor, take: (text: string) => void): void {
  if (!json.isArray()) return json.skipValue()
  json.enterArray()
  while (json.nextElement()) {
    const text = json.stringOrNull()
    if (text !== null && text !== '') take(text)
  }
}

const GROUNDING_CHUNK = new ObjectReader<Grounding>({
  maps(json, grounding) {
    if (json.isObject()) grounding.usesMaps = true
    json.skipValue()
  },
  ...handlersFor(['web', 'image'], (json, grounding: Grounding) => {
    if (json.isObject()) grounding.usesWeb = true
    json.skipValue()
  }),
})

function readGroundingChunk(json: JsonCursor, grounding: Grounding): void {
  GROUNDING_CHUNK.read(json, grounding)
}

/**
 * Queries belong to the web unless the answer has places and no pages. Before Gemini 3, a prompt that searches is billed once,
 * whatever it searches for. Pages that were found without a query that is named took one.
 */
export function lookupsIn(
  { queries, usesMaps, usesWeb, readsPages }: Grounding,
  model: string | null,
  requestedModel: string | null,
): UnitsByClass {
  const billed = isBilledByPrompt(model, requestedModel) ? Math.min(queries.size, 1) : queries.size
  if (usesMaps && !usesWeb) return { mapsQueries: Math.max(billed, 1) }
  const least = usesWeb && !readsPages ? 1 : 0
  return { webSearches: Math.max(billed, least), mapsQueries: usesMaps ? 1 : 0 }
}

/** The requested model counts if the answer names none of Gemini's versions. */
function isBilledByPrompt(model: string | null, requestedModel: string | null): boolean {
  const [answered, requested] = [model, requestedModel].map((name) => modelNameOf('gemini', name ?? '').model)
  const version = /^gemini-\d/.test(answered ?? '') ? answered : requested
  return /^gemini-[12]\./.test(version ?? '')
}
