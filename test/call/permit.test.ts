// Permit: what a key lets its calls do, in every dialect, before anything is reserved or sent.

import { Hono } from 'hono'
import { describe, expect, it } from 'vitest'
import { gateMiddleware } from '../../src/http/middleware.ts'
import { ManualClock } from '../support/clocks.ts'
import { type GatewayFixtureOptions, useGateway } from '../support/gateway.ts'
import { holding, KeyOperator } from '../support/keys.ts'
import { DIALECT_NAMES, errorIn, PRICE } from './dialect-fixtures.ts'

const ALIASES = { fast: ['anthropic/m', 'openai/m', 'gemini/m'], other: ['gemini/m'] }

async function open(options: GatewayFixtureOptions = {}) {
  const clock = new ManualClock()
  const gateway = await useGateway({ clock, timers: clock, config: { prices: [PRICE], aliases: ALIASES }, ...options })
  return { gateway, clock, operator: new KeyOperator(gateway) }
}

/** Empty for an answer that is no error. */
function errorTextOf(body: unknown): string {
  return (body as { error?: { message: string } }).error?.message ?? ''
}

describe('a model that the key may not use', () => {
  it.each(DIALECT_NAMES)('is refused in the shape of %s, and neither reserved nor sent', async (dialect) => {
    const { gateway, operator } = await open()
    const ci = await operator.makes({ name: 'CI', models: ['openai/gpt-*', 'sim/*'] })
    const response = await gateway.client.asks(dialect, { cap: 10 }, holding(ci))
    expect(response.status).toBe(403)
    expect(response.headers.get('x-should-retry')).toBe('false')
    expect(errorIn(dialect, await response.json()).message).toBe(
      'This API key may not use m. It may use the models openai/gpt-*, sim/*.',
    )
    expect(gateway.provider.received).toEqual([])
    expect(await gateway.ledger.entries()).toEqual([])
  })

  it('is refused before the provider’s state is told, and for estimates and patterns alike', async () => {
    const { gateway, operator } = await open({ env: { OPENAI_API_KEY: '' } })
    const { headers } = holding(await operator.makes({ name: 'CI', providers: ['anthropic'] }))
    const post = async (path: string, body: object) => {
      const init = {
        method: 'POST',
        body: JSON.stringify(body),
        headers: { ...headers, 'content-type': 'application/json' },
      }
      const response = await gateway.client.fetch('in process', path, init)
      return [response.status, await response.text()] as const
    }
    const call = { model: 'openai/m', messages: [{ role: 'user', content: 'x' }] }
    for (const [path, body] of [
      ['/v1/chat/completions', call],
      ['/llm/estimate', call],
      ['/api/patterns/tool-use', { task: 'x', model: 'openai/m' }],
    ] as const)
      expect(await post(path, body)).toEqual([403, expect.stringContaining('may not use openai/m')])
  })

  it('is left out of the targets of an alias, unless the key may use the alias itself', async () => {
    const aliases = { fast: { targets: ALIASES.fast, retries: 0 }, other: ALIASES.other }
    const gateway = await useGateway({ config: { prices: [PRICE], aliases } })
    const operator = new KeyOperator(gateway)
    const targets = async (fields: object, model: string) => {
      const key = await operator.makes({ name: 'x', ...fields })
      const before = gateway.provider.received.length
      gateway.provider.says(({ response }) => void response.writeHead(500).end())
      const response = await gateway.client.asks('openai', { model, cap: 10 }, holding(key))
      await response.text()
      return [response.status, ...gateway.provider.received.slice(before).map(({ dialect }) => dialect)]
    }
    expect(await targets({}, 'fast')).toEqual([500, 'anthropic', 'openai', 'gemini'])
    expect(await targets({ models: ['openai/*', 'gemini/*'] }, 'fast')).toEqual([500, 'openai', 'gemini'])
    expect(await targets({ models: ['fast'] }, 'fast')).toEqual([500, 'anthropic', 'openai', 'gemini'])
    expect(await targets({ models: ['fast'], providers: ['gemini'] }, 'fast')).toEqual([500, 'gemini'])
    expect(await targets({ models: ['fast'] }, 'other')).toEqual([403])
    expect(await targets({ models: ['fast'] }, 'openai/m')).toEqual([403])
  })

  it('is refused if the body names it beside one that is permitted', async () => {
    const { gateway, operator } = await open()
    const { headers } = holding(await operator.makes({ name: 'CI', models: ['openai/m', 'anthropic/m'] }))
    const whole = holding(await operator.makes({ name: 'all', models: ['openai/*', 'anthropic/*'] }))
    const ask = async (dialect: 'openai' | 'anthropic', fields: object, init: RequestInit = { headers }) => {
      const body = JSON.stringify({ model: 'm', max_tokens: 10, messages: [{ role: 'user', content: 'x' }], ...fields })
      const response = await gateway.client.asks(dialect, {}, { ...init, body })
      return [response.status, errorTextOf(await response.json())]
    }
    const refused = (name: string) => [
      403,
      expect.stringContaining(`may not use m with ${name}, which names further models`),
    ]
    expect(await ask('openai', { models: ['other/dear'] })).toEqual(refused('models'))
    expect(await ask('openai', { preset: 'dear' })).toEqual(refused('preset'))
    expect(await ask('openai', { fallbacks: ['dear'] })).toEqual(refused('fallbacks'))
    expect(await ask('anthropic', { fallbacks: [{ model: 'dear' }] })).toEqual(refused('fallbacks'))
    const advisor = { type: 'advisor_20260301', name: 'advisor', model: 'dear' }
    expect(await ask('anthropic', { tools: [advisor] })).toEqual(refused('advisor_20260301'))
    expect(await ask('anthropic', { tools: [advisor] }, whole)).toEqual([200, ''])
    expect(await ask('openai', { models: ['other/dear'] }, whole)).toEqual([200, ''])
    expect(await ask('openai', {})).toEqual([200, ''])
  })

  it('is not asked for by requests that concern none: those need a permitted model of the provider', async () => {
    const { gateway, operator } = await open()
    const fetchStored = async (fields: object) => {
      const key = await operator.makes({ name: 'x', ...fields })
      return (await gateway.client.fetch('in process', '/v1/responses/resp_1', holding(key))).status
    }
    expect(await fetchStored({ models: ['openai/gpt-4o'] })).not.toBe(403)
    expect(await fetchStored({ models: ['anthropic/*'] })).toBe(403)
  })

  it('is refused in front of a handler of one’s own', async () => {
    const { gateway, operator } = await open()
    const app = new Hono()
    app.use('*', gateMiddleware(gateway.app.gate, {}))
    app.post('/v1/chat/completions', (c) => c.json({ usage: { prompt_tokens: 1, completion_tokens: 1 } }))
    const { headers } = holding(await operator.makes({ name: 'CI', models: ['mine'] }), {
      'content-type': 'application/json',
    })
    const ask = async (model: string) => {
      const body = JSON.stringify({ model, messages: [], max_tokens: 5 })
      return (await app.request('/v1/chat/completions', { method: 'POST', headers, body })).status
    }
    expect([await ask('m'), await ask('mine')]).toEqual([403, 200])
  })
})

