// GPT answers the Anthropic SDK, as a stream: `npm start`, then `npx node examples/anthropic-to-gpt.ts`.

import Anthropic from '@anthropic-ai/sdk'
import { GATEWAY, KEY, modelOrSimulated } from './gateway.ts'

const anthropic = new Anthropic({ baseURL: GATEWAY, apiKey: KEY })
const model = await modelOrSimulated('openai', 'gpt-6-luna')

const { data, response } = await anthropic.messages
  .create({
    model,
    max_tokens: 2_000,
    // GPT-4o cannot think: the field is left out, and the header x-bursar-dropped names it.
    thinking: { type: 'enabled', budget_tokens: 1_024 },
    stream: true,
    messages: [{ role: 'user', content: 'Say hello.' }],
  })
  .withResponse()
console.log('target:', response.headers.get('x-bursar-target') ?? model)
console.log('left out:', response.headers.get('x-bursar-dropped') ?? 'nothing')

for await (const event of data) {
  if (event.type === 'content_block_delta' && event.delta.type === 'text_delta') process.stdout.write(event.delta.text)
  if (event.type === 'message_delta') console.log(`\n${event.delta.stop_reason}, tokens:`, event.usage.output_tokens)
}
