// Counts by a provider end in time: if it takes too long, the bound by bytes stands.

import { describe, expect, test } from 'vitest'
import { InputCounter } from '../../src/counting/input-counter.ts'
import { fetchProviderCount } from '../../src/counting/provider-count.ts'
import type { AnswerListener, Provider } from '../../src/providers/provider.ts'
import { simulated } from '../../src/providers/simulated/provider.ts'
import { ManualClock } from '../support/clocks.ts'

/** A provider whose answers are the test's, and the listeners of the counts it was asked for. */
function countingProvider(respond: (listener: AnswerListener) => void = () => {}) {
  const listeners: AnswerListener[] = []
  let abortCount = 0
  const provider: Provider = {
    ...simulated(),
    countingMethod: 'endpoint',
    configured: true,
    send: (_outgoing, listener) => {
      listeners.push(listener)
      respond(listener)
      return { pause: () => {}, resume: () => {}, abort: () => abortCount++ }
    },
  }
  const body = Buffer.from('{"model":"m","messages":[]}')
  const call = { provider, dialect: 'anthropic.messages', model: 'm', body, headers: [], callerKey: undefined }
  return { provider, call, listeners, abortCount: () => abortCount }
}

function answer(listener: AnswerListener | undefined, status: number, text: string): void {
  listener?.head(status, [])
  listener?.data(Buffer.from(text))
  listener?.end()
}

describe("a provider's count", () => {
  test('is its answer, with a tenth on top', async () => {
    const clock = new ManualClock()
    const { call, listeners } = countingProvider()
    const counted = new InputCounter(clock).count(call)
    answer(listeners[0], 200, '{"input_tokens":101}')
    expect(await counted).toEqual({ all: 112 })
    expect(clock.timerCount).toBe(0)
  })

  test.each<[string, (listener: AnswerListener) => void]>([
    ['refuses', (listener) => answer(listener, 429, '{"input_tokens":5}')],
    ['answers nonsense', (listener) => answer(listener, 200, '{"input_tokens":"5"}')],
    ['fails at once', (listener) => listener.failed(new Error('refused'))],
    ['answers too much', (listener) => answer(listener, 200, `{"input_tokens":5}${' '.repeat(70_000)}`)],
  ])('is none if the provider %s', async (_what, respond) => {
    const clock = new ManualClock()
    expect(await fetchProviderCount(countingProvider(respond).call, clock)).toBeUndefined()
    expect(clock.timerCount).toBe(0)
  })

  test('is given up after three seconds, and a late answer changes nothing', async () => {
    const clock = new ManualClock()
    const { call, listeners, abortCount } = countingProvider()
    const counted = new InputCounter(clock).count(call)
    clock.advance(2_999)
    expect(abortCount()).toBe(0)
    clock.advance(1)
    expect(abortCount()).toBe(1)
    answer(listeners[0], 200, '{"input_tokens":5}')
    expect(await counted).toBeUndefined()
  })

  test('is not asked for of a provider that has no key, or of a request that cannot be counted whole', async () => {
    const { call, provider, listeners } = countingProvider()
    const counter = new InputCounter(new ManualClock())
    expect(await counter.count({ ...call, provider: { ...provider, configured: false } })).toBeUndefined()
    expect(await counter.count({ ...call, body: Buffer.from('{"something_new":1}') })).toBeUndefined()
    expect(await counter.count({ ...call, body: Buffer.from('{') })).toBeUndefined()
    expect(await counter.count({ ...call, dialect: 'openai.chat' })).toBeUndefined()
    expect(listeners).toHaveLength(0)
  })
})
