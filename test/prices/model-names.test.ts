// Model names: which spellings each form unfolds into, that unfolding is bounded, and that nothing is invented.

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { familyNames, modelNames } from '../../src/prices/model-names.ts'

describe('modelNames', () => {
  test.each([
    ['openai', 'gpt-4o', ['gpt-4o']],
    ['openai', ' GPT-4o ', ['gpt-4o']],
    ['openai', 'openai/gpt-4o', ['openai/gpt-4o', 'gpt-4o']],
    ['openai', 'openai:gpt-4o', ['openai:gpt-4o', 'gpt-4o']],
    ['openai', 'azure/gpt-4o', ['azure/gpt-4o']],
    ['azure', 'azure/gpt-4o', ['azure/gpt-4o', 'gpt-4o']],
    ['azure', 'gpt-35-turbo', ['gpt-35-turbo', 'gpt-3.5-turbo']],
    ['gemini', 'google/gemini-2.5-flash', ['google/gemini-2.5-flash', 'gemini-2.5-flash']],
    ['gemini', 'google-vertex:gemini-2.5-flash', ['google-vertex:gemini-2.5-flash', 'gemini-2.5-flash']],
    ['gemini', 'models/gemini-2.5-flash', ['models/gemini-2.5-flash', 'gemini-2.5-flash']],
    [
      'gemini',
      'publishers/google/models/gemini-2.5-pro',
      ['publishers/google/models/gemini-2.5-pro', 'gemini-2.5-pro'],
    ],
    ['gemini', 'gemini-2.0-flash-latest', ['gemini-2.0-flash-latest', 'gemini-2.0-flash']],
    [
      'bedrock',
      'bedrock/us.anthropic.claude-opus-5',
      ['bedrock/us.anthropic.claude-opus-5', 'us.anthropic.claude-opus-5'],
    ],
    ['groq', 'openai/gpt-oss-20b', ['openai/gpt-oss-20b']],
    ['groq', 'groq/openai/gpt-oss-20b', ['groq/openai/gpt-oss-20b', 'openai/gpt-oss-20b']],
    ['openrouter', 'anthropic/claude-sonnet-4.5:beta', ['anthropic/claude-sonnet-4.5:beta']],
    [
      'openai',
      'ft:gpt-4.1-2025-04-14:acme::x',
      ['ft:gpt-4.1-2025-04-14:acme::x', 'ft:gpt-4.1-2025-04-14', 'ft:gpt-4.1'],
    ],
    ['openai', '__proto__', ['__proto__']],
    ['openai', '', []],
    ['openai', '  ', []],
  ])('%s knows %j by its own spellings', (provider, model, names) => {
    expect(modelNames(provider, model)).toEqual(names)
  })

  test('has none for a name longer than any in use', () => {
    expect(modelNames('openai', 'x'.repeat(256))).toHaveLength(1)
    expect(modelNames('openai', 'x'.repeat(257))).toEqual([])
  })

  test('never takes a date off a name to be priced', () => {
    expect(modelNames('openai', 'gpt-4o-2099-01-01')).toEqual(['gpt-4o-2099-01-01'])
  })
})

describe('familyNames', () => {
  test.each([
    ['gpt-4o-2024-08-06', ['gpt-4o-2024-08-06', 'gpt-4o']],
    ['gpt-4o-foo', ['gpt-4o-foo']],
    ['claude-sonnet-4-5[1m]', ['claude-sonnet-4-5[1m]', 'claude-sonnet-4-5']],
    ['claude-sonnet-3.7', ['claude-3-7-sonnet']],
    ['gemini-2.5-pro-preview-05-06', ['gemini-2.5-pro-preview-05-06', 'gemini-2.5-pro-preview', 'gemini-2.5-pro']],
    [
      'arn:aws:bedrock:us-east-1:123456789012:inference-profile/eu.anthropic.claude-3-5-sonnet-20241022-v2:0',
      ['claude-3-5-sonnet-20241022-v2:0', 'claude-3-5-sonnet-20241022', 'claude-3-5-sonnet'],
    ],
    [
      'projects/p/locations/l/publishers/google/models/gemini-2.0-flash-001',
      ['gemini-2.0-flash-001', 'gemini-2.0-flash'],
    ],
    ['ft:gpt-4o-mini-2024-07-18:acme::x', ['gpt-4o-mini-2024-07-18', 'gpt-4o-mini']],
    ['deepseek/deepseek-r1:free', ['deepseek-r1:free', 'deepseek-r1']],
    ['', []],
    ['ft:', []],
  ])('%j', (model, names) => {
    expect(familyNames(model)).toEqual(names)
  })

  test('is at most five names, each the beginning of the one before', () => {
    const part = fc.constantFrom(
      'gpt',
      '-4o',
      '-2024-08-06',
      '-preview',
      '-001',
      '@20250929',
      '/',
      ':',
      '-v2:0',
      '[1m]',
      'ft:',
    )
    fc.assert(
      fc.property(fc.array(part, { maxLength: 40 }), (parts) => {
        const names = familyNames(parts.join(''))
        expect(names.length).toBeLessThanOrEqual(5)
        for (const [index, name] of names.entries()) expect((names[index - 1] ?? name).startsWith(name)).toBe(true)
      }),
    )
  })

  test('takes no time over a hostile name', () => {
    const started = performance.now()
    for (const text of ['-2024', '-v1:', '[1m]', '::', '//', 'a.', '-preview']) familyNames(text.repeat(200_000))
    for (const text of ['-2024', '-v1:', '[1m]', '::', '//', 'a.', '-preview']) familyNames(text.repeat(25))
    expect(performance.now() - started).toBeLessThan(100)
  })
})
