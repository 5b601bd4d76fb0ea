// Anthropic's usage, pass by pass: what compaction, advisors and fallbacks used is settled beside what the top says, once.

import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { costOf } from '../../../src/core/prices.ts'
import { TOKEN_CLASSES, type UnitsByClass, type Usage, unitsOf, usageOf, usageSum } from '../../../src/core/usage.ts'
import { createPriceBook } from '../../../src/prices/price-book.ts'
import { anthropicMessages } from '../../../src/wire/anthropic/messages.ts'
import type { AnswerUsage, UsageShare } from '../../../src/wire/dialect.ts'
import { HAS_SHARED_RECORDINGS, recordingsOf } from '../../support/recordings.ts'
import { usedUnits } from '../../support/usage-units.ts'

const SONNET = 'claude-sonnet-5'
const OPUS = 'claude-opus-4-8'

function readMetered(body: string, streaming = false): AnswerUsage | undefined {
  const tap = anthropicMessages.createTap(streaming, streaming ? 'text/event-stream' : 'application/json', false)
  tap.push(Buffer.from(body))
  tap.end()
  return tap.answerUsage()
}

const meteredOf = (usage: object, model: unknown = SONNET) =>
  readMetered(JSON.stringify({ type: 'message', model, usage }))
const counts = (input: number, output: number) => ({ input_tokens: input, output_tokens: output })
const pass = (type: string, input: number, output: number, model?: string | null) =>
  model === undefined ? { type, ...counts(input, output) } : { type, ...counts(input, output), model }

function sharesIn(metered: AnswerUsage | undefined): unknown[] {
  return (metered?.otherUsage ?? []).map(({ model, usage }) => [model, usedUnits(usage)])
}

describe('speed and place', () => {
  test.each([
    [{ service_tier: 'standard', speed: 'fast', inference_geo: 'us' }, 'fast+us'],
    [{ service_tier: 'standard', speed: 'fast' }, 'fast'],
    [{ service_tier: 'standard', speed: 'standard', inference_geo: 'global' }, 'standard'],
  ])('%j is priced as %s', (fields, tier) => {
    expect(meteredOf({ ...counts(1, 1), ...fields })?.serviceTier).toBe(tier)
  })

  test('capacity that is paid for elsewhere costs what all other costs', () => {
    const { price } = createPriceBook().find('anthropic', SONNET, Date.parse('2026-09-01T12:00:00Z'))
    const usage = usageOf({ input: 1_000_000 })
    expect(price && costOf(price, usage, 'priority')).toEqual(price && costOf(price, usage, 'standard'))
  })
})

describe('cache writes', () => {
  const writes = (total: unknown, minutes: unknown, hour: unknown) => ({
    ...counts(1, 0),
    cache_creation_input_tokens: total,
    cache_creation: { ephemeral_5m_input_tokens: minutes, ephemeral_1h_input_tokens: hour },
  })

  test.each([
    ['split as a whole', writes(30, 10, 20), { cacheWrite5m: 10, cacheWrite1h: 20 }],
    [
      'split in part: the rest lives for five minutes',
      writes(10_345, 300, 45),
      { cacheWrite5m: 10_300, cacheWrite1h: 45 },
    ],
    ['not split', writes(10_345, 0, 0), { cacheWrite5m: 10_345 }],
    ['split into more than there is', writes(30, 10, 90), { cacheWrite5m: 10, cacheWrite1h: 90 }],
  ])('%s', (_name, usage, expected) => {
    expect(usedUnits(meteredOf(usage)?.usage)).toEqual({ input: 1, requests: 1, ...expected })
  })
})

