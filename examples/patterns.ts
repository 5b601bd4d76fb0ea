// Every agentic pattern once: `npm start`, then `npx node examples/patterns.ts`. Without a provider's key a simulated model
// answers: the steps of each run are real then, and the words are not.

import { GATEWAY, KEY } from './gateway.ts'

interface Answer {
  readonly model: string
  readonly result: Readonly<Record<string, unknown>>
  readonly stopped: string | null
  readonly steps: readonly { number: number; name: string; kind: string; answered: string }[]
  readonly cost_usd: number
  readonly simulated: boolean
}

const REQUESTS = {
  reflection: { initial_output: 'The sky is green.', criteria: { true: 'Is it true?', short: 'Is it one sentence?' } },
  planning: { goal: 'Organise a birthday party for ten people', constraints: ['no more than 200 euros'] },
  'tool-use': { task: 'What is 12 * (3 + 4)?', tools: ['calculator'] },
  rag: {
    question: 'Who wrote the letter?',
    documents: [
      { id: 'diary', text: 'The letter was written by Anna in 1921. It rained.' },
      { id: 'log', text: 'Ships sail.' },
    ],
  },
  metacognition: { problem: 'How many people live in Rome?' },
}

for (const [pattern, fields] of Object.entries(REQUESTS)) {
  const response = await fetch(`${GATEWAY}/api/patterns/${pattern}`, {
    method: 'POST',
    headers: { authorization: `Bearer ${KEY}`, 'content-type': 'application/json' },
    body: JSON.stringify({ ...fields, max_cost_usd: '0.25' }),
  })
  if (!response.ok) throw new Error(`${pattern}: ${response.status} ${await response.text()}`)
  const { model, result, stopped, steps, cost_usd, simulated }: Answer = await response.json()
  console.log(
    `\n${pattern}: ${model}${simulated ? ' (simulated)' : ''}, $${cost_usd}${stopped ? `, stopped: ${stopped}` : ''}`,
  )
  for (const step of steps) console.log(`  ${step.number}. ${step.kind} ${step.name}: ${step.answered.slice(0, 80)}`)
  console.log('  result:', JSON.stringify(result).slice(0, 160))
}
