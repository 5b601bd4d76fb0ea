// A fallback: `CONFIG_FILE=examples/fallback.json npm start`, then `npx node examples/fallback.ts`. It shows which target
// answers an alias, and which was tried before. Without ANTHROPIC_API_KEY, the alias's first target is simulated and always refuses.

import OpenAI from 'openai'
import { GATEWAY, KEY, modelOrSimulated } from './gateway.ts'

interface Explanation {
  readonly attempts: readonly {
    provider: string
    model: string
    status: number | null
    error: string | null
    cost_usd: number
  }[]
}

const openai = new OpenAI({ baseURL: `${GATEWAY}/v1`, apiKey: KEY })
const model = await modelOrSimulated('anthropic', 'steady', 'steady-simulated')

const listedModels = await openai.models.list()
if (!listedModels.data.some(({ id }) => id === model)) {
  console.error(`The gateway knows no alias ${model}: start it with CONFIG_FILE=examples/fallback.json.`)
  process.exit(1)
}

const { data, response } = await openai.chat.completions
  .create({ model, max_completion_tokens: 500, messages: [{ role: 'user', content: 'Say hello.' }] })
  .withResponse()
console.log(response.headers.get('x-bursar-target'), 'says:', data.choices[0]?.message.content)

const id = response.headers.get('x-bursar-call-id')
const explanation = await fetch(`${GATEWAY}/llm/explain/${id}`, { headers: { authorization: `Bearer ${KEY}` } })
const { attempts }: Explanation = await explanation.json()
for (const { provider, model, status, error, cost_usd } of attempts)
  console.log(`${provider}/${model}: status ${status}, ${error ?? 'answered'}, $${cost_usd}`)
