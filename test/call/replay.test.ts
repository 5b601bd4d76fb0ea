// Every recorded exchange of the dialects there are, replayed through the gateway over real sockets: the bytes that come out are
// the bytes that were recorded, and what is settled is the usage and the cost that another party finds in them.

import { setImmediate as turn } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { readFileConfig } from '../../src/config/file.ts'
import { inputTokens, outputTokens } from '../../src/core/usage.ts'
import { EagerTimers, ManualClock } from '../support/clocks.ts'
import { GatewayFixture } from '../support/gateway.ts'
import type { ProviderRequest } from '../support/provider.ts'
import { HAS_SHARED_RECORDINGS, type Recording, recordingsOf, sharedOf, splitAt } from '../support/recordings.ts'
import { Random, SEED } from './random.ts'

/** The day of the other party's prices. */
const SEPTEMBER_MS = Date.parse('2026-09-01T12:00:00Z')
const SPLITS = ['as recorded', 'byte by byte', 'at random'] as const
type Split = (typeof SPLITS)[number]
/** Longer bodies come 61 bytes at a time where they would come one by one: the dialects' own tests cut them all. */
const MAX_BYTEWISE_BYTES = 3_000
const CONCURRENT_CALLS = 8
/** Of one call from the next, on the gateway's clock. */
const CALL_GAP_MS = 5_000

/** Several answers, one after the other in one body: the first is passed on, and ends the call. */
const SEVERAL_IN_ONE = [
  'anthropic-anthropic-messages-sse-200-claude-sonnet-4-5-046f6f81.json',
  'openai-responses-sse-200-gpt-5-1-codex-max-c6f8e64b.json',
]

