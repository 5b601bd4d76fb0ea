// The dialects that the simulated provider speaks, with the form of its answers in each. Its only list of dialects.

import type { DialectName } from '../../wire/index.ts'
import type { AnswerContent, AnswerFormat } from './answer-format.ts'
import { ANTHROPIC_FORMAT } from './anthropic.ts'
import { COMPLETIONS_FORMAT } from './completions.ts'
import { GEMINI_FORMAT } from './gemini.ts'
import { OPENAI_FORMAT } from './openai.ts'
import { RESPONSES_FORMAT } from './responses.ts'
import { geminiVectors, openaiVectors } from './vectors.ts'

/** Everything but stored responses: the simulated provider keeps nothing. */
const ANSWER_FORMATS = {
  'openai.chat': { ...OPENAI_FORMAT, callsTools: true },
  'anthropic.messages': { ...ANTHROPIC_FORMAT, callsTools: true },
  'gemini.generateContent': { ...GEMINI_FORMAT, callsTools: true },
  'openai.completions': { ...OPENAI_FORMAT, ...COMPLETIONS_FORMAT },
  'openai.embeddings': { ...OPENAI_FORMAT, whole: (content, request) => openaiVectors(request, content) },
  'openai.responses': { ...OPENAI_FORMAT, ...RESPONSES_FORMAT, callsTools: true },
  'anthropic.countTokens': {
    ...ANTHROPIC_FORMAT,
    whole: ({ inputTokens }: AnswerContent) => JSON.stringify({ input_tokens: inputTokens }),
  },
  'gemini.countTokens': {
    ...GEMINI_FORMAT,
    whole: ({ inputTokens }: AnswerContent) => JSON.stringify({ totalTokens: inputTokens }),
  },
  'gemini.embedContent': { ...GEMINI_FORMAT, whole: (content, request) => geminiVectors(request, content) },
} as const satisfies Partial<Record<DialectName, AnswerFormat>>

const FORMAT_BY_DIALECT: ReadonlyMap<string, AnswerFormat> = new Map(Object.entries(ANSWER_FORMATS))

export const SIMULATED_DIALECTS: readonly string[] = [...FORMAT_BY_DIALECT.keys()]

/** OpenAI's form for a dialect that is not simulated. */
export function formatOf(dialect: string): AnswerFormat {
  return FORMAT_BY_DIALECT.get(dialect) ?? OPENAI_FORMAT
}
