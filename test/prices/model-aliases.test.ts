// Aliases of models and the price file: what the file holds for one model is one model for limits, or listed here as different models.

import { describe, expect, it } from 'vitest'
import { MODEL_ALIASES } from '../../src/core/model-aliases.ts'
import { modelNameOf } from '../../src/core/model-name.ts'
import prices from '../../src/prices/prices.json' with { type: 'json' }

interface Row {
  readonly id: string
  readonly names: { readonly equals?: readonly string[] }
  readonly isDeprecated?: boolean
}

const PROVIDERS: Readonly<Record<string, { readonly models: readonly Row[] }>> = prices.providers

/** Our names of the providers, by the file's. */
const NAMES: Readonly<Record<string, string>> = { google: 'gemini', 'x-ai': 'xai' }

/** Different models that share a row of the file, because they cost the same. */
const DIFFERENT: Readonly<Record<string, readonly string[]>> = {
  openai: [
    'gpt-4o-mini-search gpt-4o-transcribe-diarize gpt-audio-1.5 gpt-realtime-1.5 gpt-realtime-2.1 gpt-realtime-2.1-mini',
    'gpt-5-chat gpt-5-codex gpt-5.1-codex gpt-5.1-codex-max gpt-5.1-chat gpt-5.1-mini gpt-5.2-chat gpt-5.2-codex gpt-5.3-chat',
    'gpt-5.5-chat gpt-5.5-codex',
  ],
  anthropic: [],
  google: ['anthropic/claude-sonnet-4 gemini-2.5-flash-native-audio'],
  'x-ai': ['grok-4.20-non-reasoning'],
  groq: [],
  mistral: [
    'mistral-medium-3 mistral-ocr-2512-completion mistral-ocr-latest-completion mistral-ocr-4 mistral-ocr-4-completion',
    'mistral-ocr-4-1-completion',
  ],
  perplexity: [],
  fireworks: ['glm-5p2-fast-us'],
}

const familyOf = (provider: string, name: string) => modelNameOf(NAMES[provider] ?? provider, name).family

/** The families of names that share a row with another family, without the family of the row itself. */
function splitFamilies(provider: string): string[] {
  const rows = PROVIDERS[provider]?.models.filter(({ isDeprecated }) => !isDeprecated) ?? []
  return rows.flatMap(({ id, names }) => {
    const own = familyOf(provider, id)
    return [...new Set(names.equals?.map((name) => familyOf(provider, name)))].filter((family) => family !== own)
  })
}

describe('names of one row of the price file', () => {
  it.each(Object.keys(DIFFERENT))('are one model for limits, or different models, at %s', (provider) => {
    const different = DIFFERENT[provider]?.join(' ').split(' ').filter(Boolean) ?? []
    expect(splitFamilies(provider).sort()).toEqual(different.sort())
  })
})

/** The listed row of a name, of any provider that has one. */
function rowsOf(name: string): Map<string, Row> {
  const rows = new Map<string, Row>()
  for (const provider of Object.keys(DIFFERENT)) {
    const row = PROVIDERS[provider]?.models.find(({ id, names }) => id === name || names.equals?.includes(name))
    if (row) rows.set(provider, row)
  }
  return rows
}

describe('the table of aliases', () => {
  it('has no alias of an alias', () => {
    expect([...MODEL_ALIASES.values()].filter((model) => MODEL_ALIASES.has(model))).toEqual([])
  })

  it('follows the file: an alias that has moved there has moved here', () => {
    const moved: string[] = []
    for (const [name, model] of MODEL_ALIASES)
      for (const [provider, { id }] of rowsOf(name)) {
        const isOwnRow = familyOf(provider, id) === familyOf(provider, name)
        if (!isOwnRow) moved.push(`${provider}/${name}: ${model}, in the row of ${id}`)
      }
    expect(moved).toEqual(['x-ai/grok-4.20-0309-non-reasoning: grok-4.20-non-reasoning, in the row of grok-4.20'])
  })
})
