// What is billed beside a model's words, from the request to the ledger: hosted tools, film, and vectors that are not counted.

import { describe, expect, it } from 'vitest'
import { formatUsd } from '../../src/core/money.ts'
import { inputTokens, outputTokens } from '../../src/core/usage.ts'
import { useGateway } from '../support/gateway.ts'
import type { ProviderRequest } from '../support/provider.ts'

/** Sends a call that gets this answer. Returns what the ledger holds of it. */
async function settleAnswer(path: string, body: object, answer: object, config: object = {}) {
  const script = ({ response }: ProviderRequest) =>
    void response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(answer))
  const gateway = await useGateway({ respond: script, config })
  const headers = { 'content-type': 'application/json' }
  const answered = await gateway.client.fetch('over sockets', path, {
    method: 'POST',
    headers,
    body: JSON.stringify(body),
  })
  expect([answered.status, await answered.json()]).toEqual([200, answer])
  const [entry] = await gateway.ledger.holds(1)
  const { usage, cost, certainty } = entry?.outcome ?? {}
  return {
    tokens: usage && [inputTokens(usage), outputTokens(usage)],
    costUsd: cost && formatUsd(cost.totalNanoUsd),
    inputUsd: cost && formatUsd(cost.inputNanoUsd),
    certainty,
    reservedUsd: formatUsd(entry?.facts.reservedCostNanoUsd ?? 0n),
  }
}

const codeCall = (container: string) => ({
  type: 'code_interpreter_call',
  id: `ci_${container}`,
  container_id: container,
})
const response = (tools: readonly object[], output: readonly object[]) => ({
  id: 'resp_1',
  model: 'gpt-4.1',
  status: 'completed',
  error: null,
  output,
  tools,
  usage: { input_tokens: 1_000, output_tokens: 100 },
})

describe('an answer is settled with', () => {
  it('its searches of files and its containers, at most once each', async () => {
    const tools = [{ type: 'file_search' }, { type: 'code_interpreter', container: { memory_limit: '4g' } }]
    const output = [
      { type: 'file_search_call', id: 'a' },
      { type: 'file_search_call', id: 'b' },
      codeCall('x'),
      codeCall('x'),
    ]
    const body = { model: 'gpt-4.1', input: 'Hi', max_output_tokens: 100, tools }
    const entry = await settleAnswer('/v1/responses', body, response(tools, output), {
      limits: { global: { costPerCall: '10' } },
    })
    // 1,000 tokens at $2 and 100 at $8 a million, two searches at $2.50 a thousand, and a container of $0.12.
    expect(entry).toMatchObject({ costUsd: '0.1278', inputUsd: '0.002', tokens: [1_000, 100], certainty: 'exact' })
    expect(Number(entry.reservedUsd)).toBeGreaterThan(0.1 + 0.025 + 0.03 + 0.12 + 2)
  })

  it('pictures and film that were embedded, each at its own price', async () => {
    const part = (mimeType: string) => ({ inlineData: { mimeType, data: 'AAAA' } })
    const promptTokenDetails = [
      { modality: 'IMAGE', tokenCount: 258 },
      { modality: 'VIDEO', tokenCount: 1_000 },
    ]
    const entry = await settleAnswer(
      '/v1beta/models/gemini-embedding-2:embedContent',
      { content: { parts: [part('image/png'), part('video/mp4')] } },
      { embedding: { values: [1] }, usageMetadata: { promptTokenCount: 1_258, promptTokenDetails } },
    )
    expect(entry).toMatchObject({ costUsd: '0.0121161', tokens: [1_258, 0], certainty: 'exact' })
    // The window, all of it film.
    expect(entry.reservedUsd).toBe('0.098304')
  })

  it('its whole reservation as input, where vectors are answered without a count', async () => {
    const entry = await settleAnswer(
      '/v1beta/models/gemini-embedding-001:embedContent',
      { content: { parts: [{ text: 'Hi there' }] } },
      { embedding: { values: [1] } },
    )
    expect(entry.tokens?.[0]).toBeGreaterThan(0)
    expect(entry).toMatchObject({ tokens: [entry.tokens?.[0], 0], certainty: 'upperBound' })
    expect([entry.inputUsd, entry.costUsd]).toEqual([entry.reservedUsd, entry.reservedUsd])
  })
})

describe('a provider whose caps leave reasoning out', () => {
  it.each([null, 5])(
    'is not asked, and no cap is offered, where its model could think for more than is left (cap %j)',
    async (cap) => {
      const price = { provider: '*', model: 'm', input: '1', output: '1', contextWindow: 100_000, maxOutput: 50_000 }
      const own = { preset: 'xai', baseUrl: 'http://127.0.0.1:9', apiKey: 'xai-0123456789' }
      const gateway = await useGateway({
        config: { prices: [price], providers: { own }, limits: { global: { costPerDay: '0.03' } } },
      })
      const body = JSON.stringify({
        model: 'own/m',
        messages: [{ role: 'user', content: 'Hi' }],
        max_completion_tokens: cap,
      })
      const headers = { 'content-type': 'application/json' }
      const refused = await gateway.client.fetch('over sockets', '/v1/chat/completions', {
        method: 'POST',
        headers,
        body,
      })
      const { error } = (await refused.json()) as { error: { details: object } }
      expect([refused.status, refused.headers.get('x-bursar-max-output-tokens')]).toEqual([429, null])
      expect(error.details).toMatchObject({ needed: expect.any(Number) })
      expect(error.details).toMatchObject({ fitting_max_output_tokens: null })
    },
  )
})
