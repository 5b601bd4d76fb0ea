// Tool use's conversation: what the answer with pending calls hands out, and the next request hands back. It has been with
// the caller, so it is checked like anything else.

import { z } from 'zod'
import type { ChatMessage, JsonObject, Part, ToolResultPart } from '../../core/chat.ts'

const MAX_MESSAGES = 200
const MAX_PARTS = 100
const MAX_TEXT_CHARACTERS = 200_000
const MAX_CONVERSATION_CHARACTERS = 1_000_000

const wordsShape = z.string().max(MAX_TEXT_CHARACTERS)
const idShape = z.string().min(1).max(256)
const textShape = z.strictObject({ kind: z.literal('text'), text: wordsShape })

const partShape = z.discriminatedUnion('kind', [
  textShape,
  z.strictObject({ kind: z.literal('refusal'), text: wordsShape }),
  z.strictObject({
    kind: z.literal('reasoning'),
    text: wordsShape,
    signature: wordsShape.exactOptional(),
    redacted: wordsShape.exactOptional(),
    signed_in: z.string().max(64).exactOptional(),
  }),
  z.strictObject({
    kind: z.literal('tool_call'),
    id: idShape,
    name: z.string().min(1).max(256),
    arguments: wordsShape.min(1),
    signature: wordsShape.exactOptional(),
  }),
  z.strictObject({
    kind: z.literal('tool_result'),
    call_id: idShape,
    name: z.string().min(1).max(256),
    parts: z.array(textShape).max(1),
    failed: z.boolean(),
  }),
])

export const conversationShape = z
  .array(z.strictObject({ role: z.enum(['user', 'assistant']), parts: z.array(partShape).min(1).max(MAX_PARTS) }))
  .min(2)
  .max(MAX_MESSAGES)
  .refine((messages) => JSON.stringify(messages).length <= MAX_CONVERSATION_CHARACTERS, 'is too long in all')
  .transform((messages) => messages.map(({ role, parts }) => ({ role, parts: parts.map(partOf) })))

type PartJson = z.input<typeof partShape>

/** A part from its JSON, whose names are snake_case. */
function partOf(part: PartJson): Part {
  if (part.kind === 'tool_call') return { ...part, kind: 'toolCall' }
  if (part.kind === 'tool_result') {
    const { call_id, ...result } = part
    return { ...result, kind: 'toolResult', callId: call_id }
  }
  if (part.kind !== 'reasoning') return part
  const { signed_in, ...reasoning } = part
  return signed_in === undefined ? reasoning : { ...reasoning, signedIn: signed_in }
}

/** The conversation as the caller gets it, and hands it back. */
export function conversationJson(messages: readonly ChatMessage[]): JsonObject[] {
  return messages.map(({ role, parts }) => ({ role, parts: parts.map(partJson) }))
}

function partJson(part: Part): JsonObject {
  if (part.kind === 'toolCall') return { ...part, kind: 'tool_call' }
  if (part.kind === 'toolResult') {
    const { callId, ...result } = part
    return { ...result, kind: 'tool_result', call_id: callId }
  }
  if (part.kind !== 'reasoning') return { ...part }
  const { signedIn, ...reasoning } = part
  return signedIn === undefined ? reasoning : { ...reasoning, signed_in: signedIn }
}

export const resultsShape = z
  .array(z.strictObject({ call_id: idShape, output: wordsShape, failed: z.boolean().exactOptional() }))
  .min(1)
  .max(MAX_PARTS)

type Conversation = z.output<typeof conversationShape>
type Results = z.output<typeof resultsShape>

/** What is wrong with the two together: a conversation whose calls are not answered each, and each once. */
export function findMistake(
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
export function appendResults(messages: Conversation, given: Results): ChatMessage[] {
  const names = new Map(messages.flatMap(({ parts }) => parts).flatMap((part) => toolNameEntries(part)))
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

function toolNameEntries(part: Part): [string, string][] {
  return part.kind === 'toolCall' ? [[part.id, part.name]] : []
}
