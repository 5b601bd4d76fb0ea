// Anthropic fixtures: targets, bodies and the joined content of streams.

import type { ChatEvent, JsonObject, Part } from '../../../src/core/chat.ts'
import { isRecord } from '../../../src/core/json-values.ts'
import { usageOf } from '../../../src/core/usage.ts'
import { anthropicMessagesTranslator as anthropic } from '../../../src/translate/anthropic/translator.ts'
import type { RequestTarget, ResponseContext } from '../../../src/translate/translator.ts'
import { CONTEXT, lineTo } from '../../wire/samples.ts'

export const LINE = lineTo('/v1/messages')
/** A model that accepts both adaptive thinking and budgets. */
export const NEWER_MODEL = 'claude-opus-4-6'
export const targetFor = (model = NEWER_MODEL, usualCap = 4_096): RequestTarget => ({
  model,
  capField: 'max_tokens',
  defaultCap: usualCap,
})
export const ANSWER_CONTEXT: ResponseContext = { ...CONTEXT, model: 'asked', withUsage: true, asEvents: true }
export const USED = {
  usage: usageOf({ input: 7, cacheRead: 5, cacheWrite5m: 20, cacheWrite1h: 10, output: 40, webSearches: 2 }),
  reasoningTokens: 3,
}

export function objectOf(text: string): JsonObject {
  const value: unknown = JSON.parse(text)
  if (!isRecord(value)) throw new Error('no object')
  return value
}

/** The data of each event of a stream. */
export function eventsOf(stream: string): JsonObject[] {
  const lines = stream.split(/\r?\n/).filter((line) => line.startsWith('data:'))
  return lines.map((line) => objectOf(line.slice(5)))
}

export function readEvents(stream: string): ChatEvent[] {
  const reader = anthropic.createEventReader()
  return [...eventsOf(stream).flatMap((event) => reader.read(event)), ...reader.end()]
}

export function writeEvents(events: readonly ChatEvent[], context = ANSWER_CONTEXT): string {
  const writer = anthropic.createEventWriter(context)
  return events.map((event) => writer.write(event)).join('') + writer.end(USED)
}

/** The events of a stream with neighbouring pieces of the same kind joined. */
export function joinEvents(events: readonly ChatEvent[]): JsonObject[] {
  const pieces: { [name: string]: unknown; kind: string; text: string }[] = []
  for (const event of events) {
    const piece: JsonObject = { ...event }
    const last = pieces.at(-1)
    const text = typeof piece.text === 'string' ? piece.text : undefined
    if (text === undefined || last?.kind !== event.kind || last.call !== piece.call) {
      pieces.push({ ...piece, kind: event.kind, text: text ?? '' })
    } else last.text += text
  }
  return pieces
}

/** The parts without what only one dialect has. */
export function comparableParts(parts: readonly Part[]): JsonObject[] {
  return parts.flatMap((part): JsonObject[] => {
    if (part.kind === 'toolCall') {
      return [{ kind: part.kind, id: part.id, name: part.name, arguments: JSON.parse(part.arguments) }]
    }
    return part.kind === 'text' && part.text === '' ? [] : [{ ...part }]
  })
}

/** A body with one user message of these blocks. */
export function says(...content: object[]): { readonly messages: readonly object[] } {
  return { messages: [{ role: 'user', content }] }
}
