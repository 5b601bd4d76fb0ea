// Token counts: reads a provider's answer to a request for the number of a call's input tokens.

import { isRecord } from '../core/json-values.ts'

/** The count in an answer of Anthropic's or Gemini's; undefined if there is none. Never throws. */
export function parseTokenCount(answer: Buffer): number | undefined {
  try {
    const value: unknown = JSON.parse(answer.toString())
    const tokens = isRecord(value) ? (value.input_tokens ?? value.totalTokens) : undefined
    return Number.isSafeInteger(tokens) && typeof tokens === 'number' && tokens >= 0 ? tokens : undefined
  } catch {
    return undefined
  }
}
