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
    expect(await counted).toEqual({ all: 112, reported: 101 })
    expect(clock.timerCount).toBe(0)
  })

  test.each<[string, string, boolean, number]>([
    ['text', '{"totalTokens":100}', false, 110],
    ['text, listed', '{"totalTokens":100,"promptTokensDetails":[{"modality":"TEXT","tokenCount":100}]}', true, 110],
    ['sound', '{"totalTokens":100,"promptTokensDetails":[{"modality":"AUDIO","tokenCount":100}]}', true, 110],
    [
      'text and pages',
      '{"totalTokens":100,"promptTokensDetails":[{"modality":"TEXT","tokenCount":40},{"modality":"DOCUMENT","tokenCount":60}]}',
      true,
      44 + 60 * 17,
    ],
    ['media that is not listed', '{"totalTokens":100}', true, 1_700],
    [
      'media, with a list that makes no sense',
      '{"totalTokens":100,"promptTokensDetails":[null,{"modality":"TEXT","tokenCount":"9"}]}',
      true,
      1_700,
    ],
    [
      'more text than there is',
      '{"totalTokens":100,"promptTokensDetails":[{"modality":"TEXT","tokenCount":900}]}',
      true,
      110,
    ],
  ])('of %s is raised by what the call can take more', async (_what, text, hasMedia, all) => {
    const { call, provider, listeners } = countingProvider()
    const counting = { ...call, hasMedia, provider: { ...provider, visualCountFactor: 17 } }
    const counted = new InputCounter(new ManualClock()).count(counting)
    answer(listeners[0], 200, text)
    expect(await counted).toEqual({ all, reported: 100 })
  })

  test('is that of the input before edits of the context, which leave input out', async () => {
    const { call, listeners } = countingProvider()
    const counted = new InputCounter(new ManualClock()).count(call)
    answer(listeners[0], 200, '{"input_tokens":100,"context_management":{"original_input_tokens":1000}}')
    expect(await counted).toEqual({ all: 1_100, reported: 1_000 })
  })

  test.each<[string, (listener: AnswerListener) => void, string]>([
    ['refuses for a while', (listener) => answer(listener, 429, '{"input_tokens":5}'), 'later'],
    ['is overloaded', (listener) => answer(listener, 529, '{}'), 'later'],
    ['does not count', (listener) => answer(listener, 404, '{"input_tokens":5}'), 'never'],
    ['answers nonsense', (listener) => answer(listener, 200, '{"input_tokens":"5"}'), 'never'],
    ['counts nothing', (listener) => answer(listener, 200, '{"input_tokens":0}'), 'never'],
    ['fails at once', (listener) => listener.failed(new Error('refused')), 'later'],
    ['answers too much', (listener) => answer(listener, 200, `{"input_tokens":5}${' '.repeat(70_000)}`), 'never'],
  ])('is none if the provider %s', async (_what, respond, failure) => {
    const clock = new ManualClock()
    expect(await fetchProviderCount(countingProvider(respond).call, clock)).toBe(failure)
    expect(clock.timerCount).toBe(0)
  })

  test.each([
    ['three seconds', false, 3_000],
    ['ten seconds, if files have to be read', true, 10_000],
  ])('is given up after %s, and a late answer changes nothing', async (_what, hasMedia, timeoutMs) => {
    const clock = new ManualClock()
    const { call, listeners, abortCount } = countingProvider()
    const counted = new InputCounter(clock).count({ ...call, hasMedia })
    clock.advance(timeoutMs - 1)
    expect(abortCount()).toBe(0)
    clock.advance(1)
    expect(abortCount()).toBe(1)
    answer(listeners[0], 200, '{"input_tokens":5}')
    expect(await counted).toBe('later')
  })

  test('waits for no slot, and for no room: no caller takes all of either', async () => {
    const { call, listeners } = countingProvider()
    const counter = new InputCounter(new ManualClock())
    const counts = Array.from({ length: 40 }, () => counter.count({ ...call, caller: 'alice' }))
    expect(listeners).toHaveLength(32)
    expect(await counts.at(-1)).toBe('later')
    const other = counter.count({ ...call, caller: 'bob' })
    for (const listener of listeners) answer(listener, 200, '{"input_tokens":10}')
    expect(await other).toEqual({ all: 11, reported: 10 })

    const body = Buffer.from(`{"model":"m","messages":["${'A'.repeat(40_000_000)}"]}`)
    const large = [counter.count({ ...call, body }), counter.count({ ...call, body })]
    expect(await large[1]).toBe('later')
    answer(listeners.at(-1), 200, '{"input_tokens":10}')
    expect(await large[0]).toEqual({ all: 11, reported: 10 })
    const again = counter.count({ ...call, body })
    answer(listeners.at(-1), 200, '{"input_tokens":10}')
    expect(await again).toEqual({ all: 11, reported: 10 })
  })

  test('is not asked for of a provider that has no key, or of a request that cannot be counted whole', async () => {
    const { call, provider, listeners } = countingProvider()
    const counter = new InputCounter(new ManualClock())
    expect(await counter.count({ ...call, provider: { ...provider, configured: false } })).toBe('never')
    expect(await counter.count({ ...call, body: Buffer.from('{"something_new":1}') })).toBe('never')
    expect(await counter.count({ ...call, body: Buffer.from('{') })).toBe('never')
    expect(await counter.count({ ...call, dialect: 'openai.chat' })).toBe('never')
    expect(listeners).toHaveLength(0)
  })
})
