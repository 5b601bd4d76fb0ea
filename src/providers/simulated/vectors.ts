// The simulated provider's vectors: small ones, the same for the same text, in OpenAI's and in Gemini's shape.

import { isRecord } from '../../core/json-values.ts'
import type { AnswerContent, RequestBody } from './answer-format.ts'

const DEFAULT_DIMENSIONS = 8
const MAX_DIMENSIONS = 1_024
/** OpenAI takes no more inputs in one call. */
const MAX_INPUTS = 2_048

export function openaiVectors(asked: RequestBody, { model, inputTokens, withUsage }: AnswerContent): string {
  const encode = asked.encoding_format === 'base64' ? toBase64 : (vector: readonly number[]) => vector
  return JSON.stringify({
    object: 'list',
    data: inputsIn(asked.input).map((text, index) => ({
      object: 'embedding',
      index,
      embedding: encode(vectorOf(text, dimensionsOf(asked.dimensions))),
    })),
    model,
    ...(withUsage ? { usage: { prompt_tokens: inputTokens, total_tokens: inputTokens } } : {}),
  })
}

/** One vector for one content, a list for a list of requests. */
export function geminiVectors(asked: RequestBody, { inputTokens, withUsage }: AnswerContent): string {
  const embedding = (request: unknown) => {
    const { content, outputDimensionality } = isRecord(request) ? request : {}
    return { values: vectorOf(JSON.stringify(content ?? null), dimensionsOf(outputDimensionality)) }
  }
  const details = { promptTokenDetails: [{ modality: 'TEXT', tokenCount: inputTokens }] }
  return JSON.stringify({
    ...(Array.isArray(asked.requests)
      ? { embeddings: asked.requests.slice(0, MAX_INPUTS).map(embedding) }
      : { embedding: embedding(asked) }),
    ...(withUsage ? { usageMetadata: { promptTokenCount: inputTokens, ...details } } : {}),
  })
}

/** A list of numbers is one input: token ids. */
function inputsIn(input: unknown): string[] {
  if (!Array.isArray(input) || typeof input[0] === 'number') return [JSON.stringify(input ?? null)]
  return input.slice(0, MAX_INPUTS).map((one) => JSON.stringify(one))
}

function dimensionsOf(asked: unknown): number {
  return Number.isInteger(asked) ? Math.min(Math.max(Number(asked), 1), MAX_DIMENSIONS) : DEFAULT_DIMENSIONS
}

/** Multiples of 1/128 between -1 and 1, from a hash of the text (FNV-1a): the same as floats and as decimals. */
function vectorOf(text: string, dimensions: number): number[] {
  let hash = 0x811c9dc5
  for (const byte of Buffer.from(text)) hash = Math.imul(hash ^ byte, 0x01000193) >>> 0
  return Array.from({ length: dimensions }, () => {
    hash = Math.imul(hash ^ (hash >>> 15), 0x01000193) >>> 0
    return ((hash >>> 24) - 127) / 128
  })
}

/** Floats of four bytes, little end first. */
function toBase64(vector: readonly number[]): string {
  const bytes = Buffer.alloc(vector.length * 4)
  for (const [at, value] of vector.entries()) bytes.writeFloatLE(value, at * 4)
  return bytes.toString('base64')
}
