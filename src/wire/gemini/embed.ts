// Gemini embedContent and batchEmbedContents: POST /v1beta/models/{model}:embedContent.

import { recordOf } from '../../core/json-values.ts'
import { countOf, usageOf } from '../../core/usage.ts'
import { type Draft, draftOf, eachField, eachObject } from '../ask-reader.ts'
import type { Dialect, Metered, Reading, RequestLine } from '../dialect.ts'
import { Fields, JsonCursor, type Range } from '../json/cursor.ts'
import { DocumentTap } from '../taps/document.ts'
import { normalisedBytes } from '../text-bound.ts'
import { geminiGenerate, modelInPath, readContent } from './generate.ts'
import { readModelAgain, withModel } from './model.ts'

/** A batch holds requests; a single call is one itself. */
const BODY = new Fields('requests', 'model', 'content')

export const geminiEmbed: Dialect = {
  ...geminiGenerate,
  name: 'gemini.embedContent',
  read,
  tap: () => new DocumentTap(readVectors),
}

function read(body: Buffer, line: RequestLine): Reading {
  const json = new JsonCursor(body)
  const draft = draftOf(normalisedBytes(body))
  draft.kind = 'embed'
  draft.model = modelInPath(line.path)
  const found: Found = { draft, models: [], contents: 0 }
  readRequest(json, found)
  json.finish()
  draft.prompts = Math.max(1, found.contents)
  return { ask: draft, asksForUsage: true, edit: (edits) => withModel(body, found.models, edits) }
}

interface Found {
  readonly draft: Draft
  readonly models: Range[]
  /** How many there are to embed. */
  contents: number
}

function readRequest(json: JsonCursor, found: Found): void {
  eachField(json, BODY, readMember, found)
}

function readMember(field: number, json: JsonCursor, found: Found): void {
  const name = BODY.names[field]
  if (name === 'model') readModelAgain(json, found.draft.model, found.models)
  else if (name === 'requests' && json.peek() === '{') readRequest(json, found)
  else if (name === 'requests') eachObject(json, readRequest, found)
  else if (json.peek() === '{') {
    found.contents++
    readContent(json, found.draft)
  } else json.skipValue()
}

const ANSWER = new Fields('usageMetadata')
const MODALITIES = { sound: ['AUDIO'], picture: ['IMAGE'], film: ['VIDEO', 'DOCUMENT'] } as const
/** Film is billed like a model of its own. No price is known of documents: they cost as much. */
const FILM_MODEL = 'gemini-embedding-2-video'

/** Undefined where it counts nothing: older models never count, and no content is as short as that. */
function readVectors(document: Buffer): Metered | undefined {
  const json = new JsonCursor(document)
  let counts: Readonly<Record<string, unknown>> = {}
  eachField(json, ANSWER, () => (counts = recordOf(json.value())))
  json.finish()
  const prompt = countOf(counts.promptTokenCount)
  if (prompt === 0) return undefined
  const film = Math.min(tokensOf(counts, MODALITIES.film), prompt)
  const audioInput = Math.min(tokensOf(counts, MODALITIES.sound), prompt - film)
  const imageInput = Math.min(tokensOf(counts, MODALITIES.picture), prompt - film - audioInput)
  const usage = usageOf({ input: prompt - film - audioInput - imageInput, audioInput, imageInput, requests: 1 })
  const also = film > 0 ? { also: [{ usage: usageOf({ imageInput: film }), model: FILM_MODEL }] } : {}
  return { usage, ...also, reasoningTokens: 0, model: null, serviceTier: null }
}

function tokensOf(counts: Readonly<Record<string, unknown>>, modalities: readonly unknown[]): number {
  const details: unknown = counts.promptTokenDetails ?? counts.promptTokensDetails
  if (!Array.isArray(details)) return 0
  return details
    .map(recordOf)
    .filter(({ modality }) => modalities.includes(modality))
    .reduce((sum, { tokenCount }) => sum + countOf(tokenCount), 0)
}
