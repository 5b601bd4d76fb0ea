// Every recorded error, from a provider over real sockets: it is passed on byte for byte, and settled as a request without cost.

import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { readRefusalLimits, readUpstreamLimits } from '../../src/wire/upstream-limits.ts'
import { ManualClock } from '../support/clocks.ts'
import { GatewayFixture } from '../support/gateway.ts'
import type { ProviderScript } from '../support/provider.ts'
import { HAS_SHARED_RECORDINGS, type Recording, recordingsOf } from '../support/recordings.ts'
import { requestFor } from './dialect-fixtures.ts'
import { LIMITED_CONFIG, readSettled } from './settlement-checks.ts'

const INPUT = { model: 'm', input: 'hello' }

/** A call of each recorded API that there is a dialect for. */
const CALLS: readonly (readonly [api: string, path: string, body: string])[] = [
  ['openai.chat', ...callOf('openai')],
  ['openai.responses', '/v1/responses', JSON.stringify({ ...INPUT, max_output_tokens: 9 })],
  ['openai.embeddings', '/v1/embeddings', JSON.stringify(INPUT)],
  ['anthropic.messages', ...callOf('anthropic')],
  [
    'anthropic.count_tokens',
    '/v1/messages/count_tokens',
    JSON.stringify({ model: 'm', messages: [{ role: 'user', content: 'hello' }] }),
  ],
  ['gemini.generate_content', ...callOf('gemini')],
  [
    'gemini.embed_content',
    '/v1beta/models/m:embedContent',
    JSON.stringify({ content: { parts: [{ text: 'hello' }] } }),
  ],
]

function callOf(dialect: 'openai' | 'anthropic' | 'gemini'): [path: string, body: string] {
  const { path, body } = requestFor(dialect, { cap: 9 })
  return [path, body]
}

describe('recorded errors', () => {
  let played: Recording | undefined
  let gateway: GatewayFixture
  const clock = new ManualClock()
  clock.wallMs = Date.UTC(2024, 0, 1)

  beforeAll(async () => {
    const respond: ProviderScript = ({ response }) => {
      const { headers, body } = played?.response ?? { headers: {}, body: '' }
      response.writeHead(played?.status ?? 500, { ...headers }).end(body)
    }
    gateway = await GatewayFixture.open({ config: LIMITED_CONFIG, clock, respond, countsTokens: true })
  })
  afterAll(() => gateway.close())

  const cases = CALLS.flatMap(([api, path, body]) =>
    recordingsOf(api)
      .filter(({ status }) => status >= 400)
      .map((recording) => ({ name: recording.file, path, body, recording })),
  )
  let calls = 0

  it.skipIf(!HAS_SHARED_RECORDINGS)(
    'are there in every dialect that was recorded failing (../shared/recordings)',
    () => {
      const apis = new Set(cases.map(({ recording }) => recording.api))
      expect([...apis].toSorted()).toEqual(CALLS.map(([api]) => api).toSorted())
      expect(cases.length).toBeGreaterThan(35)
    },
  )

  it.each(cases)('$name', async ({ path, body, recording }) => {
    played = recording
    const headers = { 'content-type': 'application/json' }
    const answer = await gateway.client.fetch('over sockets', path, { method: 'POST', headers, body })
    const bytes = Buffer.from(await answer.arrayBuffer())
    expect(answer.status).toBe(recording.status)
    expect(bytes.equals(Buffer.from(recording.response.body))).toBe(true)
    expect(answer.headers.get('x-bursar-cost-usd')).toMatch(/^0(\.0+)?$/)
    expect(answer.headers.get('retry-after')).toBe(recording.response.headers['retry-after'] ?? null)

    const [entry] = await gateway.ledger.holds(++calls)
    expect(entry?.outcome).toMatchObject({ ending: 'failed', certainty: 'exact', cost: { totalNanoUsd: 0n } })
    expect(entry?.outcome?.attempts).toMatchObject([{ status: recording.status, error: `status ${recording.status}` }])
    const { levels } = await readSettled(gateway)
    expect(levels).toEqual({ requests: calls, tokens: 0, costNanoUsd: 0n, inFlight: 0 })
    expect(entry?.outcome?.upstreamLimits).toEqual(limitsIn(recording))
  })

  /** That these are the figures that stand there is seen in test/wire. */
  function limitsIn({ status, response }: Recording) {
    const headers = Object.entries(response.headers).flatMap(([name, value]) => [name.toLowerCase(), value])
    return status === 429
      ? readRefusalLimits(headers, Buffer.from(response.body), clock.wallMs)
      : readUpstreamLimits(status, headers, clock.wallMs)
  }
})
