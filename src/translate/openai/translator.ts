// OpenAI translator: reads and writes the dialect of POST /v1/chat/completions, which compatible servers speak too.

import type { Translator } from '../translator.ts'
import { DIALECT } from './dialect-fields.ts'
import { readError, writeError } from './errors.ts'
import { ChatEventReader } from './event-reader.ts'
import { ChatEventWriter } from './event-writer.ts'
import { readRequest, writeRequest } from './request.ts'
import { readResponse, writeResponse } from './response.ts'
import { OPENAI_RULES } from './target-rules.ts'

/**
 * A written request has `stream_options` only if the caller's request had it. The provider adds the field if its server
 * knows it.
 */
export const openaiChatTranslator: Translator = {
  dialect: DIALECT,
  title: 'OpenAI',
  fieldNames: {
    model: 'model',
    stream: 'stream',
    messages: 'messages',
    tools: 'tools',
    toolChoice: 'tool_choice',
    parallelTools: 'parallel_tool_calls',
    format: 'response_format',
    outputCap: 'max_completion_tokens',
    answers: 'n',
    temperature: 'temperature',
    topP: 'top_p',
    topK: 'top_k',
    seed: 'seed',
    stop: 'stop',
    frequencyPenalty: 'frequency_penalty',
    presencePenalty: 'presence_penalty',
    reasoning: 'reasoning_effort',
    user: 'user',
    cache: 'cache_control',
    toolName: 'tools.function.name',
    toolSchema: 'tools.function.parameters',
    effort: 'reasoning_effort',
    media: 'image_url',
    arguments: 'tool_calls.function.arguments',
  },
  readRequest,
  rules: OPENAI_RULES,
  writeRequest,
  requestLine: () => ({ path: '/v1/chat/completions', query: '' }),
  readResponse,
  writeResponse,
  createEventReader: () => new ChatEventReader(),
  createEventWriter: (context) => new ChatEventWriter(context),
  streamContentType: () => 'text/event-stream; charset=utf-8',
  readError,
  writeError,
}
