// Gemini embedContent and batchEmbedContents: POST /v1beta/models/{model}:embedContent.

import { recordOf } from '../../core/json-values.ts'
import { countOf, usageOf } from '../../core/usage.ts'
import { isErrorValue } from '../answer-errors.ts'
import type { AnswerUsage, Dialect, ParsedRequest, RequestLine } from '../dialect.ts'
import type { JsonCursor } from '../json/cursor.ts'
import { eachObjectOrOne, ObjectReader } from '../json/object-reader.ts'
import { readBody } from '../request-body.ts'
import { newDraft, type RequestDraft } from '../request-reader.ts'
import { DocumentTap, ErrorDocument } from '../taps/document.ts'
import { maxNormalisedBytes } from '../text-bound.ts'
import { GEMINI_REFUSALS } from './errors.ts'
import { readContent } from './generate.ts'
import { type ModelsLayout, newModelsLayout, readBodyModel, replaceModels } from './model.ts'
import { modelEndpoint, modelInPath, upstreamPath } from './path.ts'

export const geminiEmbed: Dialect<'gemini.embedContent'> = {
  ...GEMINI_REFUSALS,
  name: 'gemini.embedContent',
  listsExtras: true,
  endpoint: modelEndpoint('embedContent', 'batchEmbedContents'),
  readRequest: readEmbedRequest,
  upstreamPath,
  createTap: () => new DocumentTap(readVectorUsage),
}

interface EmbedLayout extends ModelsLayout {
  readonly draft: RequestDraft
  /** How many contents there are to embed. */
  contentCount: number
}

/** A batch holds requests; a single call is a request itself. */
const BODY = new ObjectReader<RequestDraft, EmbedLayout>({
  requests(json, _draft, layout) {
    eachObjectOrOne(json, readBatchedRequest, layout)
  },
  model: readBodyModel,
  content(json, draft, layout) {
    if (json.isObject()) {
      layout.contentCount++
      readContent(json, draft)
    } else json.skipValue()
  },
})

function readBatchedRequest(json: JsonCursor, layout: EmbedLayout): void {
  BODY.read(json, layout.draft, layout)
}

function readEmbedRequest(body: Buffer, line: RequestLine): ParsedRequest {
  const draft = newDraft(maxNormalisedBytes(body))
  draft.kind = 'embed'
  draft.model = modelInPath(line.path)
  const layout: EmbedLayout = { ...newModelsLayout(), draft, contentCount: 0 }
  readBody(body, BODY, draft, layout)
  draft.prompts = Math.max(1, layout.contentCount)
  return { facts: draft, requestsUsage: true, edit: (edits) => replaceModels(body, layout, edits) }
}

interface AnswerFacts {
  isError: boolean
  counts: Readonly<Record<string, unknown>>
}

const ANSWER = new ObjectReader<AnswerFacts>({
  usageMetadata(json, answer) {
    answer.counts = recordOf(json.value())
  },
  error(json, answer) {
    answer.isError = isErrorValue(json)
  },
})

const MODALITIES = { audio: ['AUDIO'], image: ['IMAGE'], video: ['VIDEO', 'DOCUMENT'] } as const
/** Video is billed like a model of its own. Documents have no known price, and count as video. */
const VIDEO_MODEL = 'gemini-embedding-2-video'

/** Undefined if the answer counts nothing: older models never count, and no content is that short. */
function readVectorUsage(document: Buffer): AnswerUsage | undefined {
  const { counts, isError } = ANSWER.readDocument(document, { counts: {}, isError: false })
  const usage = answerUsageOf(counts)
  if (isError) throw new ErrorDocument(usage)
  return usage
}

function answerUsageOf(counts: Readonly<Record<string, unknown>>): AnswerUsage | undefined {
  const prompt = countOf(counts.promptTokenCount)
  if (prompt === 0) return undefined
  const video = Math.min(tokensOf(counts, MODALITIES.video), prompt)
  const audioInput = Math.min(tokensOf(counts, MODALITIES.audio), prompt - video)
  const imageInput = Math.min(tokensOf(counts, MODALITIES.image), prompt - video - audioInput)
  const usage = usageOf({ input: prompt - video - audioInput - imageInput, audioInput, imageInput, requests: 1 })
  const otherUsage = video > 0 ? { otherUsage: [{ usage: usageOf({ imageInput: video }), model: VIDEO_MODEL }] } : {}
  return { usage, ...otherUsage, reasoningTokens: 0, model: null, serviceTier: null }
}

function tokensOf(counts: Readonly<Record<string, unknown>>, modalities: readonly unknown[]): number {
  const details: unknown = counts.promptTokenDetails ?? counts.promptTokensDetails
  if (!Array.isArray(details)) return 0
  return details
    .map(recordOf)
    .filter(({ modality }) => modalities.includes(modality))
    .reduce((sum, { tokenCount }) => sum + countOf(tokenCount), 0)
}
