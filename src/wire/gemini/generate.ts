// Gemini generateContent and streamGenerateContent: POST /v1beta/models/{model}:generateContent.

import { tierName } from '../../core/service-tier.ts'
import type { Dialect, Edits, ParsedRequest, RequestLine } from '../dialect.ts'
import type { ByteRange, JsonCursor } from '../json/cursor.ts'
import { applySplices, memberInsertion, type Splice } from '../json/edit.ts'
import { invalidField } from '../json/errors.ts'
import { eachObject, eachObjectOrOne, handlersFor, lengthOf, ObjectReader } from '../json/object-reader.ts'
import { type ObjectLayout, readBody } from '../request-body.ts'
import {
  markHostedTool,
  newDraft,
  type RequestDraft,
  readAnswers,
  readAudioOutput,
  readMedia,
  readMetadata,
  readServiceTier,
} from '../request-reader.ts'
import { maxNormalisedBytes } from '../text-bound.ts'
import { geminiCountRequest } from './count-request.ts'
import { GEMINI_REFUSALS } from './errors.ts'
import { createGenerateTap } from './generate-answer.ts'
import { modelEndpoint, modelInPath, upstreamPath } from './path.ts'
import { inBothSpellings, toSnakeCase } from './spellings.ts'

export const geminiGenerate: Dialect<'gemini.generateContent'> = {
  ...GEMINI_REFUSALS,
  name: 'gemini.generateContent',
  listsExtras: true,
  endpoint: modelEndpoint('generateContent', 'streamGenerateContent'),
  isNearestTo: (path) => /\/v1(beta|alpha)\/|\/models\/.+:/.test(path),
  countRequest: geminiCountRequest,
  streamsAsArray: (line) => !/(?:^|&)alt=sse(?:&|$)/.test(line.query),
  hostedTools: {
    fields: [],
    lists: ['tools'],
    choices: ['toolConfig', 'tool_config'],
    readTool,
    functions: ['functionDeclarations', 'function_declarations'],
  },
  readRequest: readGenerateRequest,
  upstreamPath,
  createTap: createGenerateTap,
  // Each event of a stream is a response with what is new.
  documentEvents: (document) => `data: ${JSON.stringify(document)}\r\n\r\n`,
}

/** The positions of the parts of a body that can be edited. */
interface GenerateLayout extends ObjectLayout {
  config: ObjectLayout | null
  nullConfig: ByteRange | null
  cap: ByteRange | null
}

const BODY = new ObjectReader<RequestDraft, GenerateLayout>(
  inBothSpellings({
    contents(json, draft) {
      eachObjectOrOne(json, readContent, draft)
    },
    systemInstruction(json, draft) {
      if (json.isObject()) readContent(json, draft)
      else json.skipValue()
    },
    generationConfig: readConfig,
    tools(json, draft) {
      eachObjectOrOne(json, readTool, draft)
    },
    cachedContent(json, draft) {
      if (json.stringOrNull()) draft.unsizedInput = draft.uncountableInput = true
    },
    serviceTier: readServiceTier,
    labels: readMetadata,
  }),
)

/** Vertex AI takes the tier of a call from a header. */
const VERTEX_TIER_HEADER = 'x-vertex-ai-llm-shared-request-type'

function readGenerateRequest(body: Buffer, line: RequestLine): ParsedRequest {
  const draft = newDraft(maxNormalisedBytes(body))
  const layout: GenerateLayout = { membersStart: 0, isEmpty: false, config: null, nullConfig: null, cap: null }
  draft.model = modelInPath(line.path)
  draft.stream = line.path.endsWith(':streamGenerateContent')
  readBody(body, BODY, draft, layout)
  const tier = line.header(VERTEX_TIER_HEADER)
  if (tier !== undefined) draft.serviceTier ??= tierName(tier)
  return { facts: draft, requestsUsage: true, edit: (edits) => editBody(body, layout, edits) }
}

const CONFIG = new ObjectReader<RequestDraft, GenerateLayout>(
  inBothSpellings({
    maxOutputTokens(json, draft, layout, name) {
      layout.cap = json.range()
      const cap = json.countAt(layout.cap, name, 1)
      if (cap !== null) draft.outputCap = Math.max(draft.outputCap ?? 0, cap)
    },
    candidateCount(json, draft, _layout, name) {
      draft.answers = Math.max(draft.answers, readAnswers(json, name))
    },
    responseModalities(json, draft) {
      draft.audioOutput = readAudioOutput(json) || draft.audioOutput
    },
  }),
)

function readConfig(json: JsonCursor, draft: RequestDraft, layout: GenerateLayout, name: string): void {
  if (layout.config || layout.nullConfig) throw invalidField(name, 'must not come twice')
  if (!json.isObject()) {
    if (!json.isNull()) throw invalidField(name, 'must be an object')
    layout.nullConfig = json.range()
    return
  }
  const config = { membersStart: json.position + 1, isEmpty: false }
  layout.config = config
  config.isEmpty = CONFIG.read(json, draft, layout) === 0
}

