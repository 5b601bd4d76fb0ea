// Gemini embedContent and batchEmbedContents: POST /v1beta/models/{model}:embedContent.

import { recordOf } from '../../core/json-values.ts'
import { countOf, usageOf } from '../../core/usage.ts'
import type { AnswerUsage, Dialect, ParsedRequest, RequestLine } from '../dialect.ts'
import { type ByteRange, Fields, JsonCursor } from '../json/cursor.ts'
import { eachField, eachObject, newDraft, type RequestDraft } from '../request-reader.ts'
import { DocumentTap } from '../taps/document.ts'
import { maxNormalisedBytes } from '../text-bound.ts'
import { geminiGenerate, modelInPath, readContent } from './generate.ts'
import { readBodyModel, replaceModels } from './model.ts'

/** A batch holds requests; a single call is one itself. */
const BODY = new Fields('requests', 'model', 'content')

export const geminiEmbed: Dialect = {
  ...geminiGenerate,
  name: 'gemini.embedContent',
  readRequest: readBody,
  createTap: () => new DocumentTap(readVectorUsage),
}

function readBody(body: Buffer, line: RequestLine): ParsedRequest {
  const json = new JsonCursor(body)
  const draft = newDraft(maxNormalisedBytes(body))
  draft.kind = 'embed'
  draft.model = modelInPath(line.path)
  const found: EmbedDraft = { draft, modelRanges: [], contentCount: 0 }
  readRequest(json, found)
  json.finish()
  draft.prompts = Math.max(1, found.contentCount)
  return { facts: draft, asksForUsage: true, edit: (edits) => replaceModels(body, found.modelRanges, edits) }
}

interface EmbedDraft {
  readonly draft: RequestDraft
  readonly modelRanges: ByteRange[]
  /** How many there are to embed. */
  contentCount: number
}

function readRequest(json: JsonCursor, found: EmbedDraft): void {
  eachField(json, BODY, readMember, found)
}

function readMember(field: number, json: JsonCursor, found: EmbedDraft): void {
  const name = BODY.names[field]
  if (name === 'model') readBodyModel(json, found.draft.model, found.modelRanges)
  else if (name === 'requests' && json.peek() === '{') readRequest(json, found)
  else if (name === 'requests') eachObject(json, readRequest, found)
  else if (json.peek() === '{') {
    found.contentCount++
    readContent(json, found.draft)
  } else json.skipValue()
}

const ANSWER = new Fields('usageMetadata')
const MODALITIES = { audio: ['AUDIO'], image: ['IMAGE'], video: ['VIDEO', 'DOCUMENT'] } as const
/** Film is billed like a model of its own. No price is known of documents: they cost as much. */
const VIDEO_MODEL = 'gemini-embedding-2-video'

/** Undefined where it counts nothing: older models never count, and no content is as short as that. */
function readVectorUsage(document: Buffer): AnswerUsage | undefined {
  const json = new JsonCursor(document)
  let counts: Readonly<Record<string, unknown>> = {}
  eachField(json, ANSWER, () => (counts = recordOf(json.value())))
  json.finish()
  const prompt = countOf(counts.promptTokenCount)
  if (prompt === 0) return undefined
  const film = Math.min(tokensOf(counts, MODALITIES.video), prompt)
  const audioInput = Math.min(tokensOf(counts, MODALITIES.audio), prompt - film)
  const imageInput = Math.min(tokensOf(counts, MODALITIES.image), prompt - film - audioInput)
  const usage = usageOf({ input: prompt - film - audioInput - imageInput, audioInput, imageInput, requests: 1 })
  const others = film > 0 ? { otherUsage: [{ usage: usageOf({ imageInput: film }), model: VIDEO_MODEL }] } : {}
  return { usage, ...others, reasoningTokens: 0, model: null, serviceTier: null }
}

function tokensOf(counts: Readonly<Record<string, unknown>>, modalities: readonly unknown[]): number {
  const details: unknown = counts.promptTokenDetails ?? counts.promptTokensDetails
  if (!Array.isArray(details)) return 0
  return details
    .map(recordOf)
    .filter(({ modality }) => modalities.includes(modality))
    .reduce((sum, { tokenCount }) => sum + countOf(tokenCount), 0)
}