/** What is settled otherwise than the other party would: why, and which. */
const KNOWN_DIFFERENCES: Readonly<Record<string, readonly string[]>> = {
  'Voxtral counts sound beside the prompt, and theirs leaves it out': [
    'mistral-chat-json-200-voxtral-small-latest-69c778d7.json',
    'mistral-chat-json-200-voxtral-small-latest-e7268617.json',
  ],
  "the price is the answering model's, where theirs is of what the alias once meant": [
    'deepseek-chat-json-200-deepseek-reasoner-7af1b1e4.json',
    'deepseek-chat-sse-200-deepseek-chat-7318b68a.json',
    'deepseek-chat-sse-200-deepseek-chat-b8e0a66c.json',
    'mistral-chat-json-200-mistral-small-latest-06c6a068.json',
    'mistral-chat-json-200-mistral-small-latest-8e972607.json',
    'mistral-chat-json-200-mistral-small-latest-9233384b.json',
    'mistral-chat-sse-200-mistral-small-latest-4ce67778.json',
    'mistral-chat-sse-200-mistral-small-latest-86ef12a2.json',
    'mistral-chat-sse-200-mistral-small-latest-bc6cdce5.json',
  ],
  "Azure's regional deployments of embeddings cost a tenth more": [
    'azure-embeddings-json-200-text-embedding-3-large-26a89913.json',
    'azure-embeddings-json-200-text-embedding-3-small-bf3a0ae1.json',
    'azure-embeddings-json-200-text-embedding-ada-002-cb4c9160.json',
  ],
  'sound and pictures have rates of their own': [
    'openai-chat-json-200-gpt-4o-audio-preview-ce279c64.json',
    'google-gemini-embed-content-json-200-gemini-embedding-2-caab9583.json',
  ],
  'the service tier of the answer is more expensive or cheaper': [
    'openai-chat-json-200-gpt-5-5cbc1563.json',
    'openai-chat-json-200-gpt-5-b8d6a404.json',
    'openai-chat-json-200-gpt-5-d8feffdb.json',
    'openai-responses-sse-200-gpt-5-ee52377c.json',
  ],
  'the price was doubled since, and OpenRouter billed as we do': [
    'openrouter-chat-sse-200-anthropic-claude-3-5-sonnet-ac65984a.json',
  ],
  'the provider states what it charged': [
    'openrouter-chat-json-200-deepseek-deepseek-chat-3666e01d.json',
    'openrouter-chat-json-200-google-gemini-2-5-flash-5712cf10.json',
    'openrouter-chat-json-200-openai-gpt-5-2-2216a7e6.json',
    'openrouter-chat-sse-200-openai-gpt-4o-mini-abde674b.json',
    'openrouter-responses-sse-200-openai-gpt-oss-20b-f8ca48aa.json',
  ],
  'the name is billed as another model since': ['xai-responses-sse-200-grok-code-fast-1-f41875ca.json'],
  'the count of the prompt falls by one token within the stream, and the larger one counts': [
    'google-gemini-generate-content-sse-200-gemini-2-0-flash-6fe3237f.json',
    'google-gemini-generate-content-sse-200-gemini-2-0-flash-exp-488010dd.json',
  ],
  'searches are billed by the piece': [
    'google-gemini-generate-content-json-200-gemini-3-flash-preview-11f1ca26.json',
    'google-gemini-generate-content-sse-200-gemini-2-5-flash-568ddc67.json',
    'google-gemini-generate-content-sse-200-gemini-3-flash-preview-83466354.json',
    'google-vertex-gemini-generate-content-json-200-gemini-2-5-flash-5a7bcaa7.json',
    'openai-responses-sse-200-gpt-5-80e7a46a.json',
    'openai-responses-sse-200-gpt-5-e13dfa2a.json',
    'openai-responses-sse-200-gpt-5-mini-4546f041.json',
    'xai-responses-json-200-grok-4-3-5c55ef17.json',
    'xai-responses-sse-200-grok-4-fast-reasoning-0f20b13a.json',
    'xai-responses-sse-200-grok-4-fast-reasoning-3b56b469.json',
  ],
  'files are searched, and code and containers run, by the piece': [
    'azure-responses-json-200-gpt-5-mini-afcb9bf8.json',
    'azure-responses-json-200-gpt-5-mini-e21b02f3.json',
    'openai-responses-json-200-gpt-5-2-2e741781.json',
    'openai-responses-sse-200-gpt-5-c4dff249.json',
    'xai-responses-json-200-grok-4-fast-reasoning-b9837128.json',
  ],
  'containers are billed by their time': [
    'anthropic-anthropic-messages-json-200-claude-sonnet-4-6-e7c62d50.json',
    'anthropic-anthropic-messages-json-200-claude-sonnet-5-51d6a370.json',
    'anthropic-anthropic-messages-sse-200-claude-sonnet-5-5bec8006.json',
  ],
  'nobody has published what its searches cost': ['deepseek-responses-json-200-deepseek-v4-flash-ba279545.json'],
  'passes of compaction and advisors are no part of the top level': [
    'anthropic-anthropic-messages-json-200-claude-opus-4-6-a2e0658b.json',
    'anthropic-anthropic-messages-json-200-claude-sonnet-4-6-00079f23.json',
    'anthropic-anthropic-messages-json-200-claude-sonnet-4-6-42ba03c9.json',
    'anthropic-anthropic-messages-json-200-claude-sonnet-5-2b02c4d2.json',
    'anthropic-anthropic-messages-json-200-claude-sonnet-5-788b10cb.json',
    'anthropic-anthropic-messages-sse-200-claude-opus-4-6-57ec62ca.json',
    'anthropic-anthropic-messages-sse-200-claude-sonnet-4-6-379dd827.json',
    'anthropic-anthropic-messages-sse-200-claude-sonnet-4-6-9baa70e7.json',
  ],
}

/** Recordings with the status of an answer that are errors from their first word, and the status that each error names. */
const ERRORS_IN_A_200: ReadonlyMap<string, number> = new Map([
  ['azure-chat-json-200-openllmetry-testing-3a66b809.json', 400],
  ['openai-responses-sse-200-gpt-5-nano-c39351f4.json', 429],
  ['anthropic-anthropic-messages-sse-200-x-b735c4fa.json', 529],
  ['groq-chat-sse-200-meta-llama-llama-4-scout-17b-16e-instruct-1e29536b.json', 400],
  ['openai-responses-sse-200-gpt-6-astra-ae8bda0d.json', 500],
])

/** Where some of them state the cost of an answer. */
const COST_FIELDS: Readonly<Record<string, string>> = {
  openrouter: 'usage.cost',
  perplexity: 'usage.cost.total_cost',
  xai: 'usage.cost_in_usd_ticks',
}

