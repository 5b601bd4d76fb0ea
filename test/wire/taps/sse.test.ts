// The SSE tap: whatever way a stream is cut, the same usage, the same ending, and the same bytes but for what is hidden.

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { anthropicMessages } from '../../../src/wire/anthropic/messages.ts'
import type { Dialect } from '../../../src/wire/dialect.ts'
import { geminiGenerate } from '../../../src/wire/gemini/generate.ts'
import { openaiChat } from '../../../src/wire/openai/chat.ts'
import { openaiResponses } from '../../../src/wire/openai/responses.ts'
import {
  bytewise,
  CHAT_STREAMS,
  feed,
  GEMINI_STREAMS,
  MESSAGE_STREAMS,
  type Stream,
  type TapResult,
} from '../streams.ts'

const SETS: readonly (readonly [name: string, dialect: Dialect, hides: boolean, streams: readonly Stream[]])[] = [
  ['OpenAI', openaiChat, false, CHAT_STREAMS],
  ['OpenAI, with usage hidden,', openaiChat, true, CHAT_STREAMS],
  ['Anthropic', anthropicMessages, false, MESSAGE_STREAMS],
  ['Gemini', geminiGenerate, false, GEMINI_STREAMS],
]

describe.each(SETS)('a stream of %s means the same however it is cut, with', (_name, dialect, hides, streams) => {
  const fed = (chunks: Iterable<Buffer>) =>
    feed(dialect.createTap(true, 'text/event-stream; charset=utf-8', hides), chunks)

  test.each(streams)('$name', (stream) => {
    const bytes = Buffer.from(stream.text)
    const expected: TapResult = {
      out: Buffer.from(hides && stream.hidden ? stream.text.replace(stream.hidden, '') : stream.text),
      usage: stream.usage,
      ends: stream.ends,
    }
    expect(expected.out.length < bytes.length).toBe(hides && stream.hidden !== undefined)
    expect(resultOf(fed([bytes]))).toEqual(resultOf(expected))
    expect(resultOf(fed(bytewise(bytes))), 'byte by byte').toEqual(resultOf(expected))
    for (let offset = 1; offset < bytes.length; offset++) {
      const split = fed([bytes.subarray(0, offset), bytes.subarray(offset)])
      if (!isSame(split, expected)) expect(resultOf(split), `split at ${offset}`).toEqual(resultOf(expected))
    }
    fc.assert(
      fc.property(fc.array(fc.nat(bytes.length), { maxLength: 12 }), (cuts) => {
        const offsets = [0, ...cuts.toSorted((a, b) => a - b), bytes.length]
        const chunks = offsets.slice(1).map((end, index) => bytes.subarray(offsets[index], end))
        expect(resultOf(fed(chunks))).toEqual(resultOf(expected))
      }),
      { numRuns: 30 },
    )
  })
})

describe.each(SETS)('lines of %s may end with carriage returns alone, with', (_name, dialect, hides, streams) => {
  const fed = (chunks: Iterable<Buffer>) =>
    feed(dialect.createTap(true, 'text/event-stream; charset=utf-8', hides), chunks)
  const withFeeds = (text: string) => text.replaceAll(/\r\n?/g, '\n')
  const bare = (text: string) => withFeeds(text).replaceAll('\n', '\r')

  test.each(streams)('$name', (stream) => {
    const bytes = Buffer.from(bare(stream.text))
    const left = hides && stream.hidden ? bare(stream.text).replace(bare(stream.hidden), '') : bare(stream.text)
    // What is held back to be looked at goes on with line feeds, which mean the same.
    const out = hides ? withFeeds(left) : left
    const expected = { out, usage: stream.usage, ends: stream.ends }
    const heard = (chunks: Iterable<Buffer>) => {
      const { out: passed, ...rest } = fed(chunks)
      return { ...rest, out: hides ? withFeeds(passed.toString()) : passed.toString() }
    }
    expect(heard([bytes])).toEqual(expected)
    for (const size of [1, 2, 3, 7]) expect(heard(bytewise(bytes, size)), `${size} at a time`).toEqual(expected)
    for (let offset = 1; offset < bytes.length; offset++)
      expect(heard([bytes.subarray(0, offset), bytes.subarray(offset)]), `split at ${offset}`).toEqual(expected)
  })
})

test('a stream whose lines end with both is passed on as it came, wherever it is cut and however long its lines', () => {
  const long = `data: {"choices":[{"delta":{"content":"${'x'.repeat(70_000)}"}}]}\r\n\r\n`
  const usage = 'data: {"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":4}}\r\n\r\n'
  const [before, after] = [Buffer.from(long), Buffer.from(`: a\r\n\r\ndata: [DONE]\r\n\r\n`)]
  const bytes = Buffer.concat([before, Buffer.from(usage), after])
  const toReturn = before.length - 3
  const cuts = [1, 2, 7, 69_999].map((size) => [...bytewise(bytes, size)])
  for (const chunks of [...cuts, [bytes.subarray(0, toReturn), ...bytewise(bytes.subarray(toReturn))]]) {
    const heard = feed(openaiChat.createTap(true, 'text/event-stream', true), chunks)
    expect([heard.out.equals(Buffer.concat([before, after])), heard.usage]).toEqual([true, { input: 9, output: 4 }])
  }
})

