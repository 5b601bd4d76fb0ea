// Coding agents: long conversations with tools, cached context and a high cap pass under the ceilings the README gives, and a
// ceiling that is too low says which cap would fit.

import { describe, expect, it } from 'vitest'
import { answerStream, type GatewayFixture, useGateway } from '../support/gateway.ts'
import type { ProviderScript } from '../support/provider.ts'

/** As the README gives them for agents. */
const CEILINGS = {
  MAX_COST_PER_REQUEST: '2.50',
  DAILY_SPENDING_LIMIT: '50.00',
  MAX_REQUESTS_PER_MINUTE: '60',
  MAX_TOKENS_PER_MINUTE: '1000000',
}
const DEFAULTS = { ...CEILINGS, MAX_COST_PER_REQUEST: '0.50', DAILY_SPENDING_LIMIT: '10.00' }
const CONTEXT_BYTES = 100_000
const TURNS = 6

/** Source files, as an agent reads them. */
const code = (bytes: number) =>
  'export function add(a: number, b: number): number {\n  return a + b // sum\n}\n'
    .repeat(Math.ceil(bytes / 76))
    .slice(0, bytes)

const schema = (name: string) => ({
  type: 'object',
  properties: { [name]: { type: 'string', description: `The ${name}.` }, limit: { type: 'number' } },
  required: [name],
})
const TOOLS = ['Read', 'Write', 'Edit', 'Bash', 'Grep', 'Glob', 'Task', 'TodoWrite', 'WebFetch', 'NotebookEdit']

interface Agent {
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
  /** The request of a turn, with this many bytes of files in its context. */
  request(turn: number, contextBytes: number): object
  /** The events of an answer that read this many tokens from its cache and wrote that many. */
  events(cached: number, fresh: number, output: number): string[]
  /** What that costs, in nano-dollars. */
  cost(cached: number, fresh: number, output: number): bigint
}

const event = (type: string, fields: object) => `event: ${type}\ndata: ${JSON.stringify({ type, ...fields })}\n\n`

const claudeCode: Agent = {
  path: '/v1/messages?beta=true',
  headers: {
    'anthropic-version': '2023-06-01',
    'anthropic-beta': 'claude-code-20250219,interleaved-thinking-2025-05-14',
  },
  request: (turn, contextBytes) => ({
    model: 'claude-sonnet-4-5-20250929',
    max_tokens: 32_000,
    stream: true,
    system: [{ type: 'text', text: code(20_000), cache_control: { type: 'ephemeral' } }],
    tools: TOOLS.map((name) => ({ name, description: code(600), input_schema: schema(name) })),
    messages: [
      { role: 'user', content: [{ type: 'text', text: code(contextBytes - 26_000) }] },
      ...Array.from({ length: turn }, (_, index) => [
        { role: 'assistant', content: [{ type: 'tool_use', id: `t${index}`, name: 'Read', input: { Read: 'a.ts' } }] },
        { role: 'user', content: [{ type: 'tool_result', tool_use_id: `t${index}`, content: code(2_000) }] },
      ]).flat(),
      { role: 'user', content: [{ type: 'text', text: 'Go on.', cache_control: { type: 'ephemeral' } }] },
    ],
  }),
  events: (cached, fresh, output) => [
    event('message_start', {
      message: {
        model: 'claude-sonnet-4-5-20250929',
        usage: {
          input_tokens: 3,
          cache_creation_input_tokens: fresh,
          cache_read_input_tokens: cached,
          output_tokens: 1,
        },
      },
    }),
    event('content_block_delta', { index: 0, delta: { type: 'text_delta', text: 'Done.' } }),
    event('message_delta', { delta: { stop_reason: 'end_turn' }, usage: { output_tokens: output } }),
    event('message_stop', {}),
  ],
  cost: (cached, fresh, output) =>
    BigInt(3) * 3_000n + BigInt(cached) * 300n + BigInt(fresh) * 3_750n + BigInt(output) * 15_000n,
}

