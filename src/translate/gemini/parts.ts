// Gemini's parts: what stands in one content of an ask, or of an answer.

import type {
  JsonObject,
  MediaPart,
  Part,
  ReasoningPart,
  TextPart,
  ToolCallPart,
  ToolResultPart,
} from '../../core/chat.ts'
import { isRecord, recordOf } from '../../core/json-values.ts'
import {
  DIALECT,
  ExtrasDraft,
  INSIDE_RESULT_MARK,
  invalid,
  isEmpty,
  isMarked,
  restoreExtras,
} from './dialect-fields.ts'

/** Ids of tool calls, where the caller or the model gave none. */
export interface ToolCallIds {
  /** For a call of this tool. @param given undefined where it has none */
  idOfCall(name: string, given: string | undefined): string
  /** Of the call that a result without one answers. */
  idOfResult(name: string, given: string | undefined): string
}

const DATA_FIELDS = ['text', 'inlineData', 'fileData', 'functionCall', 'functionResponse']
const SIGNATURE_FIELDS = ['thought', 'thoughtSignature']
const METADATA_FIELDS: ReadonlySet<string> = new Set([
  'thought',
  'thoughtSignature',
  'videoMetadata',
  'mediaResolution',
])
const MEDIA_FIELDS = ['mimeType', 'data', 'fileUri', 'displayName']
/** Files that only Google can open. */
const GOOGLE_FILE_URL = /^(gs:|https:\/\/generativelanguage\.googleapis\.com\/)/

/** Throws Problem for what is no part. @param field its name, for people: `contents[0].parts[1]` */
export function readPart(part: JsonObject, field: string, ids: ToolCallIds): Part {
  const kinds = DATA_FIELDS.filter((name) => part[name] !== undefined && part[name] !== null)
  if (kinds.length > 1) throw invalid(field, `has both ${kinds[0]} and ${kinds[1]}`)
  switch (kinds[0]) {
    case 'text':
      return part.thought === true ? readThought(part, field) : readText(part, field)
    case 'inlineData':
    case 'fileData':
      return readMedia(part, kinds[0], field)
    case 'functionCall':
      return readCall(part, field, ids)
    case 'functionResponse':
      return readResult(part, field, ids)
  }
  const name = Object.keys(part).find((one) => !METADATA_FIELDS.has(one) && !isEmpty(part[one]))
  if (name !== undefined) return { kind: 'own', dialect: DIALECT, name, value: part }
  const extras = readExtras(part, [])
  extras.mark('text', null)
  return { kind: 'text', text: '', ...extras.toField() }
}

/** What every part may have beside its data. Signatures of anything but thoughts and calls are for Gemini alone. */
function readExtras(part: JsonObject, said: readonly string[]): ExtrasDraft {
  const extras = new ExtrasDraft()
  extras.keepRest(part, [...said, ...SIGNATURE_FIELDS])
  for (const name of SIGNATURE_FIELDS) {
    const sign = part[name]
    if (sign !== undefined && sign !== null && !said.includes(name)) extras.mark(name, sign)
  }
  return extras
}

function textOf(value: unknown, field: string): string {
  if (typeof value !== 'string') throw invalid(field, 'must be a string')
  return value
}

function nameOf(value: unknown, field: string): string {
  const name = textOf(value, field)
  if (name === '') throw invalid(field, 'must not be empty')
  return name
}

function optionalText(value: unknown, field: string): string | undefined {
  return value === undefined || value === null ? undefined : textOf(value, field)
}

function readText(part: JsonObject, field: string): TextPart {
  const text = textOf(part.text, `${field}.text`)
  const { extras } = readExtras(part, ['text']).toField()
  // Empty texts of others are left out, since Google refuses some: its own are not.
  if (text === '') return { kind: 'text', text, extras: { dialect: DIALECT, ...extras } }
  return { kind: 'text', text, ...(extras ? { extras } : {}) }
}

function readThought(part: JsonObject, field: string): ReasoningPart {
  const signature = optionalText(part.thoughtSignature, `${field}.thoughtSignature`)
  return {
    kind: 'reasoning',
    text: textOf(part.text, `${field}.text`),
    ...(signature === undefined ? {} : { signature }),
    signedIn: DIALECT,
    ...readExtras(part, ['text', 'thought', 'thoughtSignature']).toField(),
  }
}