test('a long event between carriage returns alone takes little to be seen through', () => {
  const words = `data: {"type":"response.output_text.done","text":"${'x'.repeat(300_000)}"}\r\r`
  const response = {
    status: 'completed',
    output: [{ text: 'y'.repeat(300_000) }],
    usage: { input_tokens: 9, output_tokens: 4 },
  }
  const last = `event: response.completed\rdata: ${JSON.stringify({ type: 'response.completed', response })}\r\r`
  const bytes = Buffer.from(`: hi\r\r${words}${last}`)
  for (const size of [1_000, 65_536, bytes.length]) {
    const heard = feed(openaiResponses.createTap(true, 'text/event-stream', false), bytewise(bytes, size))
    expect([heard.out.equals(bytes), heard.usage, heard.ends]).toEqual([
      true,
      { input: 9, output: 4 },
      [true, true, false],
    ])
  }
})

describe('a long line', () => {
  const usage = 'data: {"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":4}}\n\n'
  const streamWith = (length: number) => {
    const long = `data: {"choices":[{"delta":{"content":"${'x'.repeat(length)}"}}]}\n\n`
    return {
      bytes: Buffer.from(`: hi\n\n${long}${usage}data: [DONE]\n\n`),
      hidden: Buffer.from(`: hi\n\n${long}data: [DONE]\n\n`),
    }
  }

  test.each([
    [100, 1_000],
    [65_400, 7],
    [65_536, 7],
    [65_600, 1_000],
    [200_000, 65_536],
    [1_100_000, 65_536],
    [5_000_000, 1_000],
    [5_000_000, 10_000_000],
  ])('of %d bytes in chunks of %d hides nothing but the usage that follows it', (length, size) => {
    const { bytes, hidden } = streamWith(length)
    for (const hides of [true, false]) {
      const fed = feed(openaiChat.createTap(true, 'text/event-stream', hides), bytewise(bytes, size))
      expect(fed.usage).toEqual({ input: 9, output: 4 })
      expect(fed.out.equals(hides ? hidden : bytes)).toBe(true)
    }
  })

  test.each([1_000, 65_536, 10_000_000])(
    'with an image, in chunks of %d, is read for what stands beside the image',
    (size) => {
      const image = `"inlineData":{"mimeType":"image/png","data":"${'A'.repeat(1_300_000)}"}`
      const text = `data: {"candidates":[{"content":{"parts":[{${image}}]},"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":10,"candidatesTokenCount":1290}}`
      for (const end of ['', '\n', '\r\n\r\n']) {
        const bytes = Buffer.from(text + end)
        const fed = feed(geminiGenerate.createTap(true, 'text/event-stream', false), bytewise(bytes, size))
        expect(fed).toMatchObject({ usage: { input: 10, output: 1_290 }, ends: [true, false, false] })
        expect(fed.out.equals(bytes)).toBe(true)
      }
    },
  )

  test.each([true, false])(
    'with a picture counts where the usage stands in the same event, be usage hidden (%s) or not',
    (hides) => {
      const picture = `"images":[{"image_url":{"url":"data:image/png;base64,${'A'.repeat(1_300_000)}"}}]`
      const bytes = Buffer.from(
        `data: {"choices":[{"delta":{${picture}},"finish_reason":"stop"}],"usage":{"prompt_tokens":9,"completion_tokens":4}}\n\ndata: [DONE]\n\n`,
      )
      const fed = feed(openaiChat.createTap(true, 'text/event-stream', hides), bytewise(bytes, 65_536))
      expect(fed).toMatchObject({ usage: { input: 9, output: 4 }, ends: [true, true, false] })
      expect(fed.out.equals(bytes)).toBe(true)
    },
  )

  test('passes on as it comes, once it is too long to hold back', () => {
    const tap = openaiChat.createTap(true, 'text/event-stream', true)
    let behind = 0
    let maxBytes = 0
    for (const chunk of bytewise(Buffer.alloc(1_000_000, 'x'), 1_000)) {
      behind += chunk.length - tap.push(chunk).length
      maxBytes = Math.max(maxBytes, behind)
    }
    expect(maxBytes).toBeLessThanOrEqual(65_536)
    expect(behind).toBe(0)
  })
})

test('content events are counted whatever way they are cut', () => {
  const text = CHAT_STREAMS[0]?.text ?? ''
  const events = text.split(/(?<=\n\n)/).map((event) => Buffer.from(event))
  for (const chunks of [events, ...[1, 10, 100, text.length * 3].map((size) => bytewise(Buffer.from(text), size))]) {
    const tap = openaiChat.createTap(true, 'text/event-stream', false)
    feed(tap, chunks)
    expect(tap.eventCount).toBe(5)
  }
})

/** With text for bytes, for a difference that can be read. */
function resultOf(fed: TapResult): unknown {
  return { ...fed, out: fed.out.toString() }
}

function isSame(left: TapResult, right: TapResult): boolean {
  return (
    left.out.equals(right.out) && JSON.stringify([left.usage, left.ends]) === JSON.stringify([right.usage, right.ends])
  )
}
