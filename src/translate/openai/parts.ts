// OpenAI chat, parts: what stands in a message's content, and the calls of tools, both ways.

import type {
  CacheHint,
  DialectPart,
  Extras,
  JsonObject,
  MediaPart,
  Part,
  TextPart,
  ToolCallPart,
} from '../../core/chat.ts'
import { isRecord, recordOf } from '../../core/json-values.ts'
import { invalidField } from '../../wire/json/errors.ts'
import { ExtrasDraft, hashOf, isSameJson, jsonOf, unsupportedExtra, writeExtras } from '../dialect-fields.ts'
import { unsupported } from '../translator.ts'

export const DIALECT = 'openai.chat'

const DATA_URL = /^data:([^;,]+);base64,(.*)$/s
const PART_HINTS: ReadonlySet<string> = new Set(['cache_control', 'prompt_cache_breakpoint', 'detail'])
const TEXT_FIELDS: ReadonlySet<string> = new Set(['type', 'text', 'cache_control'])
/** The neutral part behind each; what they say of a sound's type is its last half. */
const MEDIA_TYPES: ReadonlySet<unknown> = new Set(['image_url', 'input_audio', 'file'])
const AUDIO_FORMATS: ReadonlyMap<string, string> = new Map([
  ['mpeg', 'mp3'],
  ['x-wav', 'wav'],
  ['wave', 'wav'],
  ['vnd.wave', 'wav'],
])

/** One part of a message's content. What cannot be put back exactly is kept as it is, as the dialect's own. */
export function readPart(value: unknown, place: string): TextPart | MediaPart | DialectPart {
  if (!isRecord(value)) throw invalidField(place, 'must be an object')
  if (value.type === 'text') return readText(value, place)
  if (typeof value.type !== 'string') throw invalidField(`${place}.type`, 'must be a string')
  const media = MEDIA_TYPES.has(value.type) ? readMedia(value) : undefined
  if (media && isSameJson(writeMedia(media, new Set()), value)) return media
  return { kind: 'own', dialect: DIALECT, name: value.type.slice(0, 64), value }
}

function readText(value: JsonObject, place: string): TextPart {
  if (typeof value.text !== 'string') throw invalidField(`${place}.text`, 'must be a string')
  const extras = new ExtrasDraft().keepRest(value, TEXT_FIELDS, PART_HINTS)
  return { kind: 'text', text: value.text, ...readCache(value, extras), ...extras.toField(DIALECT) }
}

/** Marks that the cache is spoken of here, or keeps what is said of it in other words. */
export function readCache(value: JsonObject, extras: ExtrasDraft): { readonly cache?: CacheHint } {
  if (!Object.hasOwn(value, 'cache_control')) return {}
  const control = value.cache_control
  const ttl = recordOf(control).ttl === '1h' ? '1h' : '5m'
  const isKnown = isSameJson(control, cacheControl(ttl))
  extras.hint('cache_control', isKnown ? null : control)
  return isKnown ? { cache: ttl } : {}
}

function cacheControl(cache: CacheHint): JsonObject {
  return { type: 'ephemeral', ...(cache === '1h' && { ttl: '1h' }) }
}

/** OpenAI itself refuses the field, so it goes only to where it came from. */
export function writeCache(cache: CacheHint | undefined, extras: JsonObject, dropped: Set<string>): JsonObject {
  if (cache === undefined) return {}
  if (Object.hasOwn(extras, 'cache_control')) return { cache_control: cacheControl(cache) }
  dropped.add('cache')
  return {}
}

function readMedia(value: JsonObject): MediaPart | undefined {
  const extras = new ExtrasDraft()
  const cache = readCache(value, extras)
  if (Object.hasOwn(value, 'prompt_cache_breakpoint'))
    extras.hint('prompt_cache_breakpoint', value.prompt_cache_breakpoint)
  const inner = recordOf(value[String(value.type)])
  const media =
    value.type === 'image_url'
      ? readImage(value.image_url, extras)
      : value.type === 'input_audio'
        ? readAudio(inner)
        : readFile(inner, extras)
  return media && { kind: 'media', ...media, ...cache, ...extras.toField(DIALECT) }
}

