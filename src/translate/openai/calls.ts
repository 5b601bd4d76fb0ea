// OpenAI calls: reads and writes the tool calls of a message, also those of custom tools and in the older form.

import type { JsonObject, ToolCallPart } from '../../core/chat.ts'
import { isRecord, recordOf } from '../../core/json-values.ts'
import { ExtrasDraft, hashOf, isSameJson, jsonOf, writeExtras } from '../dialect-fields.ts'
import { placed } from '../places.ts'
import { DIALECT, OPENAI_EXTRAS } from './dialect-fields.ts'
import { readCache, writeCache } from './parts.ts'

const CALL_FIELDS: ReadonlySet<string> = new Set([
  'id',
  'type',
  'index',
  'function',
  'extra_content',
  'cache_control',
  'thought_signature',
])
const FUNCTION_FIELDS: ReadonlySet<string> = new Set(['name', 'arguments'])
/** Precedes the names of unknown fields of the function. */
export const FUNCTION_PREFIX = 'function.'
/** Under this mark a call of a custom tool is kept whole. */
const CUSTOM_MARK = 'custom'
const MAX_ID_CHARACTERS = 40
const HASH_CHARACTERS = 16

/**
 * Reads a call of a function, or of a custom tool, whose input becomes an argument; undefined if it has no name.
 * @param fallbackId the id of a call that has none
 * @param path its place in the caller's request; empty in a response
 */
export function readCall(value: unknown, fallbackId: string, path = ''): ToolCallPart | undefined {
  const call = recordOf(value)
  const { name, arguments: args } = recordOf(call.function)
  if (typeof name !== 'string' || name === '') return readCustomCall(call, fallbackId, path)
  const extras = new ExtrasDraft(OPENAI_EXTRAS, path).keepRest(call, CALL_FIELDS, { isEcho: true })
  extras.keepRest(recordOf(call.function), FUNCTION_FIELDS, { isEcho: true, prefix: FUNCTION_PREFIX })
  if (args === '') extras.hint('arguments', '')
  if (call.thought_signature !== undefined) extras.mark('thought_signature', call.thought_signature)
  const signature = googleSignature(call)
  const isKnown = signature !== undefined && isSameJson(call.extra_content, googleExtra(signature))
  if (Object.hasOwn(call, 'extra_content')) extras.hint('extra_content', isKnown ? null : call.extra_content)
  return placed<ToolCallPart>(
    {
      kind: 'toolCall',
      id: idOf(call, fallbackId),
      name,
      arguments: argumentsOf(args),
      ...(signature !== undefined && { signature }),
      ...readCache(call, extras),
      ...extras.toField(),
    },
    path,
  )
}

function idOf({ id }: JsonObject, fallbackId: string): string {
  return typeof id === 'string' && id !== '' ? id : fallbackId
}

function readCustomCall(call: JsonObject, fallbackId: string, path: string): ToolCallPart | undefined {
  const { name, input } = recordOf(call.custom)
  if (call.type === 'function' || typeof name !== 'string' || name === '') return undefined
  const extras = new ExtrasDraft(OPENAI_EXTRAS, path)
  extras.mark(CUSTOM_MARK, call)
  const args = jsonOf({ input: typeof input === 'string' ? input : '' })
  const id = idOf(call, fallbackId)
  return placed<ToolCallPart>({ kind: 'toolCall', id, name, arguments: args, ...extras.toField() }, path)
}

/** The arguments as JSON text. Some servers send the object itself. */
function argumentsOf(args: unknown): string {
  if (typeof args === 'string' && args !== '') return args
  return isRecord(args) ? jsonOf(args) : '{}'
}

/** The thought signature in the field of Google's OpenAI-compatible endpoint, or in those of LiteLLM and of other routers. */
export function googleSignature(call: JsonObject): string | undefined {
  const holders = [recordOf(call.extra_content).google, call.provider_specific_fields, call]
  const signatures = holders.map((holder) => recordOf(holder).thought_signature)
  return signatures.find((signature) => typeof signature === 'string' && signature !== '') as string | undefined
}

export function googleExtra(signature: string): JsonObject {
  return { google: { thought_signature: signature } }
}

/** Writes a call in a request. A signature is written only if the request came with the field for it. */
export function writeCall(part: ToolCallPart, dropped: Set<string>): JsonObject {
  const custom = part.extras?.dialect === DIALECT ? part.extras.marks?.[CUSTOM_MARK] : undefined
  if (isRecord(custom)) return custom
  const extras = writeExtras(part.extras, OPENAI_EXTRAS, dropped)
  const { arguments: spelling, extra_content: extra, ...rest } = extras
  const { outer, inner } = splitFunctionFields(rest)
  return {
    ...outer,
    ...(Object.hasOwn(extras, 'extra_content') && {
      extra_content: extra === null && part.signature !== undefined ? googleExtra(part.signature) : extra,
    }),
    ...signatureMark(part),
    ...writeCache(part.cache, extras, dropped),
    id: legalId(part.id),
    type: 'function',
    function: {
      ...inner,
      name: part.name,
      arguments: spelling === '' && part.arguments === '{}' ? '' : part.arguments,
    },
  }
}

function signatureMark({ extras }: ToolCallPart): JsonObject {
  const { thought_signature: signature } = extras?.dialect === DIALECT ? (extras.marks ?? {}) : {}
  return signature === undefined ? {} : { thought_signature: signature }
}

/** The extras of a call or of a tool: those of its function apart. */
export function splitFunctionFields(extras: JsonObject): { readonly outer: JsonObject; readonly inner: JsonObject } {
  const [outer, inner] = [new Map<string, unknown>(), new Map<string, unknown>()]
  for (const [name, value] of Object.entries(extras))
    if (name.startsWith(FUNCTION_PREFIX)) inner.set(name.slice(FUNCTION_PREFIX.length), value)
    else outer.set(name, value)
  return { outer: Object.fromEntries(outer), inner: Object.fromEntries(inner) }
}

/** OpenAI accepts ids of at most 40 characters. A longer id is cut and gets a hash, the same in the call and in its result. */
export function legalId(id: string): string {
  if (id.length <= MAX_ID_CHARACTERS) return id
  return `${id.slice(0, MAX_ID_CHARACTERS - HASH_CHARACTERS - 1).toWellFormed()}_${hashOf(id)}`
}
