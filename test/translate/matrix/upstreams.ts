// Upstreams: all providers on one socket, each at a path of its own. They refuse what is no legal request, and say what they are told to.

import { recordOf } from '../../../src/core/json-values.ts'
import { UNLIMITED_SETTINGS } from '../../support/gateway.ts'
import { FakeProvider, type ProviderAnswer, type ProviderRequest } from '../../support/provider.ts'
import { type Gateway, type GatewayOptions, startGateway } from '../../support/server.ts'
import { faultsOf, KEYS, listOf, type Provider, type Received } from './request-rules.ts'
import { type AnswerContent, type RequestSummary, type ToolCall, UPSTREAM_ANSWERS } from './upstream-answers.ts'

/** What is sent in place of what the provider would have said. */
export interface Reply {
  readonly status: number
  readonly type: string
  /** Each a packet of its own; a promise is waited for in its place. */
  readonly pieces: readonly (string | Promise<unknown>)[]
  /** Breaks the connection after the last of them. */
  readonly cut?: boolean
  readonly headers?: Readonly<Record<string, string>>
}

/** A legal request, and how its provider would answer it. */
export interface UpstreamRequest {
  readonly provider: Provider
  readonly received: Received
  readonly said: AnswerContent
  readonly usual: Reply
}

const CITY: ToolCall = { name: 'weather', args: { city: 'Köln 👋', days: 3 } }
const ZONE: ToolCall = { name: 'time', args: { zone: 'Europe/Berlin' } }
export const WORDS = {
  answer: 'It is sunny in Köln 👋.',
  looks: 'I will look that up.',
  thought: 'The user asks for Köln, in Germany.',
  json: '{"city":"Köln","days":3}',
}

export class Upstreams {
  /** What was wrong with requests. */
  readonly faults: string[] = []
  readonly requests: UpstreamRequest[] = []
  /** The calls of an answer to a request with tools and no results. */
  calls: readonly ToolCall[] = [CITY]
  reply: (asked: UpstreamRequest) => Reply = ({ usual }) => usual
  /** Streams are held back before their end until this resolves. */
  holdUntil: Promise<unknown> = Promise.resolve()
  readonly #provider: FakeProvider

  private constructor(provider: FakeProvider) {
    this.#provider = provider
    provider.says((request) => this.#answer(request))
  }

  static async open(): Promise<Upstreams> {
    const usual = () => refusal('Nothing is usual here.')
    return new Upstreams(await FakeProvider.open({ usual, usage: { input: 0, output: 0 } }))
  }

  useOneCall(): void {
    this.calls = [CITY]
  }

  useTwoCalls(): void {
    this.calls = [CITY, ZONE]
  }

  /** What the last request held. */
  get lastRequest(): RequestSummary {
    const last = this.requests.at(-1)
    if (!last) throw new Error('nothing was asked')
    return UPSTREAM_ANSWERS[last.provider].summarizeRequest(last.received.body)
  }

  get settings(): Readonly<Record<string, string>> {
    return {
      OPENAI_API_KEY: KEYS.openai,
      OPENAI_BASE_URL: `${this.#provider.url}/openai/v1`,
      ANTHROPIC_API_KEY: KEYS.anthropic,
      ANTHROPIC_BASE_URL: `${this.#provider.url}/anthropic`,
      GEMINI_API_KEY: KEYS.gemini,
      GEMINI_BASE_URL: `${this.#provider.url}/gemini`,
    }
  }

  /** What bursar.json holds of the one that is compatible with OpenAI. */
  get file(): object {
    const prices = ['llama-3.3-70b-versatile', 'qwen3-32b'].map((model) => ({
      provider: 'local',
      model,
      input: '1',
      cacheRead: '0.5',
      output: '2',
    }))
    return { providers: { local: { baseUrl: `${this.#provider.url}/compatible/v1`, apiKey: KEYS.compatible } }, prices }
  }

  close(): Promise<void> {
    return this.#provider.close()
  }

  #answer({ method, path, headers, json: body }: ProviderRequest): ProviderAnswer {
    const url = new URL(path, 'http://localhost')
    const received = { method, path: url.pathname, query: url.search.slice(1), headers, body }
    const provider = (['openai', 'anthropic', 'gemini', 'compatible'] as const).find((one) =>
      url.pathname.startsWith(`/${one}/`),
    )
    const faults = provider ? faultsOf(provider, received) : [`nobody is at ${url.pathname}`]
    this.faults.push(...faults)
    if (!provider || faults.length > 0) return refusal(`${faults}`)
    const said = this.#contentFor(provider, received)
    const asked = { provider, received, said, usual: this.#usualReply(provider, received, said) }
    this.requests.push(asked)
    const { status, type, headers: others, pieces, cut = false } = this.reply(asked)
    return { status, headers: { 'content-type': type, ...others }, pieces, cut, halves: true }
  }

  #contentFor(provider: Provider, { body }: Received): AnswerContent {
    const { summarizeRequest, showsThoughts } = UPSTREAM_ANSWERS[provider]
    const { schema, results } = summarizeRequest(body)
    const calls = listOf(body.tools).length > 0 && results.length === 0 ? this.calls : []
    const wantsJson = schema !== undefined || /json_object|responseMimeType/.test(JSON.stringify(body))
    const text = calls.length > 0 ? WORDS.looks : wantsJson ? WORDS.json : WORDS.answer
    const answers = Number(body.n ?? recordOf(body.generationConfig).candidateCount ?? 1)
    return { thought: showsThoughts(body) ? WORDS.thought : '', text, calls, answers }
  }

  #usualReply(provider: Provider, { path, query, body }: Received, said: AnswerContent): Reply {
    const voice = UPSTREAM_ANSWERS[provider]
    const model = typeof body.model === 'string' ? body.model : (/models\/(.*):/.exec(path)?.[1] ?? '')
    if (body.stream !== true && !path.includes(':stream'))
      return { status: 200, type: 'application/json', pieces: [voice.whole(said, model)] }
    const { events, holdAt } = voice.stream(said, model, body)
    if (provider === 'gemini' && query === '') {
      const list = events.map((event, at) => `${at === 0 ? '[' : ',\r\n'}${event.slice('data: '.length).trim()}\n`)
      return { status: 200, type: 'application/json; charset=UTF-8', pieces: [...list, ']'] }
    }
    return {
      status: 200,
      type: voice.type,
      pieces: events.flatMap((event, at) => (at === holdAt ? [this.holdUntil, event] : [event])),
    }
  }
}

function refusal(message: string): ProviderAnswer {
  return { status: 400, headers: {}, pieces: [JSON.stringify({ error: { message } })] }
}

export const KEY = 'secret-of-the-caller'

export interface MatrixFixture extends AsyncDisposable {
  readonly upstreams: Upstreams
  readonly gateway: Gateway
}

/** A gateway in front of all providers. */
export async function startMatrixFixture({
  settings,
  file = {},
  ...options
}: GatewayOptions & { file?: object } = {}): Promise<MatrixFixture> {
  const upstreams = await Upstreams.open()
  const gateway = await startGateway({
    ...options,
    settings: { ...UNLIMITED_SETTINGS, ...upstreams.settings, BURSAR_KEYS: `alice:${KEY}`, ...settings },
    file: { ...upstreams.file, ...file },
  })
  return {
    upstreams,
    gateway,
    async [Symbol.asyncDispose]() {
      await gateway[Symbol.asyncDispose]()
      await upstreams.close()
    },
  }
}