type Media = Pick<MediaPart, 'mediaType' | 'source' | 'name'>

/** Some servers take the address alone, in place of the object around it. */
function readImage(image: unknown, extras: ExtrasDraft): Media | undefined {
  const { url, detail } = isRecord(image) ? image : { url: image }
  if (typeof url !== 'string') return undefined
  if (image === url) extras.hint('image_url', '')
  if (detail !== undefined) extras.hint('detail', detail)
  return inlineOf(url) ?? { mediaType: 'image/*', source: { url } }
}

function readAudio({ data, format }: JsonObject): Media | undefined {
  if (typeof data !== 'string' || typeof format !== 'string') return undefined
  return { mediaType: `audio/${format}`, source: { base64: data } }
}

function readFile({ file_data: data, filename }: JsonObject, extras: ExtrasDraft): Media | undefined {
  if (typeof data !== 'string') return undefined
  const inline = inlineOf(data)
  if (!inline && !/^https?:/.test(data)) return undefined
  if (!inline) extras.hint('file_data', '')
  if (typeof filename !== 'string') extras.hint('filename', filename ?? null)
  return {
    ...(inline ?? { mediaType: 'application/pdf', source: { url: data } }),
    ...(typeof filename === 'string' && { name: filename }),
  }
}

/** What a data URL holds; undefined for any other. */
export function inlineOf(url: string): { readonly mediaType: string; readonly source: { base64: string } } | undefined {
  const [, mediaType, base64] = DATA_URL.exec(url) ?? []
  return mediaType === undefined || base64 === undefined ? undefined : { mediaType, source: { base64 } }
}

export function urlOf({ mediaType, source }: Pick<MediaPart, 'mediaType' | 'source'>): string {
  return 'url' in source ? source.url : `data:${mediaType};base64,${source.base64}`
}

export function writePart(part: Part, dropped: Set<string>): JsonObject {
  if (part.kind === 'text') {
    const extras = writeExtras(part.extras, DIALECT, dropped)
    return { ...extras, ...writeCache(part.cache, extras, dropped), type: 'text', text: part.text }
  }
  if (part.kind === 'media') return writeMedia(part, dropped)
  if (part.kind === 'refusal') return { type: 'refusal', refusal: part.text }
  if (part.kind === 'own' && part.dialect === DIALECT) return part.value
  throw part.kind === 'own'
    ? unsupportedExtra(part.name)
    : unsupported('messages', `A message cannot hold a ${part.kind} here.`)
}

