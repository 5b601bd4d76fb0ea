// The simulated provider's contents, as Gemini shapes them: text, or calls of functions, which never come in part.

import type { AnswerContent, AnswerFormat } from './answer-format.ts'

export const GEMINI_FORMAT: AnswerFormat = {
  whole: (speech) =>
    JSON.stringify(
      responseOf(speech, speech.calls.length > 0 ? callsOf(speech) : [{ text: speech.words.join('') }], true),
    ),
  stream: (speech) => [
    ...speech.words.map((text) => formatEvent(speech, [{ text }], false)),
    ...callsOf(speech).map((call) => formatEvent(speech, [call], false)),
    formatEvent(speech, [{ text: '' }], true),
  ],
  error: (status, message) =>
    JSON.stringify({ error: { code: status, message, status: status === 429 ? 'RESOURCE_EXHAUSTED' : 'INTERNAL' } }),
}

function formatEvent(speech: AnswerContent, parts: readonly unknown[], last: boolean): string {
  return `data: ${JSON.stringify(responseOf(speech, parts, last))}\r\n\r\n`
}

function callsOf({ calls }: AnswerContent) {
  return calls
    .filter(({ isComplete }) => isComplete)
    .map(({ name, arguments: args }) => ({ functionCall: { name, args } }))
}

function responseOf(speech: AnswerContent, parts: readonly unknown[], last: boolean) {
  const finish = last ? { finishReason: speech.isTruncated ? 'MAX_TOKENS' : 'STOP' } : {}
  const counted = last
    ? { candidatesTokenCount: speech.outputTokens, totalTokenCount: speech.inputTokens + speech.outputTokens }
    : { totalTokenCount: speech.inputTokens }
  return {
    candidates: [{ content: { parts, role: 'model' }, ...finish, index: 0 }],
    ...(speech.withUsage ? { usageMetadata: { promptTokenCount: speech.inputTokens, ...counted } } : {}),
    modelVersion: speech.model,
    responseId: speech.id,
  }
}
