// Booking: makes one call to a provider that answers as it is told, and reads what the ledger has of it.

import { formatUsd } from '../../src/core/money.ts'
import { type Gateway, useGateway, useProvider } from '../support/gateway.ts'
import type { FakeProvider, ProviderAnswer } from '../support/provider.ts'

const PRESETS = ['openrouter', 'perplexity', 'xai', 'mistral', 'deepseek', 'together', 'groq', 'azure'] as const

export interface Answer {
  readonly body?: object
  /** The objects of a stream's events; `[DONE]` follows for OpenAI's. */
  readonly events?: readonly object[]
  readonly headers?: Readonly<Record<string, string>>
}

export function answerOf({ body, events, headers = {} }: Answer): ProviderAnswer {
  if (!events)
    return { status: 200, headers: { 'content-type': 'application/json', ...headers }, pieces: [JSON.stringify(body)] }
  const pieces = events.map((event) => `data: ${JSON.stringify(event)}\n\n`)
  return {
    status: 200,
    headers: { 'content-type': 'text/event-stream', ...headers },
    pieces: [...pieces, 'data: [DONE]\n\n'],
  }
}

export interface Call {
  readonly path?: string
  readonly model: string
  readonly ask?: object
  readonly answer: Answer
  readonly prices?: readonly object[]
  readonly env?: Readonly<Record<string, string>>
}

export interface Booked {
  /** Dollars. */
  readonly cost: number
  readonly certainty: string | undefined
  readonly ending: string | undefined
  readonly provider: string | undefined
  readonly computed: string | undefined
  readonly reserved: number
  readonly status: number
}

export async function open(
  provider: FakeProvider,
  { prices = [], env = {} }: Pick<Call, 'prices' | 'env'>,
): Promise<Gateway> {
  const providers = Object.fromEntries(
    PRESETS.map((preset) => [preset, { preset, baseUrl: `${provider.url}/v1`, apiKey: 'sk-of-the-preset' }]),
  )
  return useGateway({
    env: { ...provider.env, MAX_COST_PER_REQUEST: '100', DAILY_SPENDING_LIMIT: '1000', ...env },
    config: { providers, prices },
  })
}

/** Makes one call and reads its entry. */
export async function book(call: Call): Promise<Booked> {
  const provider = await useProvider()
  provider.says(() => answerOf(call.answer))
  const gateway = await open(provider, call)
  const { path = '/v1/chat/completions', model, ask = {} } = call
  const isGemini = path.startsWith('/v1beta')
  const body = isGemini
    ? { contents: [{ parts: [{ text: 'Which news are there?' }] }], ...ask }
    : path === '/v1/responses'
      ? { model, input: 'Which news are there?', max_output_tokens: 1_000, ...ask }
      : { model, messages: [{ role: 'user', content: 'Which news are there?' }], max_tokens: 1_000, ...ask }
  const response = await gateway.client.fetch('over sockets', path, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ ...body, ...(call.answer.events && !isGemini ? { stream: true } : {}) }),
  })
  await response.text()
  const [entry] = await gateway.ledger.holds(1)
  const { outcome, facts } = entry ?? {}
  return {
    cost: Number(formatUsd(outcome?.cost.totalNanoUsd ?? 0n)),
    certainty: outcome?.certainty,
    ending: outcome?.ending,
    provider: outcome?.providerCost && formatUsd(outcome.providerCost.statedNanoUsd),
    computed: outcome?.providerCost && formatUsd(outcome.providerCost.computedNanoUsd),
    reserved: Number(formatUsd(facts?.reservedCostNanoUsd ?? 0n)),
    status: response.status,
  }
}

export const chat = (model: string, usage: object, more: object = {}): Answer => ({
  body: {
    id: 'c',
    object: 'chat.completion',
    model,
    choices: [{ index: 0, message: { role: 'assistant', content: 'ok' }, finish_reason: 'stop' }],
    usage,
    ...more,
  },
})

export const chatStream = (model: string, ...usages: readonly (object | undefined)[]): Answer => ({
  events: [
    {
      id: 'c',
      object: 'chat.completion.chunk',
      model,
      choices: [{ index: 0, delta: { content: 'ok' }, finish_reason: null }],
    },
    { id: 'c', object: 'chat.completion.chunk', model, choices: [{ index: 0, delta: {}, finish_reason: 'stop' }] },
    ...usages.map((usage) => ({ id: 'c', object: 'chat.completion.chunk', model, choices: [], usage })),
  ],
})

export const tokens = (prompt_tokens: number, completion_tokens: number, more: object = {}) => ({
  prompt_tokens,
  completion_tokens,
  total_tokens: prompt_tokens + completion_tokens,
  ...more,
})
