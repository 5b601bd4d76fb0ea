// Recordings: recorded responses of real providers reach callers of other dialects with the same text, calls and usage.

import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { isRecord, recordOf } from '../../../src/core/json-values.ts'
import { inputTokens, outputTokens } from '../../../src/core/usage.ts'
import { type Recording, recordingsOf } from '../../support/recordings.ts'
import { CALLERS, type Caller, type CallerOptions } from './callers.ts'
import { type Json, listOf } from './request-rules.ts'
import { type MatrixFixture, startMatrixFixture } from './upstreams.ts'

/** What an independent reader finds in a response. */
interface AnswerSummary {
  readonly text: string
  readonly calls: readonly { readonly name: string; readonly args: unknown }[]
}

interface Api {
  readonly name: string
  /** The providers whose dialect it is. */
  readonly extras: Caller['name']
  readonly model: (recording: Recording) => string
  /** @param bodies the whole response, or its events */
  readonly read: (bodies: readonly Json[]) => AnswerSummary
}

const APIS: readonly Api[] = [
  {
    name: 'openai.chat',
    extras: 'openai',
    model: ({ provider }) => (provider === 'openai' ? 'openai/gpt-4o' : 'local/llama-3.3-70b-versatile'),
    read: readChat,
  },
  { name: 'anthropic.messages', extras: 'anthropic', model: () => 'anthropic/claude-sonnet-4-5', read: readMessages },
  { name: 'gemini.generate_content', extras: 'gemini', model: () => 'gemini/gemini-2.5-flash', read: readContents },
]

/** The text of a string or of a list of text blocks, joined. */
const textOf = (content: unknown): string =>
  typeof content === 'string'
    ? content
    : listOf(content)
        .map(({ type, text }) => (type === 'text' ? String(text) : ''))
        .join('')

function readChat(bodies: readonly Json[]): AnswerSummary {
  const choices = bodies.flatMap((body) => listOf(body.choices)).filter(({ index = 0 }) => index === 0)
  const messages = choices.map(({ message, delta }) => recordOf(message ?? delta))
  const calls: { name: string; text: string; index: unknown }[] = []
  for (const { index, id, function: called } of messages.flatMap((message) => listOf(message.tool_calls))) {
    const { name, arguments: text = '' } = recordOf(called)
    const open = calls.findLast((call) => call.index === index)
    if (open && !(id && name)) open.text += String(text)
    else calls.push({ index, name: String(name), text: String(text) })
  }
  return {
    text: messages.map(({ content, refusal }) => textOf(content) + textOf(refusal)).join(''),
    calls: calls.map(({ name, text }) => ({ name, args: JSON.parse(text === '' ? '{}' : text) })),
  }
}

function readMessages(bodies: readonly Json[]): AnswerSummary {
  const blocks = bodies.flatMap((body) => listOf(body.content ?? recordOf(body.message).content))
  const calls = blocks
    .filter(({ type }) => type === 'tool_use')
    .map(({ name, input }) => ({ name: String(name), args: input }))
  const open = new Map<unknown, { readonly name: string; text: string }>()
  let text = textOf(blocks)
  for (const { index, content_block: block, delta } of bodies) {
    const { type, name, text: blockText } = recordOf(block)
    if (type === 'tool_use') open.set(index, { name: String(name), text: '' })
    const { text: fields, partial_json: json } = recordOf(delta)
    text += `${type === 'text' ? blockText : ''}${fields ?? ''}`
    const call = open.get(index)
    if (call) call.text += `${json ?? ''}`
  }
  const streamed = [...open.values()].map((call) => ({ name: call.name, args: JSON.parse(call.text || '{}') }))
  return { text, calls: [...calls, ...streamed] }
}

function readContents(bodies: readonly Json[]): AnswerSummary {
  const candidates = bodies.flatMap((body) => listOf(body.candidates).slice(0, 1))
  const parts = candidates.flatMap(({ content }) => listOf(recordOf(content).parts))
  return {
    text: parts.map(({ text, thought }) => (thought ? '' : (text ?? ''))).join(''),
    calls: parts.flatMap(({ functionCall: call }) =>
      isRecord(call) ? [{ name: String(call.name), args: call.args ?? {} }] : [],
    ),
  }
}

function bodiesOf({ stream, response }: Recording): Json[] {
  if (!stream) return [JSON.parse(response.body)]
  // Of several messages in one body, the first is the response.
  const [first = ''] = response.body.split('event: message_stop')
  return [...first.matchAll(/^data: ?(\{.*\})\s*$/gm)].map(([, text = '']) => JSON.parse(text))
}

/**
 * Whole ones, that say what they used. Gemini is not asked for streams as arrays, and its calls in pieces have tests where they
 * are read.
 */
function isFit({ status, flags, fidelity, expected_usage: usage, response }: Recording): boolean {
  const isBroken = flags.some((flag) => /mid_stream_error|json_array_stream/.test(flag))
  const isWhole = !/usage_only|reported/.test(fidelity) && !response.body.includes('"partialArgs"')
  return status === 200 && usage !== null && !isBroken && isWhole
}

/** Seconds of sound, which have no price at the provider of these tests, and code that ran for a time that no answer tells. */
const BILLED_BY_TIME = /"prompt_audio_seconds": ?[1-9]|code_execution_tool_result/

describe.each(APIS)('$name', (api) => {
  const recordings = recordingsOf(api.name).filter(isFit)
  let fixture: MatrixFixture
  beforeAll(async () => {
    fixture = await startMatrixFixture({ env: { UNKNOWN_PRICE: 'allow' } })
  })
  afterAll(() => fixture[Symbol.asyncDispose]())

  describe.each(CALLERS.filter(({ name }) => name !== api.extras))('to $name', (caller) => {
    test.each(recordings)('$file', async (recording) => {
      const { upstreams, gateway } = fixture
      const { body, headers } = recording.response
      const pieces = body.match(/[\s\S]{1,997}/gu) ?? []
      const type = recording.stream ? 'text/event-stream' : (headers['content-type'] ?? 'application/json')
      upstreams.reply = () => ({ status: 200, type, pieces })
      const options: CallerOptions = { model: api.model(recording) }
      const delivery = recording.stream ? 'streamed' : 'whole'
      const answer = await caller.startConversation(gateway.url)[delivery]({ text: 'Hello' }, options, () => {})
      const { text, calls } = api.read(bodiesOf(recording))
      expect(answer.text).toBe(text)
      expect(answer.calls.map(({ name, args }) => ({ name, args }))).toEqual(calls)
      expect(answer.stop).not.toBe('')
      await gateway.idle()
      const entry = await gateway.app.store.entry(answer.callId)
      if (!entry?.outcome) throw new Error('it is not settled')
      const { usage, reasoningTokens: reasoning, ending, certainty } = entry.outcome
      const isBound = BILLED_BY_TIME.test(body)
      expect({ ending, certainty }).toEqual({ ending: 'completed', certainty: isBound ? 'upperBound' : 'exact' })
      const settled = { input: inputTokens(usage), output: outputTokens(usage), reasoning }
      if (!isBound) expect(answer.usage).toMatchObject(settled)
      expect(upstreams.faults.splice(0)).toEqual([])
    })
  })
})
