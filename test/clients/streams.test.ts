// Streams: what each SDK's user learns when a stream breaks, and what the ledger holds when the user leaves in its middle.

import { describe, expect, test } from 'vitest'
import type { Entry } from '../../src/core/ledger-entry.ts'
import type { DialectName } from '../call/dialect-fixtures.ts'
import type { ProviderAnswer } from '../support/provider.ts'
import { WORDS } from '../support/provider-answers.ts'
import { waitFor } from '../support/waiting.ts'
import { CLIENTS } from './clients.ts'
import { type GatewayPair, readStream, startPair } from './pair.ts'

/** Enough of any dialect's stream to hold the first word. */
const PIECES_BEFORE_BREAK = 4

function breakAnswer(usual: ProviderAnswer, overrides: Partial<ProviderAnswer>): ProviderAnswer {
  return { ...usual, pieces: usual.pieces.slice(0, PIECES_BEFORE_BREAK), ...overrides }
}

/** How each provider says in mid-stream that it cannot go on. */
const ERROR_EVENTS: Readonly<Record<DialectName, string>> = {
  openai: 'data: {"error":{"message":"We are overloaded.","type":"server_error","param":null,"code":null}}\n\n',
  anthropic:
    'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"We are overloaded."}}\n\n',
  gemini: 'data: {"error":{"code":503,"message":"We are overloaded.","status":"UNAVAILABLE"}}\r\n\r\n',
}

/** And how it refuses a call of its own accord. */
const REFUSALS: Readonly<Record<DialectName, string>> = {
  openai: '{"error":{"message":"Slow down.","type":"tokens","param":null,"code":"rate_limit_exceeded"}}',
  anthropic: '{"type":"error","error":{"type":"rate_limit_error","message":"Slow down."},"request_id":"req_upstream"}',
  gemini: '{"error":{"code":429,"message":"Slow down.","status":"RESOURCE_EXHAUSTED"}}',
}

const SAYS = /Gr\u00fc\u00dfe/

async function endings({ gateway }: GatewayPair): Promise<unknown[]> {
  await gateway.idle()
  await waitFor(async () => (await gateway.ledger.entries()).length > 0)
  expect((await gateway.app.store.figures({ simulated: false })).open).toMatchObject({ calls: 0 })
  return (await gateway.ledger.entries()).map(({ outcome }: Entry) => [outcome?.ending, outcome?.certainty])
}

describe.each(CLIENTS)('$name', (client) => {
  /** The old Google SDK knows no errors in a stream: it hands them on as events, and fails when the connection breaks. */
  const throwsErrorEvents = client.name !== '@google/generative-ai'

  test.each([
    ['dies', { cut: true }],
    ['closes in the middle as though it were done', {}],
  ])('does not take for an answer what came of one when the provider %s', async (_how, overrides) => {
    await using pair = await startPair()
    pair.provider.says(({ usual }) => breakAnswer(usual, overrides))
    const { events, error } = await readStream(client, { ...pair.through, retries: 0 })
    expect(JSON.stringify(events)).toMatch(SAYS)
    if (throwsErrorEvents) expect(String(error)).toMatch(/broke off its answer/)
    else expect(error).toBeInstanceOf(Error)
    expect(await endings(pair)).toEqual([['failed', 'upperBound']])
  })

  test('throws when the provider dies in the middle of a compressed stream', async () => {
    await using pair = await startPair()
    pair.provider.says(({ usual }) => breakAnswer(usual, { cut: true, gzip: true }))
    const { error } = await readStream(client, { ...pair.through, retries: 0 })
    expect(error).toBeInstanceOf(Error)
    expect(await endings(pair)).toEqual([['failed', 'upperBound']])
  })

  test("learns of the provider's own error in mid-stream as it would from the provider", async () => {
    await using pair = await startPair()
    pair.provider.says(({ usual }) =>
      breakAnswer(usual, { pieces: [...usual.pieces.slice(0, PIECES_BEFORE_BREAK), ERROR_EVENTS[client.dialect]] }),
    )
    const direct = await readStream(client, { ...pair.direct, retries: 0 })
    const through = await readStream(client, { ...pair.through, retries: 0 })
    expect(String(through.error)).toBe(String(direct.error))
    expect(client.failure(through.error)).toEqual(client.failure(direct.error))
    expect(through.events.length).toBe(direct.events.length)
    expect(JSON.stringify(through)).toMatch(SAYS)
    expect(through.error !== undefined).toBe(throwsErrorEvents)
    expect(await endings(pair)).toEqual([['failed', 'upperBound']])
  })

  test("learns of the provider's own refusal as it would from the provider", async () => {
    await using pair = await startPair()
    pair.provider.says(({ usual }) => ({
      status: 429,
      headers: { ...usual.headers, 'content-type': 'application/json', 'retry-after': '7' },
      pieces: [REFUSALS[client.dialect]],
    }))
    const failure = async (ask: typeof pair.direct) =>
      client.whole({ ...ask, retries: 0 }).then(
        () => undefined,
        (error: unknown) => client.failure(error),
      )
    const direct = await failure(pair.direct)
    expect(direct).toMatchObject({ status: 429 })
    expect(await failure(pair.through)).toEqual(direct)
    expect(await endings(pair)).toEqual([['failed', 'exact']])
  })

  test.each([
    ['read on to the exact cost', 'drain', 'exact', 'sqlite'],
    ['charged whole', 'charge', 'upperBound', 'memory'],
    ['charged for what was seen', 'cancel', 'estimated', 'memory'],
  ] as const)(
    'leaves one settled entry when it aborts in mid-stream and is %s',
    async (_how, policy, certainty, ledger) => {
      await using pair = await startPair({ ledger, env: { ON_DISCONNECT: policy } })
      const { promise: left, resolve: release } = Promise.withResolvers<void>()
      pair.provider.says(({ usual }) => ({ ...usual, pieces: usual.pieces.toSpliced(PIECES_BEFORE_BREAK, 0, left) }))
      const abort = new AbortController()
      await readStream(client, { ...pair.through, signal: abort.signal }, (event) => {
        if (SAYS.test(JSON.stringify(event))) abort.abort()
      })
      await waitFor(() => pair.gateway.receivedRequests[0]?.clientGone === true)
      release()
      expect(await endings(pair)).toEqual([['canceled', certainty]])
      expect(pair.provider.received).toHaveLength(1)
    },
  )

  test('leaves one settled entry when its user breaks out of the loop', async () => {
    await using pair = await startPair()
    const { promise: left, resolve: release } = Promise.withResolvers<void>()
    pair.provider.says(({ usual }) => ({ ...usual, pieces: usual.pieces.toSpliced(PIECES_BEFORE_BREAK, 0, left) }))
    for await (const event of client.events(pair.through)) {
      if (!SAYS.test(JSON.stringify(event))) continue
      // Some SDKs hang up at once, some with the next event, and some read on behind their user's back.
      setImmediate(release)
      break
    }
    expect(await endings(pair)).toEqual([[expect.stringMatching(/^(canceled|completed)$/), 'exact']])
  })
})

test('the words of the answers are those looked for', () => {
  expect(WORDS[0]).toMatch(SAYS)
})
