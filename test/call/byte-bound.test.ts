// The byte bound: requests that renderers of providers turn into more tokens than they have bytes, and what they are quoted at.

import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { GatewayFixture } from '../support/gateway.ts'

const PRESETS = ['groq', 'together', 'openrouter', 'mistral', 'deepseek', 'vllm'] as const

let gateway: GatewayFixture
beforeAll(async () => {
  const providers = {
    ...Object.fromEntries(
      PRESETS.map((preset) => [preset, { preset, baseUrl: 'http://127.0.0.1:9/v1', apiKey: 'sk-of-the-preset' }]),
    ),
    own: { baseUrl: 'http://127.0.0.1:9/v1', auth: 'none' },
  }
  gateway = await GatewayFixture.open({ env: { UNKNOWN_PRICE: 'allow', OPENAI_API_KEY: 'sk' }, config: { providers } })
})
afterAll(() => gateway.close())

function quotedInput(model: string, body: object): Promise<number> {
  const text = JSON.stringify({ model, max_tokens: 10, messages: [{ role: 'user', content: 'a' }], ...body })
  // The shortest way to write these numbers: JavaScript writes them out.
  return quotedText(text.replaceAll('1000000000000000,', '1e15,').replaceAll('1000000000000000]', '1e15]'))
}

/** @param body as it is written */
async function quotedText(body: string): Promise<number> {
  const headers = { 'content-type': 'application/json' }
  const response = await gateway.client.fetch('in process', '/llm/estimate', { method: 'POST', headers, body })
  return ((await response.json()) as { input_tokens: number }).input_tokens
}

const tool = (schema: object) => ({
  tools: [{ type: 'function', function: { name: 'f', parameters: { type: 'object', properties: { x: schema } } } }],
})
const exponents = (count: number) => tool({ type: 'array', default: Array(count).fill(1e15) })
const digits = (count: number) => tool({ type: 'array', default: Array(count).fill(1) })
function nested(depth: number): object {
  let list: unknown[] = []
  for (let level = 1; level < depth; level++) list = [list]
  return tool({ default: list })
}
/** Parameters that say nothing about themselves, called a, b, … z, aa, ab, … */
function emptyParameters(count: number): object {
  const letters = 'abcdefghijklmnopqrstuvwxyz'
  const nameOf = (index: number): string => (index < 26 ? '' : nameOf(Math.floor(index / 26) - 1)) + letters[index % 26]
  const properties = Object.fromEntries(Array.from({ length: count }, (_, index) => [nameOf(index), {}]))
  return { tools: [{ type: 'function', function: { name: 'f', parameters: { type: 'object', properties } } }] }
}
const callOf = (args: string) => ({
  messages: [
    { role: 'user', content: 'a' },
    { role: 'assistant', tool_calls: [{ id: 'c', type: 'function', function: { name: 'f', arguments: args } }] },
    { role: 'tool', tool_call_id: 'c', content: '1' },
  ],
})
const toolResult = (content: string) => ({
  messages: [
    { role: 'user', content: 'a' },
    {
      role: 'assistant',
      tool_calls: [{ id: 'abcdefghi', type: 'function', function: { name: 'f', arguments: '{}' } }],
    },
    { role: 'tool', tool_call_id: 'abcdefghi', content },
  ],
})
/** A long list that is nested deeply. */
function deepList(depth: number, length: number): object {
  let list: unknown[] = Array(length).fill(1)
  for (let level = 0; level < depth; level++) list = [list]
  return tool({ default: list })
}
const text = (content: string) => ({ messages: [{ role: 'user', content }] })

