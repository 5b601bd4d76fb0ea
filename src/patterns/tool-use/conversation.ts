// Tool use's conversation: what the answer with pending calls hands out, and the next request hands back. It has been with
// the caller, so it is checked like anything else.

import { z } from 'zod'
import type { NeutralMessage, Part, ToolResultPart } from '../../core/chat.ts'

const MOST_MESSAGES = 200
const MOST_PARTS = 100
const MOST_CHARACTERS = 200_000
const MOST_CHARACTERS_IN_ALL = 1_000_000

const words = z.string().max(MOST_CHARACTERS)
const id = z.string().min(1).max(256)
const text = z.strictObject({ kind: z.literal('text'), text: words })

const part = z.discriminatedUnion('kind', [
  text,
  z.strictObject({ kind: z.literal('refusal'), text: words }),
  z.strictObject({
    kind: z.literal('reasoning'),
    text: words,
    signature: words.exactOptional(),
    redacted: words.exactOptional(),
    signedIn: z.string().max(64).exactOptional(),
  }),
  z.strictObject({
    kind: z.literal('toolCall'),
    id,
    name: z.string().min(1).max(256),
    arguments: words.min(1),
    signature: words.exactOptional(),
  }),
  z.strictObject({
    kind: z.literal('toolResult'),
    callId: id,
    name: z.string().min(1).max(256),
    parts: z.array(text).max(1),
    failed: z.boolean(),
  }),
])

export const conversation = z
  .array(z.strictObject({ role: z.enum(['user', 'assistant']), parts: z.array(part).min(1).max(MOST_PARTS) }))
  .min(2)
  .max(MOST_MESSAGES)
  .refine((messages) => JSON.stringify(messages).length <= MOST_CHARACTERS_IN_ALL, 'is too long in all')

export const results = z
  .array(z.strictObject({ call_id: id, output: words, failed: z.boolean().exactOptional() }))
  .min(1)
  .max(MOST_PARTS)

type Conversation = z.output<typeof conversation>
type Results = z.output<typeof results>

/** What is wrong with the two together: a conversation whose calls are not answered each, and each once. */
export function mistakeIn(
  messages: Conversation | undefined,
  given: Results | undefined,
): readonly [field: string, problem: string] | undefined {
  if (messages === undefined)
    return given === undefined ? undefined : ['conversation', 'is missing: results belong to one']
  if (messages[0]?.role !== 'user') return ['conversation[0].role', 'must be user']
  const open = new Set<string>()
  const seen = new Set<string>()
  const last = messages.findLastIndex(({ role }) => role === 'assistant')
  for (const [at, { role, parts }] of messages.entries()) {
    if (role === 'assistant' && open.size > 0)
      return [`conversation[${at}]`, 'comes before the results of earlier calls']
    for (const [place, part] of parts.entries()) {
      const problem = problemOf(role, part, open, seen)
      if (problem !== undefined) return [`conversation[${at}].parts[${place}]`, problem]
    }
  }
  if (messages.length - 1 - last > 1) return [`conversation[${last + 2}]`, 'must not be there: the model comes next']
  if (messages.length - 1 === last && open.size === 0) return ['conversation', 'has no pending calls']
  for (const [at, { call_id }] of (given ?? []).entries())
    if (!open.delete(call_id)) return [`results[${at}].call_id`, 'is no pending call']
  return open.size > 0 ? ['results', `must answer the call ${[...open][0]}`] : undefined
}

/** Notes the calls a part makes and answers. */
function problemOf(role: string, part: Part, open: Set<string>, seen: Set<string>): string | undefined {
  if (role === 'user' && part.kind !== 'text' && part.kind !== 'toolResult') return 'cannot be part of a user message'
  if (role === 'assistant' && part.kind === 'toolResult') return 'must be part of a user message'
  if (part.kind === 'toolResult') return open.delete(part.callId) ? undefined : 'answers no call'
  if (part.kind !== 'toolCall') return undefined
  if (seen.has(part.id)) return 'is a call whose id was used before'
  open.add(part.id)
  seen.add(part.id)
  return undefined
}

/** The conversation with the results in it: all those of one answer in one message. */
export function answered(messages: Conversation, given: Results): NeutralMessage[] {
  const names = new Map(messages.flatMap(({ parts }) => parts).flatMap((part) => named(part)))
  const added = given.map(
    ({ call_id, output, failed = false }): ToolResultPart => ({
      kind: 'toolResult',
      callId: call_id,
      name: names.get(call_id) ?? '',
      parts: [{ kind: 'text', text: output }],
      failed,
    }),
  )
  const last = messages.at(-1)
  if (added.length === 0) return messages
  if (last?.role !== 'user') return [...messages, { role: 'user', parts: added }]
  return [...messages.slice(0, -1), { role: 'user', parts: [...added, ...last.parts] }]
}

function named(part: Part): [string, string][] {
  return part.kind === 'toolCall' ? [[part.id, part.name]] : []
}
