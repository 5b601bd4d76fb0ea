// One name for one model: spellings, and the model that a dated name belongs to.

import { expect, test } from 'vitest'
import { modelNameOf } from '../../src/core/model-name.ts'

test.each([
  ['openai', 'gpt-4o'],
  ['openai', 'GPT-4o'],
  ['openai', ' gpt-4o '],
  ['openai', 'openai/gpt-4o'],
  ['openai', 'OpenAI/openai/gpt-4o'],
  ['openai', 'openai:gpt-4o'],
])('%s has one name for %j', (provider, written) => {
  expect(modelNameOf(provider, written)).toEqual({ model: 'gpt-4o', family: 'gpt-4o' })
})

test.each([
  ['gemini', 'models/Gemini-3.5-Flash', 'gemini-3.5-flash'],
  ['gemini', 'google/gemini-3.5-flash', 'gemini-3.5-flash'],
  ['gemini', 'publishers/google/models/gemini-3.5-flash', 'gemini-3.5-flash'],
  ['xai', 'x-ai/grok-4.7', 'grok-4.7'],
  ['groq', 'openai/gpt-oss-20b', 'openai/gpt-oss-20b'],
  ['openrouter', 'openai/GPT-4o', 'openai/gpt-4o'],
  ['simulated', 'sim/echo', 'sim/echo'],
  ['openrouter', 'openrouter/auto', 'openrouter/auto'],
  ['openai', '', ''],
])('%s has for %j the name %j', (provider, written, model) => {
  expect(modelNameOf(provider, written).model).toBe(model)
})

test.each([
  ['gpt-4o-2024-08-06', 'gpt-4o'],
  ['gpt-4-0613', 'gpt-4'],
  ['gpt-4-1106-preview', 'gpt-4'],
  ['gpt-4o-mini-audio-preview-2024-12-17', 'gpt-4o-mini-audio'],
  ['chatgpt-4o-latest', 'chatgpt-4o'],
  ['claude-sonnet-4-5-20250929', 'claude-sonnet-4-5'],
  ['claude-sonnet-4-5@20250929', 'claude-sonnet-4-5'],
  ['claude-sonnet-4-5[1m]', 'claude-sonnet-4-5'],
  ['us.anthropic.claude-3-5-sonnet-20241022-v2:0', 'us.anthropic.claude-3-5-sonnet'],
  ['gemini-2.5-pro-latest', 'gemini-2.5-pro'],
  ['gemini-2.5-pro-preview-06-05', 'gemini-2.5-pro'],
  ['gemini-2.5-flash-preview-09-2025', 'gemini-2.5-flash'],
  ['gemini-2.0-flash-001', 'gemini-2.0-flash'],
  ['mistral-large-2411', 'mistral-large'],
  ['meta-llama/llama-4:free', 'meta-llama/llama-4'],
  ['glm-4-air-250414', 'glm-4-air'],
])('%s belongs to %s', (written, family) => {
  expect(modelNameOf('any', written)).toEqual({ model: written, family })
})

test.each([
  ['gpt-4o-mini'],
  ['gpt-6.2-sol'],
  ['o3'],
  ['deepseek-v4'],
  ['amazon.titan-embed-text-v2:0'],
  ['anthropic.claude-v2'],
  ['text-embedding-ada-002'],
  ['text-embedding-004'],
  ['gemini-3.5-flash-lite'],
  ['llama3-8b-8192'],
  ['ft:gpt-4o-mini-2024-07-18:acme::b7r-2024-01-01'],
])('%s is a model of its own', (written) => {
  expect(modelNameOf('any', written).family).toBe(written)
})
