// Gemini's answers: candidates, why they ended, and what was used.

import type { ChatChoice, ChatResponse, ChatUsage, JsonObject, MediaPart, Part, StopReason } from '../../core/chat.ts'
import { isRecord, recordOf } from '../../core/json-values.ts'
import { inputTokens, outputTokens } from '../../core/usage.ts'
import { readName } from '../dialect-fields.ts'
import type { ResponseContext } from '../translator.ts'
import { DIALECT, restoreExtras } from './dialect-fields.ts'
import {
  parseJsonObject,
  readPart,
  SKIP_SIGNATURE_CHECK,
  type ToolCallIds,
  writeCall,
  writeMedia,
  writeThought,
} from './parts.ts'

const STOP_REASONS: ReadonlyMap<unknown, StopReason> = new Map<unknown, StopReason>([
  ['STOP', 'end'],
  ['MAX_TOKENS', 'length'],
  ['SAFETY', 'filtered'],
  ['RECITATION', 'filtered'],
  ['LANGUAGE', 'filtered'],
  ['BLOCKLIST', 'filtered'],
  ['PROHIBITED_CONTENT', 'filtered'],
  ['SPII', 'filtered'],
  ['IMAGE_SAFETY', 'filtered'],
  ['IMAGE_PROHIBITED_CONTENT', 'filtered'],
  ['IMAGE_RECITATION', 'filtered'],
  ['CONTINUATION', 'paused'],
])

const FINISH_REASONS: Readonly<Record<StopReason, string>> = {
  end: 'STOP',
  toolCalls: 'STOP',
  stopSequence: 'STOP',
  paused: 'STOP',
  length: 'MAX_TOKENS',
  context: 'MAX_TOKENS',
  filtered: 'SAFETY',
  refusal: 'SAFETY',
}

/** Gemini does not tell that it stopped to call a tool. @param calls it did call one */
export function stopOf(finishReason: unknown, calls: boolean): StopReason {
  const stop = STOP_REASONS.get(finishReason) ?? 'end'
  return stop === 'end' && calls ? 'toolCalls' : stop
}

/** A prompt that was blocked is answered without a candidate. */
export function isBlocked(body: JsonObject): boolean {
  return typeof recordOf(body.promptFeedback).blockReason === 'string'
}

/** Ids of the calls of one answer, told from those of other answers by its id. */
export class ResponseToolCallIds implements ToolCallIds {
  /** Empty where it has none. */
  responseId = ''
  #callCount = 0

  idOfCall(_name: string, given: string | undefined): string {
    const made = this.responseId === '' ? `call_${this.#callCount}` : `call_${this.responseId}_${this.#callCount}`
    this.#callCount++
    return given ?? made
  }

  idOfResult(_name: string, given: string | undefined): string {
    return given ?? ''
  }
}

/** Parts of an answer. Those that cannot be read say nothing. */
export function readParts(candidate: JsonObject, ids: ToolCallIds): Part[] {
  const { parts } = recordOf(candidate.content)
  if (!Array.isArray(parts)) return []
  return parts.flatMap((part) => {
    try {
      return isRecord(part) ? [readPart(part, 'parts', ids)] : []
    } catch {
      return []
    }
  })
}

export function idOf(body: JsonObject): string {
  return readName(body.responseId)
}

export function modelOf(body: JsonObject): string {
  return readName(body.modelVersion)
}

export function candidatesIn(body: JsonObject): JsonObject[] {
  return Array.isArray(body.candidates) ? body.candidates.filter(isRecord) : []
}

/** Never throws. */
export function readResponse(body: JsonObject): ChatResponse {
  const ids = new ResponseToolCallIds()
  ids.responseId = idOf(body)
  const candidates = candidatesIn(body)
  const choices = candidates
    .toSorted((one, other) => candidateIndex(one) - candidateIndex(other))
    .map((candidate) => {
      const parts = readParts(candidate, ids)
      return {
        parts,
        stop: stopOf(
          candidate.finishReason,
          parts.some(({ kind }) => kind === 'toolCall'),
        ),
      }
    })
  const none: ChatChoice = { parts: [], stop: isBlocked(body) ? 'filtered' : 'end' }
  return { id: ids.responseId, model: modelOf(body), choices: choices.length > 0 ? choices : [none] }
}

