// Anthropic messages, translated: POST /v1/messages.

import { readAnswer, writeAnswer } from './anthropic-messages-answer.ts'
import { readError, writeError } from './anthropic-messages-errors.ts'
import { MessageReader } from './anthropic-messages-events.ts'
import { DIALECT } from './anthropic-messages-own.ts'
import { readAsk } from './anthropic-messages-read.ts'
import { MessageWriter } from './anthropic-messages-stream.ts'
import { writeAsk } from './anthropic-messages-write.ts'
import type { Translator } from './translator.ts'

export const anthropicMessagesTranslator: Translator = {
  dialect: DIALECT,
  title: 'Anthropic',
  names: {
    model: 'model',
    stream: 'stream',
    messages: 'messages',
    tools: 'tools',
    toolChoice: 'tool_choice',
    parallelTools: 'tool_choice.disable_parallel_tool_use',
    format: 'output_config.format',
    outputCap: 'max_tokens',
    temperature: 'temperature',
    topP: 'top_p',
    topK: 'top_k',
    stop: 'stop_sequences',
    reasoning: 'thinking',
    user: 'metadata.user_id',
    cache: 'cache_control',
  },
  readAsk,
  writeAsk,
  requestLine: () => ({ path: '/v1/messages', query: '' }),
  readAnswer,
  writeAnswer,
  eventReader: () => new MessageReader(),
  eventWriter: (context) => new MessageWriter(context),
  streamType: () => 'text/event-stream; charset=utf-8',
  readError,
  writeError,
}
