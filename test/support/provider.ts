// Provider: the one fake of what stands behind a gateway, on a socket of its own. A test decides what it says, and reads what it received.

import {
  createServer,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from 'node:http'
import { text } from 'node:stream/consumers'
import { constants, createGzip, gzipSync } from 'node:zlib'
import { recordOf } from '../../src/core/json-values.ts'
import type { DialectName, ReportedUsage } from '../call/dialect-fixtures.ts'

const COUNT_PATH = /count_?tokens/i

/** What a provider answers. */
export interface ProviderAnswer {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  /** Each is written on its own, as tokens are; a promise is awaited in its place. */
  readonly pieces: readonly (string | Promise<unknown>)[]
  /** Breaks the connection after the last piece. */
  readonly cut?: boolean
  readonly gzip?: boolean
  /** Writes each piece in two halves, wherever its middle is: in a letter, or in a word. */
  readonly halves?: boolean
}

// biome-ignore lint/suspicious/noConfusingVoidType: A script that writes to the response returns nothing.
type ScriptResult = ProviderAnswer | void

/** What a provider says to a request: an answer, or nothing if it writes to `request.response` itself. */
export type ProviderScript = (request: ProviderRequest) => ScriptResult | Promise<ScriptResult>

/** A request as the provider received it. */
export class ProviderRequest {
  readonly method: string
  /** With its query. */
  readonly path: string
  readonly headers: IncomingHttpHeaders
  readonly body: string
  /** The vendor whose path it is. */
  readonly dialect: DialectName
  readonly response: ServerResponse
  /** True if the gateway closed the connection before the answer was whole. */
  readonly cut: Promise<boolean>
  readonly #usualAnswer: (request: ProviderRequest) => ProviderAnswer

  constructor(
    incoming: IncomingMessage,
    body: string,
    response: ServerResponse,
    usualAnswer: (request: ProviderRequest) => ProviderAnswer,
  ) {
    const { method = '', url: path = '', headers } = incoming
    this.method = method
    this.path = path
    this.headers = headers
    this.body = body
    this.dialect = path.includes('/messages') ? 'anthropic' : path.includes('/models/') ? 'gemini' : 'openai'
    this.response = response
    this.cut = new Promise((resolve) => response.on('close', () => resolve(!response.writableFinished)))
    this.#usualAnswer = usualAnswer
  }

  get json(): Readonly<Record<string, unknown>> {
    return recordOf(JSON.parse(this.body))
  }

  /** What this provider answers unless a test says otherwise. */
  get usual(): ProviderAnswer {
    return this.#usualAnswer(this)
  }
}

export type UsualAnswer = (request: ProviderRequest, usage: ReportedUsage) => ProviderAnswer

export interface FakeProviderOptions {
  readonly usual: UsualAnswer
  readonly usage: ReportedUsage
  /** True if counts of tokens are calls like others; else they are answered with 404, and appear nowhere. */
  readonly countsTokens?: boolean
  /** The key that a gateway has for each provider. */
  readonly keys?: Readonly<Record<DialectName, string>>
}

export const PROVIDER_KEYS: Readonly<Record<DialectName, string>> = {
  openai: 'sk-upstream-openai-secret',
  anthropic: 'sk-upstream-anthropic-secret',
  gemini: 'upstream-gemini-secret',
}

export class FakeProvider implements AsyncDisposable {
  /** Every request so far, counts of tokens aside unless they are calls. */
  readonly received: ProviderRequest[] = []
  /** What its usual answers say they used. */
  usage: ReportedUsage
  readonly #options: FakeProviderOptions
  readonly #server: Server
  #script: ProviderScript = ({ usual }) => usual
  #url = ''

  private constructor(options: FakeProviderOptions) {
    this.#options = options
    this.usage = options.usage
    this.#server = createServer({ keepAliveTimeout: 60_000 }, (incoming, response) => {
      incoming.on('error', () => {})
      response.on('error', () => {})
      void this.#handle(incoming, response)
    })
  }

  static async open(options: FakeProviderOptions): Promise<FakeProvider> {
    const provider = new FakeProvider(options)
    provider.#url = await listen(provider.#server)
    return provider
  }

  /** What it answers from now on. */
  says(script: ProviderScript): void {
    this.#script = script
  }

  /** Its origin, without a trailing slash. */
  get url(): string {
    return this.#url
  }

  /** Settings of a gateway that sends here, whatever the dialect. */
  get env(): Record<string, string> {
    const keys = this.#options.keys ?? PROVIDER_KEYS
    return {
      OPENAI_API_KEY: keys.openai,
      OPENAI_BASE_URL: `${this.#url}/v1`,
      ANTHROPIC_API_KEY: keys.anthropic,
      ANTHROPIC_BASE_URL: this.#url,
      GEMINI_API_KEY: keys.gemini,
      GEMINI_BASE_URL: this.#url,
    }
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #handle(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    const body = await text(incoming).catch(() => undefined)
    // The gateway went away in the middle of its request.
    if (body === undefined) return
    const { usual, countsTokens = false } = this.#options
    if (!countsTokens && COUNT_PATH.test(incoming.url ?? '')) return void response.writeHead(404).end()
    const request = new ProviderRequest(incoming, body, response, (asked) => usual(asked, this.usage))
    this.received.push(request)
    const answer = await this.#script(request)
    if (answer) await sendAnswer(response, answer)
  }
}

async function sendAnswer(response: ServerResponse, answer: ProviderAnswer): Promise<void> {
  const { status, headers, pieces, cut, gzip, halves } = answer
  const isWhole = pieces.length === 1 && typeof pieces[0] === 'string'
  response.writeHead(status, gzip ? { ...headers, 'content-encoding': 'gzip' } : headers)
  response.flushHeaders()
  const zip = gzip && !isWhole ? createGzip({ flush: constants.Z_SYNC_FLUSH }) : undefined
  zip?.pipe(response)
  const out = zip ?? response
  let written: Promise<unknown> = Promise.resolve()
  for (const piece of pieces) {
    if (typeof piece !== 'string') {
      await piece
      continue
    }
    const bytes = gzip && isWhole ? gzipSync(piece) : Buffer.from(piece)
    const middle = bytes.length >> 1
    for (const part of halves ? [bytes.subarray(0, middle), bytes.subarray(middle)] : [bytes]) {
      written = new Promise((resolve) => out.write(part, resolve))
      // Each part is a packet of its own.
      await new Promise((resolve) => setImmediate(resolve))
    }
  }
  if (!cut) return void out.end()
  // What was written is on its way before the connection breaks.
  await written
  response.destroy()
}

/** Listens on a free port of this machine. Resolves to the origin. */
export async function listen(server: Server): Promise<string> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(0, '127.0.0.1', resolve)
  })
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('The server has no port.')
  return `http://127.0.0.1:${address.port}`
}