/** No provider gives more answers than this to one prompt. */
const MAX_CHOICES = 128

/** Which of the answers this is; the first where it is not said. */
export function candidateIndex(candidate: JsonObject): number {
  const { index } = candidate
  return typeof index === 'number' && Number.isInteger(index) && index >= 0 && index < MAX_CHOICES ? index : 0
}

/** Thoughts stand beside Gemini's count of candidates, cached tokens inside that of the prompt. */
export function writeUsage({ usage, reasoningTokens }: ChatUsage): JsonObject {
  const prompt = inputTokens(usage)
  const output = outputTokens(usage)
  const thoughts = Math.min(reasoningTokens, output)
  const cached = usage.cacheRead + usage.audioCacheRead
  return {
    promptTokenCount: prompt,
    ...(cached > 0 ? { cachedContentTokenCount: cached } : {}),
    candidatesTokenCount: output - thoughts,
    ...(thoughts > 0 ? { thoughtsTokenCount: thoughts } : {}),
    totalTokenCount: prompt + output,
  }
}

export function writeResponse(answer: ChatResponse, used: ChatUsage | undefined, context: ResponseContext): JsonObject {
  return {
    candidates: answer.choices.map(candidateOf),
    ...(used ? { usageMetadata: writeUsage(used) } : {}),
    modelVersion: answer.model || context.model,
    responseId: context.callId,
  }
}

function candidateOf({ parts, stop }: ChatChoice, index: number): JsonObject {
  const broken = parts.find((part) => part.kind === 'toolCall' && !parseJsonObject(part.arguments))
  return {
    content: { parts: signFirstCall(parts).flatMap(writePart), role: 'model' },
    ...finishOf(stop, broken?.kind === 'toolCall' ? broken.name : undefined),
    index,
  }
}

/** Gemini itself, handed back what another model called, wants the first call signed. */
function signFirstCall(parts: readonly Part[]): Part[] {
  const first = parts.find((part) => part.kind === 'toolCall' && parseJsonObject(part.arguments))
  return parts.map((part) =>
    part === first && part.kind === 'toolCall' && part.extras?.dialect !== DIALECT
      ? { ...part, signature: part.signature ?? SKIP_SIGNATURE_CHECK }
      : part,
  )
}

/** A call whose arguments are no JSON object is not handed on: Gemini says that it was malformed. @param broken its tool */
export function finishOf(stop: StopReason, broken: string | undefined): JsonObject {
  if (broken === undefined || FINISH_REASONS[stop] !== 'STOP') return { finishReason: FINISH_REASONS[stop] }
  const finishMessage = `Malformed function call: the arguments of ${broken} are no JSON object.`
  return { finishReason: 'MALFORMED_FUNCTION_CALL', finishMessage }
}

/** None for what has no place in an answer of Gemini. */
export function writePart(part: Part): JsonObject[] {
  switch (part.kind) {
    case 'text':
      return [restoreExtras({ text: part.text }, part.extras)]
    case 'refusal':
      return [{ text: part.text }]
    case 'media':
      return [writeMedia(part)]
    case 'reasoning':
      return part.text === '' && part.signedIn !== DIALECT ? [] : [writeThought(part)]
    case 'toolCall': {
      const args = parseJsonObject(part.arguments)
      return args ? [writeCall(part, args, part.signature)] : []
    }
    case 'own':
      return part.dialect === DIALECT ? [part.value] : []
    default:
      return []
  }
}

/** A picture that came in a stream, as a part. */
export function pictureOf(mediaType: string, base64: string): MediaPart {
  return { kind: 'media', mediaType, source: { base64 } }
}
