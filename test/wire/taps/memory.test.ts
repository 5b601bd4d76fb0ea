// Memory of the taps: however long a line, an element or a document is, a tap holds little of it, and takes time in proportion.

import { describe, expect, test } from 'vitest'
import { geminiGenerate } from '../../../src/wire/gemini/generate.ts'
import { openaiChat } from '../../../src/wire/openai/chat.ts'
import { Shortener } from '../../../src/wire/taps/shortener.ts'
import { feed, memoryBytes, pushBytewise } from '../streams.ts'

const MIB = 1_048_576
const LENGTH = 5 * MIB
/** Only these tests push so many bytes one by one. */
const TIMEOUT_MS = 120_000

describe('a line of 5 MB, byte by byte and never ended, takes little memory and time', () => {
  test.each([
    [false, 3 * MIB],
    [true, MIB],
  ])(
    'hiding: %s',
    (hides, maxBytes) => {
      const tap = openaiChat.createTap(true, 'text/event-stream', hides)
      expect(pushBytewise(tap, Buffer.alloc(LENGTH, 'x'))).toBeLessThan(maxBytes)
    },
    TIMEOUT_MS,
  )
})

test('fifty megabytes in a line leave nothing behind in the shortener', () => {
  const shortener = new Shortener()
  const chunk = Buffer.alloc(65_536, 'A')
  const before = memoryBytes()
  const kept = [shortener.push(Buffer.from('data: {"image":"'))]
  for (let times = 0; times < 800; times++) kept.push(shortener.push(chunk))
  expect(memoryBytes() - before).toBeLessThan(2_000_000)
  kept.push(shortener.push(Buffer.from('","usage":7}\n')))
  const whole = Buffer.concat(kept)
  expect(whole.length).toBeLessThan(2 * 65_536)
  expect(whole.toString()).toMatch(/^data: \{"image":"A+","usage":7\}\n$/)
})

describe('an element of an array', () => {
  const last = '{"candidates":[{"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":8}}'
  const createTap = () => geminiGenerate.createTap(true, 'application/json', false)

  test.each([
    [5_000_000, 65_536],
    [16_777_300, 1_000_003],
    [40_000_000, 1_000_003],
  ])(
    'of %d bytes in chunks of %d takes no more memory than is worth reading, and the next one counts',
    (length, size) => {
      const tap = createTap()
      const before = memoryBytes()
      tap.push(Buffer.from('[{"usageMetadata":{"promptTokenCount":3},"inlineData":"'))
      for (let sent = 0; sent < length; sent += size) tap.push(Buffer.alloc(size, 'A'))
      expect(memoryBytes() - before).toBeLessThan(19_000_000)
      expect(feed(tap, [Buffer.from(`"},${last}`), Buffer.from(']')])).toMatchObject({
        usage: { input: 8 },
        ends: [true, false, false],
      })
    },
  )

  test(
    'of 5 MB, byte by byte, takes about its own memory, and time in proportion',
    () => {
      const tap = createTap()
      tap.push(Buffer.from('[{"usageMetadata":{"promptTokenCount":3},"inlineData":"'))
      expect(pushBytewise(tap, Buffer.alloc(LENGTH, 'A'))).toBeLessThan(4 * LENGTH)
      expect(feed(tap, [Buffer.from('"}]')]).usage).toEqual({ input: 3 })
    },
    TIMEOUT_MS,
  )
})

test(
  'a document of 5 MB, byte by byte, takes about its own memory',
  () => {
    const tap = openaiChat.createTap(false, 'application/json', false)
    const choices = '[{"message":{"content":"hello"},"finish_reason":"stop"}]'
    const usage = '{"prompt_tokens":12,"completion_tokens":9}'
    const bytes = Buffer.from(`{"x":"${'x'.repeat(LENGTH)}","choices":${choices},"usage":${usage}}`)
    expect(pushBytewise(tap, bytes)).toBeLessThan(4 * bytes.length)
    expect(feed(tap, []).usage).toEqual({ input: 12, output: 9 })
    expect(tap.eventCount).toBe(bytes.length)
  },
  TIMEOUT_MS,
)
