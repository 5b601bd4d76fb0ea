// The simulated provider's contents, as Gemini shapes them: text, or calls of functions, which never come in part.

import type { Shape, Speech } from './shape.ts'

export const GEMINI: Shape = {
  whole: (speech) =>
    JSON.stringify(
      responseOf(speech, speech.calls.length > 0 ? callsOf(speech) : [{ text: speech.words.join('') }], true),
    ),
  stream: (speech) => [
    ...speech.words.map((text) => event(speech, [{ text }], false)),
    ...callsOf(speech).map((call) => event(speech, [call], false)),
    event(speech, [{ text: '' }], true),
  ],
  error: (status, message) =>
    JSON.stringify({ error: { code: status, message, status: status === 429 ? 'RESOURCE_EXHAUSTED' : 'INTERNAL' } }),
}

function event(speech: Speech, parts: readonly unknown[], last: boolean): string {
  return `data: ${JSON.stringify(responseOf(speech, parts, last))}\r\n\r\n`
}

function callsOf({ calls }: Speech) {
  return calls.filter(({ whole }) => whole).map(({ name, arguments: args }) => ({ functionCall: { name, args } }))
}

function responseOf(speech: Speech, parts: readonly unknown[], last: boolean) {
  const finish = last ? { finishReason: speech.cut ? 'MAX_TOKENS' : 'STOP' } : {}
  const counted = last
    ? { candidatesTokenCount: speech.output, totalTokenCount: speech.input + speech.output }
    : { totalTokenCount: speech.input }
  return {
    candidates: [{ content: { parts, role: 'model' }, ...finish, index: 0 }],
    ...(speech.withUsage ? { usageMetadata: { promptTokenCount: speech.input, ...counted } } : {}),
    modelVersion: speech.model,
    responseId: speech.id,
  }
}
