// Translators: one for each dialect that can be translated.

import { anthropicMessagesTranslator } from './anthropic/translator.ts'
import { geminiGenerateTranslator } from './gemini/translator.ts'
import { openaiChatTranslator } from './openai/translator.ts'
import type { Translator } from './translator.ts'

const TRANSLATORS: ReadonlyMap<string, Translator> = new Map(
  [openaiChatTranslator, anthropicMessagesTranslator, geminiGenerateTranslator].map((translator) => [
    translator.dialect,
    translator,
  ]),
)

/** The dialect's translator; undefined for a dialect that is only passed through. @param dialect as in wire/index.ts */
export function translatorOf(dialect: string): Translator | undefined {
  return TRANSLATORS.get(dialect)
}
