// Token counts: reads a provider's answer to a request for the number of a call's input tokens.

import { isRecord } from '../core/json-values.ts'

/** A count of input tokens. */
export interface TokenCount {
  readonly tokens: number
  /** Those of `tokens` that the answer does not list as text or sound: images, pages and film. All of them if it lists nothing. */
  readonly visualTokens: number
}

/** Modalities whose tokens do not depend on a resolution. */
const STEADY_MODALITIES: ReadonlySet<unknown> = new Set(['TEXT', 'AUDIO'])

/** The count in an answer of Anthropic's or Gemini's; undefined if there is none, or none that can be true. Never throws. */
export function parseTokenCount(answer: Buffer): TokenCount | undefined {
  try {
    const value: unknown = JSON.parse(answer.toString())
    if (!isRecord(value)) return undefined
    const {
      input_tokens: anthropicTokens,
      context_management: edits,
      totalTokens,
      promptTokensDetails: details,
    } = value
    const reported = anthropicTokens ?? totalTokens
    // Every call has some input: a count of nothing is one of a file that was not read.
    if (!isCount(reported) || reported === 0) return undefined
    // Edits of the context leave input out. If the provider does not make them after all, the call has the original input.
    const original = isRecord(edits) ? edits.original_input_tokens : undefined
    const tokens = isCount(original) ? Math.max(reported, original) : reported
    return { tokens, visualTokens: Math.max(0, tokens - steadyTokens(details)) }
  } catch {
    return undefined
  }
}

function steadyTokens(details: unknown): number {
  let sum = 0
  for (const detail of Array.isArray(details) ? details : [])
    if (isRecord(detail) && STEADY_MODALITIES.has(detail.modality) && isCount(detail.tokenCount))
      sum += detail.tokenCount
  return sum
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && Number(value) >= 0
}
