// Clients: every SDK the gateway promises to serve.

import type { Client } from './client-request.ts'
import { aiAnthropic, aiGoogle, aiOpenai, langchainAnthropic, langchainOpenai } from './frameworks.ts'
import { anthropic, genai, generativeAi, openai6, openai7 } from './vendors.ts'

/** The table. A new SDK is one row. */
export const CLIENTS: readonly Client[] = [
  openai7,
  openai6,
  anthropic,
  generativeAi,
  genai,
  langchainOpenai,
  langchainAnthropic,
  aiOpenai,
  aiAnthropic,
  aiGoogle,
]
