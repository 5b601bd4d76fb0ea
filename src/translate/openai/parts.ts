// OpenAI parts: reads and writes the parts of a message's content.

import type { CacheHint, DialectPart, Extras, JsonObject, MediaPart, Part, TextPart } from '../../core/chat.ts'
import { isRecord, recordOf } from '../../core/json-values.ts'
import { invalidField } from '../../wire/json/errors.ts'
import { ExtrasDraft, isSameJson, unsupportedPartOrTool, writeExtras } from '../dialect-fields.ts'
import { type InlineData, mediaTypeOf, normalMediaType, parseDataUrl } from '../media-types.ts'
import { placed } from '../places.ts'
import { unsupportedPart } from '../translator.ts'
import { DIALECT, OPENAI_EXTRAS } from './dialect-fields.ts'

/** Parts with a text. The Responses API has two types of them, and clients that speak both mix them up. */
const TEXT_TYPES: ReadonlySet<unknown> = new Set(['text', 'input_text', 'output_text'])
const TEXT_FIELDS: ReadonlySet<string> = new Set(['type', 'text', 'cache_control'])
/** The types of parts that hold media. */
export const MEDIA_TYPES: ReadonlySet<unknown> = new Set(['image_url', 'input_audio', 'file'])
/** OpenAI's format by the second half of a MIME type, if the two differ. */
const AUDIO_FORMATS: ReadonlyMap<string, string> = new Map([
  ['mpeg', 'mp3'],
  ['x-wav', 'wav'],
  ['wave', 'wav'],
  ['vnd.wave', 'wav'],
])

/** Under this mark a part is kept whole if the writer could not restore it otherwise. */
export const WHOLE_MARK = 'part'

/** Reads a part of a message's content. A part of an unknown type is kept whole, as a dialect part. */
export function readPart(value: unknown, path: string): TextPart | MediaPart | DialectPart {
  if (!isRecord(value)) throw invalidField(path, 'must be an object')
  if (TEXT_TYPES.has(value.type)) return readText(value, path)
  if (typeof value.type !== 'string') throw invalidField(`${path}.type`, 'must be a string')
  const media = MEDIA_TYPES.has(value.type) ? readMedia(value, path) : undefined
  if (media) return media
  return placed({ kind: 'dialect', dialect: DIALECT, name: value.type.slice(0, 64), value }, path)
}

function readText(value: JsonObject, path: string): TextPart {
  if (typeof value.text !== 'string') throw invalidField(`${path}.text`, 'must be a string')
  const extras = new ExtrasDraft(OPENAI_EXTRAS, path).keepRest(value, TEXT_FIELDS, { isEcho: true })
  if (value.type !== 'text') extras.mark(WHOLE_MARK, value)
  return { kind: 'text', text: value.text, ...readCache(value, extras), ...extras.toField() }
}

/** Reads `cache_control`. The hint tells the writer that the server takes the field, and keeps an unknown form of it. */
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

/** OpenAI refuses `cache_control`, so it is written only if the request came with it. @param extras those of the object */
export function writeCache(cache: CacheHint | undefined, extras: JsonObject, dropped: Set<string>): JsonObject {
  if (cache === undefined) return {}
  if (Object.hasOwn(extras, 'cache_control')) return { cache_control: cacheControl(cache) }
  dropped.add('cache')
  return {}
}

/** Undefined if the part holds neither data nor a URL. */
function readMedia(value: JsonObject, path: string): MediaPart | undefined {
  const type = String(value.type)
  const extras = new ExtrasDraft(OPENAI_EXTRAS, path)
  const cache = readCache(value, extras)
  if (Object.hasOwn(value, 'prompt_cache_breakpoint'))
    extras.hint('prompt_cache_breakpoint', value.prompt_cache_breakpoint)
  const fields = recordOf(value[type])
  const media =
    type === 'image_url'
      ? readImage(value.image_url, extras)
      : type === 'input_audio'
        ? readAudio(fields)
        : readFile(fields, extras)
  if (!media) return undefined
  const part: MediaPart = placed({ kind: 'media', ...media, ...cache, ...extras.toField() }, path)
  if (isRestored(part, value)) return part
  // Unknown fields, or an unusual spelling of the URL.
  extras.keepRest(value, new Set(['type', type, 'cache_control', 'prompt_cache_breakpoint']), { isEcho: true })
  extras.keepRest(fields, MEDIA_FIELDS, { isEcho: true, prefix: `${type}.` })
  extras.mark(WHOLE_MARK, value)
  return placed({ ...part, ...extras.toField() }, path)
}