interface Api {
  readonly api: string
  /** Real exchanges, of ../shared/recordings. */
  readonly count: number
  /** @param model as it was asked, with its provider in front where that is not the dialect's own */
  readonly path: (recording: Recording) => string
  readonly request: (model: string, stream: boolean) => object
}

const chat = (model: string, stream: boolean) => ({
  model,
  messages: [{ role: 'user', content: 'hello' }],
  ...(stream ? { stream, stream_options: { include_usage: true } } : {}),
})
const contents = () => ({ contents: [{ role: 'user', parts: [{ text: 'hello' }] }] })
/** What a recording was asked at, of models behind paths of their own. */
const geminiPath = (usual: string) => (recording: Recording) => {
  const [, call] = /\/models\/([^/?]+:\w+)/.exec(recording.request?.path ?? '') ?? []
  const method = recording.stream ? 'streamGenerateContent' : usual
  const isArray = recording.response.body.startsWith('[')
  return `/v1beta/models/${call ?? `${recording.model ?? 'gemini-2.5-flash'}:${method}`}${recording.stream && !isArray ? '?alt=sse' : ''}`
}

const APIS: readonly Api[] = [
  { api: 'openai.chat', count: 187, path: () => '/v1/chat/completions', request: chat },
  {
    api: 'openai.responses',
    count: 65,
    path: () => '/v1/responses',
    request: (model, stream) => ({ model, input: 'hello', stream }),
  },
  {
    api: 'openai.embeddings',
    count: 20,
    path: () => '/v1/embeddings',
    request: (model) => ({ model, input: 'hello' }),
  },
  {
    api: 'openai.completions',
    count: 15,
    path: () => '/v1/completions',
    request: (model, stream) => ({
      model,
      prompt: 'hello',
      ...(stream ? { stream, stream_options: { include_usage: true } } : {}),
    }),
  },
  {
    api: 'anthropic.messages',
    count: 66,
    path: () => '/v1/messages',
    request: (model, stream) => ({ model, max_tokens: 10, messages: [{ role: 'user', content: 'hello' }], stream }),
  },
  {
    api: 'anthropic.count_tokens',
    count: 2,
    path: () => '/v1/messages/count_tokens',
    request: (model) => ({ model, messages: [{ role: 'user', content: 'hello' }] }),
  },
  { api: 'gemini.generate_content', count: 67, path: geminiPath('generateContent'), request: contents },
  {
    api: 'gemini.embed_content',
    count: 8,
    path: geminiPath('embedContent'),
    request: () => ({ content: { parts: [{ text: 'hello' }] } }),
  },
]

/** Providers of the corpus that speak OpenAI's dialects, and what the price book calls them. */
const COMPATIBLE: Readonly<Record<string, string>> = {
  alibaba: 'alibaba',
  // Its OpenAI-compatible endpoint.
  'anthropic-compatible': 'anthropic',
  azure: 'azure',
  bedrock_mantle: 'aws',
  cerebras: 'cerebras',
  crusoe: 'crusoe',
  deepseek: 'deepseek',
  groq: 'groq',
  huggingface: 'huggingface',
  mistral: 'mistral',
  moonshot: 'moonshotai',
  ollama: 'ollama',
  openai_compatible: 'openai_compatible',
  openrouter: 'openrouter',
  perplexity: 'perplexity',
  snowflake: 'snowflake',
  together: 'together',
  vllm: 'vllm',
  voyage: 'voyage',
  xai: 'xai',
  zai: 'zai',
}
const DIALECTS = ['openai.chat', 'openai.completions', 'openai.embeddings', 'openai.responses']

interface ReplayResult {
  readonly recording: Recording
  readonly status: number
  readonly bytes: Buffer
  readonly usage: { readonly input: number; readonly output: number } | null
  readonly costUsd: number
  readonly certainty: string | undefined
  readonly open: boolean
}

const allRecordings = APIS.flatMap(({ api }) => recordingsOf(api))
let gateway: GatewayFixture

