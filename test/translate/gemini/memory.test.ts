// Memory of Gemini's event writer: it holds back no more of a tool call than a call can need.

import { expect, test } from 'vitest'
import type { ChatEvent } from '../../../src/core/chat.ts'
import { geminiGenerateTranslator as gemini } from '../../../src/translate/gemini/translator.ts'

test('a gigabyte of arguments and 100,000 open calls stay small, and end as a malformed call', () => {
  const writer = gemini.createEventWriter({
    callId: '019a-call',
    nowMs: 0,
    model: 'asked',
    withUsage: true,
    asEvents: true,
  })
  const open = (call: number): ChatEvent => ({ kind: 'toolCall', choice: 0, call, id: 'a', name: 'f' })
  writer.write(open(0))
  const before = process.memoryUsage().heapUsed
  const text = '"'.repeat(1_000_000)
  for (let times = 0; times < 1_000; times++)
    writer.write({ kind: 'arguments', choice: 0, call: 0, text: `${text}${times}` })
  for (let call = 1; call < 100_000; call++) writer.write(open(call))
  globalThis.gc?.()
  expect(process.memoryUsage().heapUsed - before).toBeLessThan(80_000_000)
  writer.write({ kind: 'stop', choice: 0, reason: 'toolCalls' })
  expect(writer.end(undefined)).toMatch(/"finishReason":\s*"MALFORMED_FUNCTION_CALL"/)
})