/** Sets no cap, keeps its reasoning to itself, and asks for nothing to be stored. */
const codex: Agent = {
  path: '/v1/responses',
  headers: { 'x-api-key': 'mine' },
  request: (turn, contextBytes) => ({
    model: 'gpt-5.2-codex',
    stream: true,
    store: false,
    instructions: code(20_000),
    include: ['reasoning.encrypted_content'],
    reasoning: { effort: 'medium', summary: 'auto' },
    prompt_cache_key: 'a-conversation',
    parallel_tool_calls: false,
    tools: [
      ...['shell', 'update_plan', 'view_image'].map((name) => ({
        type: 'function',
        name,
        description: code(800),
        strict: false,
        parameters: schema(name),
      })),
      {
        type: 'custom',
        name: 'apply_patch',
        description: code(600),
        format: { type: 'grammar', syntax: 'lark', definition: 'start: /.+/' },
      },
    ],
    input: [
      { type: 'message', role: 'user', content: [{ type: 'input_text', text: code(contextBytes - 24_000) }] },
      ...Array.from({ length: turn }, (_, index) => [
        { type: 'reasoning', summary: [], encrypted_content: code(1_000) },
        { type: 'function_call', name: 'shell', arguments: '{"shell":"ls"}', call_id: `c${index}` },
        { type: 'function_call_output', call_id: `c${index}`, output: code(2_000) },
      ]).flat(),
      { type: 'message', role: 'user', content: [{ type: 'input_text', text: 'Go on.' }] },
    ],
  }),
  events: (cached, fresh, output) => {
    const response = {
      id: 'r',
      object: 'response',
      model: 'gpt-5.2-codex',
      status: 'in_progress',
      output: [],
      usage: null,
    }
    const usage = {
      input_tokens: cached + fresh,
      input_tokens_details: { cached_tokens: cached },
      output_tokens: output,
      output_tokens_details: { reasoning_tokens: 100 },
      total_tokens: cached + fresh + output,
    }
    return [
      event('response.created', { sequence_number: 0, response }),
      event('response.output_text.delta', { sequence_number: 1, delta: 'Done.' }),
      event('response.completed', { sequence_number: 2, response: { ...response, status: 'completed', usage } }),
    ]
  },
  cost: (cached, fresh, output) => BigInt(cached) * 175n + BigInt(fresh) * 1_750n + BigInt(output) * 14_000n,
}

describe('a conversation like those of Claude Code', () => {
  conversation(claudeCode)

  it('is refused at the default ceiling, with what it needs and the cap that would fit', async () => {
    const gateway = await useGateway({
      env: DEFAULTS,
      config: {},
      respond: (call) => answerStream(call, claudeCode.events(0, 1, 1)),
    })
    const answer = await sendTurn(gateway, claudeCode, 0)
    const { error } = (await answer.json()) as { error: { message: string; details: Record<string, unknown> } }
    expect(answer.status).toBe(429)
    expect(answer.headers.get('x-should-retry')).toBe('false')
    expect(error.message).toContain('max_cost_per_request')
    expect(error.details).toMatchObject({ reason: 'never', capacity: 0.5, retryable: false })
    const cap = Number(error.details.fitting_max_output_tokens)
    expect(cap).toBeGreaterThan(1_000)
    const again = await sendTurn(gateway, claudeCode, 0, { max_tokens: cap })
    expect(again.status).toBe(200)
    await again.text()
  })
})

describe('a conversation like those of Codex', () => {
  conversation(codex)

  it('gets a cap under the default ceiling, since it sets none', async () => {
    const gateway = await useGateway({
      env: DEFAULTS,
      config: {},
      respond: (call) => answerStream(call, codex.events(0, 1, 1)),
    })
    const answer = await sendTurn(gateway, codex, 0)
    expect(answer.status).toBe(200)
    expect(Number(answer.headers.get('x-bursar-max-output-tokens'))).toBeGreaterThan(15_000)
    await answer.text()
  })
})

const sendTurn = (gateway: GatewayFixture, agent: Agent, turn: number, fields: object = {}) =>
  gateway.client.fetch('over sockets', agent.path, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...agent.headers },
    body: JSON.stringify({ ...agent.request(turn, CONTEXT_BYTES), ...fields }),
  })

function conversation(agent: Agent): void {
  it('passes at the ceilings of the README, and costs what its answers say', async () => {
    const turns = Array.from({ length: TURNS }, (_, turn): [number, number, number] =>
      turn === 0 ? [0, 27_000, 400] : [27_000 + 700 * (turn - 1), 700, 400],
    )
    let next = 0
    const respond: ProviderScript = (call) => answerStream(call, agent.events(...(turns[next++] ?? [0, 0, 1])))
    const gateway = await useGateway({ env: CEILINGS, config: {}, respond })
    for (let turn = 0; turn < TURNS; turn++) {
      const answer = await sendTurn(gateway, agent, turn)
      expect([answer.status, answer.headers.get('x-bursar-max-output-tokens')]).toEqual([200, null])
      expect(await answer.text()).toBe(agent.events(...(turns[turn] ?? [0, 0, 0])).join(''))
    }
    const entries = await gateway.ledger.holds(TURNS)
    const spent = entries.reduce((sum, { outcome }) => sum + (outcome?.cost.totalNanoUsd ?? 0n), 0n)
    expect(spent).toBe(turns.reduce((sum, turn) => sum + agent.cost(...turn), 0n))
    expect(entries.every(({ outcome }) => outcome?.certainty === 'exact')).toBe(true)
    expect(entries.every(({ facts }) => facts.capInjected === null)).toBe(true)
  })
}