describe('is above what these requests were rendered as', () => {
  // Tokens, by the renderers and vocabularies that are published.
  test.each<[string, string, object, number]>([
    ['numbers written out', 'openai/gpt-5', exponents(74), 773],
    ['numbers written out', 'groq/openai/gpt-oss-120b', exponents(79), 818],
    ['lines and spaces for each level', 'groq/llama-3.3-70b-versatile', nested(67), 528],
    ['numbers on lines of their own', 'groq/llama-3.1-8b-instant', exponents(44), 635],
    ['numbers, a token a digit', 'groq/qwen/qwen3-32b', exponents(19), 507],
    ['characters that come apart', 'groq/qwen/qwen3-32b', text('\u0fb9'.repeat(50)), 308],
    ['characters that come apart', 'openrouter/qwen/qwen3-32b', text('\u0fb9'.repeat(100)), 608],
    ['numbers in XML', 'openrouter/qwen/qwen3-coder', exponents(69), 1_627],
    ['numbers', 'mistral/mistral-small-latest', exponents(25), 546],
    ['spaces before digits', 'mistral/mistral-small-latest', digits(350), 1_090],
    ['numbers', 'deepseek/deepseek-v4-flash', exponents(31), 563],
    ['spaces before digits', 'deepseek/deepseek-v4-flash', digits(143), 676],
    ['a prompt of the template', 'vllm/minimax-m3', { ...text('a'), ...tool({}) }, 513],
    ['a prompt of the template', 'vllm/devstral-small-2507', text('a'), 1_190],
    ['a prompt of the template', 'own/command-r7b', { ...text('a'), ...tool({}) }, 1_274],
    ['a prompt of the template', 'openrouter/mistralai/mistral-small-3.2-24b-instruct', text('Hi there!'), 561],
    ['a prompt of the vendor', 'openrouter/x-ai/grok-4', text('a'), 702],
    ['parameters in XML', 'openrouter/qwen/qwen3-coder', emptyParameters(500), 6_719],
    ['parameters in sentences', 'together/seed-oss-36b', emptyParameters(60), 1_012],
    ['parameters in XML', 'together/nvidia/nemotron-3-nano-30b', emptyParameters(100), 1_500],
    ['quotes in HTML', 'together/functionary-medium-v3.1', tool({ default: "'".repeat(400) }), 1081],
    ['characters as Python shows them', 'together/apriel-1.6', tool({ default: '\u007f'.repeat(100) }), 567],
    ['results of tools written anew', 'mistral/mistral-small-latest', toolResult(`[${'1e15,'.repeat(69)}1e15]`), 1_440],
    ['spaces in results of tools', 'mistral/mistral-small-latest', toolResult(`[${'1,'.repeat(999)}1]`), 3_040],
    ['lines and spaces of a long list', 'groq/llama-3.3-70b-versatile', deepList(240, 300), 6_160],
    ['lines and spaces of a long list', 'together/granite-3.3-2b-instruct', deepList(50, 300), 2_248],
    ['calls in XML', 'together/minimax-m3', callOf(`{"a":[${'1,'.repeat(299)}1]}`), 2_935],
    ['a tool of Llama 4', 'own/llama-4-scout', { ...text('a'), ...tool({}) }, 608],
  ])('%s: %s', async (_why, model, body, rendered) => {
    expect(await quotedInput(model, body)).toBeGreaterThanOrEqual(rendered)
  })
})

test('numbers with exponents count as what they can grow to, also in arguments of earlier calls', async () => {
  const withArguments = (text: string) => ({
    messages: [
      { role: 'assistant', tool_calls: [{ id: 'c', type: 'function', function: { name: 'f', arguments: text } }] },
    ],
  })
  const plain = await quotedInput('openai/gpt-5', withArguments('{"x":[100]}'))
  expect(await quotedInput('openai/gpt-5', withArguments('{"x":[1e9]}'))).toBe(plain + 22)
  expect(await quotedInput('openai/gpt-5', withArguments('{"x":[1E9]}'))).toBe(plain + 22)
  expect(await quotedInput('openai/gpt-5', { ...text('1e9 1e9'), temperature: 1 })).toBe(
    await quotedInput('openai/gpt-5', { ...text('100 100'), temperature: 1 }),
  )
})

test('long numbers count as what they can grow to: Python writes this one as 1.2345678901234568e+16', async () => {
  const quoted = (number: string) =>
    quotedText(
      JSON.stringify({ model: 'groq/qwen/qwen3-32b', ...text('a'), ...tool({ default: 'x' }) }).replace(
        '"x"}',
        `${number}}`,
      ),
    )
  expect(await quoted('12345678901234567.8')).toBe((await quoted('1234567.12345678')) + 3 + 3)
})

describe('what a tool answered, which mistral-common reads and writes anew if it is JSON', () => {
  // The role comes last here: the order of fields does not matter.
  const answered = (content: unknown) => ({ messages: [{ content, tool_call_id: 'c', role: 'tool' }] })
  const quoted = (content: unknown) => quotedInput('mistral/mistral-small-latest', answered(content))

  test('is counted with the spaces and the numbers that it can get', async () => {
    expect(await quoted('[1,1]')).toBe((await quoted('[111]')) + 1)
    expect(await quoted('[1e9]')).toBe((await quoted('[100]')) + 22)
    expect(await quoted([{ type: 'text', text: '[1e9]' }])).toBe((await quoted([{ type: 'text', text: '[100]' }])) + 22)
  })

  test('is counted as it is if it is text, and so are codes that look like numbers', async () => {
    expect(await quoted('a, b: 1e9')).toBe(await quoted('a. b. 100'))
    expect(await quoted('["1e9"]')).toBe(await quoted('["100"]'))
  })
})

test('reasoning beyond the cap is reserved wherever the model is', async () => {
  const ask = { model: 'openrouter/x-ai/grok-4', max_tokens: 100, ...text('a') }
  const response = await gateway.client.fetch('in process', '/llm/estimate', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(ask),
  })
  expect(((await response.json()) as { output_tokens: number }).output_tokens).toBeGreaterThan(135)
})

test('tools are not written anew at OpenAI and Azure', async () => {
  const [short, long] = [await quotedInput('openai/gpt-5', digits(10)), await quotedInput('openai/gpt-5', digits(20))]
  // A digit and a comma for each.
  expect(long - short).toBe(20)
})
