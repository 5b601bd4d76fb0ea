// Real exchanges with providers: their bytes pass as they came, their usage is what another party reads in it, and a quote of
// the recorded request bounds what was really used. What differs is listed by file and cause.

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { costOf } from '../../src/core/prices.ts'
import { type QuoteRules, quote } from '../../src/core/quote.ts'
import { inputTokens, outputTokens, unitsOf, usageSum } from '../../src/core/usage.ts'
import { createPriceBook } from '../../src/prices/price-book.ts'
import { anthropic } from '../../src/providers/anthropic.ts'
import { compatible } from '../../src/providers/compatible/compatible.ts'
import { PRESET_NAMES, presetRow } from '../../src/providers/compatible/presets.ts'
import { gemini } from '../../src/providers/gemini.ts'
import { openai } from '../../src/providers/openai.ts'
import { anthropicCountTokens } from '../../src/wire/anthropic/count-tokens.ts'
import { anthropicMessages } from '../../src/wire/anthropic/messages.ts'
import type { AnswerUsage, Dialect, Tap } from '../../src/wire/dialect.ts'
import { geminiEmbed } from '../../src/wire/gemini/embed.ts'
import { geminiGenerate } from '../../src/wire/gemini/generate.ts'
import { openaiChat } from '../../src/wire/openai/chat.ts'
import { openaiCompletions } from '../../src/wire/openai/completions.ts'
import { openaiEmbeddings } from '../../src/wire/openai/embeddings.ts'
import { openaiResponses } from '../../src/wire/openai/responses.ts'
import { HAS_SHARED_RECORDINGS, type Recording, recordingsOf, sharedOf, splitAt } from '../support/recordings.ts'
import { lineTo } from './samples.ts'
import { bytewise, feed, type TapResult } from './streams.ts'

/** The day of the other party's prices. */
const SEPTEMBER_MS = Date.parse('2026-09-01T12:00:00Z')
const SETTINGS = { defaultMaxOutputTokens: 4_096, tokenReservation: 'estimate' } as const
const UNUSED = { apiKey: '', baseUrl: 'http://127.0.0.1:9', model: '' }
const book = createPriceBook()
const PRESET_RULES: ReadonlyMap<string, QuoteRules> = new Map(
  PRESET_NAMES.map((name) => {
    const row = { ...presetRow(name), baseUrl: UNUSED.baseUrl, name, missingVariable: undefined, callerKeys: false }
    return [name, compatible(row).rules]
  }),
)

/** Why some recordings do not come out as expected: by cause, the files. */
type Causes = Readonly<Record<string, readonly string[]>>

/** An error with the status of an answer. */
const ERROR_DOCUMENT = 'azure-chat-json-200-openllmetry-testing-3a66b809.json'

interface Corpus {
  readonly api: string
  readonly dialect: Dialect
  readonly rules: QuoteRules
  /** True where calls to compatible endpoints are quoted by their own rules. */
  readonly presets?: true
  readonly count: number
  /** Usage that differs from the other party's. */
  readonly usage: Causes
  /** Requests that do not say what they ask for, and how many. */
  readonly modelInPath: number
  /** Calls that used more than their quote. */
  readonly exceeded: Causes
  /** Recordings that the other party read a usage in. */
  readonly withUsage: number
  /** Requests by the verdict on their quotes; `withoutPrice` ones are bounded in tokens alone. */
  readonly asked: Readonly<Record<'bounded' | 'withoutPrice' | 'unbounded' | 'trimmed' | 'withoutUsage', number>>
}

