// How far quotes of recorded requests lie above what their answers cost: by bytes, and where the input is counted. Where a
// provider counts, the usage that it reported stands for its count.

import { expect, test } from 'vitest'
import { costOf } from '../../src/core/prices.ts'
import { type CountedInput, quote } from '../../src/core/quote.ts'
import { inputTokens, outputTokens } from '../../src/core/usage.ts'
import { tokenUpperBound } from '../../src/counting/tokenizer-worker.ts'
import { createPriceBook } from '../../src/prices/price-book.ts'
import { anthropic } from '../../src/providers/anthropic.ts'
import { gemini } from '../../src/providers/gemini.ts'
import { openai } from '../../src/providers/openai.ts'
import type { Provider } from '../../src/providers/provider.ts'
import { anthropicMessages } from '../../src/wire/anthropic/messages.ts'
import type { Dialect } from '../../src/wire/dialect.ts'
import { geminiGenerate } from '../../src/wire/gemini/generate.ts'
import { openaiChat } from '../../src/wire/openai/chat.ts'
import { openaiResponses } from '../../src/wire/openai/responses.ts'
import { HAS_SHARED_RECORDINGS, type Recording, recordingsOf } from '../support/recordings.ts'
import { lineTo } from './samples.ts'

const SEPTEMBER_MS = Date.parse('2026-09-01T12:00:00Z')
const SETTINGS = { defaultMaxOutputTokens: 4_096, tokenReservation: 'estimate' } as const
const UNUSED = { apiKey: '', baseUrl: 'http://127.0.0.1:9', model: '', callerKeys: false }
const COUNT_SAFETY_FACTOR = 1.1
const book = createPriceBook()

interface Row {
  readonly api: string
  readonly dialect: Dialect
  readonly provider: Provider
  readonly recordedAs: string
}

const ROWS: readonly Row[] = [
  { api: 'openai.chat', dialect: openaiChat, provider: openai.open(UNUSED), recordedAs: 'openai' },
  { api: 'openai.responses', dialect: openaiResponses, provider: openai.open(UNUSED), recordedAs: 'openai' },
  { api: 'anthropic.messages', dialect: anthropicMessages, provider: anthropic.open(UNUSED), recordedAs: 'anthropic' },
  { api: 'gemini.generate_content', dialect: geminiGenerate, provider: gemini.open(UNUSED), recordedAs: 'google' },
]

/** Reserved over used, in tokens taken in and in money, by bytes and counted. */
interface Ratios {
  readonly input: number
  readonly counted: number
  readonly money: number
  readonly countedMoney: number
}

function ratiosOf({ dialect, provider }: Row, recording: Recording): Ratios | undefined {
  const { body, body_trimmed: trimmed, path = '' } = recording.request ?? {}
  if (typeof body !== 'object' || body === null || trimmed || recording.status !== 200) return undefined
  const tap = dialect.createTap(recording.stream, recording.stream ? 'text/event-stream' : 'application/json', false)
  tap.push(Buffer.from(recording.response.body))
  tap.end()
  const metered = tap.answerUsage()
  const text = JSON.stringify(body)
  const { facts: ask } = dialect.readRequest(Buffer.from(text), lineTo(path.split('?')[0] ?? ''))
  const facts = book.find(provider.priceName, ask.model, SEPTEMBER_MS)
  if (!metered || metered.otherUsage || !facts.price || ask.unbounded.length > 0 || ask.unsizedInput) return undefined
  const used = inputTokens(metered.usage)
  const cost = Number(costOf(facts.price, metered.usage, metered.serviceTier ?? undefined).totalNanoUsd)
  if (used === 0 || cost === 0) return undefined
  const counted: CountedInput =
    provider.countingMethod === 'tokenizer'
      ? { text: tokenUpperBound(text) }
      : { all: Math.ceil(used * COUNT_SAFETY_FACTOR), reported: used }
  // What a cap leaves open is the same either way: the answer it got is what is bounded.
  const capped = { ...ask, outputCap: Math.max(1, outputTokens(metered.usage)) }
  const wide = quote(capped, facts, provider.rules, SETTINGS)
  const tight = quote(capped, facts, provider.rules, SETTINGS, undefined, counted)
  return {
    input: wide.inputTokens / used,
    counted: tight.inputTokens / used,
    money: Number(wide.costNanoUsd) / cost,
    countedMoney: Number(tight.costNanoUsd) / cost,
  }
}

const quantile = (share: number, values: readonly number[]) =>
  Number((values.toSorted((left, right) => left - right)[Math.floor(values.length * share)] ?? Number.NaN).toFixed(2))

test('no bounded call used more than its quote, counted or not', () => {
  const table = ROWS.map((row) => {
    const found = recordingsOf(row.api)
      .filter(({ provider }) => provider === row.recordedAs)
      .map((recording) => ({ file: recording.file, ratios: ratiosOf(row, recording) }))
      .flatMap(({ file, ratios }) => (ratios ? [{ file, ...ratios }] : []))
    for (const { file, input, counted, money, countedMoney } of found)
      expect([file, Math.min(input, counted, money, countedMoney) >= 1]).toEqual([file, true])
    const column = (name: keyof Ratios) => {
      const values = found.map((row) => row[name])
      return `${quantile(0.5, values)} / ${quantile(0.95, values)}`
    }
    return {
      api: row.api,
      calls: found.length,
      'input p50 / p95': column('input'),
      'counted input': column('counted'),
      'money p50 / p95': column('money'),
      'counted money': column('countedMoney'),
    }
  })
  console.table(table)
  expect(Math.min(...table.map(({ calls }) => calls))).toBeGreaterThan(HAS_SHARED_RECORDINGS ? 10 : 1)
})