/** Answers with the recording that a request's header names, in the pieces that another header names. */
async function replay({ headers, response }: ProviderRequest): Promise<void> {
  const recording = allRecordings[Number(headers['x-replay'])]
  if (!recording) throw new Error('nothing to replay')
  const given = Object.entries(recording.response.headers).filter(
    ([name]) => !/^(content-(length|encoding)|transfer-encoding|connection)$/i.test(name),
  )
  // Some recorders left it out.
  const usual = recording.stream ? 'text/event-stream' : 'application/json'
  const type = recording.response.body.startsWith('[') ? 'application/json' : usual
  response.writeHead(recording.status, { 'content-type': type, ...Object.fromEntries(given) })
  for (const piece of piecesOf(recording, headers['x-cut'] as Split)) {
    if (!response.write(piece)) await new Promise((resolve) => response.once('drain', resolve))
    await turn()
  }
  response.end()
}

function piecesOf(recording: Recording, cut: Split): Buffer[] {
  const bytes = Buffer.from(recording.response.body)
  const random = new Random(SEED)
  const lengths = (length: () => number) => {
    const found: number[] = []
    for (let offset = 0; offset < bytes.length; offset += found.at(-1) ?? 1) found.push(length())
    return found
  }
  if (cut === 'byte by byte')
    return splitAt(
      bytes,
      lengths(() => (bytes.length <= MAX_BYTEWISE_BYTES ? 1 : 61)),
    )
  const maxBytes = Math.max(2, Math.ceil(bytes.length / 4))
  if (cut === 'at random')
    return splitAt(
      bytes,
      lengths(() => random.between(1, maxBytes)),
    )
  return splitAt(bytes, recording.response.chunk_bytes ?? lengths(() => random.between(200, 1_500)))
}

async function replayRecording({ path, request, api }: Api, recording: Recording, cut: Split): Promise<ReplayResult> {
  const recorded = recording.request?.body
  const known = typeof recorded === 'object' && recorded !== null && !recording.request?.body_trimmed
  const model = recording.request_model ?? recording.model ?? 'unknown'
  const provider = recording.provider === 'anthropic' ? 'anthropic-compatible' : recording.provider
  const named = provider in COMPATIBLE && api.startsWith('openai.') ? `${provider}/${model}` : model
  const sent = known
    ? { ...recorded, ...(api.startsWith('gemini.') ? {} : { model: named }) }
    : request(named, recording.stream)
  const answer = await gateway.client.fetch('over sockets', path(recording), {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      'x-replay': String(allRecordings.findIndex(({ file }) => file === recording.file)),
      'x-cut': cut,
    },
    body: JSON.stringify(sent),
  })
  const bytes = Buffer.from(await answer.arrayBuffer())
  const callId = answer.headers.get('x-bursar-call-id') ?? ''
  const entry = await settledEntry(callId)
  const { outcome } = entry ?? {}
  return {
    recording,
    status: answer.status,
    bytes,
    usage: outcome ? { input: inputTokens(outcome.usage), output: outputTokens(outcome.usage) } : null,
    costUsd: Number(outcome?.cost.totalNanoUsd ?? -1n) / 1e9,
    certainty: outcome?.certainty,
    open: !outcome,
  }
}

async function settledEntry(callId: string) {
  for (let times = 0; times < 200; times++) {
    const entry = await gateway.app.store.entry(callId)
    if (!entry || entry.outcome) return entry
    await turn()
  }
  return undefined
}

async function replayAll(api: Api, cut: Split): Promise<ReplayResult[]> {
  const waiting = recordingsOf(api.api)
  const replayed: ReplayResult[] = []
  const next = async (): Promise<void> => {
    for (let recording = waiting.shift(); recording; recording = waiting.shift()) {
      // So many recorded errors would keep the rest from being sent.
      clock.monoMs += CALL_GAP_MS
      replayed.push(await replayRecording(api, recording, cut))
    }
  }
  await Promise.all(Array.from({ length: CONCURRENT_CALLS }, next))
  return replayed.toSorted((left, right) => (left.recording.file < right.recording.file ? -1 : 1))
}

const clock = new ManualClock()

