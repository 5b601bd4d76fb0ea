// The dialects there are, and the paths they are asked at.

import { anthropicCountTokens } from './anthropic/count-tokens.ts'
import { anthropicMessages } from './anthropic/messages.ts'
import type { Dialect } from './dialect.ts'
import { geminiCountTokens } from './gemini/count-tokens.ts'
import { geminiEmbed } from './gemini/embed.ts'
import { geminiGenerate } from './gemini/generate.ts'
import { openaiChat } from './openai/chat.ts'
import { openaiCompletions } from './openai/completions.ts'
import { openaiEmbeddings } from './openai/embeddings.ts'
import { openaiResponses } from './openai/responses.ts'
import { isStored, openaiStored } from './openai/stored.ts'

const GEMINI_PATH = /\/v1(?:beta|alpha)?\/models\/.+:(\w+)$/
const GEMINI_METHODS: ReadonlyMap<string, Dialect> = new Map([
  ['generateContent', geminiGenerate],
  ['streamGenerateContent', geminiGenerate],
  ['countTokens', geminiCountTokens],
  ['embedContent', geminiEmbed],
  ['batchEmbedContents', geminiEmbed],
])

/** The dialect of an LLM call, by its path; undefined for any other path. */
export function dialectAt(path: string): Dialect | undefined {
  if (path.endsWith('/chat/completions')) return openaiChat
  if (path.endsWith('/v1/messages')) return anthropicMessages
  if (path.endsWith('/v1/messages/count_tokens')) return anthropicCountTokens
  if (path.endsWith('/v1/embeddings')) return openaiEmbeddings
  if (path.endsWith('/v1/completions')) return openaiCompletions
  if (path.endsWith('/responses')) return openaiResponses
  return GEMINI_METHODS.get(GEMINI_PATH.exec(path)?.[1] ?? '')
}

/** The dialect of what is done with a stored response; undefined for anything else. */
export function storedDialectAt(method: string, path: string): Dialect | undefined {
  return isStored(method, path) ? openaiStored : undefined
}

/** The dialect in whose shape a path without a call of its own is answered. */
export function nearestDialect(path: string): Dialect {
  if (path.includes('/messages')) return anthropicMessages
  return /\/v1(beta|alpha)\/|\/models\/.+:/.test(path) ? geminiGenerate : openaiChat
}

const DIALECTS = {
  'openai.chat': openaiChat,
  'openai.completions': openaiCompletions,
  'openai.embeddings': openaiEmbeddings,
  'openai.responses': openaiResponses,
  'openai.stored': openaiStored,
  'anthropic.messages': anthropicMessages,
  'anthropic.countTokens': anthropicCountTokens,
  'gemini.generateContent': geminiGenerate,
  'gemini.countTokens': geminiCountTokens,
  'gemini.embedContent': geminiEmbed,
} as const satisfies Record<string, Dialect>

export type DialectName = keyof typeof DIALECTS

export function dialectNamed(name: DialectName): Dialect {
  return DIALECTS[name]
}

export function isDialectName(name: string): name is DialectName {
  return Object.hasOwn(DIALECTS, name)
}
