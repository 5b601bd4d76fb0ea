// The document tap: an answer that is one JSON document is read once it has ended, and never held back.

import { describe, expect, test } from 'vitest'
import { anthropicMessages } from '../../../src/wire/anthropic/messages.ts'
import { geminiGenerate } from '../../../src/wire/gemini/generate.ts'
import { openaiChat } from '../../../src/wire/openai/chat.ts'
import { bytewise, feed } from '../streams.ts'

const CHAT =
  '{"model":"gpt-4o","choices":[{"message":{"content":"\\"usage\\":{}"}}],"usage":{"prompt_tokens":9,"completion_tokens":4}}'
const MESSAGE =
  '{"type":"message","usage":{"input_tokens":9,"output_tokens":4},"content":[{"usage":{"input_tokens":999}}]}'
const RESPONSE = '{"candidates":[{"usageMetadata":{}}],"usageMetadata":{"promptTokenCount":9,"candidatesTokenCount":4}}'
const USED = { input: 9, output: 4 }

describe.each([
  ['OpenAI', openaiChat, CHAT],
  ['Anthropic', anthropicMessages, MESSAGE],
  ['Gemini', geminiGenerate, RESPONSE],
])('a document of %s', (_name, dialect, text) => {
  const fed = (body: string, size: number) =>
    feed(dialect.createTap(false, 'application/json', true), bytewise(Buffer.from(body), size))

  test.each([1, 7, 1_000])('in chunks of %d is read by its top level alone, and passes on as it comes', (size) => {
    const whole = ` ${text}\r\n`
    expect(fed(whole, size)).toEqual({ out: Buffer.from(whole), usage: USED, ends: [true, false, false] })
  })

  test('that is cut, broken or none has no usage and did not end well', () => {
    for (const body of ['', text.slice(0, -1), `${text}}`, '<html>', '[]', 'null', text.replace('9', '9x')])
      expect(fed(body, 10), body).toEqual({ out: Buffer.from(body), usage: null, ends: [false, false, false] })
  })

  test('without usage is whole all the same', () => {
    for (const body of ['{}', '{"usage":null,"usageMetadata":null}', '{"usage":[],"usageMetadata":7}'])
      expect(fed(body, 10), body).toMatchObject({ usage: null, ends: [true, false, false] })
  })

  test('is metered when the provider answers a stream with a document', () => {
    const tap =
      dialect === geminiGenerate
        ? geminiGenerate.createTap(true, 'text/event-stream', false)
        : dialect.createTap(true, 'application/json', true)
    expect(feed(tap, [Buffer.from(dialect === geminiGenerate ? `data: ${text}` : text)]).usage).toEqual(USED)
  })
})
