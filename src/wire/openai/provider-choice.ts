// Provider choice: OpenRouter's `provider`, by which a caller chooses among the providers that serve a model. Their prices differ, and
// the price list has one: a choice that can lead to a dearer one makes the cost of a call unbounded.

import type { JsonCursor } from '../json/cursor.ts'
import { handlersFor, lengthOf, ObjectReader } from '../json/object-reader.ts'
import { markUnbounded, type RequestDraft } from '../request-reader.ts'

/** How many fields of the object choose nothing. */
interface Choice {
  idle: number
}

/** Fields that lead to no dearer provider than none would. */
const BOUNDING_FIELDS = ['allow_fallbacks', 'max_price']

const CHOOSING_FIELDS = [
  'order',
  'only',
  'ignore',
  'quantizations',
  'require_parameters',
  'data_collection',
  'zdr',
  'enforce_distillable_text',
  'preferred_min_throughput',
  'preferred_max_latency',
]

/** Values that choose nothing. */
const IDLE_VALUES: ReadonlySet<string> = new Set(['null', 'false', '[]', '"allow"'])
const MAX_IDLE_BYTES = 7

const SORT = new ObjectReader<Choice>({
  by: readSort,
})

const CHOICE = new ObjectReader<Choice>({
  sort(json, choice) {
    if (json.isObject()) SORT.read(json, choice)
    else readSort(json, choice)
  },
  ...handlersFor(BOUNDING_FIELDS, (json: JsonCursor, choice: Choice) => {
    choice.idle++
    json.skipValue()
  }),
  ...handlersFor(CHOOSING_FIELDS, (json: JsonCursor, choice: Choice) => {
    const range = json.range()
    if (lengthOf(range) <= MAX_IDLE_BYTES && IDLE_VALUES.has(json.text(range))) choice.idle++
  }),
})

/** The cheapest provider first, as the price list has it. */
function readSort(json: JsonCursor, choice: Choice): void {
  const isNull = json.isNull()
  if (json.stringOrNull() === 'price' || isNull) choice.idle++
}

/** A field that is not known here counts as a choice. */
export function readProviderChoice(json: JsonCursor, draft: RequestDraft, _layout: unknown, name: string): void {
  if (json.isNull()) json.skipValue()
  else if (json.isObject()) {
    const choice = { idle: 0 }
    if (CHOICE.read(json, choice) > choice.idle) markUnbounded(draft, name)
  } else {
    markUnbounded(draft, name)
    json.skipValue()
  }
}