const CORPORA: readonly Corpus[] = [
  {
    api: 'openai.chat',
    dialect: openaiChat,
    rules: openai.open(UNUSED).rules,
    count: 187,
    usage: {
      'more is cached than there is prompt; it is cut to fit': [
        'azure-chat-json-200-grok-4-1-fast-non-reasoning-813f1b24.json',
        'azure-chat-json-200-grok-4-1-fast-non-reasoning-b43086b7.json',
        'azure-chat-sse-200-grok-4-1-fast-non-reasoning-80271dea.json',
        'openrouter-chat-json-200-google-gemini-2-5-flash-64aff6e6.json',
      ],
      'OpenRouter counts searches among server tools, where the other party does not look': [
        'openrouter-chat-json-200-deepseek-deepseek-chat-3666e01d.json',
        'openrouter-chat-json-200-openai-gpt-5-2-2216a7e6.json',
      ],
      'Mistral counts sound beside the prompt, where the other party does not look': [
        'mistral-chat-json-200-voxtral-small-latest-69c778d7.json',
        'mistral-chat-json-200-voxtral-small-latest-e7268617.json',
      ],
    },
    modelInPath: 9,
    presets: true,
    exceeded: {},
    withUsage: 152,
    asked: { bounded: 121, withoutPrice: 27, unbounded: 6, trimmed: 8, withoutUsage: 30 },
  },
  {
    api: 'openai.responses',
    dialect: openaiResponses,
    rules: openai.open(UNUSED).rules,
    count: 65,
    usage: {
      'the other party does not look among the output for searches, nor where xAI counts them': [
        'deepseek-responses-json-200-deepseek-v4-flash-ba279545.json',
        'openai-responses-sse-200-gpt-5-80e7a46a.json',
        'openai-responses-sse-200-gpt-5-e13dfa2a.json',
        'openai-responses-sse-200-gpt-5-mini-4546f041.json',
        'xai-responses-json-200-grok-4-3-5c55ef17.json',
        'xai-responses-sse-200-grok-4-fast-reasoning-0f20b13a.json',
        'xai-responses-sse-200-grok-4-fast-reasoning-3b56b469.json',
      ],
    },
    modelInPath: 0,
    exceeded: {},
    withUsage: 59,
    asked: { bounded: 38, withoutPrice: 5, unbounded: 8, trimmed: 1, withoutUsage: 4 },
  },
  {
    api: 'anthropic.messages',
    dialect: anthropicMessages,
    rules: anthropic.open(UNUSED).rules,
    count: 66,
    usage: {
      'the stream broke off: we read what had come so far': ['own-anthropic-messages-sse-200-overloaded.json'],
      'it leaves out the passes of advisors': [
        'anthropic-anthropic-messages-json-200-claude-sonnet-4-6-42ba03c9.json',
        'anthropic-anthropic-messages-json-200-claude-sonnet-5-2b02c4d2.json',
        'anthropic-anthropic-messages-json-200-claude-sonnet-5-788b10cb.json',
        'anthropic-anthropic-messages-sse-200-claude-sonnet-4-6-9baa70e7.json',
      ],
      'it leaves out passes that compacted the context': [
        'anthropic-anthropic-messages-json-200-claude-opus-4-6-a2e0658b.json',
        'anthropic-anthropic-messages-json-200-claude-sonnet-4-6-00079f23.json',
        'anthropic-anthropic-messages-sse-200-claude-opus-4-6-57ec62ca.json',
        'anthropic-anthropic-messages-sse-200-claude-sonnet-4-6-379dd827.json',
      ],
    },
    modelInPath: 7,
    exceeded: {},
    withUsage: 60,
    asked: { bounded: 37, withoutPrice: 0, unbounded: 13, trimmed: 0, withoutUsage: 2 },
  },
  {
    api: 'gemini.generate_content',
    dialect: geminiGenerate,
    rules: gemini.open(UNUSED).rules,
    count: 67,
    usage: {
      'the other party does not look for searches beside the usage': [
        'google-gemini-generate-content-json-200-gemini-3-flash-preview-11f1ca26.json',
        'google-gemini-generate-content-sse-200-gemini-2-5-flash-568ddc67.json',
        'google-gemini-generate-content-sse-200-gemini-3-flash-preview-83466354.json',
        'google-vertex-gemini-generate-content-json-200-gemini-2-5-flash-5a7bcaa7.json',
      ],
      'the count of the prompt falls by one token within the stream; the larger one counts': [
        'google-gemini-generate-content-sse-200-gemini-2-0-flash-6fe3237f.json',
        'google-gemini-generate-content-sse-200-gemini-2-0-flash-exp-488010dd.json',
      ],
    },
    modelInPath: 0,
    exceeded: {},
    withUsage: 61,
    asked: { bounded: 36, withoutPrice: 0, unbounded: 10, trimmed: 14, withoutUsage: 3 },
  },
  {
    api: 'openai.completions',
    dialect: openaiCompletions,
    rules: openai.open(UNUSED).rules,
    count: 15,
    usage: {},
    modelInPath: 0,
    exceeded: {},
    withUsage: 9,
    asked: { bounded: 9, withoutPrice: 1, unbounded: 0, trimmed: 0, withoutUsage: 6 },
  },
  {
    api: 'openai.embeddings',
    dialect: openaiEmbeddings,
    rules: openai.open(UNUSED).rules,
    count: 20,
    usage: {
      'Voyage gives a total alone, which is all input': ['voyage-embeddings-json-200-voyage-3-5-0e359da3.json'],
    },
    modelInPath: 2,
    exceeded: {},
    withUsage: 16,
    asked: { bounded: 16, withoutPrice: 5, unbounded: 0, trimmed: 0, withoutUsage: 3 },
  },
  {
    api: 'anthropic.count_tokens',
    dialect: anthropicCountTokens,
    rules: anthropic.open(UNUSED).rules,
    count: 2,
    usage: {
      'counted, and not used: the other party reads nothing, we read that nothing was used': [
        'anthropic-anthropic-count-tokens-json-200-claude-haiku-4-5-5ab1c3a5.json',
        'anthropic-anthropic-count-tokens-json-404-claude-does-not-exist-3146d5c4.json',
      ],
    },
    modelInPath: 0,
    exceeded: {},
    withUsage: 0,
    asked: { bounded: 1, withoutPrice: 0, unbounded: 0, trimmed: 0, withoutUsage: 1 },
  },
  {
    api: 'gemini.embed_content',
    dialect: geminiEmbed,
    rules: gemini.open(UNUSED).rules,
    count: 8,
    usage: {},
    modelInPath: 0,
    exceeded: {},
    withUsage: 6,
    asked: { bounded: 5, withoutPrice: 0, unbounded: 0, trimmed: 1, withoutUsage: 2 },
  },
]

