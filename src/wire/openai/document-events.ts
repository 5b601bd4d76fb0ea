// OpenAI document events: a whole completion as the chunks of a stream, with all of its fields.

import { isRecord, recordOf } from '../../core/json-values.ts'

type JsonObject = Readonly<Record<string, unknown>>

/** @param withUsage true: the caller requested a chunk with the usage */
export function chatDocumentEvents(document: JsonObject, withUsage: boolean): string {
  const { choices, usage, ...rest } = document
  const head = { ...rest, object: 'chat.completion.chunk' }
  const events: JsonObject[] = []
  for (const choice of Array.isArray(choices) ? choices.filter(isRecord) : []) {
    const { message, finish_reason: finish = null, index = 0, ...fields } = choice
    const delta = { role: 'assistant', ...recordOf(message), ...indexedCalls(recordOf(message).tool_calls) }
    events.push({ ...head, choices: [{ ...fields, index, delta, finish_reason: null }] })
    events.push({ ...head, choices: [{ index, delta: {}, finish_reason: finish }] })
  }
  if (withUsage && isRecord(usage)) events.push({ ...head, choices: [], usage })
  return `${events.map((event) => `data: ${JSON.stringify(event)}\n\n`).join('')}data: [DONE]\n\n`
}

/** A chunk of the older endpoint has the form of its document. @param withUsage true: the caller requested the usage */
export function completionDocumentEvents({ usage, ...rest }: JsonObject, withUsage: boolean): string {
  const chunks = [rest, ...(withUsage && isRecord(usage) ? [{ ...rest, choices: [], usage }] : [])]
  return `${chunks.map((chunk) => `data: ${JSON.stringify(chunk)}\n\n`).join('')}data: [DONE]\n\n`
}

/** In a stream each call has its index. */
function indexedCalls(calls: unknown): JsonObject {
  return Array.isArray(calls) ? { tool_calls: calls.map((call, index) => ({ index, ...recordOf(call) })) } : {}
}
