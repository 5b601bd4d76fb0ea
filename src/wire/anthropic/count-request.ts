// Count request: the request for Anthropic's count of a message's input tokens.

import type { CountRequest } from '../dialect.ts'
import { JsonCursor } from '../json/cursor.ts'
import { handlersFor, ObjectReader } from '../json/object-reader.ts'

/** The fields that Anthropic counts. It refuses all others. */
const COUNTED_FIELDS = [
  'messages',
  'system',
  'tools',
  'tool_choice',
  'thinking',
  'output_config',
  'output_format',
  'context_management',
]
/** Fields that add no input. With a field of neither list, a count would not be of the whole call. */
const UNCOUNTED_FIELDS = [
  'model',
  'max_tokens',
  'stream',
  'temperature',
  'top_p',
  'top_k',
  'stop_sequences',
  'metadata',
  'service_tier',
  'speed',
  'inference_geo',
  'cache_control',
]

interface CountDraft {
  readonly body: Buffer
  readonly parts: Buffer[]
  knownMembers: number
}

const BODY = new ObjectReader<CountDraft>({
  ...handlersFor<CountDraft, undefined>(COUNTED_FIELDS, (json, draft, _context, name) => {
    draft.knownMembers++
    const { start, end } = json.range()
    draft.parts.push(Buffer.from(`,"${name}":`), draft.body.subarray(start, end))
  }),
  ...handlersFor<CountDraft, undefined>(UNCOUNTED_FIELDS, (json, draft) => {
    draft.knownMembers++
    json.skipValue()
  }),
})

/** Undefined if the call cannot be counted whole. @param model as the provider names it */
export function anthropicCountRequest(body: Buffer, model: string): CountRequest | undefined {
  const draft: CountDraft = { body, parts: [Buffer.from(`{"model":${JSON.stringify(model)}`)], knownMembers: 0 }
  const members = BODY.read(new JsonCursor(body), draft)
  if (draft.knownMembers < members) return undefined
  return {
    dialect: 'anthropic.countTokens',
    path: '/v1/messages/count_tokens',
    body: Buffer.concat([...draft.parts, Buffer.from('}')]),
  }
}
