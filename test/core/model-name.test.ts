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
  expect(modelNameOf(provider, written)).toEqual({ model: 'gpt-4o', canonical: 'gpt-4o', family: 'gpt-4o' })
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
  ['gpt-4-32k-0613', 'gpt-4-32k'],
  ['gpt-4o-mini-audio-preview-2024-12-17', 'gpt-4o-mini-audio'],
  ['chatgpt-4o-latest', 'chatgpt-4o'],
  ['claude-sonnet-4-5-20250929', 'claude-sonnet-4-5'],
  ['claude-sonnet-4-5@20250929', 'claude-sonnet-4-5'],
  ['claude-sonnet-4-5[1m]', 'claude-sonnet-4-5'],
  ['claude-opus-4-1-20250805', 'claude-opus-4-1'],
  ['us.anthropic.claude-3-5-sonnet-20241022-v2:0', 'us.anthropic.claude-3-5-sonnet'],
  ['gemini-2.5-pro-latest', 'gemini-2.5-pro'],
  ['gemini-2.5-pro-preview-06-05', 'gemini-2.5-pro'],
  ['gemini-2.5-flash-preview-09-2025', 'gemini-2.5-flash'],
  ['gemini-2.0-flash-001', 'gemini-2.0-flash'],
  ['mistral-large-2411', 'mistral-large'],
  ['meta-llama/llama-4:free', 'meta-llama/llama-4'],
  ['glm-4-air-250414', 'glm-4-air'],
])('%s belongs to %s', (written, family) => {
  expect(modelNameOf('any', written)).toEqual({ model: written, canonical: written, family })
})

test.each([
  ['gpt-4o-mini'],
  ['gpt-4-32k'],
  ['gpt-5-codex'],
  ['gpt-5.6-terra'],
  ['claude-haiku-4-5'],
  ['claude-3-haiku'],
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

test.each([
  ['openai', 'gpt-5-6-sol', 'gpt-5.6-sol'],
  ['openai', 'gpt-5-1-2025-11-13', 'gpt-5.1'],
  ['azure', 'gpt-35-turbo', 'gpt-3.5-turbo'],
  ['azure', 'gpt-35-turbo-16k-0613', 'gpt-3.5-turbo-16k'],
  ['anthropic', 'claude-sonnet-4.5', 'claude-sonnet-4-5'],
  ['anthropic', 'claude-4-5-sonnet@20250929', 'claude-sonnet-4-5'],
  ['anthropic', 'claude-opus-4-0', 'claude-opus-4'],
  ['anthropic', 'claude-4-opus-20250514', 'claude-opus-4'],
  ['anthropic', 'claude-sonnet-3.7', 'claude-3-7-sonnet'],
  ['openrouter', 'anthropic/claude-4.5-sonnet-20250929', 'anthropic/claude-sonnet-4-5'],
  ['openrouter', 'anthropic/anthropic/claude-sonnet-4.5:beta', 'anthropic/claude-sonnet-4-5'],
  ['openrouter', 'openrouter/openai/gpt-4o', 'openai/gpt-4o'],
  ['groq', 'groq/openai/gpt-oss-20b', 'openai/gpt-oss-20b'],
  ['bedrock', 'us.anthropic.claude-sonnet-4.5-20250929-v1:0', 'us.anthropic.claude-sonnet-4-5'],
  ['fireworks', 'accounts/fireworks/models/glm-5p3', 'glm-5p3'],
])('%s: %s is a spelling of %s', (provider, written, family) => {
  expect(modelNameOf(provider, written).family).toBe(family)
})

test.each([
  ['openai', 'gpt-5.6', 'gpt-5.6-sol'],
  ['openai', 'gpt-5-6', 'gpt-5.6-sol'],
  ['openai', 'gpt-5.6-2026-07-09', 'gpt-5.6-sol'],
  ['openrouter', 'openai/gpt-5.6', 'openai/gpt-5.6-sol'],
  ['xai', 'grok-latest', 'grok-4.5'],
  ['xai', 'x-ai/grok-4.20-0309-reasoning', 'grok-4.20'],
  ['xai', 'grok-4.20-reasoning-latest', 'grok-4.20'],
  ['xai', 'grok-4.20-experimental-beta-reasoning-latest', 'grok-4.20'],
  ['xai', 'grok-4.20-0309-non-reasoning', 'grok-4.20-non-reasoning'],
  ['gemini', 'models/gemini-flash-latest', 'gemini-3.8-flash'],
  ['gemini', 'gemini-pro-latest', 'gemini-3.1-pro'],
  ['openrouter', '~x-ai/grok-latest', 'x-ai/grok-4.7'],
  ['openrouter', '~google/gemini-flash-latest', '~google/gemini-flash'],
  ['openai', 'gpt-4-1106-preview', 'gpt-4-turbo'],
])('%s: %s is another name for %s', (provider, written, family) => {
  expect(modelNameOf(provider, written).family).toBe(family)
})

test.each([
  ['anthropic', 'claude-4.5-sonnet-20250929', 'claude-sonnet-4-5-20250929'],
  ['xai', 'grok-4.20-0309-reasoning', 'grok-4.20-0309'],
  ['openai', 'gpt-5-6-sol-2026-07-09', 'gpt-5.6-sol-2026-07-09'],
])('%s: the one name of %s keeps the date', (provider, written, canonical) => {
  expect(modelNameOf(provider, written)).toMatchObject({ model: written, canonical })
})
