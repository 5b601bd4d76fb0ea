// Upstreams: fake providers on one socket, each under its own path. They refuse illegal requests, and say what the test sets.

import { recordOf } from '../../../src/core/json-values.ts'
import { type Gateway, type GatewayOptions, startGateway, UNLIMITED_SETTINGS } from '../../support/gateway.ts'
import { FakeProvider, type ProviderAnswer, type ProviderRequest } from '../../support/provider.ts'
import { faultsOf, KEYS, listOf, type Provider, type Received } from './request-rules.ts'
import { type AnswerContent, type RequestSummary, type ToolCall, UPSTREAM_ANSWERS } from './upstream-answers.ts'

/** What the provider says, as HTTP. */
export interface Reply {
  readonly status: number
  readonly type: string
  /** Each text is sent as two packets. A promise holds back the pieces after it. */
  readonly pieces: readonly (string | Promise<unknown>)[]
  /** Breaks the connection after the last piece. */
  readonly cut?: boolean
  readonly headers?: Readonly<Record<string, string>>
}

/** A legal request, and what its provider says by default. */
export interface UpstreamRequest {
  readonly provider: Provider
  readonly received: Received
  readonly content: AnswerContent
  readonly defaultReply: Reply
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
  /** What was wrong with the requests. */
  readonly faults: string[] = []
  readonly requests: UpstreamRequest[] = []
  /** The calls in the response to a request with tools and without results. */
  calls: readonly ToolCall[] = [CITY]
  reply: (request: UpstreamRequest) => Reply = ({ defaultReply }) => defaultReply
  /** Holds back the second half of every stream until it resolves. */
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

  /** A summary of the last request. */
  get lastRequest(): RequestSummary {
    const last = this.requests.at(-1)
    if (!last) throw new Error('no provider received a request')
    return UPSTREAM_ANSWERS[last.provider].summarizeRequest(last.received.body)
  }

  get env(): Readonly<Record<string, string>> {
    return {
      OPENAI_API_KEY: KEYS.openai,
      OPENAI_BASE_URL: `${this.#provider.url}/openai/v1`,
      ANTHROPIC_API_KEY: KEYS.anthropic,
      ANTHROPIC_BASE_URL: `${this.#provider.url}/anthropic`,
      GEMINI_API_KEY: KEYS.gemini,
      GEMINI_BASE_URL: `${this.#provider.url}/gemini`,
    }
  }

  /** The bursar.json with the provider that is compatible with OpenAI. */
  get config(): object {
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
    const provider = (['openai', 'anthropic', 'gemini', 'compatible'] as const).find((name) =>
      url.pathname.startsWith(`/${name}/`),
    )
    const faults = provider ? faultsOf(provider, received) : [`no provider has the path ${url.pathname}`]
    this.faults.push(...faults)
    if (!provider || faults.length > 0) return refusal(`${faults}`)
    const content = this.#contentFor(provider, received)
    const upstreamRequest = {
      provider,
      received,
      content,
      defaultReply: this.#defaultReply(provider, received, content),
    }
    this.requests.push(upstreamRequest)
    const { status, type, headers: others, pieces, cut = false } = this.reply(upstreamRequest)
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

  #defaultReply(provider: Provider, { path, query, body }: Received, content: AnswerContent): Reply {
    const answers = UPSTREAM_ANSWERS[provider]
    const model = typeof body.model === 'string' ? body.model : (/models\/(.*):/.exec(path)?.[1] ?? '')
    if (body.stream !== true && !path.includes(':stream'))
      return { status: 200, type: 'application/json', pieces: [answers.whole(content, model)] }
    const { events, holdAt } = answers.stream(content, model, body)
    if (provider === 'gemini' && query === '') {
      const list = events.map(
        (event, index) => `${index === 0 ? '[' : ',\r\n'}${event.slice('data: '.length).trim()}\n`,
      )
      return { status: 200, type: 'application/json; charset=UTF-8', pieces: [...list, ']'] }
    }
    return {
      status: 200,
      type: answers.type,
      pieces: events.flatMap((event, index) => (index === holdAt ? [this.holdUntil, event] : [event])),
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

/** Starts a gateway in front of all fake providers. */
export async function startMatrixFixture({
  env,
  config = {},
  ...options
}: GatewayOptions & { readonly config?: object } = {}): Promise<MatrixFixture> {
  const upstreams = await Upstreams.open()
  const gateway = await startGateway({
    ...options,
    env: { ...UNLIMITED_SETTINGS, ...upstreams.env, BURSAR_KEYS: `alice:${KEY}`, ...env },
    config: { ...upstreams.config, ...config },
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
