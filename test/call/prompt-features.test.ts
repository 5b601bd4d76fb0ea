// A request with a template of its own: the context window is reserved, what was used is booked, and UNBOUNDED_CALLS=refuse refuses it.

import { expect, test } from 'vitest'
import { useGateway, useProvider } from '../support/gateway.ts'

const WINDOW_TOKENS = 32_768
/** A dollar per million tokens in. */
const PRICES = [{ provider: 'own', model: 'm', input: '1', output: '1', contextWindow: WINDOW_TOKENS, maxOutput: 100 }]
const BODY = {
  model: 'own/m',
  max_tokens: 100,
  messages: [{ role: 'user', content: 'hello' }],
  chat_template: "{% for i in range(9999) %}{{ messages[0]['content'] }}{% endfor %}",
}

async function ask(env: Readonly<Record<string, string>> = {}) {
  const provider = await useProvider(({ response }) => {
    const usage = { prompt_tokens: 9_999, completion_tokens: 1, total_tokens: 10_000 }
    const choices = [{ index: 0, message: { role: 'assistant', content: 'ok' }, finish_reason: 'stop' }]
    response.writeHead(200, { 'content-type': 'application/json' })
    response.end(JSON.stringify({ id: 'a', object: 'chat.completion', model: 'm', choices, usage }))
  })
  const gateway = await useGateway({
    env,
    config: { providers: { own: { preset: 'vllm', baseUrl: `${provider.url}/v1` } }, prices: PRICES },
  })
  const answer = await gateway.client.fetch('in process', '/v1/chat/completions', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(BODY),
  })
  return { gateway, answer, text: await answer.text() }
}

test('the window is reserved, and the usage is booked as it is', async () => {
  const { gateway, answer } = await ask()
  expect(answer.status).toBe(200)
  const [entry] = await gateway.ledger.holds(1)
  expect(entry?.facts.reservedCostNanoUsd).toBeGreaterThanOrEqual(BigInt(WINDOW_TOKENS) * 1_000n)
  expect(entry?.outcome).toMatchObject({ certainty: 'exact', cost: { totalNanoUsd: 10_000_000n } })
})

test('UNBOUNDED_CALLS=refuse refuses it by its name', async () => {
  const { answer, text } = await ask({ UNBOUNDED_CALLS: 'refuse' })
  expect([answer.status, text]).toEqual([400, expect.stringContaining('because it uses: chat_template.')])
})
