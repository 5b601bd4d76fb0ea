// Your own Hono app behind Bursar's gate: `npx node examples/hono.ts`, then
// curl -si http://127.0.0.1:8787/v1/chat/completions -H 'content-type: application/json' \
//   -d '{"model":"gpt-6-luna","messages":[{"role":"user","content":"hello there"}]}'

import { serve } from '@hono/node-server'
import { Hono } from 'hono'
import { createBursar, type GateVariables } from '../src/index.ts'

const bursar = await createBursar({ env: { ...process.env, DATABASE_URL: 'memory:' } })
const app = new Hono<{ Variables: GateVariables }>()

app.use('/v1/*', bursar.gate())
app.post('/v1/chat/completions', async (c) => {
  const { messages } = await c.req.json<{ messages: { content: string }[] }>()
  const words = messages
    .map((message) => message.content)
    .join(' ')
    .split(' ').length
  c.var.bursar.settle({ inputTokens: words, outputTokens: 3 })
  return c.json({
    object: 'chat.completion',
    choices: [{ index: 0, message: { role: 'assistant', content: 'three short words' }, finish_reason: 'stop' }],
  })
})
app.route('/', bursar.app)

serve({ fetch: app.fetch, hostname: '127.0.0.1', port: 8787 }, () =>
  console.log('http://127.0.0.1:8787/v1/chat/completions'),
)
