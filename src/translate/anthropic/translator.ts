// Anthropic messages, translated: POST /v1/messages.

import type { Translator } from '../translator.ts'
import { readAnswer, writeAnswer } from './answer.ts'
import { DIALECT } from './dialect-fields.ts'
import { readError, writeError } from './errors.ts'
import { MessageReader } from './event-reader.ts'
import { MessageWriter } from './event-writer.ts'
import { readAsk } from './read.ts'
import { writeAsk } from './write.ts'

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
