// The gateway under test: a real process, brought to where it refuses for one reason, with a provider behind it that says "Hi there.".

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { recordOf } from '../../src/core/json-values.ts'
import { formatOf } from '../../src/providers/simulated/formats.ts'
import { dialectAt } from '../../src/wire/index.ts'

/** A word of the answer; a client that shows it was answered. */
export const ANSWER_WORD = 'there.'
const ROOT = join(import.meta.dirname, '../..')
/** The filler's money, or its place in flight: see `KINDS`. */
const FILLER = 'filler'

export interface Kind {
  readonly name: string
  readonly env: Readonly<Record<string, string>>
  /** What a text of ours holds, whatever else it says. */
  readonly words: string
  /** Calls that use the limit up, before the client's. */
  readonly before: number
  /** Ends the call that is in the way this long after the client's first attempt. */
  readonly releaseAfterMs?: number
  readonly isPriceUnknown?: boolean
}

const NO_LIMITS = {
  MAX_REQUESTS_PER_MINUTE: '',
  MAX_TOKENS_PER_MINUTE: '',
  MAX_COST_PER_REQUEST: '',
  DAILY_SPENDING_LIMIT: '1000.00',
}

/** Each kind of refusal. A request comes back after 30 s; a call in flight ends 15 s after the first attempt; a day's money is used up by the filler. */
export const KINDS: readonly Kind[] = [
  { name: 'time', env: { MAX_REQUESTS_PER_MINUTE: '2' }, words: 'requests_per_minute', before: 2 },
  { name: 'in flight', env: { MAX_IN_FLIGHT: '1' }, words: 'max_in_flight', before: 1, releaseAfterMs: 15_000 },
  { name: 'never', env: { MAX_COST_PER_REQUEST: '0.0001' }, words: 'max_cost_per_request', before: 0 },
  { name: 'money', env: { DAILY_SPENDING_LIMIT: '20.00' }, words: 'daily_spending_limit', before: 1 },
  { name: 'unknown price', env: {}, words: 'price of', before: 0, isPriceUnknown: true },
]

/** Costs a dollar a token, so that its call of 20 tokens uses up a day's $20. */
const FILLER_PRICE = { provider: 'openai', model: FILLER, input: '0', output: '1000000', maxOutput: 1_000_000 }

/** A provider that answers every dialect in words, and holds the filler's call until it is released, if it is told to. */
class Upstream {
  readonly #server: Server
  readonly #holdsFiller: boolean
  #held: (() => void)[] = []

  constructor(holdsFiller: boolean) {
    this.#holdsFiller = holdsFiller
    this.#server = createServer((request, response) => void this.#answer(request, response))
  }

  async listen(): Promise<string> {
    this.#server.listen(0, '127.0.0.1')
    await once(this.#server, 'listening')
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  release(): void {
    for (const answer of this.#held) answer()
    this.#held = []
  }

  close(): void {
    this.#server.closeAllConnections()
    this.#server.close()
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk)
    const body = recordOf(JSON.parse(Buffer.concat(chunks).toString() || '{}'))
    const [path = ''] = (request.url ?? '').split('?')
    const model = typeof body.model === 'string' ? body.model : ''
    const isFiller = model === FILLER
    if (isFiller && this.#holdsFiller) await new Promise<void>((resolve) => this.#held.push(resolve))
    const format = formatOf(dialectAt(path)?.name ?? '')
    const usage = { inputTokens: 20, outputTokens: isFiller ? 20 : 4, isTruncated: false, withUsage: true }
    const answer = { id: 'a1', model, words: ['Hi', ` ${ANSWER_WORD}`], calls: [], ...usage }
    const isStream = body.stream === true || path.includes(':stream')
    response.setHeader('content-type', isStream ? 'text/event-stream' : 'application/json')
    response.end(isStream ? format.stream(answer, body).join('') : format.whole(answer, body))
  }
}

/** A running gateway that refuses for one reason. */
export class RefusingGateway {
  readonly kind: Kind
  readonly origin: string
  readonly #process: ChildProcess
  readonly #upstream: Upstream
  /** When each call ended or was refused. */
  readonly #endings: number[] = []
  #isReleased = false

  private constructor(kind: Kind, origin: string, process: ChildProcess, upstream: Upstream) {
    this.kind = kind
    this.origin = origin
    this.#process = process
    this.#upstream = upstream
  }

  /** @param folder for its bursar.json @param setting the value of MONEY_REFUSAL */
  static async start(kind: Kind, folder: string, setting: string): Promise<RefusingGateway> {
    const upstream = new Upstream(kind.releaseAfterMs !== undefined)
    const url = await upstream.listen()
    const file = join(folder, 'bursar.json')
    writeFileSync(file, JSON.stringify({ prices: [FILLER_PRICE] }))
    const env = {
      ...{
        PATH: process.env.PATH ?? '',
        PORT: '0',
        DATABASE_URL: 'memory:',
        CONFIG_FILE: file,
        MONEY_REFUSAL: setting,
      },
      ...{ OPENAI_API_KEY: 'k', ANTHROPIC_API_KEY: 'k', GEMINI_API_KEY: 'k', ...NO_LIMITS, ...kind.env },
      ...{ OPENAI_BASE_URL: `${url}/v1`, ANTHROPIC_BASE_URL: `${url}/v1`, GEMINI_BASE_URL: url },
    }
    const child = spawn(process.execPath, ['src/main.ts'], { cwd: ROOT, env, stdio: ['ignore', 'pipe', 'inherit'] })
    const gateway = Promise.withResolvers<RefusingGateway>()
    createInterface(child.stdout).on('line', (line) => {
      const { msg, port, call_id, outcome } = recordOf(JSON.parse(line))
      if (msg === 'listening') gateway.resolve(new RefusingGateway(kind, `http://127.0.0.1:${port}`, child, upstream))
      if (typeof call_id === 'string' && typeof outcome === 'string')
        void gateway.promise.then((running) => running.#noteEnding())
    })
    child.on('exit', () => gateway.reject(new Error('the gateway ended')))
    const started = await gateway.promise
    await started.#useUp()
    return started
  }

  /** When each call so far ended or was refused, on the clock of `performance.now`. */
  get endings(): readonly number[] {
    return this.#endings
  }

  /** Whether the call that was in the way has ended. */
  get isReleased(): boolean {
    return this.#isReleased
  }

  stop(): void {
    this.#process.removeAllListeners('exit')
    this.#process.kill('SIGKILL')
    this.#upstream.close()
  }

  #noteEnding(): void {
    this.#endings.push(performance.now())
    const { releaseAfterMs } = this.kind
    if (releaseAfterMs === undefined || this.#endings.length > 1) return
    setTimeout(() => {
      this.#isReleased = true
      this.#upstream.release()
    }, releaseAfterMs).unref()
  }

  async #useUp(): Promise<void> {
    const { before, releaseAfterMs } = this.kind
    const body = JSON.stringify({ model: FILLER, max_tokens: 20, messages: [{ role: 'user', content: 'x' }] })
    const headers = { 'content-type': 'application/json' }
    for (let call = 0; call < before; call++) {
      const answered = fetch(`${this.origin}/v1/chat/completions`, { method: 'POST', headers, body })
      if (releaseAfterMs === undefined) {
        const { status } = await answered
        if (status !== 200) throw new Error(`the call before was answered ${status}`)
      } else answered.catch(() => {})
    }
    // The log's lines of these calls, and the call that is held.
    await sleep(500)
  }
}
