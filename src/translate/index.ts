// The translators there are.

import { anthropicMessagesTranslator } from './anthropic/translator.ts'
import { geminiGenerateTranslator } from './gemini/translator.ts'
import { openaiChatTranslator } from './openai/translator.ts'
import type { Translator } from './translator.ts'

const TRANSLATORS: ReadonlyMap<string, Translator> = new Map(
  [openaiChatTranslator, anthropicMessagesTranslator, geminiGenerateTranslator].map((one) => [one.dialect, one]),
)

/** @param dialect as in wire/index.ts; undefined for one that is only passed through */
export function translatorOf(dialect: string): Translator | undefined {
  return TRANSLATORS.get(dialect)
}