const CONTENT = new ObjectReader<RequestDraft>({
  parts(json, draft) {
    eachObjectOrOne(json, readPart, draft)
  },
})

/** One content: a message, or a text to embed. */
export function readContent(json: JsonCursor, draft: RequestDraft): void {
  draft.messages++
  CONTENT.read(json, draft)
}

const PART = new ObjectReader<RequestDraft>(
  inBothSpellings({
    inlineData(json, draft) {
      const media = readMediaOrNone(json, draft)
      if (!media) return
      if (media.type.startsWith('image/')) draft.images++
      else draft.unsizedInput = true
    },
    // A stored file is what its caller says it is: even an image is not counted as one.
    fileData(json, draft) {
      const media = readMediaOrNone(json, draft)
      if (!media) return
      draft.unsizedInput = true
      if (!UPLOADED_FILE.test(media.uri)) draft.uncountableInput = true
    },
    // A count need not follow the frames per second that a call sets for its video.
    videoMetadata(json, draft) {
      if (json.isObject()) draft.uncountableInput = true
      json.skipValue()
    },
    functionResponse(json, draft) {
      FUNCTION_RESPONSE.readIfObject(json, draft)
    },
  }),
)

function readPart(json: JsonCursor, draft: RequestDraft): void {
  PART.read(json, draft)
}

/** A function may answer with media of its own. */
const FUNCTION_RESPONSE = new ObjectReader<RequestDraft>({
  parts(json, draft) {
    eachObject(json, readPart, draft)
  },
})

interface Media {
  type: string
  uri: string
}

/** A file that was uploaded to Google, which cannot be changed. Behind any other URI, the content can change before the call. */
const UPLOADED_FILE = /^(https:\/\/generativelanguage\.googleapis\.com\/v\w{1,16}\/)?files\/[\w-]{1,128}$/

const MEDIA = new ObjectReader<Media, RequestDraft>({
  ...handlersFor(['mimeType', 'mime_type'], (json, media: Media) => {
    media.type = json.stringOrNull() ?? ''
  }),
  ...handlersFor(['fileUri', 'file_uri'], (json, media: Media) => {
    media.uri = json.stringOrNull() ?? ''
  }),
  data(json, _media, draft) {
    readMedia(json, draft)
  },
})

/** Media without sound, which has a price of its own. */
const SILENT_MEDIA_TYPE = /^(image|text|application)\//

/** Reads inline or stored media, whose type may be empty. Returns undefined for anything but an object. */
function readMediaOrNone(json: JsonCursor, draft: RequestDraft): Media | undefined {
  if (!json.isObject()) {
    json.skipValue()
    return undefined
  }
  const media: Media = { type: '', uri: '' }
  MEDIA.read(json, media, draft)
  if (!SILENT_MEDIA_TYPE.test(media.type)) draft.audioInput = true
  return media
}

/** Tools that Google runs. */
const HOSTED_TOOLS = [
  'googleSearch',
  'googleSearchRetrieval',
  'codeExecution',
  'urlContext',
  'fileSearch',
  'computerUse',
  'googleMaps',
  'enterpriseWebSearch',
]

interface Tool {
  knownMembers: number
}

const TOOL = new ObjectReader<Tool, RequestDraft>({
  ...inBothSpellings<Tool, RequestDraft>({
    functionDeclarations(json, tool, draft) {
      tool.knownMembers++
      draft.tools = lengthOf(json.range()) > '[]'.length || draft.tools
    },
  }),
  // The name is marked as the caller spells it.
  ...handlersFor(HOSTED_TOOLS.concat(HOSTED_TOOLS.map(toSnakeCase)), (json, tool: Tool, draft: RequestDraft, name) => {
    tool.knownMembers++
    markHostedTool(draft, name)
    json.skipValue()
  }),
})

/** Google runs every tool other than function declarations, unknown ones included. */
function readTool(json: JsonCursor, draft: RequestDraft): void {
  const start = json.position
  const tool: Tool = { knownMembers: 0 }
  const members = TOOL.read(json, tool, draft)
  if (members > tool.knownMembers) markHostedTool(draft, `tools at byte ${start}`)
}

function editBody(body: Buffer, layout: GenerateLayout, edits: Edits): Buffer {
  const splices: Splice[] = []
  if (edits.cap) {
    const text = String(edits.cap.tokens)
    const member = `"maxOutputTokens":${text}`
    const { cap, config, nullConfig } = layout
    if (cap) splices.push({ ...cap, text })
    else if (nullConfig) splices.push({ ...nullConfig, text: `{${member}}` })
    else if (config) splices.push(memberInsertion(config.membersStart, member, config.isEmpty))
    else splices.push(memberInsertion(layout.membersStart, `"generationConfig":{${member}}`, layout.isEmpty))
  }
  return applySplices(body, splices)
}