/** Whether the writer would write the part as the request has it. */
function isRestored(part: MediaPart, value: JsonObject): boolean {
  try {
    return isSameJson(writeMedia(part, new Set()), value)
  } catch {
    // This dialect has no such part, but another one can.
    return false
  }
}

const MEDIA_FIELDS: ReadonlySet<string> = new Set(['url', 'detail', 'data', 'format', 'file_data', 'filename'])

type Media = Pick<MediaPart, 'mediaType' | 'source' | 'name'>

/** Some servers accept the URL in place of the object with the URL. */
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
  const inline = inlineOf(data) ?? bareDataOf(data)
  if (!inline && !/^https?:/.test(data)) return undefined
  if (!inline) extras.hint('file_data', '')
  if (typeof filename !== 'string') extras.hint('filename', filename ?? null)
  return {
    ...(inline ?? { mediaType: 'application/pdf', source: { url: data } }),
    ...(typeof filename === 'string' && { name: filename }),
  }
}

/** Base64 without a URL around it, if its first bytes tell what it is. */
function bareDataOf(data: string): InlineData | undefined {
  const mediaType = mediaTypeOf('', data)
  return mediaType === '' ? undefined : { mediaType, source: { base64: data } }
}

/** The media of a data URL; undefined for any other URL. */
function inlineOf(url: string): InlineData | undefined {
  const inline = parseDataUrl(url)
  return inline && { ...inline, mediaType: normalMediaType(inline.mediaType) }
}

/** Media in the response of a model. */
export interface InlineMedia {
  readonly kind: 'media'
  readonly mediaType: string
  readonly source: { readonly base64: string }
}

/** The images of a message or of a delta, in OpenRouter's field for them. */
export function picturesIn(message: JsonObject): InlineMedia[] {
  if (!Array.isArray(message.images)) return []
  return message.images.flatMap((image: unknown) => {
    const { url } = recordOf(recordOf(image).image_url)
    const inline = typeof url === 'string' ? inlineOf(url) : undefined
    return inline ? [{ kind: 'media' as const, ...inline }] : []
  })
}

/** The media's URL; a data URL if it is inline. */
export function urlOf({ mediaType, source }: Pick<MediaPart, 'mediaType' | 'source'>): string {
  return 'url' in source ? source.url : `data:${mediaType};base64,${source.base64}`
}

/** The part that this dialect's reader kept whole. */
function wholePartOf(extras: Extras | undefined): JsonObject | undefined {
  const whole = extras?.dialect === DIALECT ? extras.marks?.[WHOLE_MARK] : undefined
  return isRecord(whole) ? whole : undefined
}

/** Throws Problem `unsupported` for a part that no message of this dialect can hold. */
export function writePart(part: Part, dropped: Set<string>): JsonObject {
  const whole = 'extras' in part ? wholePartOf(part.extras) : undefined
  if (whole) return whole
  if (part.kind === 'text') {
    const extras = writeExtras(part.extras, OPENAI_EXTRAS, dropped)
    return { ...extras, ...writeCache(part.cache, extras, dropped), type: 'text', text: part.text }
  }
  if (part.kind === 'media') return writeMedia(part, dropped)
  if (part.kind === 'refusal') return { type: 'refusal', refusal: part.text }
  if (part.kind === 'dialect' && part.dialect === DIALECT) return part.value
  throw part.kind === 'dialect'
    ? unsupportedPartOrTool(part)
    : unsupportedPart(part, `The target model does not support a part of kind '${part.kind}' in a message.`)
}

function writeMedia(part: MediaPart, dropped: Set<string>): JsonObject {
  const extras = writeExtras(part.extras, OPENAI_EXTRAS, dropped)
  const { detail, image_url: asText, file_data: asUrl, filename: originalName, ...rest } = extras
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
    throw unsupportedPart(
      part,
      `The target model does not support media of type '${part.mediaType}' from this source. Use an image, a PDF or inline audio.`,
    )
  if ('url' in part.source && asUrl !== '')
    throw unsupportedPart(part, 'The target model does not support files by URL. Send the file inline, as base64.')
  const name = Object.hasOwn(extras, 'filename') ? originalName : (part.name ?? 'file.pdf')
  return { ...common, type: 'file', file: { file_data: urlOf(part), ...(name !== null && { filename: name }) } }
}

/** Whether the part is text without a cache hint and without extras. */
export function isPlainText(part: Part): part is TextPart {
  return part.kind === 'text' && part.cache === undefined && part.extras === undefined
}
