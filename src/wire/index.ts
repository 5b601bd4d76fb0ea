// The dialects there are, and the paths they are asked at.

import { anthropicMessages } from './anthropic-messages.ts'
import type { Dialect } from './dialect.ts'
import { geminiGenerate } from './gemini-generate.ts'
import { openaiChat } from './openai-chat.ts'

const GEMINI_PATH = /\/v1(beta|alpha)?\/models\/.+:(generateContent|streamGenerateContent)$/

/** The dialect of an LLM call, by its path; undefined for any other path. */
export function dialectAt(path: string): Dialect | undefined {
  if (path.endsWith('/chat/completions')) return openaiChat
  if (path.endsWith('/v1/messages')) return anthropicMessages
  return GEMINI_PATH.test(path) ? geminiGenerate : undefined
}

/** The dialect in whose shape a path without a call of its own is answered. */
export function nearestDialect(path: string): Dialect {
  if (path.includes('/messages')) return anthropicMessages
  return /\/v1(beta|alpha)\/|\/models\/.+:/.test(path) ? geminiGenerate : openaiChat
}

const DIALECTS = {
  'openai.chat': openaiChat,
  'anthropic.messages': anthropicMessages,
  'gemini.generateContent': geminiGenerate,
} as const satisfies Record<string, Dialect>

export type DialectName = keyof typeof DIALECTS

export function dialectNamed(name: DialectName): Dialect {
  return DIALECTS[name]
}
