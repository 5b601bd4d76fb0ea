// The simulated provider's reading of requests: messages and caps, under the names of any chat dialect.

import { isRecord, recordOf } from '../../core/json-values.ts'
import type { RequestBody } from './answer-format.ts'

/** The cap of a request that sets none. */
const DEFAULT_CAP_TOKENS = 1_024

export function parseBody(body: Buffer): RequestBody {
  const value: unknown = JSON.parse(body.toString())
  return isRecord(value) ? value : {}
}

/** The output cap in tokens: the smallest of those that the request sets. */
export function capIn(request: RequestBody): number {
  const config = isRecord(request.generationConfig) ? request.generationConfig : {}
  const caps = [
    request.max_tokens,
    request.max_completion_tokens,
    request.max_output_tokens,
    config.maxOutputTokens,
  ].filter((cap) => typeof cap === 'number')
  return caps.length > 0 ? Math.min(...caps) : DEFAULT_CAP_TOKENS
}

/** The text of the last message, under any dialect's names. */
export function lastMessageText(request: RequestBody): string {
  for (const text of [request.prompt, request.input]) if (typeof text === 'string') return text
  return messageText(messagesIn(request).at(-1))
}

/** The instructions and all messages, as text. */
export function conversationText(request: RequestBody): string {
  const rules = [
    request.system,
    recordOf(request.systemInstruction ?? request.system_instruction).parts,
    request.instructions,
  ]
  return [...rules.map(textOf), ...messagesIn(request).map(messageText)].filter((text) => text !== '').join('\n')
}

function messagesIn(request: RequestBody): readonly unknown[] {
  return [request.messages, request.contents, request.input].find((list) => Array.isArray(list)) ?? []
}

function messageText(message: unknown): string {
  return isRecord(message) ? textOf(message.content ?? message.parts ?? message.output) : ''
}

/** The results of tools count as text, too. */
function textOf(content: unknown): string {
  if (typeof content === 'string') return content
  if (Array.isArray(content))
    return content
      .map(textOf)
      .filter((text) => text !== '')
      .join(' ')
  if (!isRecord(content)) return ''
  if (typeof content.text === 'string') return content.text
  if (content.type === 'tool_result') return textOf(content.content)
  return isRecord(content.functionResponse) ? JSON.stringify(content.functionResponse.response ?? {}) : ''
}