describe('passes', () => {
  type Case = [name: string, top: [number, number], iterations: unknown, own: [number, number], also: unknown[]]

  test.each<Case>([
    ['none', [9, 4], undefined, [9, 4], []],
    ['null', [9, 4], null, [9, 4], []],
    ['that are no list', [9, 4], { type: 'compaction', input_tokens: 7 }, [9, 4], []],
    ['that are nothing', [9, 4], [null, 7, 'x', [], {}], [9, 4], [[SONNET, {}]]],
    ['that wrote the message', [9, 4], [pass('message', 3, 1), pass('message', 6, 3, null)], [9, 4], []],
    ['that wrote more than the top says', [9, 4], [pass('message', 30, 1)], [30, 4], []],
    [
      'that compacted, twice',
      [9, 4],
      [pass('compaction', 50, 5), pass('message', 9, 4), pass('compaction', 70, 7)],
      [9, 4],
      [[SONNET, { input: 120, output: 12 }]],
    ],
    [
      'of an advisor',
      [9, 4],
      [pass('message', 3, 1), pass('advisor_message', 50, 5, OPUS), pass('message', 6, 3)],
      [9, 4],
      [[OPUS, { input: 50, output: 5 }]],
    ],
    [
      'of an advisor that is the same model',
      [9, 4],
      [pass('message', 9, 4), pass('advisor_message', 50, 5, SONNET)],
      [9, 4],
      [[SONNET, { input: 50, output: 5 }]],
    ],
    [
      'of a model that declined, which the top leaves out',
      [9, 4],
      [pass('message', 8, 0, OPUS), pass('fallback_message', 9, 4, SONNET)],
      [9, 4],
      [[OPUS, { input: 8 }]],
    ],
    [
      'of a fallback, where the answer bears the name of the model that declined',
      [9, 4],
      [pass('message', 8, 0, SONNET), pass('fallback_message', 9, 4, OPUS)],
      [8, 0],
      [[OPUS, { input: 9, output: 4 }]],
    ],
    [
      'of a fallback, with both in the top',
      [17, 4],
      [pass('message', 8, 0, SONNET), pass('fallback_message', 9, 4, OPUS)],
      [8, 0],
      [[OPUS, { input: 9, output: 4 }]],
    ],
    ['of an unknown kind', [9, 4], [pass('dream', 5, 2)], [9, 4], [[SONNET, { input: 5, output: 2 }]]],
  ])('%s', (_name, [input, output], iterations, own, others) => {
    const metered = meteredOf({ ...counts(input, output), iterations })
    expect([metered?.usage.input, metered?.usage.output]).toEqual(own)
    expect(sharesIn(metered)).toEqual(others)
    expect(metered?.usage.requests).toBe(1)
  })

  test('have cache reads and writes of their own', () => {
    const cached = {
      ...pass('compaction', 100, 83),
      cache_read_input_tokens: 55_096,
      cache_creation_input_tokens: 50,
      cache_creation: { ephemeral_1h_input_tokens: 20 },
    }
    expect(sharesIn(meteredOf({ ...counts(181, 8), iterations: [cached] }))).toEqual([
      [SONNET, { input: 100, output: 83, cacheRead: 55_096, cacheWrite5m: 30, cacheWrite1h: 20 }],
    ])
  })

  test('of ever more models are few shares, and nothing of them is lost', () => {
    const iterations = Array.from({ length: 1_000 }, (_, each) => pass('advisor_message', 1, 1, `m-${each % 500}`))
    const metered = meteredOf({ ...counts(9, 4), iterations })
    expect(metered?.otherUsage?.length).toBeLessThan(10)
    expect(sharesIn(metered)[0]).toEqual(['m-0', { input: 2, output: 2 }])
    expect(total(metered)).toMatchObject({ input: 1_009, output: 1_004 })
  })

  test('come at the end of a stream', () => {
    const start = { model: SONNET, usage: { ...counts(60_385, 5), cache_read_input_tokens: 7 } }
    const end = { ...counts(612, 2_819), cache_read_input_tokens: 0 }
    const iterations = [pass('compaction', 60_385, 522), pass('message', 612, 2_819)]
    const events = [
      { type: 'message_start', message: start },
      { type: 'message_delta', delta: { stop_reason: null }, usage: { ...end, iterations } },
      { type: 'message_delta', delta: { stop_reason: 'end_turn' }, usage: { ...end, iterations: null } },
      { type: 'message_stop' },
    ]
    const metered = readMetered(events.map((event) => `event: x\ndata: ${JSON.stringify(event)}\n\n`).join(''), true)
    expect(usedUnits(metered?.usage)).toEqual({ input: 612, output: 2_819, requests: 1 })
    expect(sharesIn(metered)).toEqual([[SONNET, { input: 60_385, output: 522 }]])
  })

  const anyCount = fc.oneof(fc.nat(1_000), fc.constantFrom(null, -5, '7', 1e300, Number.MAX_SAFE_INTEGER, 0.5))
  const anyTokens = fc.record({
    input_tokens: anyCount,
    output_tokens: anyCount,
    cache_read_input_tokens: anyCount,
    cache_creation_input_tokens: anyCount,
    cache_creation: fc.record({ ephemeral_5m_input_tokens: anyCount, ephemeral_1h_input_tokens: anyCount }),
  })
  const anyPass = fc.record({
    type: fc.constantFrom('message', 'compaction', 'advisor_message', 'fallback_message', 'x', null),
    model: fc.constantFrom(SONNET, OPUS, 'other', null, 7),
    tokens: anyTokens,
  })

  test('never make less of an answer than its top says, nor more than top and passes together, nor nonsense', () => {
    fc.assert(
      fc.property(anyTokens, fc.array(anyPass, { maxLength: 6 }), (top, passes) => {
        const iterations = passes.map(({ tokens, ...rest }) => ({ ...tokens, ...rest }))
        const metered = meteredOf({ ...top, iterations })
        // Figures that are no counts say nothing at all.
        if (!metered) return
        const alone = total(meteredOf(top))
        const all = total(metered)
        const whole = iterations.reduce((sum, iteration) => usageSum(sum, total(meteredOf(iteration))), alone)
        for (const name of TOKEN_CLASSES) {
          const units = unitsOf(all, name)
          expect(Number.isSafeInteger(units)).toBe(true)
          expect(units).toBeGreaterThanOrEqual(unitsOf(alone, name))
          expect(units).toBeLessThanOrEqual(unitsOf(whole, name))
        }
      }),
    )
  })
})

