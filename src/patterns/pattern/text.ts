// Pattern texts: cut to size, set apart from instructions, asked for as JSON and read back.

import { z } from 'zod'
import type { ChatMessage, JsonObject, Part } from '../../core/chat.ts'
import { hasMoreValuesThan } from '../../core/json-values.ts'

/** The text, no longer than this many characters; says so where something is missing. */
export function truncate(text: string, most: number): string {
  return text.length <= most ? text : `${text.slice(0, Math.max(0, most - 1)).toWellFormed()}…`
}

/**
 * Texts between marks that none of them can close: `<name>` …, or `<name-2>` where a text speaks of `</name>`. What stands
 * between them is told apart from instructions by that alone.
 */
export function fence(name: string, texts: readonly string[]): string[] {
  const closed = new RegExp(`</(${name}(?:-\\d+)?)`, 'g')
  const taken = new Set(texts.flatMap((text) => [...text.matchAll(closed)].map(([, mark]) => mark)))
  let mark = name
  for (let next = 2; taken.has(mark); next++) mark = `${name}-${next}`
  return texts.map((text, at) => `<${mark}${texts.length > 1 ? ` id="${at + 1}"` : ''}>\n${text}\n</${mark}>`)
}

export function textMessage(role: 'user' | 'assistant', text: string): ChatMessage {
  return { role, parts: [{ kind: 'text', text: text === '' ? '(nothing)' : text }] }
}

export function textOf(parts: readonly Part[]): string {
  return parts.map((part) => (part.kind === 'text' || part.kind === 'refusal' ? part.text : '')).join('')
}

/** Keywords that some providers refuse in a schema they are held to. The shape itself still checks them. */
const OMITTED_KEYWORDS = [
  '$schema',
  'minimum',
  'maximum',
  'exclusiveMinimum',
  'exclusiveMaximum',
  'minLength',
  'maxLength',
]
const OMITTED_ARRAY_KEYWORDS = ['minItems', 'maxItems', 'pattern', 'default']

/** JSON Schema of a shape, in the words that every provider takes: every field required, no others allowed. */
export function schemaOf(shape: z.ZodType): JsonObject {
  const schema = z.toJSONSchema(shape, {
    io: 'input',
    override: ({ jsonSchema }) => {
      for (const word of [...OMITTED_KEYWORDS, ...OMITTED_ARRAY_KEYWORDS]) Reflect.deleteProperty(jsonSchema, word)
      if (jsonSchema.type === 'object') jsonSchema.additionalProperties = false
    },
  })
  const { $schema: _, ...rest } = schema
  return rest
}

export type ReadResult<Value> =
  | { readonly ok: true; readonly value: Value }
  | { readonly ok: false; readonly problem: string }

/** An answer as the shape it was asked for; models like to put words or a fence around it. */
export function readAs<Shape extends z.ZodType>(shape: Shape, text: string): ReadResult<z.output<Shape>> {
  const from = text.indexOf('{')
  const to = text.lastIndexOf('}')
  if (from < 0 || to < from) return { ok: false, problem: 'it holds no JSON object' }
  const json = text.slice(from, to + 1)
  if (!isShallow(json)) return { ok: false, problem: 'it is nested too deeply' }
  if (hasMoreValuesThan(json, MAX_VALUES)) return { ok: false, problem: `it holds more than ${MAX_VALUES} values` }
  try {
    const read = shape.safeParse(JSON.parse(json))
    return read.success ? { ok: true, value: read.data } : { ok: false, problem: issueOf(read.error).text }
  } catch {
    return { ok: false, problem: 'it is no valid JSON' }
  }
}

const MAX_DEPTH = 64
/** No answer has as many, and each that is wrong takes memory to say so. */
const MAX_VALUES = 10_000

/** Whether text has fewer levels of brackets than anything needs, those in strings included. */
export function isShallow(text: string): boolean {
  let depth = 0
  for (let at = 0; at < text.length && depth <= MAX_DEPTH; at++) {
    const code = text.charCodeAt(at)
    if (code === 0x5b || code === 0x7b) depth++
    else if ((code === 0x5d || code === 0x7d) && depth > 0) depth--
  }
  return depth <= MAX_DEPTH
}

/** The first thing wrong: the field as `documents[3].text`, and the words with it. */
export function issueOf(error: z.ZodError): { readonly field: string | null; readonly text: string } {
  const [issue] = error.issues
  const field = (issue?.path ?? [])
    .map((step, at) => (typeof step === 'number' ? `[${step}]` : `${at > 0 ? '.' : ''}${String(step)}`))
    .join('')
  const words = truncate(issue?.message ?? 'is not what it should be', 500)
  if (issue?.code === 'unrecognized_keys' && field === '')
    return { field: truncate(issue.keys[0] ?? '', 200), text: words }
  return field === ''
    ? { field: null, text: words }
    : { field: truncate(field, 200), text: `${truncate(field, 200)}: ${words}` }
}

export function isRecord(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
