// Permitted models: which targets the patterns of a key let through, whatever the spelling.

import { describe, expect, it } from 'vitest'
import { PermittedModels } from '../../src/keys/permitted-models.ts'

const permits = (models: readonly string[] | null, provider: string, model: string, alias?: string) =>
  new PermittedModels({ models, providers: null }).permits(provider, model, alias)

describe('a pattern of models', () => {
  it.each<[string, string, string]>([
    ['openai/gpt-4o', 'openai', 'gpt-4o'],
    ['openai/gpt-4o', 'openai', 'gpt-4o-2024-08-06'],
    ['openai/gpt-4o', 'openai', ' GPT-4o '],
    ['openai/GPT-4o', 'openai', 'gpt-4o'],
    ['openai/gpt-4o-2024-08-06', 'openai', 'gpt-4o-2024-08-06'],
    ['openai/gpt-5-6', 'openai', 'gpt-5.6-sol'],
    ['openai/*', 'openai', 'ft:gpt-4o:acme::x'],
    ['*/gpt-4o', 'azure', 'gpt-4o'],
    ['openai/*-mini', 'openai', 'gpt-4o-mini-2024-07-18'],
    ['anthropic/claude-sonnet-4.5', 'anthropic', 'claude-sonnet-4-5-20250929'],
    ['anthropic/claude-*-4-5', 'anthropic', 'claude-sonnet-4.5'],
    ['gpt-4o', 'openai', 'gpt-4o'],
    ['gpt-4o', 'my-azure', 'gpt-4o-2024-08-06'],
    ['openrouter/anthropic/*', 'openrouter', 'anthropic/claude-sonnet-4.5'],
    ['sim/*', 'simulated', 'sim/echo'],
    ['sim/echo', 'simulated', 'sim/echo'],
    ['*', 'groq', 'anything'],
    ['*a*b*', 'groq', 'xaxbx'],
  ])('%s permits %s/%s', (pattern, provider, model) => {
    expect(permits([pattern], provider, model)).toBe(true)
  })

  it.each<[string, string, string]>([
    ['openai/gpt-4o', 'openai', 'gpt-4o-mini'],
    ['openai/gpt-4o', 'azure', 'gpt-4o'],
    ['openai/gpt-4o', 'openai-2', 'gpt-4o'],
    ['openai/gpt-4o-2024-08-06', 'openai', 'gpt-4o'],
    ['openai/gpt-4o-2024-08-06', 'openai', 'gpt-4o-2024-11-20'],
    ['openai/gpt-5-*', 'openai', 'gpt-5-6'],
    ['openai/', 'openai', 'gpt-4o'],
    ['openai', 'openai', 'gpt-4o'],
    ['openai/*-mini', 'openai', 'gpt-4o'],
    ['openai/a*a', 'openai', 'a'],
    ['openai/.*', 'openai', 'gpt-4o'],
    ['sim/*', 'openai', 'sim/echo'],
    ['openai/gpt-4*', 'openai', 'ft:gpt-4o:acme::x'],
  ])('%s does not permit %s/%s', (pattern, provider, model) => {
    expect(permits([pattern], provider, model)).toBe(false)
  })

  it('is matched in the time of its length, whatever the name', () => {
    const started = process.hrtime.bigint()
    expect(permits([`openai/${'*a'.repeat(200)}b`], 'openai', 'a'.repeat(512))).toBe(false)
    expect(process.hrtime.bigint() - started).toBeLessThan(1_000_000_000n)
  })
})

describe('a provider', () => {
  it.each<[readonly string[] | null, readonly string[] | null, boolean, boolean]>([
    [null, null, true, true],
    [['openai/gpt-4o'], null, true, false],
    [['openai/*'], null, true, true],
    [['*'], null, true, true],
    [['gpt-*'], null, true, false],
    [['anthropic/*'], null, false, false],
    [null, ['openai'], true, true],
    [['*'], ['anthropic'], false, false],
  ])('with models %j and providers %j: any model %s, every model %s', (models, providers, any, every) => {
    const permitted = new PermittedModels({ models, providers })
    expect(permitted.permitsProvider('openai')).toBe(any)
    expect(permitted.permitsEveryModel('openai')).toBe(every)
  })
})

describe('an alias that is named', () => {
  it('permits its targets to calls that name the alias, and to no others', () => {
    expect(permits(['fast'], 'anthropic', 'claude-sonnet-4-5', 'fast')).toBe(true)
    expect(permits(['fast'], 'anthropic', 'claude-sonnet-4-5')).toBe(false)
    expect(permits(['fast'], 'anthropic', 'claude-sonnet-4-5', 'faster')).toBe(false)
    expect(permits(['f*'], 'anthropic', 'claude-sonnet-4-5', 'fast')).toBe(false)
  })
})

describe('providers', () => {
  const both = new PermittedModels({ models: ['*/gpt-4o', 'fast'], providers: ['openai', 'my-*'] })

  it('are permitted beside models: a target needs both', () => {
    expect(both.permits('openai', 'gpt-4o')).toBe(true)
    expect(both.permits('my-azure', 'gpt-4o')).toBe(true)
    expect(both.permits('openai', 'gpt-4')).toBe(false)
    expect(both.permits('groq', 'gpt-4o')).toBe(false)
    expect(both.permits('groq', 'gpt-4o', 'fast')).toBe(false)
    expect(new PermittedModels({ models: null, providers: ['openai'] }).permits('openai', 'any')).toBe(true)
  })

  it('are named in errors, beside the models', () => {
    expect(both.text).toBe('the models */gpt-4o, fast, of the providers openai, my-*')
    const many = Array.from({ length: 30 }, (_, index) => `p${index}`)
    expect(new PermittedModels({ models: null, providers: many }).text).toMatch(/^the providers p0, .*, p19, …$/)
  })
})
