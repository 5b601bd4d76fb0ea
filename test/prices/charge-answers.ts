// Charge answers: answers that tell one charge each, whole and as a stream, for the table of charges.

import { anthropicMessages } from '../../src/wire/anthropic/messages.ts'
import type { Dialect } from '../../src/wire/dialect.ts'
import { geminiEmbed } from '../../src/wire/gemini/embed.ts'
import { geminiGenerate } from '../../src/wire/gemini/generate.ts'
import { openaiChat } from '../../src/wire/openai/chat.ts'
import { openaiResponses } from '../../src/wire/openai/responses.ts'

export interface ChargeAnswer {
  readonly dialect: Dialect
  readonly whole: object
  /** The text of the stream. Absent where the endpoint streams nothing. */
  readonly stream?: string
}

const event = (data: object) => `data: ${JSON.stringify(data)}\n\n`
const events = (...data: readonly object[]) => data.map(event).join('')

/** A chat completion. @param message what its message has beside the text; a stream has that in a chunk of its own */
export function chat(usage: object, message: object = {}): ChargeAnswer {
  const counts = { prompt_tokens: 1_000, completion_tokens: 100, total_tokens: 1_100, ...usage }
  const head = { id: 'c', object: 'chat.completion.chunk', model: 'm' }
  const chunk = (delta: object, finish_reason: string | null) => ({
    ...head,
    choices: [{ index: 0, delta, finish_reason }],
  })
  return {
    dialect: openaiChat,
    whole: {
      ...head,
      choices: [{ index: 0, message: { content: 'a', ...message }, finish_reason: 'stop' }],
      usage: counts,
    },
    stream: `${events(chunk({ content: 'a' }, null), chunk(message, null), chunk({}, 'stop'), { ...head, choices: [], usage: counts })}data: [DONE]\n\n`,
  }
}

/** A response of OpenAI's API. Its stream has the items in events of their own, and none in the last one. */
export function response(output: readonly object[], usage: object = {}, more: object = {}): ChargeAnswer {
  const whole = {
    id: 'r',
    model: 'm',
    status: 'completed',
    usage: { input_tokens: 1_000, output_tokens: 100, ...usage },
    ...more,
  }
  const items = output.map((item, output_index) => ({ type: 'response.output_item.done', output_index, item }))
  return {
    dialect: openaiResponses,
    whole: { ...whole, output },
    stream: events(...items, { type: 'response.completed', response: { ...whole, output: [] } }),
  }
}

/** A message of Anthropic's API. */
export function message(usage: object, content: readonly object[] = []): ChargeAnswer {
  const counts = { input_tokens: 1_000, output_tokens: 100, ...usage }
  const head = { id: 'm', type: 'message', role: 'assistant', model: 'm' }
  const blocks = content.map((content_block, index) => ({ type: 'content_block_start', index, content_block }))
  return {
    dialect: anthropicMessages,
    whole: { ...head, content, stop_reason: 'end_turn', usage: counts },
    stream: events(
      { type: 'message_start', message: { ...head, content: [], usage: { input_tokens: 1_000, output_tokens: 1 } } },
      ...blocks,
      { type: 'message_delta', delta: { stop_reason: 'end_turn' }, usage: counts },
      { type: 'message_stop' },
    ),
  }
}

/** A response of Gemini's API. Its stream has the grounding before the usage. */
export function gemini(usage: object, groundingMetadata: object = {}, modelVersion = 'gemini-3-flash'): ChargeAnswer {
  const usageMetadata = { promptTokenCount: 1_000, candidatesTokenCount: 100, ...usage }
  const candidate = { content: { parts: [{ text: 'a' }] }, groundingMetadata }
  return {
    dialect: geminiGenerate,
    whole: { candidates: [{ ...candidate, finishReason: 'STOP' }], usageMetadata, modelVersion },
    stream: events(
      { candidates: [candidate] },
      { candidates: [{ finishReason: 'STOP' }], usageMetadata, modelVersion },
    ),
  }
}

/** Vectors of Gemini's API. */
export function vectors(promptTokenDetails: readonly object[]): ChargeAnswer {
  const usageMetadata = { promptTokenCount: 1_000, promptTokenDetails }
  return { dialect: geminiEmbed, whole: { embedding: { values: [1] }, usageMetadata } }
}
