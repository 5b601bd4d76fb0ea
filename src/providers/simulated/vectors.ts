// The simulated provider's vectors: small, the same for the same text, in OpenAI's and in Gemini's form.

import { isRecord } from '../../core/json-values.ts'
import type { AnswerContent, RequestBody } from './answer-format.ts'
import { hashOf, nextHash } from './hash.ts'

const DEFAULT_DIMENSIONS = 8
const MAX_DIMENSIONS = 1_024
/** OpenAI takes no more inputs in one call. */
const MAX_INPUTS = 2_048

export function openaiVectors(request: RequestBody, { model, inputTokens, withUsage }: AnswerContent): string {
  const encode = request.encoding_format === 'base64' ? toBase64 : (vector: readonly number[]) => vector
  return JSON.stringify({
    object: 'list',
    data: inputsIn(request.input).map((text, index) => ({
      object: 'embedding',
      index,
      embedding: encode(vectorOf(text, dimensionsOf(request.dimensions))),
    })),
    model,
    ...(withUsage ? { usage: { prompt_tokens: inputTokens, total_tokens: inputTokens } } : {}),
  })
}

/** One vector for one content, a list of vectors for a list of requests. */
export function geminiVectors(request: RequestBody, { inputTokens, withUsage }: AnswerContent): string {
  const embedding = (request: unknown) => {
    const { content, outputDimensionality } = isRecord(request) ? request : {}
    return { values: vectorOf(JSON.stringify(content ?? null), dimensionsOf(outputDimensionality)) }
  }
  const details = { promptTokenDetails: [{ modality: 'TEXT', tokenCount: inputTokens }] }
  return JSON.stringify({
    ...(Array.isArray(request.requests)
      ? { embeddings: request.requests.slice(0, MAX_INPUTS).map(embedding) }
      : { embedding: embedding(request) }),
    ...(withUsage ? { usageMetadata: { promptTokenCount: inputTokens, ...details } } : {}),
  })
}

/** A list of numbers is one input, given as token ids. */
function inputsIn(input: unknown): string[] {
  if (!Array.isArray(input) || typeof input[0] === 'number') return [JSON.stringify(input ?? null)]
  return input.slice(0, MAX_INPUTS).map((text) => JSON.stringify(text))
}

function dimensionsOf(dimensions: unknown): number {
  return Number.isInteger(dimensions) ? Math.min(Math.max(Number(dimensions), 1), MAX_DIMENSIONS) : DEFAULT_DIMENSIONS
}

/** Multiples of 1/128 between -1 and 1, from a hash of the text: they are exact as floats and as decimals. */
function vectorOf(text: string, dimensions: number): number[] {
  let hash = hashOf(Buffer.from(text))
  return Array.from({ length: dimensions }, () => {
    hash = nextHash(hash)
    return ((hash >>> 24) - 127) / 128
  })
}

/** Little-endian floats of four bytes, in base64. */
function toBase64(vector: readonly number[]): string {
  const bytes = Buffer.alloc(vector.length * 4)
  for (const [index, value] of vector.entries()) bytes.writeFloatLE(value, index * 4)
  return bytes.toString('base64')
}