describe('the list of models', () => {
  it('shows a key only what it may use', async () => {
    const { gateway, operator } = await open()
    const listed = async (fields: object) => {
      const { headers } = holding(await operator.makes({ name: 'x', ...fields }))
      const response = await gateway.client.fetch('in process', '/v1/models', { headers })
      return ((await response.json()) as { data: { id: string }[] }).data.map(({ id }) => id)
    }
    const all = await listed({})
    expect(all).toEqual(expect.arrayContaining(['fast', 'gpt-6-luna', 'claude-sonnet-5-5', 'sim/echo']))
    expect(await listed({ models: ['sim/echo'] })).toEqual(['sim/echo'])
    expect(await listed({ models: ['openai/gpt-6-luna'] })).toEqual(['gpt-6-luna'])
    expect(await listed({ models: ['openai/m'] })).toEqual(['fast'])
    expect(await listed({ models: ['other'] })).toEqual(['other'])
    const { headers } = holding(await operator.makes({ name: 'x', providers: ['anthropic'] }))
    const one = async (id: string) => (await gateway.client.fetch('in process', `/v1/models/${id}`, { headers })).status
    expect([await one('claude-sonnet-5-5'), await one('gpt-6-luna')]).toEqual([200, 404])
  })
})

describe('the levels of limits', () => {
  it('are those of models and providers that the key may use', async () => {
    const { gateway, operator } = await open()
    const ask = async (fields: object, query: string) => {
      const key = await operator.makes({ name: 'x', ...fields })
      return (await gateway.client.fetch('in process', `/llm/limits${query}`, holding(key))).status
    }
    for (const query of ['', '?model=openai/m', '?provider=openai']) {
      expect(await ask({ models: ['openai/m'] }, query)).toBe(200)
      expect(await ask({ providers: ['openai'] }, query)).toBe(200)
    }
    for (const query of ['?model=openai/n', '?model=other', '?provider=gemini'])
      expect(await ask({ models: ['openai/m'] }, query)).toBe(403)
    expect(await ask({ models: ['other'] }, '?model=other')).toBe(200)
    expect(await ask({ providers: ['openai'] }, '?provider=gemini')).toBe(403)
  })
})

