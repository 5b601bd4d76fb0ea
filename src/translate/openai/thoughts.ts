// OpenAI thoughts: the fields in which servers send a model's thoughts, for messages and responses.

import type { JsonObject, ReasoningPart } from '../../core/chat.ts'
import { isRecord } from '../../core/json-values.ts'

export const REASONING_FIELDS = ['reasoning_content', 'reasoning'] as const
/** Signed thoughts travel as `thinking_blocks`, LiteLLM's field for those of Anthropic's models. No other signature has a field. */
export const THINKING_DIALECT = 'anthropic.messages'

/** The part of a content that holds thoughts, as Mistral sends them. */
export function thinkingPart(text: string): JsonObject {
  return { type: 'thinking', thinking: [{ type: 'text', text }] }
}

/** The text of a string, or of all text parts of an array. */
export function joinText(content: unknown): string {
  if (typeof content === 'string') return content
  if (!Array.isArray(content)) return ''
  return content.map((part: unknown) => (isRecord(part) && typeof part.text === 'string' ? part.text : '')).join('')
}

/** Reads LiteLLM's `thinking_blocks`: thoughts of Anthropic's models with their signatures. Blocks of other types are left out. */
export function readThinkingBlocks(blocks: unknown): ReasoningPart[] {
  if (!Array.isArray(blocks)) return []
  return blocks.flatMap((block: unknown): ReasoningPart[] => {
    if (!isRecord(block)) return []
    const { type, thinking, signature, data } = block
    if (type === 'redacted_thinking' && typeof data === 'string' && data !== '')
      return [{ kind: 'reasoning', text: '', redacted: data, signedIn: THINKING_DIALECT }]
    if (type !== 'thinking' || typeof thinking !== 'string') return []
    if (typeof signature !== 'string' || signature === '') return [{ kind: 'reasoning', text: thinking }]
    return [{ kind: 'reasoning', text: thinking, signature, signedIn: THINKING_DIALECT }]
  })
}

export function writeThinkingBlock({ text, signature, redacted }: ReasoningPart): JsonObject {
  if (redacted !== undefined) return { type: 'redacted_thinking', data: redacted }
  return { type: 'thinking', thinking: text, ...(signature !== undefined && { signature }) }
}

/** Whether the thoughts carry a signature that `thinking_blocks` can hold. */
export function isThinkingBlock({ signature, redacted, signedIn }: ReasoningPart): boolean {
  return signedIn === THINKING_DIALECT && (signature !== undefined || redacted !== undefined)
}
