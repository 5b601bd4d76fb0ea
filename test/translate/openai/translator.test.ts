// OpenAI translator: recorded requests are restored, and recorded responses keep their content.

import { describe, expect, test } from 'vitest'
import type { ChatChoice, ChatEvent, ChatResponse, JsonObject, Part } from '../../../src/core/chat.ts'
import { isRecord, recordOf } from '../../../src/core/json-values.ts'
import { openaiChatTranslator } from '../../../src/translate/openai/translator.ts'
import type { EventReader, ResponseContext } from '../../../src/translate/translator.ts'
import { HAS_SHARED_RECORDINGS, type Recording, recordingsOf, sharedOf } from '../../support/recordings.ts'
import { lineTo, NOW_MS } from '../../wire/samples.ts'

const LINE = lineTo('/v1/chat/completions')
const CONTEXT: ResponseContext = { callId: 'c1', nowMs: NOW_MS, model: 'asked', withUsage: true, asEvents: true }
const RECORDINGS = recordingsOf('openai.chat')

/** Azure's older paths name the model in the path, not in the body. */
function requestIn({ request }: Recording): JsonObject | undefined {
  const body = request?.body ?? request?.body_trimmed
  return isRecord(body) ? { ...body, model: body.model ?? 'in-path' } : undefined
}

function roundTrip(body: JsonObject): JsonObject {
  const request = openaiChatTranslator.readRequest(body, LINE)
  const capField = 'max_tokens' in body ? 'max_tokens' : 'max_completion_tokens'
  return openaiChatTranslator.writeRequest(request, { model: request.model, capField, defaultCap: 1 }).body
}

/** The parsed data of each event. Data that is not a JSON object is left out, as the tap does. */
function eventsIn(text: string): JsonObject[] {
  return text.split(/\r?\n/).flatMap((line) => {
    if (!line.startsWith('data:')) return []
    try {
      const data: unknown = JSON.parse(line.slice('data:'.length))
      return isRecord(data) ? [data] : []
    } catch {
      return []
    }
  })
}

function readAll(reader: EventReader, events: readonly JsonObject[]): ChatEvent[] {
  return [...events.flatMap((event) => reader.read(event)), ...reader.end()]
}

function rewriteEvents(events: readonly ChatEvent[]): string {
  const writer = openaiChatTranslator.createEventWriter(CONTEXT)
  return events.map((event) => writer.write(event)).join('') + writer.end(undefined)
}

describe('recorded requests', () => {
  /** In other words, which mean the same. */
  const respelled: Record<string, string[]> = { "tool_choice 'any' is 'required'": [] }

  test.each(
    RECORDINGS.flatMap((recording) => {
      const body = requestIn(recording)
      return body ? [[recording.file, body] as const] : []
    }),
  )('%s comes back as it was', (file, body) => {
    const back = roundTrip(body)
    if (body.tool_choice === 'any') {
      respelled["tool_choice 'any' is 'required'"]?.push(file)
      expect(back).toEqual({ ...body, tool_choice: 'required' })
    } else expect(back).toEqual(body)
  })

  test.skipIf(!HAS_SHARED_RECORDINGS)(
    'there are as many as there were, and one has other words (../shared/recordings)',
    () => {
      expect(sharedOf(RECORDINGS).filter(requestIn).length).toBe(165)
      expect(Object.values(respelled).map((files) => files.length)).toEqual([1])
    },
  )
})

/** A response without the fields that can differ after writing: the spelling of thoughts. */
const comparableParts = (parts: readonly Part[]) =>
  parts.map((part) => (part.kind === 'toolCall' ? { ...part, extras: undefined } : part))
const comparableChoices = ({ choices }: ChatResponse) =>
  choices.map(({ parts, stop }: ChatChoice) => ({ parts: comparableParts(parts), stop }))

describe('recorded answers', () => {
  const answered = RECORDINGS.filter(({ status, stream }) => status === 200 && !stream)
  const whole = answered.map(({ file, response }) => {
    return [file, recordOf(JSON.parse(response.body))] as const
  })

  test.each(whole)('%s says the same when it is written again', (_file, body) => {
    const answer = openaiChatTranslator.readResponse(body)
    const written = openaiChatTranslator.writeResponse(answer, undefined, CONTEXT)
    expect(comparableChoices(openaiChatTranslator.readResponse(written))).toEqual(comparableChoices(answer))
    const choices = Array.isArray(body.choices) ? body.choices.map((choice) => recordOf(recordOf(choice).message)) : []
    const rewritten = Array.isArray(written.choices)
      ? written.choices.map((choice) => recordOf(recordOf(choice).message))
      : []
    expect(rewritten.map(({ content }) => content ?? '')).toEqual(choices.map(({ content }) => content ?? ''))
    expect(rewritten.flatMap(callsOf)).toEqual(choices.flatMap(callsOf))
  })

  test.skipIf(!HAS_SHARED_RECORDINGS)('the shared set is complete (../shared/recordings)', () => {
    expect(sharedOf(answered).length).toBe(97)
  })
})

/** The names, ids and arguments of calls. */
function callsOf({ tool_calls: calls }: JsonObject): unknown[] {
  if (!Array.isArray(calls)) return []
  return calls.map((call) => {
    const { id, custom } = recordOf(call)
    const { name, arguments: text } = recordOf(recordOf(call).function)
    return { id, name, text, ...(name === undefined && { custom }) }
  })
}

