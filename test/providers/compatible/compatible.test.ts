// Presets of OpenAI-compatible endpoints: every row is whole, priced and sent the way its server reads it.

import { createServer, type IncomingHttpHeaders, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { readSettings } from '../../../src/config/settings.ts'
import { createPriceBook } from '../../../src/prices/price-book.ts'
import { type CompatibleSettings, compatible } from '../../../src/providers/compatible/compatible.ts'
import { type EndpointRow, PRESET_NAMES, presetRow } from '../../../src/providers/compatible/presets.ts'
import { ProvidersInForce } from '../../../src/providers/index.ts'
import type { Provider } from '../../../src/providers/provider.ts'

const UNREACHABLE_URL = 'http://127.0.0.1:9'
const MODELS: Readonly<Record<string, string>> = {
  groq: 'llama-3.3-70b-versatile',
  mistral: 'mistral-large-latest',
  deepseek: 'deepseek-chat',
  xai: 'grok-4',
  openrouter: 'anthropic/claude-sonnet-4',
  together: 'meta-llama/Llama-3.3-70B-Instruct-Turbo',
  perplexity: 'sonar',
  cerebras: 'gpt-oss-120b',
  azure: 'gpt-4o',
  'azure-deployments': 'gpt-4o',
}
const LOCAL = ['ollama', 'vllm']

function settings(row: EndpointRow, overrides: Partial<CompatibleSettings> = {}): CompatibleSettings {
  const { apiKey: _, ...rest } = row
  return {
    ...rest,
    name: 'here',
    baseUrl: UNREACHABLE_URL,
    apiKey: '',
    missingVariable: undefined,
    callerKeys: false,
    ...overrides,
  }
}

describe('the preset', () => {
  const book = createPriceBook()

  test.each(PRESET_NAMES)('%s is whole', (name) => {
    const row = presetRow(name)
    const isAzure = name.startsWith('azure')
    expect(row.baseUrl === '' ? isAzure : URL.canParse(row.baseUrl) && !row.baseUrl.endsWith('/')).toBe(true)
    expect(row.apiKey).toMatch(LOCAL.includes(name) ? /^$/ : /^\$[A-Z_]+_API_KEY$/)
    expect(row.dialects).toContain('openai.chat')
    for (const path of Object.keys(row.paths)) expect(row.dialects).toContain(path)
    const provider = compatible(settings(row))
    expect(provider.rules.tokensPerCall).toBeGreaterThan(0)
    expect(provider.freeStatuses.has(500)).toBe(false)
  })

  test.each(Object.entries(MODELS))('%s has prices: %s', (name, model) => {
    const { priceName, unlistedPrice } = compatible(settings(presetRow(PRESET_NAMES.find((preset) => preset === name))))
    expect(book.find(priceName, model, 0).price?.steps[0].rates.output).toBeGreaterThan(0n)
    expect(unlistedPrice).toBeUndefined()
  })

  test.each(LOCAL)('%s is free, under its own name', (name) => {
    const { priceName, unlistedPrice } = compatible(settings(presetRow(PRESET_NAMES.find((preset) => preset === name))))
    expect([
      priceName,
      Object.values(unlistedPrice?.steps[0].rates ?? { input: 1n }).every((rate) => rate === 0n),
    ]).toEqual(['here', true])
  })

  test('is one of those that are priced here, or local', () => {
    expect([...PRESET_NAMES].toSorted()).toEqual([...Object.keys(MODELS), ...LOCAL].toSorted())
  })
})

describe('images', () => {
  const { imageTokens } = compatible(settings(presetRow('openrouter'))).rules

  test.each([
    ['openai/gpt-4o-mini', 48_169],
    ['gpt-5.6-sol', 36_000],
    ['anthropic/claude-sonnet-4.5', 4_784],
    ['qwen2.5-vl', 16_384],
  ])('of %s are at most %d tokens', (model, maxTokens) => {
    expect(imageTokens(model)).toBe(maxTokens)
  })
})

describe('over a socket', () => {
  const seen: { url: string; headers: IncomingHttpHeaders }[] = []
  let server: Server
  let baseUrl = ''
  beforeAll(async () => {
    server = createServer((request, response) => {
      seen.push({ url: request.url ?? '', headers: request.headers })
      request.resume().on('end', () => response.end('{}'))
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    baseUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}/base/`
  })
  afterAll(() => {
    server.closeAllConnections()
    server.close()
  })

  async function sent(provider: Provider, dialect: string, path: string, headers: string[] = []) {
    await new Promise<void>((end, failed) => {
      provider.send(
        {
          dialect,
          path,
          headers,
          callerKey: undefined,
          body: Buffer.from('{}'),
          model: 'm/1',
          stream: false,
          needsPlainAnswer: false,
        },
        { started: () => {}, head: () => {}, data: () => {}, end, failed },
      )
    })
    await provider.close()
    return seen.at(-1)
  }

  test.each<[Partial<CompatibleSettings>, object]>([
    [{ auth: 'bearer', apiKey: 'k' }, { authorization: 'Bearer k' }],
    [{ auth: 'api-key', apiKey: 'k' }, { 'api-key': 'k' }],
    [{ auth: 'none', apiKey: 'k' }, {}],
    [{ auth: 'bearer', apiKey: '' }, {}],
  ])('the key is where it is read: %j', async (overrides, expected) => {
    const provider = compatible(settings(presetRow(undefined), { baseUrl, ...overrides }))
    const got = await sent(provider, 'openai.chat', '/chat/completions', ['authorization', 'theirs', 'api-key', 'x'])
    const { authorization, 'api-key': apiKey } = got?.headers ?? {}
    expect({ ...(authorization && { authorization }), ...(apiKey && { 'api-key': apiKey }) }).toEqual(expected)
    expect(got?.url).toBe('/base/chat/completions')
  })

  test.each([
    ['openai.chat', '/chat/completions', '/base/openai/deployments/m%2F1/chat/completions?'],
    ['openai.embeddings', '/embeddings?x=1', '/base/openai/deployments/m%2F1/embeddings?x=1&'],
    ['openai.responses', '/responses', '/base/openai/responses?'],
    ['openai.other', '/other', '/base/other?'],
  ])('%s at %s is at the path that is set for it', async (dialect, path, expected) => {
    const provider = compatible(settings(presetRow('azure-deployments'), { baseUrl }))
    expect((await sent(provider, dialect, path))?.url).toBe(`${expected}api-version=2025-04-01-preview`)
  })
})

test('providers are asked in the order of settings, then of rows, and the simulated one last', () => {
  const providers = new ProvidersInForce(readSettings({}))
  providers.prepare({ callerKeys: ['gemini'], compatible: [settings(presetRow('vllm'), { name: 'b' })] }).putInForce()
  expect(providers.list.map((provider) => `${provider.name} ${provider.configured}`)).toEqual([
    'openai false',
    'anthropic false',
    'gemini true',
    'b true',
    'simulated true',
  ])
  return providers.close()
})