describe.each(CORPORA)('recordings of $api', (corpus) => {
  const { dialect } = corpus
  const recordings = recordingsOf(corpus.api)
  const asked = recordings.filter(
    (recording) => typeof recording.request?.body === 'object' && recording.request.body !== null,
  )
  /** The files that a table lists, of those there are. */
  const presentIn = (causes: Causes) =>
    Object.values(causes)
      .flat()
      .filter((listed) => recordings.some(({ file }) => file === listed))
      .toSorted()
  const tapOf = (recording: Recording, hides = false) =>
    dialect.createTap(recording.stream, contentType(recording), hides)

  test.skipIf(!HAS_SHARED_RECORDINGS)('are as many as there were (../shared/recordings)', () => {
    const shared = sharedOf(recordings)
    expect(shared).toHaveLength(corpus.count)
    expect(shared.filter((recording) => recording.expected_usage)).toHaveLength(corpus.withUsage)
  })

  test('pass as they came and mean the same, however they are cut', () => {
    for (const recording of recordings) {
      const bytes = Buffer.from(recording.response.body)
      const whole = readTap(tapOf(recording), [bytes])
      expect(whole.out.equals(bytes), recording.file).toBe(true)
      for (const chunks of splits(recording, bytes))
        expect(isSame(readTap(tapOf(recording), chunks), whole), recording.file).toBe(true)
    }
  })

  test('say how they ended', () => {
    for (const recording of recordings) {
      const [finished, , failed] = readTap(tapOf(recording), [Buffer.from(recording.response.body)]).ends
      const broken = recording.flags.includes('mid_stream_error') || recording.file === ERROR_DOCUMENT
      if (recording.status < 400) expect([finished, failed], recording.file).toEqual([!broken, broken])
    }
  })

  test('have the usage that another reader than ours finds in them', () => {
    const differing = recordings.filter((recording) => {
      const { metered } = readTap(tapOf(recording), [Buffer.from(recording.response.body)])
      const expected = recording.expected_usage ?? undefined
      return JSON.stringify(inRecordedTerms(metered)) !== JSON.stringify(expected && complete(expected))
    })
    expect(filesOf(differing)).toEqual(presentIn(corpus.usage))
  })

  test('were asked for in ways that are read, and used no more than their quotes', () => {
    const exceeding = asked.filter((recording) => verdict(corpus, recording) === 'exceeded')
    expect(filesOf(exceeding)).toEqual(presentIn(corpus.exceeded))
  })

  test.skipIf(!HAS_SHARED_RECORDINGS)('have quotes of as many kinds as they had (../shared/recordings)', () => {
    const shared = sharedOf(asked)
    const found = Map.groupBy(shared, (recording) => verdict(corpus, recording))
    const count = (...verdicts: Verdict[]) =>
      verdicts.reduce((sum, verdict) => sum + (found.get(verdict)?.length ?? 0), 0)
    expect({
      bounded: count('bounded', 'boundedInTokens', 'exceeded'),
      withoutPrice: count('boundedInTokens'),
      unbounded: count('unbounded'),
      trimmed: count('trimmed'),
      withoutUsage: count('withoutUsage'),
    }).toEqual(corpus.asked)
    expect(shared.filter((recording) => askOf(corpus.dialect, recording).added)).toHaveLength(corpus.modelInPath)
  })
})

