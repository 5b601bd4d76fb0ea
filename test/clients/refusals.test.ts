// Refusals: every way the gateway says no reaches the user of every SDK as that SDK's own error, after the attempts it is due.

import { describe, expect, test } from 'vitest'
import type { Client, Failure } from './client-request.ts'
import { CLIENTS } from './clients.ts'
import { KEY, readStream } from './pair.ts'
import { ATTEMPTS, CODES, ERRORS, RETRY_AFTER, STATUS } from './refusal-table.ts'
import { REFUSAL_SITUATIONS, type RefusalFixture, SITUATIONS, setUpRefusal } from './situations.ts'
import { runWithoutWaiting } from './waits.ts'

/** Undefined where the answer came. Throws what is not an error of the SDK's own. */
async function failureOf(client: Client, answer: Promise<unknown>): Promise<Failure | undefined> {
  return answer.then(
    () => undefined,
    (error: unknown) => {
      const failure = client.failure(error)
      if (failure) return failure
      throw error
    },
  )
}

/** Asks while something changes whenever the SDK waits. */
async function failureWhenWaiting(client: Client, scene: RefusalFixture, waited: (ms: number) => Promise<void> | void) {
  return (await runWithoutWaiting(() => failureOf(client, client.whole(scene.request)), waited)).result
}

/** What a request takes to come back at twelve a minute. */
const WAIT_MS = 5_000

const KNOWS_SHOULD_RETRY = /^(openai|@anthropic-ai)/

const CASES = REFUSAL_SITUATIONS.map((kind) => [SITUATIONS[kind].when, kind] as const)

describe.each(CLIENTS)('$name', (client) => {
  const { name } = client
  const asksAgain = (ATTEMPTS[name]?.time ?? 0) > 1

  test.each(CASES)('raises an error of its own, after the attempts it is due, %s', async (_when, kind) => {
    await using scene = await setUpRefusal(kind)
    const { result, waits } = await runWithoutWaiting(() => failureOf(client, client.whole(scene.request)))
    expect(result).toMatchObject({ type: ERRORS[name]?.[kind], status: STATUS[kind], code: CODES[name]?.[kind] })
    expect(scene.requestCount()).toBe(ATTEMPTS[name]?.[kind])
    expect(waits).toHaveLength(scene.requestCount() - 1)
    if (kind === 'time') expect(Math.min(WAIT_MS, ...waits)).toBe(WAIT_MS)
    expect(scene.forwardedCount()).toBe(0)
    if (result && 'retryAfter' in result) expect(result.retryAfter).toBe(RETRY_AFTER[kind] ?? null)
  })

  test.each(CASES)('raises the same error when it streams, %s', async (_when, kind) => {
    await using scene = await setUpRefusal(kind)
    const ask = { ...scene.request, retries: 0 }
    const whole = await failureOf(client, client.whole(ask))
    const { events, error } = await readStream(client, ask)
    expect(whole?.status).toBe(STATUS[kind])
    expect(client.failure(error)).toEqual({ ...whole, ...(whole?.requestId ? { requestId: expect.any(String) } : {}) })
    expect(JSON.stringify(events)).not.toContain('text')
    expect(scene.forwardedCount()).toBe(0)
  })

  test('is answered at its second attempt, if it makes one, having waited exactly as long as Retry-After says', async () => {
    await using scene = await setUpRefusal('time')
    const failure = await failureWhenWaiting(client, scene, (ms) => scene.gateway.clock.advance(Math.min(ms, WAIT_MS)))
    expect(failure?.status).toBe(asksAgain ? undefined : 429)
    expect(scene.requestCount()).toBe(asksAgain ? 2 : 1)
    expect(scene.forwardedCount()).toBe(asksAgain ? 1 : 0)
  })

  test('is refused again when it comes back a millisecond early', async () => {
    await using scene = await setUpRefusal('time')
    scene.gateway.clock.advance(WAIT_MS - 1)
    expect((await failureOf(client, client.whole({ ...scene.request, retries: 0 })))?.status).toBe(429)
    scene.gateway.clock.advance(1)
    expect(await failureOf(client, client.whole({ ...scene.request, retries: 0 }))).toBeUndefined()
  })

  test('is answered at its second attempt, if it makes one, when the call in its way has ended', async () => {
    await using scene = await setUpRefusal('flight')
    const failure = await failureWhenWaiting(client, scene, () => scene.release())
    expect(failure?.status).toBe(asksAgain ? undefined : 429)
    expect(scene.requestCount()).toBe(asksAgain ? 2 : 1)
  })

  test('finds in its error the id by which the gateway explains it', async () => {
    await using scene = await setUpRefusal('money')
    const failure = await failureOf(client, client.whole({ ...scene.request, retries: 0 }))
    if (!failure || !('requestId' in failure)) return
    const explain = `${scene.gateway.url}/llm/explain/${failure.requestId}`
    const response = await fetch(explain, { headers: { authorization: `Bearer ${KEY}` } })
    expect(response.status).toBe(200)
    expect(await response.text()).toContain('daily_spending_limit')
  })
})

test.each(CLIENTS.filter(({ name }) => KNOWS_SHOULD_RETRY.test(name)))(
  '$name does not wait for midnight, however near, when midnight changes nothing',
  async (client) => {
    await using scene = await setUpRefusal('never')
    scene.gateway.clock.advance(12 * 3_600_000 - 30_000)
    const { result, waits } = await runWithoutWaiting(() => failureOf(client, client.whole(scene.request)))
    expect(result).toMatchObject({ status: 429, retryAfter: null })
    expect(waits).toEqual([])
  },
)

test('a table row stands for every SDK, and for no other', () => {
  const names = CLIENTS.map((client) => client.name).toSorted()
  for (const table of [ATTEMPTS, ERRORS, CODES]) expect(Object.keys(table).toSorted()).toEqual(names)
})