function writeMedia(part: MediaPart, dropped: Set<string>): JsonObject {
  const extras = writeExtras(part.extras, DIALECT, dropped)
  const { detail, image_url: asText, file_data: asUrl, filename: unnamed, ...rest } = extras
  const common = { ...rest, ...writeCache(part.cache, extras, dropped) }
  if (part.mediaType.startsWith('image/')) {
    const url = urlOf(part)
    const image = asText === '' ? url : { url, ...(Object.hasOwn(extras, 'detail') && { detail }) }
    return { ...common, type: 'image_url', image_url: image }
  }
  if (part.mediaType.startsWith('audio/') && 'base64' in part.source) {
    const subtype = part.mediaType.slice('audio/'.length)
    const audio = { data: part.source.base64, format: AUDIO_FORMATS.get(subtype) ?? subtype }
    return { ...common, type: 'input_audio', input_audio: audio }
  }
  if (/^(?:audio|video)\//.test(part.mediaType))
    throw unsupported('messages', `Media of type '${part.mediaType}' cannot be sent to this model in this way.`)
  if ('url' in part.source && asUrl !== '')
    throw unsupported('messages', 'This model takes files inline, not by their address.')
  const name = Object.hasOwn(extras, 'filename') ? unnamed : (part.name ?? 'file.pdf')
  return { ...common, type: 'file', file: { file_data: urlOf(part), ...(name !== null && { filename: name }) } }
}

const CALL_FIELDS: ReadonlySet<string> = new Set(['id', 'type', 'index', 'function', 'extra_content'])
const FUNCTION_FIELDS: ReadonlySet<string> = new Set(['name', 'arguments'])
const NO_FIELDS: ReadonlySet<string> = new Set()
const MAX_ID_CHARACTERS = 40
const HASH_CHARACTERS = 16

/** A call of a function. Undefined where there is no function's name to be found. */
export function readCall(value: unknown, madeUpId: string): ToolCallPart | undefined {
  const call = recordOf(value)
  const { name, arguments: given } = recordOf(call.function)
  if (typeof name !== 'string' || name === '') return undefined
  const extras = new ExtrasDraft().keepRest(call, CALL_FIELDS, NO_FIELDS)
  if (Object.keys(recordOf(call.function)).some((field) => !FUNCTION_FIELDS.has(field)))
    extras.need('function', call.function)
  if (given === '') extras.hint('arguments', '')
  const signature = googleSignature(call)
  const isKnown = signature !== undefined && isSameJson(call.extra_content, googleExtra(signature))
  if (Object.hasOwn(call, 'extra_content')) extras.hint('extra_content', isKnown ? null : call.extra_content)
  return {
    kind: 'toolCall',
    id: typeof call.id === 'string' && call.id !== '' ? call.id : madeUpId,
    name,
    arguments: argumentsOf(given),
    ...(signature !== undefined && { signature }),
    ...extras.toField(DIALECT),
  }
}

/** Text, as it should be; the object itself from some servers. */
export function argumentsOf(given: unknown): string {
  if (typeof given === 'string' && given !== '') return given
  return isRecord(given) ? jsonOf(given) : '{}'
}

/** Google's own field, at its OpenAI-compatible endpoint. */
export function googleSignature(call: JsonObject): string | undefined {
  const { thought_signature: signature } = recordOf(recordOf(call.extra_content).google)
  return typeof signature === 'string' && signature !== '' ? signature : undefined
}

export function googleExtra(signature: string): JsonObject {
  return { google: { thought_signature: signature } }
}

/** In an ask. A signature goes only to where it came from. */
export function writeCall(part: ToolCallPart, dropped: Set<string>): JsonObject {
  const extras = writeExtras(part.extras, DIALECT, dropped)
  const { arguments: spelled, extra_content: extra, function: whole, ...rest } = extras
  if (part.cache !== undefined) dropped.add('cache')
  return {
    ...rest,
    ...(Object.hasOwn(extras, 'extra_content') && {
      extra_content: extra === null && part.signature !== undefined ? googleExtra(part.signature) : extra,
    }),
    id: legalId(part.id),
    type: 'function',
    function: whole ?? { name: part.name, arguments: spelled === '' && part.arguments === '{}' ? '' : part.arguments },
  }
}

/** At most forty characters: a longer one keeps its start, and a hash of the whole. Alike in a call and in its result. */
export function legalId(id: string): string {
  if (id.length <= MAX_ID_CHARACTERS) return id
  return `${id.slice(0, MAX_ID_CHARACTERS - HASH_CHARACTERS - 1).toWellFormed()}_${hashOf(id)}`
}

/** Nothing is said of it but its words. */
export function isPlainText(part: Part): part is TextPart {
  return part.kind === 'text' && part.cache === undefined && part.extras === undefined
}

/** A mark among hints, that says how something was written. */
export function isMarked(extras: Extras | undefined, name: string): boolean {
  return extras?.dialect === DIALECT && Object.hasOwn(extras.hints ?? {}, name)
}