/** The content of a stream with its pieces joined: texts, thoughts, refusals, calls and finish reasons of each choice. */
function joinEvents(events: readonly ChatEvent[]): unknown {
  const script = new Map<string, string>()
  for (const event of events) {
    if (event.kind === 'start' || event.kind === 'error') continue
    const place = `${event.choice} ${event.kind} ${'call' in event ? event.call : ''}`
    const piece =
      event.kind === 'toolCall'
        ? `${event.id} ${event.name} ${event.signature ?? ''}`
        : event.kind === 'stop'
          ? event.reason
          : 'text' in event
            ? event.text
            : JSON.stringify(event)
    script.set(place, (script.get(place) ?? '') + piece)
  }
  return Object.fromEntries(script)
}

/** The values of these fields in every delta, read from the recorded bytes without the translator. */
function rawText(events: readonly JsonObject[], field: 'content' | 'arguments'): string {
  const deltas = events.flatMap(({ choices }) =>
    Array.isArray(choices) ? choices.map((choice) => recordOf(recordOf(choice).delta)) : [],
  )
  if (field === 'content')
    return deltas
      .flatMap(({ content }) =>
        typeof content === 'string'
          ? content
          : Array.isArray(content)
            ? content.map((part) => recordOf(part).text ?? '')
            : [],
      )
      .join('')
  return deltas
    .flatMap(({ tool_calls: calls }) => (Array.isArray(calls) ? calls : []))
    .map((call) => recordOf(recordOf(call).function).arguments ?? '')
    .join('')
}

const textsOf = (events: readonly ChatEvent[], kind: 'text' | 'arguments') =>
  events.map((event) => (event.kind === kind ? event.text : '')).join('')

describe('recorded streams', () => {
  const streamed = RECORDINGS.filter(({ status, stream }) => status === 200 && stream)
  const streams = streamed.map(({ file, response }) => {
    return [file, eventsIn(response.body)] as const
  })

  test.each(streams)('%s says the same when it is written again', (_file, data) => {
    const events = readAll(openaiChatTranslator.createEventReader(), data)
    const again = readAll(openaiChatTranslator.createEventReader(), eventsIn(rewriteEvents(events)))
    expect(textsOf(events, 'text')).toBe(rawText(data, 'content'))
    expect(textsOf(events, 'arguments')).toBe(rawText(data, 'arguments'))
    expect(joinEvents(again)).toEqual(joinEvents(events))
    expect(again.filter(({ kind }) => kind === 'error').length).toBe(
      events.filter(({ kind }) => kind === 'error').length,
    )
  })

  test.skipIf(!HAS_SHARED_RECORDINGS)(
    'there are as many as there were; those with errors say so (../shared/recordings)',
    () => {
      const shared = sharedOf(streamed)
      const failed = shared.filter(({ response }) =>
        readAll(openaiChatTranslator.createEventReader(), eventsIn(response.body)).some(({ kind }) => kind === 'error'),
      )
      expect([shared.length, failed.length]).toEqual([70, 3])
    },
  )
})

/** The kind and the provider's code, by provider and status. */
const ERRORS: Readonly<Record<string, readonly string[]>> = {
  'anthropic 429': ['rate rate_limit_error'],
  'azure 404': ['notFound DeploymentNotFound'],
  'azure 422': ['invalid Invalid input'],
  'azure 429': ['rate 429', 'rate RateLimitReached'],
  'deepseek 400': ['contextLength invalid_request_error'],
  'deepseek 401': ['unauthenticated invalid_request_error'],
  'groq 400': ['invalid tool_use_failed'],
  'ollama 400': ['invalid invalid_request_error'],
  'openai 400': ['invalid invalid_image_url'],
  'openai 401': ['unauthenticated invalid_api_key'],
  'openai 404': ['notFound invalid_request_error'],
  'openai 429': ['quota insufficient_quota', 'rate rate_limit_exceeded'],
  'openrouter 400': ['invalid 400'],
  'openrouter 404': ['notFound 404'],
  'openrouter 429': ['rate 429'],
  'perplexity 401': ['unauthenticated 401'],
  'together 401': ['unauthenticated invalid_api_key'],
  'xai 400': ['invalid Client specified an invalid argument'],
}

describe('recorded errors', () => {
  const errors = RECORDINGS.filter(({ status }) => status !== 200)

  test.skipIf(!HAS_SHARED_RECORDINGS)(
    'each is recognized by its kind and the code of its provider (../shared/recordings)',
    () => {
      const told = new Map<string, string[]>()
      for (const { provider, status, response } of sharedOf(errors)) {
        const { kind, code } = openaiChatTranslator.readError(status, JSON.parse(response.body))
        const place = `${provider} ${status}`
        told.set(place, [...(told.get(place) ?? []), `${kind} ${code}`].sort())
      }
      expect(Object.fromEntries(told)).toEqual(ERRORS)
    },
  )

  test.each(errors.map((recording) => [recording.file, recording] as const))(
    '%s passes on the message of its provider',
    (_file, { status, response }) => {
      const error = openaiChatTranslator.readError(status, JSON.parse(response.body))
      expect(error.status).toBe(status)
      expect(response.body).toContain(JSON.stringify(error.message.slice(0, 16)).slice(1, -1))
      const again = openaiChatTranslator.readError(status, JSON.parse(openaiChatTranslator.writeError(error, CONTEXT)))
      expect([again.kind, again.message]).toEqual([error.kind, error.message])
    },
  )
})
