// Gemini's answers: candidates, why they ended, and what was used.

import type {
  JsonObject,
  MediaPart,
  NeutralAnswer,
  NeutralChoice,
  NeutralUsage,
  Part,
  StopReason,
} from '../../core/chat.ts'
import { isRecord, recordOf } from '../../core/json-values.ts'
import { inputTokens, outputTokens } from '../../core/usage.ts'
import { nameIn } from '../dialect-fields.ts'
import type { AnswerContext } from '../translator.ts'
import { DIALECT, putBack } from './dialect-fields.ts'
import { type CallIds, objectIn, readPart, UNSIGNED, writeCall, writeMedia, writeThought } from './parts.ts'

const STOPS: ReadonlyMap<unknown, StopReason> = new Map<unknown, StopReason>([
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

const FINISHED: Readonly<Record<StopReason, string>> = {
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
  const stop = STOPS.get(finishReason) ?? 'end'
  return stop === 'end' && calls ? 'toolCalls' : stop
}

/** A prompt that was blocked is answered without a candidate. */
export function isBlocked(body: JsonObject): boolean {
  return typeof recordOf(body.promptFeedback).blockReason === 'string'
}

/** Ids of the calls of one answer, told from those of other answers by its id. */
export class AnswerIds implements CallIds {
  /** Empty where it has none. */
  answer = ''
  #calls = 0

  called(_name: string, given: string | undefined): string {
    const made = this.answer === '' ? `call_${this.#calls}` : `call_${this.answer}_${this.#calls}`
    this.#calls++
    return given ?? made
  }

  answered(_name: string, given: string | undefined): string {
    return given ?? ''
  }
}

/** Parts of an answer. Those that cannot be read say nothing. */
export function partsIn(candidate: JsonObject, ids: CallIds): Part[] {
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
  return nameIn(body.responseId)
}

export function modelOf(body: JsonObject): string {
  return nameIn(body.modelVersion)
}

export function candidatesIn(body: JsonObject): JsonObject[] {
  return Array.isArray(body.candidates) ? body.candidates.filter(isRecord) : []
}

/** Never throws. */
export function readAnswer(body: JsonObject): NeutralAnswer {
  const ids = new AnswerIds()
  ids.answer = idOf(body)
  const candidates = candidatesIn(body)
  const choices = candidates
    .toSorted((one, other) => indexOf(one) - indexOf(other))
    .map((candidate) => {
      const parts = partsIn(candidate, ids)
      return {
        parts,
        stop: stopOf(
          candidate.finishReason,
          parts.some(({ kind }) => kind === 'toolCall'),
        ),
      }
    })
  const none: NeutralChoice = { parts: [], stop: isBlocked(body) ? 'filtered' : 'end' }
  return { id: ids.answer, model: modelOf(body), choices: choices.length > 0 ? choices : [none] }
}

/** No provider gives more answers than this to one prompt. */
const MOST_CHOICES = 128

/** Which of the answers this is; the first where it is not said. */
export function indexOf(candidate: JsonObject): number {
  const { index } = candidate
  return typeof index === 'number' && Number.isInteger(index) && index >= 0 && index < MOST_CHOICES ? index : 0
}

/** Thoughts stand beside Gemini's count of candidates, cached tokens inside that of the prompt. */
export function usageMetadata({ usage, reasoningTokens }: NeutralUsage): JsonObject {
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

export function writeAnswer(answer: NeutralAnswer, used: NeutralUsage | undefined, context: AnswerContext): JsonObject {
  return {
    candidates: answer.choices.map(candidateOf),
    ...(used ? { usageMetadata: usageMetadata(used) } : {}),
    modelVersion: answer.model || context.model,
    responseId: context.callId,
  }
}

function candidateOf({ parts, stop }: NeutralChoice, index: number): JsonObject {
  const broken = parts.find((part) => part.kind === 'toolCall' && !objectIn(part.arguments))
  return {
    content: { parts: signedFirst(parts).flatMap(writePart), role: 'model' },
    ...finishOf(stop, broken?.kind === 'toolCall' ? broken.name : undefined),
    index,
  }
}

/** Gemini itself, handed back what another model called, wants the first call signed. */
function signedFirst(parts: readonly Part[]): Part[] {
  const first = parts.find((part) => part.kind === 'toolCall' && objectIn(part.arguments))
  return parts.map((part) =>
    part === first && part.kind === 'toolCall' && part.own?.dialect !== DIALECT
      ? { ...part, signature: part.signature ?? UNSIGNED }
      : part,
  )
}

/** A call whose arguments are no JSON object is not handed on: Gemini says that it was malformed. @param broken its tool */
export function finishOf(stop: StopReason, broken: string | undefined): JsonObject {
  if (broken === undefined || FINISHED[stop] !== 'STOP') return { finishReason: FINISHED[stop] }
  const finishMessage = `Malformed function call: the arguments of ${broken} are no JSON object.`
  return { finishReason: 'MALFORMED_FUNCTION_CALL', finishMessage }
}

/** None for what has no place in an answer of Gemini. */
export function writePart(part: Part): JsonObject[] {
  switch (part.kind) {
    case 'text':
      return [putBack({ text: part.text }, part.own)]
    case 'refusal':
      return [{ text: part.text }]
    case 'media':
      return [writeMedia(part)]
    case 'reasoning':
      return part.text === '' && part.signedIn !== DIALECT ? [] : [writeThought(part)]
    case 'toolCall': {
      const args = objectIn(part.arguments)
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
