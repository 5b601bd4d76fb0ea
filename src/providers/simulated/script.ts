// The simulated provider's script: what it answers to a request, as a document or in pieces.

import type { UpstreamRequest } from '../provider.ts'
import type { AnswerContent, AnswerFormat, PartialToolCall, RequestBody, ToolCall } from './answer-format.ts'
import { formatOf } from './formats.ts'
import { hashOf } from './hash.ts'
import { inputTokens } from './media.ts'
import { capIn, conversationText, lastMessageText, parseBody } from './request.ts'
import { callsFor, jsonFor } from './tools.ts'

/** An answer as it goes over the wire. */
export interface SimulatedAnswer {
  readonly status: number
  readonly contentType: string
  /** What is sent, one write each. */
  readonly pieces: readonly string[]
}

/** How much of a request its id depends on. */
const MAX_HASHED_BYTES = 4_096

/** The answer to a request. The same request gets the same answer. @param fault the model's name without `sim/` */
export function simulateAnswer(outgoing: UpstreamRequest, fault: string): SimulatedAnswer {
  const format = formatOf(outgoing.dialect)
  const request = parseBody(outgoing.body)
  const status = Number(/^error-(\d{3})$/.exec(fault)?.[1] ?? 200)
  if (status !== 200) return documentOf(format.error(status, `Simulated error ${status}.`), status)
  if (fault === 'garbage')
    return { status, contentType: 'application/json', pieces: ['{"choices":[{"me\u0000ssage', '\ufffd\ufffd'] }
  if (fault === 'html') return { status, contentType: 'text/html', pieces: ['<!doctype html><title>Simulated</title>'] }
  const content = contentOf(outgoing, request, fault, format)
  if (!outgoing.stream) return documentOf(format.whole(content, request), status)
  const isArray = outgoing.path.includes(':stream') && !/[?&]alt=sse(&|$)/.test(outgoing.path)
  const pieces = format.stream(content, request)
  return isArray
    ? { status, contentType: 'application/json; charset=UTF-8', pieces: toJsonArray(pieces) }
    : { status, contentType: 'text/event-stream', pieces }
}

function documentOf(text: string, status: number): SimulatedAnswer {
  return { status, contentType: 'application/json', pieces: [text] }
}

function contentOf(
  outgoing: UpstreamRequest,
  request: RequestBody,
  fault: string,
  format: AnswerFormat,
): AnswerContent {
  const cap = capIn(request)
  const id = idOf(outgoing.body)
  const wordCount = Number(/^long-(\d{1,6})$/.exec(fault)?.[1] ?? 0)
  const callCount = Number(/^tools-(\d{1,3})$/.exec(fault)?.[1] ?? 1)
  const prompt = { last: lastMessageText(request), all: conversationText(request) }
  const calls = wordCount > 0 || !format.callsTools ? [] : callsFor(request, prompt, callCount, id)
  const json = wordCount > 0 || calls.length > 0 ? undefined : jsonFor(request, prompt)
  const text = wordCount > 0 ? 'word '.repeat(wordCount).trim() : `You said: ${prompt.last || 'nothing'}`
  const allWords = calls.length > 0 ? [] : json === undefined ? (text.match(/\s*\S+/g) ?? []) : piecesOf(json)
  const words = allWords.slice(0, cap)
  const partialCalls = truncateCalls(calls, cap)
  const callTokens = partialCalls.reduce((sum, call) => sum + call.pieces.length, 0)
  return {
    id,
    model: outgoing.model,
    words,
    calls: partialCalls,
    inputTokens: inputTokens(outgoing.body.length, request),
    outputTokens: words.length + callTokens,
    isTruncated:
      words.length < allWords.length ||
      partialCalls.length < calls.length ||
      partialCalls.some(({ isComplete }) => !isComplete),
    withUsage: fault !== 'no-usage',
  }
}

/** JSON in pieces of a token each. */
function piecesOf(json: string): string[] {
  return json.match(/.{1,4}/gsu) ?? []
}

/** The calls for which the cap has tokens; the last one may be cut. */
function truncateCalls(calls: readonly ToolCall[], cap: number): PartialToolCall[] {
  const kept: PartialToolCall[] = []
  let left = cap
  for (const call of calls) {
    const all = piecesOf(JSON.stringify(call.arguments))
    const pieces = all.slice(0, left)
    if (pieces.length > 0) kept.push({ ...call, pieces, isComplete: pieces.length === all.length })
    left -= pieces.length
  }
  return kept
}

/** Events as Gemini sends them without `alt=sse`: one JSON array. */
function toJsonArray(events: readonly string[]): string[] {
  return [
    ...events.map((event, index) => `${index === 0 ? '[' : ',\r\n'}${event.slice('data: '.length).trim()}\n`),
    ']',
  ]
}

/** A short id that depends on the request alone. */
function idOf(body: Buffer): string {
  return hashOf(body.subarray(0, MAX_HASHED_BYTES)).toString(16).padStart(8, '0')
}
