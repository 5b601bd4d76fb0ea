import fc from 'fast-check'
import { expect, test } from 'vitest'
import { SlotCache } from '../../src/core/slot-cache.ts'

test('returns the value of a text, whichever texts came before', () => {
  const texts = fc.array(fc.string({ maxLength: 80, unit: fc.constantFrom('a', 'b', 'é') }))
  fc.assert(
    fc.property(texts, (list) => {
      const memo = new SlotCache((text) => `<${text}>`)
      for (const text of list) expect(memo.get(text)).toBe(`<${text}>`)
    }),
  )
})

test('makes the value of a short text once, and that of a long text each time', () => {
  const made: string[] = []
  const memo = new SlotCache((text) => made.push(text))
  const [short, long] = ['x'.repeat(64), 'x'.repeat(65)]
  for (const text of ['content-type', 'content-type', '', '', short, short, long, long]) memo.get(text)
  expect(made).toEqual(['content-type', '', short, long, long])
})

test('keeps undefined, too', () => {
  let times = 0
  const memo = new SlotCache(() => void times++)
  expect([memo.get('host'), memo.get('host'), times]).toEqual([undefined, undefined, 1])
})

test('names of headers that SDKs and providers send have slots of their own', () => {
  const names = `host connection accept accept-encoding content-type content-length user-agent authorization x-api-key
    anthropic-version anthropic-beta x-stainless-lang x-stainless-package-version x-stainless-os x-stainless-arch
    x-stainless-runtime x-stainless-runtime-version x-stainless-retry-count x-stainless-timeout x-goog-api-key x-goog-api-client
    date server cf-ray cf-cache-status x-request-id request-id openai-processing-ms openai-version openai-organization
    x-ratelimit-limit-requests x-ratelimit-limit-tokens x-ratelimit-remaining-requests x-ratelimit-remaining-tokens
    x-ratelimit-reset-requests x-ratelimit-reset-tokens anthropic-ratelimit-requests-limit anthropic-ratelimit-requests-remaining
    anthropic-ratelimit-requests-reset anthropic-ratelimit-tokens-limit anthropic-ratelimit-tokens-remaining
    anthropic-ratelimit-tokens-reset anthropic-ratelimit-input-tokens-limit anthropic-ratelimit-output-tokens-limit
    anthropic-ratelimit-output-tokens-reset`.split(/\s+/)
  const made: string[] = []
  const memo = new SlotCache((name) => made.push(name))
  for (const name of [...names, ...names]) memo.get(name)
  expect(made).toEqual(names)
})
