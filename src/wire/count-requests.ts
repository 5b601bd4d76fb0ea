// Count requests: the request that asks a provider how many tokens a call would take in, made from the call's own body.

import { isRecord } from '../core/json-values.ts'
import { Fields, JsonCursor } from './json/cursor.ts'
import { applySplices, memberInsertion } from './json/edit.ts'
import { eachField } from './request-reader.ts'

/** A count as its provider wants to be asked for it. */
export interface CountRequest {
  readonly dialect: string
  /** Relative to the provider's base URL. */
  readonly path: string
  readonly body: Buffer
}

/** What Anthropic counts; other fields are refused. */
const COUNTED_FIELDS = [
  'messages',
  'system',
  'tools',
  'tool_choice',
  'thinking',
  'output_config',
  'output_format',
] as const
/** What takes nothing in. With any other field a count would not be of the whole call. */
const UNCOUNTED_FIELDS = [
  'model',
  'max_tokens',
  'stream',
  'temperature',
  'top_p',
  'top_k',
  'stop_sequences',
  'metadata',
  'service_tier',
  'speed',
  'inference_geo',
  'cache_control',
] as const
const ANTHROPIC_FIELDS = new Fields(...COUNTED_FIELDS, ...UNCOUNTED_FIELDS)
const MODEL_FIELD = new Fields('model')

/** Undefined where it cannot be counted whole. @param model as the provider names it */
export function countRequestFor(dialect: string, body: Buffer, model: string): CountRequest | undefined {
  if (dialect === 'anthropic.messages') {
    const path = '/v1/messages/count_tokens'
    const counted = anthropicCountBody(body, model)
    return counted && { dialect: 'anthropic.countTokens', path, body: counted }
  }
  if (dialect === 'gemini.generateContent') {
    const path = `/v1beta/models/${encodeURIComponent(model)}:countTokens`
    const counted = geminiCountBody(body, model)
    return counted && { dialect: 'gemini.countTokens', path, body: counted }
  }
  return undefined
}

function anthropicCountBody(body: Buffer, model: string): Buffer | undefined {
  const json = new JsonCursor(body)
  const parts: Buffer[] = [Buffer.from(`{"model":${JSON.stringify(model)}`)]
  let known = 0
  const members = eachField(json, ANTHROPIC_FIELDS, (field) => {
    known++
    const { start, end } = json.range()
    if (field < COUNTED_FIELDS.length)
      parts.push(Buffer.from(`,"${COUNTED_FIELDS[field]}":`), body.subarray(start, end))
  })
  return known === members ? Buffer.concat([...parts, Buffer.from('}')]) : undefined
}

function geminiCountBody(body: Buffer, model: string): Buffer | undefined {
  const json = new JsonCursor(body)
  const opened = json.position + 1
  let named = false
  const members = eachField(json, MODEL_FIELD, () => {
    named = true
    json.skipValue()
  })
  if (named) return undefined
  const request = applySplices(body, [
    memberInsertion(opened, `"model":${JSON.stringify(`models/${model}`)}`, members === 0),
  ])
  return Buffer.concat([Buffer.from('{"generateContentRequest":'), request, Buffer.from('}')])
}

/** The count in an answer of either provider; undefined where there is none. */
export function parseTokenCount(answer: Buffer): number | undefined {
  try {
    const value: unknown = JSON.parse(answer.toString())
    const tokens = isRecord(value) ? (value.input_tokens ?? value.totalTokens) : undefined
    return Number.isSafeInteger(tokens) && typeof tokens === 'number' && tokens >= 0 ? tokens : undefined
  } catch {
    return undefined
  }
}
