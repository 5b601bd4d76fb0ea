// Refusals: every way the gateway says no reaches the user of every SDK as that SDK's own error, after as many attempts as meant.

import { describe, expect, test } from 'vitest'
import { CLIENTS } from './clients.ts'
import { KEY, streamed } from './pair.ts'
import { ATTEMPTS, CODES, ERRORS, RETRY_AFTER, STATUS } from './refusal-table.ts'
import { type Kind, SITUATIONS, stage } from './situations.ts'
import { withoutWaiting } from './waits.ts'

const KINDS = Object.keys(SITUATIONS) as Kind[]
const TOLD: Readonly<Record<Kind, string>> = {
  time: 'the requests of a minute are used up',
  long: 'the requests of an hour are used up',
  money: 'the money of a day is used up',
  never: 'the call costs more than any call may',
  flight: 'other calls are in flight',
  key: "its key is nobody's",
  body: 'its request cannot be priced',
  path: 'its base URL is wrong',
  size: 'its request is too large',
  setup: 'the provider has no key',
}

describe.each(CLIENTS)('$name', (client) => {
  const { name } = client

  test.each(KINDS)('raises its own error, after the attempts it is due, when %s', async (kind) => {
    await using scene = await stage(kind)
    const { result, waits } = await withoutWaiting(() => client.whole(scene.ask))
    expect(result.status).toBe('rejected')
    const failure = result.status === 'rejected' ? client.failure(result.reason) : undefined
    expect(failure).toMatchObject({ type: ERRORS[name]?.[kind], status: STATUS[kind], code: CODES[name]?.[kind] })
    expect(scene.attempts()).toBe(ATTEMPTS[name]?.[kind])
    expect(waits).toHaveLength(scene.attempts() - 1)
    expect(scene.forwarded()).toBe(0)
    if (failure && 'retryAfter' in failure) expect(failure.retryAfter).toBe(RETRY_AFTER[kind] ?? null)
  })
})