function readMedia(part: JsonObject, kind: 'inlineData' | 'fileData', field: string): Part {
  const blob = part[kind]
  if (!isRecord(blob)) throw invalid(`${field}.${kind}`, 'must be an object')
  const mediaType = optionalText(blob.mimeType, `${field}.${kind}.mimeType`)
  const name = optionalText(blob.displayName, `${field}.${kind}.displayName`)
  const extras = readExtras(part, [kind])
  extras.keepRest(blob, MEDIA_FIELDS, `${kind}.`)
  if (mediaType === undefined) extras.mark(`${kind}.mimeType`, null)
  // Google takes it from Vertex's callers alone: written for nobody else.
  if (name !== undefined) extras.mark(`${kind}.displayName`, name)
  const named = { kind: 'media', mediaType: mediaType ?? '*/*', ...(name === undefined ? {} : { name }) } as const
  if (kind === 'fileData') {
    const url = textOf(blob.fileUri, `${field}.fileData.fileUri`)
    if (GOOGLE_FILE_URL.test(url)) return { kind: 'own', dialect: DIALECT, name: kind, value: part }
    return { ...named, source: { url }, ...extras.toField() }
  }
  const data = textOf(blob.data, `${field}.inlineData.data`)
  const base64 = data.replaceAll('-', '+').replaceAll('_', '/')
  if (base64 !== data) extras.mark('inlineData.data', data)
  return { ...named, source: { base64 }, ...extras.toField() }
}

function readCall(part: JsonObject, field: string, ids: ToolCallIds): ToolCallPart {
  const call = part.functionCall
  if (!isRecord(call)) throw invalid(`${field}.functionCall`, 'must be an object')
  const name = nameOf(call.name, `${field}.functionCall.name`)
  const id = optionalText(call.id, `${field}.functionCall.id`) || undefined
  const args = call.args ?? undefined
  if (args !== undefined && !isRecord(args)) throw invalid(`${field}.functionCall.args`, 'must be an object')
  const signature = optionalText(part.thoughtSignature, `${field}.thoughtSignature`)
  const extras = readExtras(part, ['functionCall', 'thoughtSignature'])
  extras.keepRest(call, ['id', 'name', 'args'], 'functionCall.')
  if (id === undefined) extras.mark('functionCall.id', null)
  if (args === undefined) extras.mark('functionCall.args', null)
  return {
    kind: 'toolCall',
    id: ids.idOfCall(name, id),
    name,
    arguments: JSON.stringify(args ?? {}),
    ...(signature === undefined ? {} : { signature }),
    extras: { dialect: DIALECT, ...extras.toField().extras },
  }
}

function readResult(part: JsonObject, field: string, ids: ToolCallIds): ToolResultPart {
  const result = part.functionResponse
  if (!isRecord(result)) throw invalid(`${field}.functionResponse`, 'must be an object')
  const name = nameOf(result.name, `${field}.functionResponse.name`)
  const id = optionalText(result.id, `${field}.functionResponse.id`) || undefined
  const extras = readExtras(part, ['functionResponse'])
  const response = result.response ?? undefined
  if (response !== undefined && !isRecord(response))
    throw invalid(`${field}.functionResponse.response`, 'must be an object')
  const media = mediaIn(result.parts, field)
  extras.keepRest(result, ['id', 'name', 'response', ...(media ? ['parts'] : [])], 'functionResponse.')
  if (id === undefined) extras.mark('functionResponse.id', null)
  if (response === undefined) extras.mark('functionResponse.response', null)
  const { text, failed } = textOfResponse(response ?? {})
  return {
    kind: 'toolResult',
    callId: ids.idOfResult(name, id),
    name,
    parts: [{ kind: 'text', text }, ...(media ?? [])],
    failed,
    ...extras.toField(),
  }
}

/** What a tool answered beside its words; undefined where some of it only Google can open. */
function mediaIn(parts: unknown, field: string): MediaPart[] | undefined {
  if (!Array.isArray(parts)) return undefined
  const media: MediaPart[] = []
  for (const one of parts) {
    const part = recordOf(one)
    const kind = isRecord(part.inlineData) ? 'inlineData' : 'fileData'
    if (!isRecord(part[kind])) return undefined
    const read = readMedia(part, kind, `${field}.functionResponse.parts`)
    if (read.kind !== 'media') return undefined
    media.push({
      ...read,
      extras: { dialect: DIALECT, ...read.extras, marks: { ...read.extras?.marks, [INSIDE_RESULT_MARK]: true } },
    })
  }
  return media
}

