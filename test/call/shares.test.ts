// Answers that other models had a part in: the ledger has all tokens, each at the price of the model that used it.

import { describe, expect, it } from 'vitest'
import { TRANSPORTS, type Transport } from '../support/client-and-ledger.ts'
import { type GatewayFixture, useGateway } from '../support/gateway.ts'
import { PRICE } from './dialect-fixtures.ts'
import { expectSettled, LIMITED_CONFIG } from './settlement-checks.ts'

/** Ten times the price of the model that is asked. */
const ADVISOR = { ...PRICE, model: 'advisor', input: '10', output: '20' }
const CONFIG = { ...LIMITED_CONFIG, prices: [PRICE, ADVISOR] }

async function call(transport: Transport, iterations: unknown[]): Promise<[GatewayFixture, Response]> {
  const usage = { input_tokens: 21, output_tokens: 9, iterations }
  const body = JSON.stringify({ id: 'c', type: 'message', model: 'm', content: [], stop_reason: 'end_turn', usage })
  const gateway = await useGateway({
    config: CONFIG,
    respond: ({ response }) => void response.writeHead(200, { 'content-type': 'application/json' }).end(body),
  })
  return [gateway, await gateway.client.asks('anthropic', { cap: 50 }, {}, transport)]
}

const iterationOf = (type: string, input_tokens: number, output_tokens: number, fields: object = {}) => ({
  type,
  input_tokens,
  output_tokens,
  ...fields,
})

describe.each(TRANSPORTS)('%s:', (transport) => {
  it('an advisor is settled at its own price', async () => {
    const [gateway, answer] = await call(transport, [
      iterationOf('message', 21, 9),
      iterationOf('advisor_message', 100, 10, { model: 'advisor' }),
    ])
    // 21 + 2 × 9 thousands of nano-dollars, and 10 × 100 + 20 × 10.
    expect(answer.headers.get('x-bursar-cost-usd')).toBe('0.001239')
    const { outcome } = await expectSettled(gateway, { certainty: 'exact', cost: 1_239_000n, tokens: 140 })
    expect(outcome?.answeredModel).toBe('m')
    expect(outcome?.cost).toEqual({ inputNanoUsd: 1_021_000n, outputNanoUsd: 218_000n, totalNanoUsd: 1_239_000n })
  })

  it('a compaction is settled at the price of the model that answered, and so is a model without one', async () => {
    const [gateway] = await call(transport, [
      iterationOf('compaction', 100, 10),
      iterationOf('advisor_message', 5, 1, { model: 'who' }),
    ])
    await expectSettled(gateway, { certainty: 'exact', cost: 39_000n + 120_000n + 7_000n, tokens: 146 })
  })
})