function total(metered: AnswerUsage | undefined): Usage {
  const shares: readonly UsageShare[] = metered?.otherUsage ?? []
  return shares.reduce((sum, { usage }) => usageSum(sum, usage), metered?.usage ?? usageOf())
}

describe.skipIf(!HAS_SHARED_RECORDINGS)('recordings with passes (../shared/recordings)', () => {
  const book = createPriceBook()
  const nanoUsd = ({ usage, model }: UsageShare) => {
    const { price } = book.find('anthropic', model ?? '', Date.parse('2026-09-01T12:00:00Z'))
    return price ? costOf(price, usage).totalNanoUsd : 0n
  }
  const recordings = recordingsOf('anthropic.messages').filter(({ quirks }) => quirks.includes('iterations'))

  // The other party prices what the top says. What it leaves out, by file: whose it is, its tokens in and out, its price.
  const LEFT_OUT: Readonly<Record<string, [string, UnitsByClass, bigint]>> = {
    // Advisors: their own model, at its own price.
    'json-200-claude-sonnet-5-788b10cb': ['claude-opus-4-8', { input: 2_518, output: 22 }, 13_140_000n],
    'json-200-claude-sonnet-5-2b02c4d2': ['claude-opus-4-8', { input: 2_529, output: 38 }, 13_595_000n],
    'sse-200-claude-sonnet-4-6-9baa70e7': ['claude-opus-4-7', { input: 2_728, output: 3_880 }, 110_640_000n],
    'json-200-claude-sonnet-4-6-42ba03c9': ['claude-opus-4-7', { input: 2_728, output: 874 }, 35_490_000n],
    // Compaction: the same model, a pass of its own.
    'json-200-claude-sonnet-4-6-00079f23': ['claude-sonnet-4-6', { input: 55_196, output: 125 }, 167_463_000n],
    'sse-200-claude-sonnet-4-6-379dd827': [
      'claude-sonnet-4-6',
      { input: 100, cacheRead: 55_096, output: 83 },
      18_073_800n,
    ],
    'sse-200-claude-opus-4-6-57ec62ca': ['claude-opus-4-6', { input: 60_385, output: 522 }, 314_975_000n],
    'json-200-claude-opus-4-6-a2e0658b': ['claude-opus-4-6', { input: 60_385, output: 592 }, 316_725_000n],
  }

  test('cost what the other party says for the top, and what it leaves out', () => {
    const found = recordings.map(({ file, stream, response }) => ({
      file,
      metered: readMetered(response.body, stream),
    }))
    const leftOut = found.flatMap(({ file, metered }) =>
      (metered?.otherUsage ?? []).map((share) => [
        file.replace('anthropic-anthropic-messages-', '').replace('.json', ''),
        [share.model, usedUnits(share.usage), nanoUsd(share)],
      ]),
    )
    expect(Object.fromEntries(leftOut)).toEqual(LEFT_OUT)
    expect(recordings).toHaveLength(9)
    for (const { file, metered } of found) {
      if (!metered) throw new Error(`${file} has no usage`)
      expect(Number(nanoUsd(metered)), file).toBeCloseTo((theirCosts().get(file) ?? 0) * 1e9, 2)
    }
  })

  function theirCosts(): ReadonlyMap<string, number> {
    const index: { file: string; expected_cost_usd: number }[] = JSON.parse(
      readFileSync(new URL('../../../../shared/recordings/index.json', import.meta.url), 'utf8'),
    )
    return new Map(index.map(({ file, expected_cost_usd }) => [file, expected_cost_usd]))
  }
})