/** A response as text: what `responseOf` makes the same response of. */
function textOfResponse(response: JsonObject): { readonly text: string; readonly failed: boolean } {
  const [key, ...others] = Object.keys(response)
  const text = key === undefined ? undefined : response[key]
  const isAlone = others.length === 0 && typeof text === 'string'
  if (isAlone && key === 'error') return { text, failed: true }
  if (isAlone && key === 'result' && !parseJsonObject(text)) return { text, failed: false }
  return { text: JSON.stringify(response), failed: false }
}

function responseOf(text: string, failed: boolean): JsonObject {
  return failed ? { error: text } : (parseJsonObject(text) ?? { result: text })
}

/** As deep as a request may be: what is deeper could be read, but not written again. */
const MAX_LEVELS = 200

/** The JSON object that a text is; undefined for any other text. */
export function parseJsonObject(text: string): JsonObject | undefined {
  if (!text.trimStart().startsWith('{') || depthOf(text) > MAX_LEVELS) return undefined
  try {
    return recordOf(JSON.parse(text))
  } catch {
    return undefined
  }
}

/** How deep brackets are nested, those in strings left aside. */
function depthOf(text: string): number {
  let depth = 0
  let deepest = 0
  let quoted = false
  for (let at = 0; at < text.length; at++) {
    const letter = text[at]
    if (letter === '"') quoted = !quoted
    else if (quoted) at += letter === '\\' ? 1 : 0
    else if (letter === '{' || letter === '[') deepest = Math.max(deepest, ++depth)
    else if (letter === '}' || letter === ']') depth--
  }
  return deepest
}

/** Media as a part, its type guessed from its name where no dialect said it. */
export function writeMedia(part: MediaPart): JsonObject {
  const { source } = part
  const written =
    'base64' in source
      ? { inlineData: { mimeType: mediaTypeOf(part, ''), data: source.base64 } }
      : { fileData: { mimeType: mediaTypeOf(part, source.url), fileUri: source.url } }
  return restoreExtras(written, part.extras)
}

const IMAGE_TYPES: Readonly<Record<string, string>> = {
  png: 'image/png',
  gif: 'image/gif',
  webp: 'image/webp',
  heic: 'image/heic',
  heif: 'image/heif',
}

function mediaTypeOf({ mediaType }: MediaPart, url: string): string {
  if (!mediaType.endsWith('/*')) return mediaType
  const [, ending = ''] = /\.(\w+)(?:[?#]|$)/.exec(url) ?? []
  return Object.hasOwn(IMAGE_TYPES, ending.toLowerCase()) ? (IMAGE_TYPES[ending.toLowerCase()] ?? '') : 'image/jpeg'
}

/** A tool's answer, and the media of it that stand beside it. */
export function writeResult(part: ToolResultPart): { readonly result: JsonObject; readonly beside: JsonObject[] } {
  const media = part.parts.filter((one) => one.kind === 'media')
  const inside = media.filter((one) => isMarked(one.extras, INSIDE_RESULT_MARK))
  const text = part.parts.flatMap((one) => (one.kind === 'text' ? [one.text] : [])).join('\n')
  const functionResponse = {
    id: part.callId,
    name: part.name,
    response: responseOf(text, part.failed),
    ...(inside.length > 0 ? { parts: inside.map(writeMedia) } : {}),
  }
  return {
    result: restoreExtras({ functionResponse }, part.extras),
    beside: media.filter((one) => !isMarked(one.extras, INSIDE_RESULT_MARK)).map(writeMedia),
  }
}

/** Documented by Google for calls that it did not sign, since another model made them. */
export const SKIP_SIGNATURE_CHECK = 'skip_thought_signature_validator'

/** A call of a tool. @param args its arguments, parsed */
export function writeCall(part: ToolCallPart, args: JsonObject, signature: string | undefined): JsonObject {
  const functionCall = { id: part.id, name: part.name, args }
  return restoreExtras(
    { functionCall, ...(signature === undefined ? {} : { thoughtSignature: signature }) },
    part.extras,
  )
}

export function writeThought(part: ReasoningPart): JsonObject {
  const signature = part.signedIn === DIALECT ? part.signature : undefined
  const thought = { text: part.text, thought: true }
  return restoreExtras({ ...thought, ...(signature === undefined ? {} : { thoughtSignature: signature }) }, part.extras)
}