describe('recorded streams of openai.chat with usage hidden', () => {
  const streams = recordingsOf('openai.chat').filter(({ stream }) => stream)
  const eventsOf = ({ response }: Recording) => response.body.split(/(?<=\n\r?\n)/)

  test('lack exactly the events that have usage and no choices, however they are cut', () => {
    for (const recording of streams) {
      const shown = eventsOf(recording).filter((event) => !isUsageAlone(event))
      const bytes = Buffer.from(recording.response.body)
      for (const chunks of [[bytes], ...splits(recording, bytes)]) {
        const { out } = readTap(openaiChat.createTap(true, 'text/event-stream', true), chunks)
        expect(out.equals(Buffer.from(shown.join(''))), recording.file).toBe(true)
      }
    }
  })

  test.skipIf(!HAS_SHARED_RECORDINGS)('have as many of these events as they had (../shared/recordings)', () => {
    expect(sharedOf(streams).flatMap(eventsOf).filter(isUsageAlone)).toHaveLength(32)
  })
})

interface TapReading extends Pick<TapResult, 'out' | 'ends'> {
  readonly metered: AnswerUsage | undefined
}

function readTap(tap: Tap, chunks: Iterable<Buffer>): TapReading {
  const { out, ends } = feed(tap, chunks)
  return { out, ends, metered: tap.answerUsage() }
}

function isSame(left: TapReading, right: TapReading): boolean {
  return left.out.equals(right.out) && plainJson([left.ends, left.metered]) === plainJson([right.ends, right.metered])
}

/** `unbounded`: the provider may run tools of its own. `trimmed`: the request's media was cut out of the recording. */
type Verdict = 'bounded' | 'boundedInTokens' | 'exceeded' | 'unbounded' | 'trimmed' | 'withoutUsage'

function verdict({ dialect, presets, ...corpus }: Corpus, recording: Recording): Verdict {
  const { ask } = askOf(dialect, recording)
  const tap = dialect.createTap(recording.stream, contentType(recording), false)
  const { metered } = readTap(tap, [Buffer.from(recording.response.body)])
  if (!metered || recording.status >= 400) return 'withoutUsage'
  if (ask.unbounded.length > 0) return 'unbounded'
  if (recording.request?.body_trimmed) return 'trimmed'
  const facts = book.find(recording.provider, ask.model, SEPTEMBER_MS)
  const rules = presets ? PRESET_RULES.get(recording.provider) : undefined
  const bound = quote(ask, facts, rules ?? corpus.rules, SETTINGS)
  const { usage, model, serviceTier } = metered
  if (inputTokens(usage) > bound.inputTokens || outputTokens(usage) > bound.outputTokens) return 'exceeded'
  if (!facts.price) return 'boundedInTokens'
  const answered = model === null ? undefined : book.find(recording.provider, model, SEPTEMBER_MS).price
  const { totalNanoUsd } = costOf(answered ?? facts.price, usage, serviceTier ?? undefined)
  return totalNanoUsd <= bound.costNanoUsd ? 'bounded' : 'exceeded'
}