describe('what a key requires', () => {
  it.each(['user', 'thread', 'agent', 'task', 'operation'])('%s: is named with its header', async (name) => {
    const { gateway, operator } = await open()
    const ci = await operator.makes({ name: 'CI', requires: [name] })
    const response = await gateway.client.asks('openai', { cap: 10 }, holding(ci))
    expect(response.status).toBe(400)
    expect(await response.json()).toMatchObject({
      error: {
        message: `This API key requires a call to have its ${name}: send the header x-bursar-${name}.`,
        param: name,
      },
    })
    const declared = holding(ci, { [`x-bursar-${name}`]: '7' })
    expect((await gateway.client.asks('openai', { cap: 10 }, declared)).status).toBe(200)
  })

  it('user: may be in the body, or pinned', async () => {
    const { gateway, operator } = await open()
    const ci = await operator.makes({ name: 'CI', requires: ['user', 'project'], project: 'web' })
    const body = JSON.stringify({ model: 'm', messages: [], user: 'u', max_completion_tokens: 10 })
    expect((await gateway.client.asks('openai', {}, { ...holding(ci), body })).status).toBe(200)
    const ann = await operator.makes({ name: 'Ann', requires: ['user'], user: 'ann' })
    expect((await gateway.client.asks('openai', { cap: 10 }, holding(ann))).status).toBe(200)
  })
})

describe('the key’s own word', () => {
  const TOOLS = JSON.stringify({
    model: 'm',
    max_tokens: 10,
    messages: [],
    tools: [{ type: 'web_search_20250305', name: 'web_search' }],
  })

  it('on hosted tools counts before the alias’s and the setting’s', async () => {
    const aliases = { estimating: { targets: ['anthropic/m'], hostedTools: 'estimate' } }
    const { gateway, operator } = await open({ env: { HOSTED_TOOLS: 'refuse' }, config: { prices: [PRICE], aliases } })
    const ask = async (fields: object, model = 'm') => {
      const key = await operator.makes({ name: 'x', ...fields })
      const init = { ...holding(key), body: TOOLS.replace('"m"', JSON.stringify(model)) }
      const { status, headers } = await gateway.client.asks('anthropic', {}, init)
      return [status, headers.get('x-bursar-dropped')]
    }
    expect(await ask({})).toEqual([400, null])
    expect(await ask({ hosted_tools: 'drop' })).toEqual([200, 'web_search_20250305'])
    expect(await ask({ hosted_tools: 'drop' }, 'estimating')).toEqual([200, 'web_search_20250305'])
    expect(await ask({ hosted_tools: 'refuse' }, 'estimating')).toEqual([400, null])
    expect(await ask({}, 'estimating')).toEqual([200, null])
  })

  it('on refusals for money counts before the setting', async () => {
    const limits = { global: { costPerDay: '0' } }
    const { gateway, operator } = await open({ env: { MONEY_REFUSAL: '429' }, config: { prices: [PRICE], limits } })
    const ask = async (fields: object) =>
      (await gateway.client.asks('openai', { cap: 10 }, holding(await operator.makes({ name: 'x', ...fields })))).status
    expect([await ask({}), await ask({ money_refusal: '402' }), await ask({ money_refusal: 400 })]).toEqual([
      429, 402, 400,
    ])
  })
})

describe('who calls', () => {
  it('has the organisation and the project of the key, and a pinned user over any declared one', async () => {
    const { gateway, operator } = await open()
    const ann = await operator.makes({ name: 'Ann', user: 'ann', project: 'web', organisation: 'acme' })
    const ci = await operator.makes({ name: 'CI' })
    const headers = {
      'x-bursar-user': 'bob',
      'x-bursar-project': 'p',
      'x-bursar-organisation': 'o',
      'x-bursar-agent': 'a',
    }
    const body = JSON.stringify({ model: 'm', messages: [], user: 'carl', max_completion_tokens: 10 })
    for (const key of [ann, ci])
      await (await gateway.client.asks('openai', {}, { ...holding(key, headers), body })).text()
    const entries = await gateway.ledger.holds(2)
    const callerOf = (id: string) => entries.find(({ facts }) => facts.caller.key === id)?.facts.caller
    const nobody = { thread: null, task: null, agent: 'a' }
    expect(callerOf('ann')).toEqual({
      ...nobody,
      ...{ key: 'ann', user: 'ann', isPerson: true, project: 'web', organisation: 'acme' },
    })
    expect(callerOf('ci')).toEqual({
      ...nobody,
      ...{ key: 'ci', user: 'bob', isPerson: false, project: null, organisation: null },
    })
  })

  it('is one person over all of the person’s keys, and nobody else', async () => {
    const limits = { 'user:ann': { requestsPerDay: 2 }, 'user:ci/ann': { requestsPerDay: 1 } }
    const { gateway, operator } = await open({ config: { prices: [PRICE], limits } })
    const [laptop, server] = [
      await operator.makes({ name: 'laptop', user: 'ann' }),
      await operator.makes({ name: 'server', user: 'ann' }),
    ]
    const ci = holding(await operator.makes({ name: 'CI' }), { 'x-bursar-user': 'ann' })
    const status = async (init: RequestInit) => (await gateway.client.asks('openai', { cap: 10 }, init)).status
    expect([await status(ci), await status(ci)]).toEqual([200, 429])
    expect([await status(holding(laptop)), await status(holding(server)), await status(holding(laptop))]).toEqual([
      200, 200, 429,
    ])
    const sums = await gateway.app.store.sums({ who: 'user', what: 'requests', simulated: false, sinceMs: 0 })
    expect(Object.fromEntries(sums)).toEqual({ ann: 2n, 'ci/ann': 1n })
  })
})
