// Anthropic translator: reads and writes the dialect of POST /v1/messages.

import type { Translator } from '../translator.ts'
import { DIALECT } from './dialect-fields.ts'
import { readError, writeError } from './errors.ts'
import { AnthropicEventReader } from './event-reader.ts'
import { AnthropicEventWriter } from './event-writer.ts'
import { readRequest } from './read.ts'
import { readResponse, writeResponse } from './response.ts'
import { ANTHROPIC_RULES } from './target-rules.ts'
import { writeRequest } from './write.ts'

export const anthropicMessagesTranslator: Translator = {
  dialect: DIALECT,
  title: 'Anthropic',
  fieldNames: {
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
    toolName: 'tools.name',
    toolSchema: 'tools.input_schema',
    effort: 'output_config.effort',
    media: 'source',
    arguments: 'tool_use.input',
  },
  readRequest,
  rules: ANTHROPIC_RULES,
  writeRequest,
  requestLine: () => ({ path: '/v1/messages', query: '' }),
  readResponse,
  writeResponse,
  createEventReader: () => new AnthropicEventReader(),
  createEventWriter: (context) => new AnthropicEventWriter(context),
  streamContentType: () => 'text/event-stream; charset=utf-8',
  readError,
  writeError,
}
