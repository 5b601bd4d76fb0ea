// The simulated provider's contents, in Gemini's form: text, or calls of functions, which are never partial.

import type { AnswerContent, AnswerFormat } from './answer-format.ts'

export const GEMINI_FORMAT: AnswerFormat = {
  whole: (answer) =>
    JSON.stringify(
      responseOf(answer, answer.calls.length > 0 ? callsOf(answer) : [{ text: answer.words.join('') }], true),
    ),
  stream: (answer) => [
    ...answer.words.map((text) => formatEvent(answer, [{ text }], false)),
    ...callsOf(answer).map((call) => formatEvent(answer, [call], false)),
    formatEvent(answer, [{ text: '' }], true),
  ],
  error: (status, message) =>
    JSON.stringify({ error: { code: status, message, status: status === 429 ? 'RESOURCE_EXHAUSTED' : 'INTERNAL' } }),
}

function formatEvent(answer: AnswerContent, parts: readonly unknown[], last: boolean): string {
  return `data: ${JSON.stringify(responseOf(answer, parts, last))}\r\n\r\n`
}

function callsOf({ calls }: AnswerContent) {
  return calls
    .filter(({ isComplete }) => isComplete)
    .map(({ name, arguments: args }) => ({ functionCall: { name, args } }))
}

function responseOf(answer: AnswerContent, parts: readonly unknown[], last: boolean) {
  const finish = last ? { finishReason: answer.isTruncated ? 'MAX_TOKENS' : 'STOP' } : {}
  const counted = last
    ? { candidatesTokenCount: answer.outputTokens, totalTokenCount: answer.inputTokens + answer.outputTokens }
    : { totalTokenCount: answer.inputTokens }
  return {
    candidates: [{ content: { parts, role: 'model' }, ...finish, index: 0 }],
    ...(answer.withUsage ? { usageMetadata: { promptTokenCount: answer.inputTokens, ...counted } } : {}),
    modelVersion: answer.model,
    responseId: answer.id,
  }
}
