// Claude answers the OpenAI SDK, and calls a tool first: `npm start`, then `npx node examples/openai-to-claude.ts`.

import OpenAI from 'openai'
import { GATEWAY, KEY, modelOrSimulated } from './gateway.ts'

const openai = new OpenAI({ baseURL: `${GATEWAY}/v1`, apiKey: KEY })
const model = await modelOrSimulated('anthropic', 'claude-sonnet-5-5')

const city = { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] }
const request = {
  model,
  max_completion_tokens: 500,
  tools: [{ type: 'function' as const, function: { name: 'weather', parameters: city } }],
}
const question = { role: 'user' as const, content: 'What is the weather in Cologne?' }

const { data, response } = await openai.chat.completions.create({ ...request, messages: [question] }).withResponse()
console.log('target:', response.headers.get('x-bursar-target') ?? model)
console.log(`cost: $${response.headers.get('x-bursar-cost-usd')}`)

const assistantMessage = data.choices[0]?.message
const call = assistantMessage?.tool_calls?.[0]
if (assistantMessage && call?.type === 'function') {
  console.log('calls:', call.function.name, call.function.arguments)
  const result = { role: 'tool' as const, tool_call_id: call.id, content: '17 degrees, rain' }
  const stream = await openai.chat.completions.create({
    ...request,
    messages: [question, assistantMessage, result],
    stream: true,
  })
  for await (const chunk of stream) process.stdout.write(chunk.choices[0]?.delta.content ?? '')
  console.log()
} else console.log(assistantMessage?.content)
