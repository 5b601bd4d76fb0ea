// Simulated: a provider in this process. Deterministic answers, real streams, usage and prices, and faults on request.

import type { HeaderList } from '../../wire/dialect.ts'
import type { Listener, Outgoing, Provider, Sending } from '../provider.ts'
import { MOST_MEDIA_TOKENS } from './media.ts'
import { type SimulatedAnswer, scriptOf } from './script.ts'

/**
 * Models: `sim/echo` (and any name not listed) says back what it was told, answers a JSON schema with an instance of it, and
 * calls the first tool it is given until there are results; `sim/tools-N` makes N calls at once; `sim/slow` takes 50 ms per
 * piece, `sim/slow-N` N ms; `sim/long-N` writes N tokens. Faults: `sim/error-STATUS`, `sim/unreachable`, `sim/hang` (never
 * answers), `sim/cut` (breaks in the middle), `sim/no-end` (closes in the middle as though done), `sim/no-usage`,
 * `sim/garbage`, `sim/html`, `sim/endless`.
 */
export function simulated(): Provider {
  return {
    name: 'simulated',
    dialects: [
      'openai.chat',
      'anthropic.messages',
      'gemini.generateContent',
      'openai.completions',
      'openai.embeddings',
      'openai.responses',
      'anthropic.countTokens',
      'gemini.countTokens',
      'gemini.embedContent',
    ],
    simulated: true,
    configured: true,
    callerKeys: false,
    priceName: 'simulated',
    defaultModel: 'sim/echo',
    setupGuide: '',
    rules: {
      tokensPerCall: 0,
      tokensPerMessage: 0,
      tokensWithTools: 0,
      imageTokens: () => MOST_MEDIA_TOKENS,
      capCoversReasoning: true,
      cachesUnasked: false,
    },
    capField: 'max_tokens',
    knowsStreamOptions: true,
    freeStatuses: new Set(),
    send: (outgoing, listener) => new Play(outgoing, listener),
    retire: async () => {},
    close: async () => {},
  }
}

/** One answer being given, piece by piece, at the pace its model is named for. */
class Play implements Sending {
  readonly #listener: Listener
  readonly #fault: string
  readonly #paceMs: number
  readonly #answer: SimulatedAnswer
  #at = 0
  #paused = false
  #over = false
  #timer: NodeJS.Timeout | NodeJS.Immediate | undefined

  constructor(outgoing: Outgoing, listener: Listener) {
    this.#listener = listener
    this.#fault = outgoing.model.replace(/^sim\//, '')
    this.#paceMs = this.#fault.startsWith('slow') ? Number(/^slow-(\d{1,5})$/.exec(this.#fault)?.[1] ?? 50) : 0
    this.#answer = scriptOf(outgoing, this.#fault)
    this.#later(() => this.#begin())
  }

  pause(): void {
    this.#paused = true
  }

  resume(): void {
    if (!this.#paused) return
    this.#paused = false
    if (this.#timer === undefined) this.#next()
  }

  abort(): void {
    if (this.#over) return
    this.#over = true
    clearTimeout(this.#timer as NodeJS.Timeout)
    clearImmediate(this.#timer as NodeJS.Immediate)
    setImmediate(() => this.#listener.failed(new Error('aborted')))
  }

  #begin(): void {
    if (this.#fault === 'unreachable') return this.#fail(new Error('connect ECONNREFUSED (simulated)'))
    this.#listener.started()
    if (this.#fault === 'hang') return
    const headers: HeaderList = ['content-type', this.#answer.contentType, 'x-request-id', 'req_simulated']
    if (this.#answer.status === 429) headers.push('retry-after', '1')
    this.#listener.head(this.#answer.status, headers)
    this.#next()
  }

  #next(): void {
    this.#later(() => this.#piece())
  }

  #piece(): void {
    this.#timer = undefined
    if (this.#paused) return
    const { pieces } = this.#answer
    const breaksAt = Math.ceil(pieces.length / 2)
    if (this.#fault === 'cut' && this.#at >= breaksAt) return this.#fail(new Error('other side closed (simulated)'))
    if (this.#fault === 'endless' && this.#at >= breaksAt) this.#at = breaksAt - 1
    const piece = pieces[this.#at++]
    if (piece === undefined || (this.#fault === 'no-end' && this.#at > breaksAt)) {
      this.#over = true
      this.#listener.end()
      return
    }
    this.#listener.data(Buffer.from(piece))
    if (!this.#over) this.#next()
  }

  #fail(error: Error): void {
    this.#over = true
    this.#listener.failed(error)
  }

  #later(step: () => void): void {
    if (this.#over) return
    this.#timer = this.#paceMs > 0 ? setTimeout(step, this.#paceMs) : setImmediate(step)
  }
}
