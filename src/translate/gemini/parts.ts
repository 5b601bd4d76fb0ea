// Gemini parts: reads and writes the parts of a content, in a request or in a response.

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
import { invalidField } from '../../wire/json/errors.ts'
import { ExtrasDraft } from '../dialect-fields.ts'
import { placed } from '../places.ts'
import { nameOf, optionalText, textOf } from './checks.ts'
import { DIALECT, GEMINI_EXTRAS, INSIDE_RESULT_MARK, isEmpty, isMarked, restoreExtras } from './dialect-fields.ts'

/** Gives ids to tool calls and to results, since Gemini's callers and models need not. */
export interface ToolCallIds {
  /** The id of a call of this tool. @param id the id in the call; undefined if it has none */
  idOfCall(name: string, id: string | undefined): string
  /** The id of the call that a result of this tool answers. @param id the id in the result; undefined if it has none */
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
const MEDIA_FIELDS = new Set(['mimeType', 'data', 'fileUri', 'displayName'])
const CALL_FIELDS = new Set(['id', 'name', 'args'])
const RESULT_FIELDS = new Set(['id', 'name', 'response', 'parts'])
/** URLs of files that only Google can open. */
const GOOGLE_FILE_URL = /^(gs:|https:\/\/generativelanguage\.googleapis\.com\/)/

/** Throws Problem `invalid_request` if `part` is no part. @param field its path: `contents[0].parts[1]` */
export function readPart(part: JsonObject, field: string, ids: ToolCallIds): Part {
  return placed(readTypedPart(part, field, ids), field)
}

function readTypedPart(part: JsonObject, field: string, ids: ToolCallIds): Part {
  const kinds = DATA_FIELDS.filter((name) => part[name] !== undefined && part[name] !== null)
  if (kinds.length > 1) throw invalidField(field, `must hold one kind of data, not both ${kinds[0]} and ${kinds[1]}`)
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
  const name = Object.keys(part).find((key) => !METADATA_FIELDS.has(key) && !isEmpty(part[key]))
  if (name !== undefined) return { kind: 'dialect', dialect: DIALECT, name, value: part }
  const extras = readExtras(part, [], field)
  extras.mark('text', null)
  return { kind: 'text', text: '', ...extras.toField() }
}

/** The fields of a part beside its data. Only thoughts and calls have a signature in a chat part; other signatures are marks. */
function readExtras(part: JsonObject, knownFields: readonly string[], field: string): ExtrasDraft {
  const extras = new ExtrasDraft(GEMINI_EXTRAS, field)
  extras.keepRest(part, new Set([...knownFields, ...SIGNATURE_FIELDS]), { isEcho: true })
  for (const name of SIGNATURE_FIELDS) {
    const signature = part[name]
    if (signature !== undefined && signature !== null && !knownFields.includes(name)) extras.mark(name, signature)
  }
  return extras
}

function readText(part: JsonObject, field: string): TextPart {
  const text = textOf(part.text, `${field}.text`)
  const { extras } = readExtras(part, ['text'], field).toField()
  // The extras tell that Gemini sent the empty text. Empty texts of other dialects are left out, since Google refuses some.
  if (text === '') return { kind: 'text', text, extras: placed({ dialect: DIALECT, ...extras }, field) }
  return { kind: 'text', text, ...(extras ? { extras } : {}) }
}

function readThought(part: JsonObject, field: string): ReasoningPart {
  const signature = optionalText(part.thoughtSignature, `${field}.thoughtSignature`)
  return {
    kind: 'reasoning',
    text: textOf(part.text, `${field}.text`),
    ...(signature === undefined ? {} : { signature }),
    signedIn: DIALECT,
    ...readExtras(part, ['text', 'thought', 'thoughtSignature'], field).toField(),
  }
}

function readMedia(part: JsonObject, kind: 'inlineData' | 'fileData', field: string): Part {
  const blob = part[kind]
  if (!isRecord(blob)) throw invalidField(`${field}.${kind}`, 'must be an object')
  const mediaType = optionalText(blob.mimeType, `${field}.${kind}.mimeType`)
  const name = optionalText(blob.displayName, `${field}.${kind}.displayName`)
  const extras = readExtras(part, [kind], field)
  extras.keepRest(blob, MEDIA_FIELDS, { isEcho: true, prefix: `${kind}.` })
  if (mediaType === undefined) extras.mark(`${kind}.mimeType`, null)
  // Google accepts `displayName` from Vertex's callers only, so it is restored for a Gemini caller and not written otherwise.
  if (name !== undefined) extras.mark(`${kind}.displayName`, name)
  const named = { kind: 'media', mediaType: mediaType ?? '*/*', ...(name === undefined ? {} : { name }) } as const
  if (kind === 'fileData') {
    const url = textOf(blob.fileUri, `${field}.fileData.fileUri`)
    if (GOOGLE_FILE_URL.test(url)) return { kind: 'dialect', dialect: DIALECT, name: kind, value: part }
    return { ...named, source: { url }, ...extras.toField() }
  }
  const data = textOf(blob.data, `${field}.inlineData.data`)
  const base64 = data.replaceAll('-', '+').replaceAll('_', '/')
  if (base64 !== data) extras.mark('inlineData.data', data)
  return { ...named, source: { base64 }, ...extras.toField() }
}

function readCall(part: JsonObject, field: string, ids: ToolCallIds): ToolCallPart {
  const call = part.functionCall
  if (!isRecord(call)) throw invalidField(`${field}.functionCall`, 'must be an object')
  const name = nameOf(call.name, `${field}.functionCall.name`)
  const id = optionalText(call.id, `${field}.functionCall.id`) || undefined
  const args = call.args ?? undefined
  if (args !== undefined && !isRecord(args)) throw invalidField(`${field}.functionCall.args`, 'must be an object')
  const signature = optionalText(part.thoughtSignature, `${field}.thoughtSignature`)
  const extras = readExtras(part, ['functionCall', 'thoughtSignature'], field)
  extras.keepRest(call, CALL_FIELDS, { isEcho: true, prefix: 'functionCall.' })
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
  if (!isRecord(result)) throw invalidField(`${field}.functionResponse`, 'must be an object')
  const name = nameOf(result.name, `${field}.functionResponse.name`)
  const id = optionalText(result.id, `${field}.functionResponse.id`) || undefined
  const extras = readExtras(part, ['functionResponse'], field)
  const response = result.response ?? undefined
  if (response !== undefined && !isRecord(response))
    throw invalidField(`${field}.functionResponse.response`, 'must be an object')
  const media = mediaIn(result.parts, field)
  // Files that only Google can open.
  if (!media && result.parts !== undefined) extras.keep('functionResponse.parts', result.parts)
  extras.keepRest(result, RESULT_FIELDS, { isEcho: true, prefix: 'functionResponse.' })
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

/** The media of a function response; undefined if only Google can open some of them. */
function mediaIn(parts: unknown, field: string): MediaPart[] | undefined {
  if (!Array.isArray(parts)) return undefined
  const media: MediaPart[] = []
  for (const value of parts) {
    const part = recordOf(value)
    const kind = isRecord(part.inlineData) ? 'inlineData' : 'fileData'
    if (!isRecord(part[kind])) return undefined
    const parsed = readMedia(part, kind, `${field}.functionResponse.parts`)
    if (parsed.kind !== 'media') return undefined
    media.push({
      ...parsed,
      extras: { dialect: DIALECT, ...parsed.extras, marks: { ...parsed.extras?.marks, [INSIDE_RESULT_MARK]: true } },
    })
  }
  return media
}

/** A function response as text from which `responseOf` makes the same response. */
function textOfResponse(response: JsonObject): { readonly text: string; readonly failed: boolean } {
  const [key, ...otherKeys] = Object.keys(response)
  const text = key === undefined ? undefined : response[key]
  const isAlone = otherKeys.length === 0 && typeof text === 'string'
  if (isAlone && key === 'error') return { text, failed: true }
  if (isAlone && key === 'result' && !parseJsonObject(text)) return { text, failed: false }
  return { text: JSON.stringify(response), failed: false }
}

function responseOf(text: string, failed: boolean): JsonObject {
  return failed ? { error: text } : (parseJsonObject(text) ?? { result: text })
}

/** The depth that a request can have. Deeper JSON can be parsed but not serialised again. */
const MAX_LEVELS = 200

/** Parses a JSON object; undefined if the text is no object or is nested too deeply. */
export function parseJsonObject(text: string): JsonObject | undefined {
  if (!text.trimStart().startsWith('{') || depthOf(text) > MAX_LEVELS) return undefined
  try {
    return recordOf(JSON.parse(text))
  } catch {
    return undefined
  }
}

/** How deep brackets are nested. Brackets in strings do not count. */
function depthOf(text: string): number {
  let depth = 0
  let deepest = 0
  let quoted = false
  for (let index = 0; index < text.length; index++) {
    const letter = text[index]
    if (letter === '"') quoted = !quoted
    else if (quoted) index += letter === '\\' ? 1 : 0
    else if (letter === '{' || letter === '[') deepest = Math.max(deepest, ++depth)
    else if (letter === '}' || letter === ']') depth--
  }
  return deepest
}

/** Writes media. The type is guessed from the URL if no dialect named it. */
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

/** Writes a tool result. `beside` holds the media that go beside the function response, as parts of their own. */
export function writeResult(part: ToolResultPart): { readonly result: JsonObject; readonly beside: JsonObject[] } {
  const media = part.parts.filter((mediaPart) => mediaPart.kind === 'media')
  const insideMedia = media.filter((mediaPart) => isMarked(mediaPart.extras, INSIDE_RESULT_MARK))
  const text = part.parts.flatMap((resultPart) => (resultPart.kind === 'text' ? [resultPart.text] : [])).join('\n')
  const functionResponse = {
    id: part.callId,
    name: part.name,
    response: responseOf(text, part.failed),
    ...(insideMedia.length > 0 ? { parts: insideMedia.map(writeMedia) } : {}),
  }
  return {
    result: restoreExtras({ functionResponse }, part.extras),
    beside: media.filter((mediaPart) => !isMarked(mediaPart.extras, INSIDE_RESULT_MARK)).map(writeMedia),
  }
}

/** Google documents this signature for calls that another model made. */
export const SKIP_SIGNATURE_CHECK = 'skip_thought_signature_validator'

/** Writes a tool call. @param args its parsed arguments */
export function writeCall(part: ToolCallPart, args: JsonObject, signature: string | undefined): JsonObject {
  const functionCall = { id: part.id, name: part.name, args }
  return restoreExtras(
    { functionCall, ...(signature === undefined ? {} : { thoughtSignature: signature }) },
    part.extras,
  )
}

/** Writes thoughts. A signature of another dialect is left out. */
export function writeThought(part: ReasoningPart): JsonObject {
  const signature = part.signedIn === DIALECT ? part.signature : undefined
  const thought = { text: part.text, thought: true }
  return restoreExtras({ ...thought, ...(signature === undefined ? {} : { thoughtSignature: signature }) }, part.extras)
}
