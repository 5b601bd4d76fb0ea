// Gemini responses: reads and writes a whole response, and what its stream shares with it.

import type {
  ChatChoice,
  ChatError,
  ChatResponse,
  ChatUsage,
  JsonObject,
  MediaPart,
  Part,
  StopReason,
} from '../../core/chat.ts'
import { isRecord, recordOf } from '../../core/json-values.ts'
import { inputTokens, outputTokens, unitsOf } from '../../core/usage.ts'
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

/** Reasons after which there is no answer, whatever parts there are. */
const FAILURES: ReadonlySet<unknown> = new Set([
  'MALFORMED_FUNCTION_CALL',
  'MALFORMED_RESPONSE',
  'UNEXPECTED_TOOL_CALL',
  'MISSING_THOUGHT_SIGNATURE',
  'TOO_MANY_TOOL_CALLS',
])
/** Reasons that Google does not explain. After some parts they are no success. */
const UNFINISHED: ReadonlySet<unknown> = new Set(['OTHER', 'IMAGE_OTHER', 'NO_IMAGE'])
const MAX_REASON_CHARACTERS = 100
const MAX_FINISH_MESSAGE_CHARACTERS = 1_000

/**
 * Why the model gave up; undefined if the candidate is an answer. A reason that is not known here is a failure if there are no parts.
 * @param hasParts true: the candidate holds text, a thought or a call
 */
export function failureOf(
  { finishReason, finishMessage }: { readonly finishReason?: unknown; readonly finishMessage?: unknown },
  hasParts: boolean,
): ChatError | undefined {
  if (typeof finishReason !== 'string') return undefined
  if (!FAILURES.has(finishReason) && (hasParts || STOP_REASONS.has(finishReason))) return undefined
  const code = finishReason.slice(0, MAX_REASON_CHARACTERS)
  const detail = typeof finishMessage === 'string' && finishMessage !== '' ? `: ${finishMessage}` : '.'
  const message = `The model gave up with ${code}${detail}`.slice(0, MAX_FINISH_MESSAGE_CHARACTERS).toWellFormed()
  return { status: 0, kind: 'server', message, code }
}

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

/** Gemini has no finish reason for a tool call. @param hasCalls true: the candidate holds a tool call */
export function stopOf(finishReason: unknown, hasCalls: boolean): StopReason {
  const stop = STOP_REASONS.get(finishReason) ?? (UNFINISHED.has(finishReason) ? 'filtered' : 'end')
  return stop === 'end' && hasCalls ? 'toolCalls' : stop
}

/** Whether Google blocked the prompt. Its response then has no candidate. */
export function isBlocked(body: JsonObject): boolean {
  return typeof recordOf(body.promptFeedback).blockReason === 'string'
}

/** Gives ids to the calls of one response. They contain the response's id, so they are unique in a conversation. */
export class ResponseToolCallIds implements ToolCallIds {
  /** Empty if the response has none. */
  responseId = ''
  #callCount = 0

  idOfCall(_name: string, id: string | undefined): string {
    const newId = this.responseId === '' ? `call_${this.#callCount}` : `call_${this.responseId}_${this.#callCount}`
    this.#callCount++
    return id ?? newId
  }

  idOfResult(_name: string, id: string | undefined): string {
    return id ?? ''
  }
}

/** The parts of a candidate. Parts that cannot be read are left out. */
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

/** Never throws: what cannot be read is left out. */
export function readResponse(body: JsonObject): ChatResponse {
  const ids = new ResponseToolCallIds()
  ids.responseId = idOf(body)
  const candidates = candidatesIn(body)
  const choices = candidates
    .toSorted((left, right) => candidateIndex(left) - candidateIndex(right))
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
  const failures = candidates.map((candidate) => failureOf(candidate, hasParts(candidate)))
  const [failure] = failures
  const hasFailed = failure !== undefined && failures.every((other) => other !== undefined)
  return {
    id: ids.responseId,
    model: modelOf(body),
    choices: choices.length > 0 ? choices : [none],
    ...(hasFailed && { failure }),
  }
}

function hasParts({ content }: JsonObject): boolean {
  const { parts } = recordOf(content)
  return Array.isArray(parts) && parts.some((part) => recordOf(part).text !== '')
}

/** More candidates than any real response has. */
const MAX_CHOICES = 128

/** The index of a candidate; 0 if it has none. */
export function candidateIndex(candidate: JsonObject): number {
  const { index } = candidate
  return typeof index === 'number' && Number.isInteger(index) && index >= 0 && index < MAX_CHOICES ? index : 0
}

/** Gemini's `candidatesTokenCount` excludes thoughts, and its `promptTokenCount` includes cached tokens. */
export function writeUsage({ usage, reasoningTokens }: ChatUsage): JsonObject {
  const prompt = inputTokens(usage)
  const output = outputTokens(usage)
  const thoughts = Math.min(reasoningTokens, output)
  const cached = usage.cacheRead + unitsOf(usage, 'audioCacheRead')
  return {
    promptTokenCount: prompt,
    ...(cached > 0 ? { cachedContentTokenCount: cached } : {}),
    candidatesTokenCount: output - thoughts,
    ...(thoughts > 0 ? { thoughtsTokenCount: thoughts } : {}),
    totalTokenCount: prompt + output,
  }
}

/** @param usage absent if the provider reported none */
export function writeResponse(
  response: ChatResponse,
  usage: ChatUsage | undefined,
  context: ResponseContext,
): JsonObject {
  return {
    candidates: response.choices.map(candidateOf),
    ...(usage ? { usageMetadata: writeUsage(usage) } : {}),
    modelVersion: response.model || context.model,
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

/** Gemini needs a signature on the first call when the caller sends the conversation back, even if another model made the call. */
function signFirstCall(parts: readonly Part[]): Part[] {
  const first = parts.find((part) => part.kind === 'toolCall' && parseJsonObject(part.arguments))
  return parts.map((part) =>
    part === first && part.kind === 'toolCall' && part.extras?.dialect !== DIALECT
      ? { ...part, signature: part.signature ?? SKIP_SIGNATURE_CHECK }
      : part,
  )
}

/**
 * The finish reason of a candidate. A call whose arguments are no JSON object is left out and reported as malformed.
 * @param malformedTool the tool of such a call
 */
export function finishOf(stop: StopReason, malformedTool: string | undefined): JsonObject {
  if (malformedTool === undefined || FINISH_REASONS[stop] !== 'STOP') return { finishReason: FINISH_REASONS[stop] }
  const finishMessage = `Malformed function call: the arguments of ${malformedTool} are not a JSON object.`
  return { finishReason: 'MALFORMED_FUNCTION_CALL', finishMessage }
}

/** A part of a response; none for parts that Gemini's responses cannot hold. */
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
    case 'dialect':
      return part.dialect === DIALECT ? [part.value] : []
    default:
      return []
  }
}

/** An inline image of a stream as a part. */
export function pictureOf(mediaType: string, base64: string): MediaPart {
  return { kind: 'media', mediaType, source: { base64 } }
}