function contentType({ stream, flags }: Recording): string {
  return stream && !flags.includes('json_array_stream') ? 'text/event-stream' : 'application/json'
}

/** As recorded off the socket, byte by byte, and five times at random. */
function* splits(recording: Recording, bytes: Buffer): Generator<Iterable<Buffer>> {
  if (recording.response.chunk_bytes) yield splitAt(bytes, recording.response.chunk_bytes)
  yield bytewise(bytes)
  const lengths = fc.array(fc.integer({ min: 1, max: Math.max(2, bytes.length >> 2) }), { minLength: 3, maxLength: 40 })
  for (const sizes of fc.sample(lengths, 5)) yield splitAt(bytes, sizes)
}

/** Members of usage by the other party's names, all of them, in one order. */
function complete(counts: Readonly<Record<string, number>>): Record<string, number> {
  const names = [
    'input_tokens',
    'output_tokens',
    'cache_read_tokens',
    'cache_write_tokens',
    'cache_write_1h_tokens',
    'input_audio_tokens',
    'cache_audio_read_tokens',
    'output_audio_tokens',
    'output_reasoning_tokens',
    'web_searches',
  ]
  return Object.fromEntries(names.map((name) => [name, counts[name] ?? 0]))
}

function inRecordedTerms(metered: AnswerUsage | undefined): Record<string, number> | undefined {
  if (!metered) return undefined
  const { reasoningTokens, otherUsage = [] } = metered
  const usage = otherUsage.reduce((sum, share) => usageSum(sum, share.usage), metered.usage)
  return complete({
    input_tokens: inputTokens(usage),
    output_tokens: outputTokens(usage),
    cache_read_tokens: usage.cacheRead + unitsOf(usage, 'audioCacheRead'),
    cache_write_tokens: usage.cacheWrite5m + unitsOf(usage, 'cacheWrite1h'),
    cache_write_1h_tokens: unitsOf(usage, 'cacheWrite1h'),
    input_audio_tokens: unitsOf(usage, 'audioInput') + unitsOf(usage, 'audioCacheRead'),
    cache_audio_read_tokens: unitsOf(usage, 'audioCacheRead'),
    output_audio_tokens: unitsOf(usage, 'audioOutput'),
    output_reasoning_tokens: reasoningTokens,
    web_searches: unitsOf(usage, 'webSearches'),
  })
}

/** The ask of a recorded request. Azure and Vertex name more in the path than we do: it is put where it is looked for. */
function askOf(dialect: Dialect, { request, model }: Recording) {
  const body = { ...(request?.body as object) }
  const added = !dialect.name.startsWith('gemini.') && !('model' in body)
  const bytes = Buffer.from(JSON.stringify(added ? { ...body, model: model ?? 'unknown' } : body))
  const path = request?.path.replace(/^.*\/models\//, '/v1beta/models/').split('?')[0] ?? ''
  return { ask: dialect.readRequest(bytes, lineTo(path)).facts, added }
}

function isUsageAlone(event: string): boolean {
  const data = /^data: ?(\{.*\})\r?$/m.exec(event)?.[1]
  if (data === undefined) return false
  const { choices, usage } = JSON.parse(data)
  return Array.isArray(choices) && choices.length === 0 && typeof usage === 'object' && usage !== null
}

function filesOf(recordings: readonly Recording[]): string[] {
  return recordings.map((recording) => recording.file).toSorted()
}

function plainJson(value: unknown): string {
  return JSON.stringify(value, (_name, member) => (typeof member === 'bigint' ? `${member}` : member))
}
