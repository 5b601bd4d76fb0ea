// HOSTED_TOOLS, and `hostedTools` of an alias: what happens to tools that the provider runs.

import { describe, expect, test } from 'vitest'
import { openProvider, startGateway } from '../support/gateway.ts'
import type { FakeProvider } from '../support/provider.ts'

const FUNCTION = { type: 'function', name: 'f', parameters: { type: 'object', properties: {} } }
const RESPONSE = {
  model: 'gpt-5-nano',
  input: 'hi',
  max_output_tokens: 100,
  tools: [{ type: 'web_search' }, FUNCTION],
  tool_choice: 'auto',
}
const WITHOUT_TOOL = { ...RESPONSE, tools: [FUNCTION] }

async function open(env: Record<string, string>, config: object = {}) {
  const provider = await openProvider()
  const gateway = await startGateway({ env: { ...provider.env, ...env }, config })
  const post = (path: string, body: object) =>
    gateway.client.fetch('in process', path, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    })
  return {
    gateway,
    provider,
    post,
    async [Symbol.asyncDispose]() {
      await gateway.close()
      await provider.close()
    },
  }
}

const sentTo = ({ received }: FakeProvider) => received.map(({ body }) => JSON.parse(body) as unknown)
const codeOf = async (response: Response) => ((await response.json()) as { error: { code: string } }).error.code

describe('tools that the provider runs', () => {
  test('are left out, told in a header, and reserved no more', async () => {
    await using pair = await open({ HOSTED_TOOLS: 'drop' })
    const [dropped, plain] = [
      await pair.post('/v1/responses', RESPONSE),
      await pair.post('/v1/responses', WITHOUT_TOOL),
    ]
    expect([dropped.status, plain.status]).toEqual([200, 200])
    expect(dropped.headers.get('x-bursar-dropped')).toBe('web_search')
    expect(plain.headers.has('x-bursar-dropped')).toBe(false)
    expect(sentTo(pair.provider)).toEqual([WITHOUT_TOOL, WITHOUT_TOOL])
    await Promise.all([dropped.text(), plain.text()])
    const [second, first] = await pair.gateway.ledger.holds(2)
    expect(first?.facts.reservedCostNanoUsd).toBe(second?.facts.reservedCostNanoUsd)
  })

  test('are left out before a translation, of every target of an alias', async () => {
    const config = {
      aliases: { pair: { targets: ['anthropic/claude-sonnet-5-5', 'gpt-5-nano'], hostedTools: 'drop' } },
    }
    await using pair = await open({}, config)
    const messages = [{ role: 'user', content: 'hi' }]
    const response = await pair.post('/v1/chat/completions', { model: 'pair', messages, web_search_options: {} })
    expect(response.status).toBe(200)
    expect(response.headers.get('x-bursar-dropped')).toContain('web_search_options')
    expect(JSON.stringify(sentTo(pair.provider))).not.toContain('web_search')
  })

  test('are refused in the dialect’s own form, and nothing is sent', async () => {
    await using pair = await open({ HOSTED_TOOLS: 'refuse' })
    const response = await pair.post('/v1/responses', RESPONSE)
    expect(response.status).toBe(400)
    expect(await response.json()).toMatchObject({
      error: { code: 'unbounded_call', message: expect.stringMatching(/web_search.*HOSTED_TOOLS=drop/) as string },
    })
    expect((await pair.post('/v1/responses', WITHOUT_TOOL)).status).toBe(200)
    expect(sentTo(pair.provider)).toEqual([WITHOUT_TOOL])
  })

  test('follow the alias before the setting', async () => {
    const config = { aliases: { strict: { targets: ['gpt-5-nano'], hostedTools: 'refuse' } } }
    await using pair = await open({ HOSTED_TOOLS: 'drop' }, config)
    expect(await codeOf(await pair.post('/v1/responses', { ...RESPONSE, model: 'strict' }))).toBe('unbounded_call')
    expect((await pair.post('/v1/responses', RESPONSE)).status).toBe(200)
  })

  test.each<[Record<string, string>, number, number]>([
    [{}, 200, 200],
    [{ UNBOUNDED_CALLS: 'refuse' }, 400, 400],
    [{ UNBOUNDED_CALLS: 'refuse', HOSTED_TOOLS: 'estimate' }, 200, 400],
    [{ UNBOUNDED_CALLS: 'refuse', HOSTED_TOOLS: 'drop' }, 200, 400],
    [{ UNBOUNDED_CALLS: 'estimate', HOSTED_TOOLS: 'refuse' }, 400, 200],
  ])('and all else without a bound have a setting each: %j', async (env, tools, background) => {
    await using pair = await open(env)
    expect((await pair.post('/v1/responses', RESPONSE)).status).toBe(tools)
    expect((await pair.post('/v1/responses', { ...WITHOUT_TOOL, background: true })).status).toBe(background)
  })

  test('are refused where they cannot be left out: in the middle of a conversation', async () => {
    await using pair = await open({ HOSTED_TOOLS: 'drop' })
    const tool = { type: 'tool_addition', tool: { definition: { type: 'web_search_20260209', name: 'web_search' } } }
    const body = { model: 'claude-sonnet-5-5', max_tokens: 10, messages: [{ role: 'user', content: [tool] }] }
    const response = await pair.post('/v1/messages', body)
    expect(response.status).toBe(400)
    expect(await response.text()).toContain('web_search_20260209')
    expect(pair.provider.received).toEqual([])
  })

  test('are left out of an estimate as well', async () => {
    await using pair = await open({ HOSTED_TOOLS: 'drop' })
    const estimate = await pair.post('/llm/estimate?path=/v1/responses', RESPONSE)
    expect(await estimate.json()).toMatchObject({ unbounded: [] })
  })
})