describe('recordings through the gateway', () => {
  beforeAll(async () => {
    clock.wallMs = SEPTEMBER_MS
    gateway = await GatewayFixture.open({
      clock,
      // A preamble that comes byte by byte is waited for, however busy the machine is.
      timers: new EagerTimers(),
      respond: replay,
      countsTokens: true,
      env: { UNKNOWN_PRICE: 'allow' },
    })
    const providers = Object.fromEntries(
      Object.entries(COMPATIBLE).map(([name, prices]) => [
        name,
        {
          baseUrl: `${gateway.provider.url}/v1`,
          apiKey: 'key',
          prices,
          dialects: DIALECTS,
          ...(name in COST_FIELDS ? { costField: COST_FIELDS[name] } : {}),
        },
      ]),
    )
    await gateway.app.reload(readFileConfig(JSON.stringify({ providers }), {}))
  })
  afterAll(() => gateway.close())

  const bills: { file: string; ours: number; theirs: number }[] = []

  test.skipIf(!HAS_SHARED_RECORDINGS).each(APIS)(
    '$count of $api are real ones (../shared/recordings)',
    ({ api, count }) => {
      expect(sharedOf(recordingsOf(api))).toHaveLength(count)
    },
  )

  const present = APIS.filter(({ api }) => recordingsOf(api).length > 0)
  test.each(present)('$api', { timeout: 300_000 }, async (api) => {
    const first = await replayAll(api, 'as recorded')
    const files: string[] = []
    for (const result of first) {
      const { recording, status, bytes, open } = result
      const expectedStatus = ERRORS_IN_A_200.get(recording.file) ?? recording.status
      expect([recording.file, status, open]).toEqual([recording.file, expectedStatus, false])
      expectBytes(recording, bytes)
      if (isDifferent(result)) files.push(recording.file)
      if (recording.provider_cost_usd !== null && result.certainty === 'exact')
        bills.push({ file: recording.file, ours: result.costUsd, theirs: recording.provider_cost_usd })
    }
    const known = Object.values(KNOWN_DIFFERENCES).flat()
    expect(files).toEqual(known.filter((file) => first.some(({ recording }) => recording.file === file)).toSorted())
    for (const cut of SPLITS.slice(1)) {
      for (const [index, again] of (await replayAll(api, cut)).entries()) {
        const { file } = again.recording
        expectBytes(again.recording, again.bytes)
        expect([file, cut, ...figuresOf(again)]).toEqual([file, cut, ...figuresOf(first[index])])
      }
    }
    expect((await gateway.app.store.figures({ simulated: false })).open.calls).toBe(0)
  })

  test.skipIf(!HAS_SHARED_RECORDINGS)(
    'cost what their providers billed, where those say it (../shared/recordings)',
    () => {
      console.table(bills)
      const equal = bills.filter(({ ours, theirs }) => Math.abs(ours - theirs) <= 1.001e-9)
      expect([equal.length, bills.length]).toEqual([32, 32])
    },
  )
})

function expectBytes(recording: Recording, bytes: Buffer): void {
  const recorded = Buffer.from(recording.response.body)
  if (ERRORS_IN_A_200.has(recording.file)) {
    const { error } = JSON.parse(bytes.toString()) as { error: { message: string } }
    expect(recorded.includes(JSON.stringify(error.message).slice(1, -1)), recording.file).toBe(true)
  } else if (SEVERAL_IN_ONE.includes(recording.file))
    expect(bytes.length > 100 && recorded.subarray(0, bytes.length).equals(bytes), recording.file).toBe(true)
  else expect(bytes.equals(recorded), recording.file).toBe(true)
}

/** True if the settled tokens or the settled cost differ from those of the other party. */
function isDifferent({ recording, usage, costUsd }: ReplayResult): boolean {
  const { expected_usage: tokens, expected_cost_usd: cost } = recording
  if (!tokens || SEVERAL_IN_ONE.includes(recording.file)) return false
  if (usage?.input !== (tokens.input_tokens ?? 0) || usage.output !== (tokens.output_tokens ?? 0)) return true
  // A double of theirs is off by a thousandth of a nano-dollar; ours is rounded up.
  return cost !== null && Math.abs(costUsd - cost) > 1.001e-9
}

function figuresOf(result: ReplayResult | undefined) {
  const several = result && SEVERAL_IN_ONE.includes(result.recording.file)
  return several ? [] : [result?.usage, result?.costUsd, result?.certainty]
}
