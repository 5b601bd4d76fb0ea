// Media types: reads the many spellings of a media type and of a data URL. It opens no URL and decodes no image.

/** Inline data and their media type. */
export interface InlineData {
  /** Empty if the URL names none. */
  readonly mediaType: string
  readonly source: { readonly base64: string }
}

/** Other names of media types. */
const ALIASES: ReadonlyMap<string, string> = new Map([
  ['image/jpg', 'image/jpeg'],
  ['image/pjpeg', 'image/jpeg'],
  ['image/jfif', 'image/jpeg'],
  ['image/x-png', 'image/png'],
  ['image/x-webp', 'image/webp'],
  ['application/x-pdf', 'application/pdf'],
  ['application/acrobat', 'application/pdf'],
  ['audio/x-wav', 'audio/wav'],
  ['audio/wave', 'audio/wav'],
  ['audio/vnd.wave', 'audio/wav'],
  ['audio/mpeg', 'audio/mp3'],
  ['audio/mpeg3', 'audio/mp3'],
  ['audio/x-mp3', 'audio/mp3'],
  ['audio/x-m4a', 'audio/m4a'],
  ['audio/x-flac', 'audio/flac'],
  ['audio/x-aac', 'audio/aac'],
  ['audio/x-aiff', 'audio/aiff'],
])
/** The first characters of files in base64, by type. */
const BEGINNINGS: readonly (readonly [string, string])[] = [
  ['iVBORw0KGgo', 'image/png'],
  ['/9j/', 'image/jpeg'],
  ['R0lGOD', 'image/gif'],
  ['JVBERi0', 'application/pdf'],
]

/** The type in small letters, without its parameters, by its registered name: `Image/JPG; q=1` → `image/jpeg`. */
export function normalMediaType(mediaType: string): string {
  const [type = ''] = mediaType.split(';', 1)
  const small = type.trim().toLowerCase()
  return ALIASES.get(small) ?? small
}

/** Whether a type says nothing of what it is. */
function isVague(mediaType: string): boolean {
  return mediaType === '' || mediaType.endsWith('/*') || /^(?:application|binary)\/octet-stream$/.test(mediaType)
}

/** The normal type; if it says nothing, the type that the first bytes of the data tell. */
export function mediaTypeOf(mediaType: string, base64: string): string {
  const normal = normalMediaType(mediaType)
  if (!isVague(normal)) return normal
  const known = BEGINNINGS.find(([beginning]) => base64.startsWith(beginning))
  if (known) return known[1]
  const head = base64.startsWith('UklGR') ? Buffer.from(base64.slice(0, 16), 'base64').toString('latin1', 8, 12) : ''
  return head === 'WEBP' ? 'image/webp' : head === 'WAVE' ? 'audio/wav' : normal
}

const UNUSUAL_BASE64 = /[\s_-]/
/** Base64 without white space and in the usual alphabet. */
export function normalBase64(base64: string): string {
  if (!UNUSUAL_BASE64.test(base64)) return base64
  return base64.replace(/\s+/g, '').replaceAll('-', '+').replaceAll('_', '/')
}

/** A parameter of a data URL, such as the name of a file, is shorter. */
const MAX_HEAD_CHARACTERS = 1_024
/** The head of a data URL, whose parameters can hold commas, too. */
const BASE64_MARK = /^\s*data:.*?;\s*base64\s*,/is

const TYPES_BY_ENDING: ReadonlyMap<string, string> = new Map([
  ['png', 'image/png'],
  ['jpg', 'image/jpeg'],
  ['jpeg', 'image/jpeg'],
  ['gif', 'image/gif'],
  ['webp', 'image/webp'],
  ['heic', 'image/heic'],
  ['heif', 'image/heif'],
  ['pdf', 'application/pdf'],
])

/** The normal type; if it says nothing, the type that the ending of the URL tells. */
export function mediaTypeOfUrl(mediaType: string, url: string): string {
  const normal = normalMediaType(mediaType)
  if (!isVague(normal)) return normal
  const [, ending = ''] = /\.(\w{3,4})(?:[?#]|$)/.exec(url) ?? []
  return TYPES_BY_ENDING.get(ending.toLowerCase()) ?? normal
}

/** The data of a data URL, with or without parameters, in base64 or percent-encoded; undefined for any other URL. */
export function parseDataUrl(url: string): InlineData | undefined {
  const marked = BASE64_MARK.exec(url.slice(0, MAX_HEAD_CHARACTERS))
  const comma = marked ? marked[0].length - 1 : url.indexOf(',')
  if (comma < 0 || !/^\s*data:/i.test(url.slice(0, 16))) return undefined
  const [mediaType = '', ...parameters] = url.slice(url.indexOf(':') + 1, comma).split(';')
  const data = url.slice(comma + 1)
  if (parameters.some((parameter) => parameter.trim().toLowerCase() === 'base64'))
    return { mediaType: mediaType.trim(), source: { base64: data } }
  try {
    return {
      mediaType: mediaType.trim() || 'text/plain',
      source: { base64: Buffer.from(decodeURIComponent(data)).toString('base64') },
    }
  } catch {
    return undefined
  }
}
