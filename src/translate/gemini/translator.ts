// Gemini translator: reads and writes the dialect of generateContent and streamGenerateContent.

import type { Translator } from '../translator.ts'
import { DIALECT } from './dialect-fields.ts'
import { errorBody, readError } from './errors.ts'
import { GeminiEventReader } from './event-reader.ts'
import { GeminiEventWriter } from './event-writer.ts'
import { readRequest } from './read.ts'
import { readResponse, writeResponse } from './response.ts'
import { GEMINI_RULES } from './target-rules.ts'
import { writeRequest } from './write.ts'

export const geminiGenerateTranslator: Translator = {
  dialect: DIALECT,
  title: 'Gemini',
  fieldNames: {
    messages: 'contents',
    toolChoice: 'toolConfig.functionCallingConfig',
    format: 'generationConfig.responseMimeType',
    outputCap: 'generationConfig.maxOutputTokens',
    answers: 'generationConfig.candidateCount',
    temperature: 'generationConfig.temperature',
    topP: 'generationConfig.topP',
    topK: 'generationConfig.topK',
    seed: 'generationConfig.seed',
    stop: 'generationConfig.stopSequences',
    frequencyPenalty: 'generationConfig.frequencyPenalty',
    presencePenalty: 'generationConfig.presencePenalty',
    reasoning: 'generationConfig.thinkingConfig',
    toolName: 'functionDeclarations.name',
    toolSchema: 'functionDeclarations.parameters',
    effort: 'generationConfig.thinkingConfig',
    media: 'inlineData',
    arguments: 'functionCall.args',
  },
  readRequest,
  rules: GEMINI_RULES,
  writeRequest,
  requestLine: ({ stream }, { model }) => ({
    path: `/v1beta/models/${encodeURIComponent(model.toWellFormed())}:${stream ? 'streamGenerateContent' : 'generateContent'}`,
    query: stream ? 'alt=sse' : '',
  }),
  readResponse,
  writeResponse,
  createEventReader: () => new GeminiEventReader(),
  createEventWriter: (context) => new GeminiEventWriter(context),
  streamContentType: ({ asEvents }) => (asEvents ? 'text/event-stream' : 'application/json; charset=UTF-8'),
  readError,
  writeError: (error, context) => JSON.stringify(errorBody(error, context)),
}
