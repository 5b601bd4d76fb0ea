// A budget for each user holds for agents that name a user and a session in one field, however often the session changes.

import { expect, test } from 'vitest'
import { ManualClock } from '../support/clocks.ts'
import { answerWhole, useGateway } from '../support/gateway.ts'

/** Each call costs $0.0105. */
const PRICE = { model: 'm', input: '0', output: '1050', contextWindow: 1_000, maxOutput: 10 }

const DEVICE = 'd'.repeat(64)
const session = (index: number) => `00000000-0000-4000-8000-${String(index).padStart(12, '0')}`

test.each([
  ['JSON', (index: number) => JSON.stringify({ device_id: DEVICE, account_uuid: '', session_id: session(index) })],
  ['one word', (index: number) => `user_${DEVICE}_account__session_${session(index)}`],
])('user ids of Claude Code as %s: four of 14 calls fit $0.05', async (_form, userId) => {
  const { client, ledger } = await useGateway({
    clock: new ManualClock(),
    config: { prices: [PRICE], limits: { perUser: { costPerMonth: '0.05' } } },
    respond: (request) => answerWhole(request, { input: 0, output: 10 }),
  })
  const statuses: number[] = []
  for (let index = 0; index < 14; index++) {
    const answer = await client.fetch('over sockets', '/v1/messages', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({
        model: 'm',
        max_tokens: 10,
        metadata: { user_id: userId(index) },
        messages: [{ role: 'user', content: 'hi' }],
      }),
    })
    await answer.text()
    statuses.push(answer.status)
  }
  expect(statuses).toEqual([200, 200, 200, 200, ...Array.from({ length: 10 }, () => 429)])
  const threads = new Set((await ledger.holds(4)).map(({ facts }) => facts.caller.thread))
  expect(threads.size).toBe(4)
})
