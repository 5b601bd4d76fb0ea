// Conversation of the pattern tool use: a response with pending calls returns it, and the next request sends it back. The caller
// can have changed it, so it is checked like any other input.

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
  .refine(
    (messages) => JSON.stringify(messages).length <= MAX_CONVERSATION_CHARACTERS,
    `must have at most ${MAX_CONVERSATION_CHARACTERS} characters in total`,
  )
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

type Mistake = readonly [field: string, problem: string]

/** The first mistake in a conversation with its results: every call has to be answered, and only once. Undefined if there is none. */
export function findMistake(messages: Conversation | undefined, results: Results | undefined): Mistake | undefined {
  if (messages === undefined)
    return results === undefined
      ? undefined
      : ['conversation', 'is missing: results need the conversation of their calls']
  if (messages[0]?.role !== 'user') return ['conversation[0].role', 'must be user']
  const pendingIds = new Set<string>()
  return (
    findMessageMistake(messages, pendingIds) ??
    findEndMistake(messages, pendingIds) ??
    findResultMistake(results ?? [], pendingIds)
  )
}

/** Leaves the ids of the calls without a result in `pendingIds`. */
function findMessageMistake(messages: Conversation, pendingIds: Set<string>): Mistake | undefined {
  const usedIds = new Set<string>()
  for (const [index, { role, parts }] of messages.entries()) {
    if (role === 'assistant' && pendingIds.size > 0)
      return [`conversation[${index}]`, 'must come after the results of earlier calls']
    for (const [partIndex, part] of parts.entries()) {
      const problem = problemOf(role, part, pendingIds, usedIds)
      if (problem !== undefined) return [`conversation[${index}].parts[${partIndex}]`, problem]
    }
  }
  return undefined
}

function findEndMistake(messages: Conversation, pendingIds: ReadonlySet<string>): Mistake | undefined {
  const last = messages.length - 1
  const lastAssistant = messages.findLastIndex(({ role }) => role === 'assistant')
  if (last - lastAssistant > 1)
    return [`conversation[${lastAssistant + 2}]`, "must be left out: the next message is the model's"]
  if (last === lastAssistant && pendingIds.size === 0)
    return ['conversation', 'must end with pending calls or their results']
  return undefined
}

function findResultMistake(results: Results, pendingIds: Set<string>): Mistake | undefined {
  for (const [index, { call_id }] of results.entries())
    if (!pendingIds.delete(call_id)) return [`results[${index}].call_id`, 'must be the id of a pending call']
  return pendingIds.size > 0 ? ['results', `must answer the pending call ${[...pendingIds][0]}`] : undefined
}

/** What is wrong with a part; undefined if nothing is. Updates the ids of pending and of all calls. */
function problemOf(role: string, part: Part, pendingIds: Set<string>, usedIds: Set<string>): string | undefined {
  if (role === 'user' && part.kind !== 'text' && part.kind !== 'toolResult')
    return "must be text or a tool result, since the message is the user's"
  if (role === 'assistant' && part.kind === 'toolResult') return 'must be in a user message'
  if (part.kind === 'toolResult') return pendingIds.delete(part.callId) ? undefined : 'must answer a pending call'
  if (part.kind !== 'toolCall') return undefined
  if (usedIds.has(part.id)) return 'is a call with a duplicated id'
  pendingIds.add(part.id)
  usedIds.add(part.id)
  return undefined
}

/** The conversation with the results added. All results go into one message. */
export function appendResults(messages: Conversation, results: Results): ChatMessage[] {
  const names = new Map(messages.flatMap(({ parts }) => parts).flatMap((part) => toolNameEntries(part)))
  const added = results.map(
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
