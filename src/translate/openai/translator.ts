// OpenAI chat, translated: asks, answers, streams and errors of /v1/chat/completions, and of every API that copies it.

import type { Translator } from '../translator.ts'
import { readError, writeError } from './errors.ts'
import { ChatEventReader, ChatEventWriter } from './events.ts'
import { DIALECT } from './parts.ts'
import { readRequest, writeRequest } from './request.ts'
import { readResponse, writeResponse } from './response.ts'

/**
 * What it writes asks for usage at the end of a stream only where the caller did: whether a server knows the field is for
 * its provider to say.
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
  },
  readRequest,
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
