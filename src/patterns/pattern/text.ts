// Pattern texts: cuts texts, fences them off from instructions, makes JSON Schemas and parses a model's JSON. It calls nothing.

import { z } from 'zod'
import type { ChatMessage, JsonObject, Part } from '../../core/chat.ts'
import { hasMoreValuesThan } from '../../core/json-values.ts'

/** The text, cut to `maxCharacters`. A cut text ends in `…`. */
export function truncate(text: string, maxCharacters: number): string {
  return text.length <= maxCharacters ? text : `${text.slice(0, Math.max(0, maxCharacters - 1)).toWellFormed()}…`
}

/**
 * Each text between marks that no text can close: `<name>`, or `<name-2>` if a text contains `</name>`. Only the marks tell
 * the model that a text is material and not instructions.
 */
export function fence(name: string, texts: readonly string[]): string[] {
  const closingMark = new RegExp(`</(${name}(?:-\\d+)?)`, 'g')
  const usedMarks = new Set(texts.flatMap((text) => [...text.matchAll(closingMark)].map(([, mark]) => mark)))
  let mark = name
  for (let next = 2; usedMarks.has(mark); next++) mark = `${name}-${next}`
  return texts.map((text, index) => `<${mark}${texts.length > 1 ? ` id="${index + 1}"` : ''}>\n${text}\n</${mark}>`)
}

/** A message with one text. Providers refuse empty texts, so an empty one becomes `(nothing)`. */
export function textMessage(role: 'user' | 'assistant', text: string): ChatMessage {
  return { role, parts: [{ kind: 'text', text: text === '' ? '(nothing)' : text }] }
}

/** The texts and refusals of the parts, joined. */
export function textOf(parts: readonly Part[]): string {
  return parts.map((part) => (part.kind === 'text' || part.kind === 'refusal' ? part.text : '')).join('')
}

/** Keywords that some providers refuse in the schema of structured output. The zod shape still checks them. */
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

/** The JSON Schema of a shape, with keywords that every provider accepts. All fields are required, and no others are allowed. */
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

/** A parsed value, or what is wrong with the text as a clause: `it holds no JSON object`. */
export type ReadResult<Value> =
  | { readonly ok: true; readonly value: Value }
  | { readonly ok: false; readonly problem: string }

/** Parses a model's text as a shape. Models often put words or a code fence around the JSON, which are skipped. */
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
    return { ok: false, problem: 'it is not valid JSON' }
  }
}

const MAX_DEPTH = 64
/** More than any real response has. Zod reports every wrong value, which takes memory. */
const MAX_VALUES = 10_000

/** Whether brackets are nested at most 64 levels deep, which any real JSON is. Brackets in strings count too. */
export function isShallow(text: string): boolean {
  let depth = 0
  for (let index = 0; index < text.length && depth <= MAX_DEPTH; index++) {
    const code = text.charCodeAt(index)
    if (code === 0x5b || code === 0x7b) depth++
    else if ((code === 0x5d || code === 0x7d) && depth > 0) depth--
  }
  return depth <= MAX_DEPTH
}

/** The first issue of an error: the field's path, as `documents[3].text`, and the message with the path before it. */
export function issueOf(error: z.ZodError): { readonly field: string | null; readonly text: string } {
  const [issue] = error.issues
  const field = (issue?.path ?? [])
    .map((step, index) => (typeof step === 'number' ? `[${step}]` : `${index > 0 ? '.' : ''}${String(step)}`))
    .join('')
  const message = truncate(issue?.message ?? 'is not valid', 500)
  if (issue?.code === 'unrecognized_keys' && field === '') {
    const key = truncate(issue.keys[0] ?? '', 200)
    return { field: key, text: message.includes(`"${key}"`) ? message : `${key}: ${message}` }
  }
  return field === ''
    ? { field: null, text: message }
    : { field: truncate(field, 200), text: `${truncate(field, 200)}: ${message}` }
}

export function isRecord(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
