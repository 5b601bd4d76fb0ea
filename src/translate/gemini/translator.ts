// Gemini generateContent, translated: asks, answers, streams and errors, to and from neutral words.

import type { Translator } from '../translator.ts'
import { readAnswer, writeAnswer } from './answer.ts'
import { DIALECT } from './dialect-fields.ts'
import { errorBody, readError } from './errors.ts'
import { GeminiEventReader, GeminiEventWriter } from './events.ts'
import { readAsk } from './read.ts'
import { writeAsk } from './write.ts'

export const geminiGenerateTranslator: Translator = {
  dialect: DIALECT,
  title: 'Gemini',
  names: {
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
  },
  readAsk,
  writeAsk,
  requestLine: ({ stream }, { model }) => ({
    path: `/v1beta/models/${encodeURIComponent(model.toWellFormed())}:${stream ? 'streamGenerateContent' : 'generateContent'}`,
    query: stream ? 'alt=sse' : '',
  }),
  readAnswer,
  writeAnswer,
  eventReader: () => new GeminiEventReader(),
  eventWriter: (context) => new GeminiEventWriter(context),
  streamType: ({ asEvents }) => (asEvents ? 'text/event-stream' : 'application/json; charset=UTF-8'),
  readError,
  writeError: (error, context) => JSON.stringify(errorBody(error, context)),
}
