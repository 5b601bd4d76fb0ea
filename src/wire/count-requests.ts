// Count requests: the request that asks a provider how many tokens a call would take in, made from the call's own body.

import { eachField, isRecord } from './draft.ts'
import { inserted, spliced } from './edit.ts'
import { Fields, JsonCursor } from './json.ts'

/** A count as its provider wants to be asked for it. */
export interface CountRequest {
  readonly dialect: string
  /** Relative to the provider's base URL. */
  readonly path: string
  readonly body: Buffer
}

/** What Anthropic counts; other fields are refused. */
const ANTHROPIC = new Fields('messages', 'system', 'tools', 'tool_choice', 'thinking')
const NO_FIELDS = new Fields()

/** Undefined for dialects whose providers do not count. @param model as the provider names it */
export function countRequestFor(dialect: string, body: Buffer, model: string): CountRequest | undefined {
  if (dialect === 'anthropic.messages') {
    const path = '/v1/messages/count_tokens'
    return { dialect: 'anthropic.countTokens', path, body: anthropicCount(body, model) }
  }
  if (dialect === 'gemini.generateContent') {
    const path = `/v1beta/models/${encodeURIComponent(model)}:countTokens`
    return { dialect: 'gemini.countTokens', path, body: geminiCount(body, model) }
  }
  return undefined
}

function anthropicCount(body: Buffer, model: string): Buffer {
  const json = new JsonCursor(body)
  const parts: Buffer[] = [Buffer.from(`{"model":${JSON.stringify(model)}`)]
  eachField(json, ANTHROPIC, (field) => {
    const { start, end } = json.skip()
    parts.push(Buffer.from(`,"${ANTHROPIC.names[field]}":`), body.subarray(start, end))
  })
  return Buffer.concat([...parts, Buffer.from('}')])
}

function geminiCount(body: Buffer, model: string): Buffer {
  const json = new JsonCursor(body)
  const opened = json.position + 1
  const members = eachField(json, NO_FIELDS, () => {})
  const request = spliced(body, [inserted(opened, `"model":${JSON.stringify(`models/${model}`)}`, members === 0)])
  return Buffer.concat([Buffer.from('{"generateContentRequest":'), request, Buffer.from('}')])
}

/** The count in an answer of either provider; undefined where there is none. */
export function countIn(answer: Buffer): number | undefined {
  try {
    const value: unknown = JSON.parse(answer.toString())
    const tokens = isRecord(value) ? (value.input_tokens ?? value.totalTokens) : undefined
    return Number.isSafeInteger(tokens) && typeof tokens === 'number' && tokens >= 0 ? tokens : undefined
  } catch {
    return undefined
  }
}
