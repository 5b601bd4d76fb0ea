// Simulated: a provider in this process. Its answers are deterministic, with real streams, usage, prices, and faults on request.

import type { HeaderList } from '../../wire/dialect.ts'
import type { AnswerListener, Provider, RequestControl, UpstreamRequest } from '../provider.ts'
import { SIMULATED_DIALECTS } from './formats.ts'
import { MAX_MEDIA_TOKENS } from './media.ts'
import { type SimulatedAnswer, simulateAnswer } from './script.ts'

/**
 * Models: `sim/echo` (and any name not listed) repeats the prompt, answers a JSON schema with an instance of it, and calls the
 * first tool of the request until there are results; `sim/tools-N` makes N calls at once; `sim/slow` takes 50 ms per piece,
 * `sim/slow-N` N ms; `sim/long-N` writes N tokens. Faults: `sim/error-STATUS`, `sim/unreachable`, `sim/hang` (never answers),
 * `sim/cut` (breaks in the middle), `sim/no-end` (closes in the middle as if it were the end), `sim/no-usage`, `sim/garbage`,
 * `sim/html`, `sim/endless`.
 */
export function simulated(): Provider {
  return {
    name: 'simulated',
    dialects: SIMULATED_DIALECTS,
    simulated: true,
    configured: true,
    callerKeys: false,
    priceName: 'simulated',
    defaultModel: 'sim/echo',
    setupGuide: '',
    addressSetting: '',
    rules: {
      tokensPerCall: 0,
      tokensPerMessage: 0,
      tokensWithTools: 0,
      imageTokens: () => MAX_MEDIA_TOKENS,
      capCoversReasoning: true,
      cachesAutomatically: false,
    },
    capField: 'max_tokens',
    knowsStreamOptions: true,
    freeStatuses: new Set(),
    send: (outgoing, listener) => new AnswerPlayback(outgoing, listener),
    retire: async () => {},
    close: async () => {},
  }
}

/** Plays one answer, piece by piece, at the pace that its model's name states. */
class AnswerPlayback implements RequestControl {
  readonly #listener: AnswerListener
  readonly #fault: string
  readonly #paceMs: number
  readonly #answer: SimulatedAnswer
  #pieceIndex = 0
  #paused = false
  #isFinished = false
  #timer: NodeJS.Timeout | NodeJS.Immediate | undefined

  constructor(outgoing: UpstreamRequest, listener: AnswerListener) {
    this.#listener = listener
    this.#fault = outgoing.model.replace(/^sim\//, '')
    this.#paceMs = this.#fault.startsWith('slow') ? Number(/^slow-(\d{1,5})$/.exec(this.#fault)?.[1] ?? 50) : 0
    this.#answer = simulateAnswer(outgoing, this.#fault)
    this.#schedule(() => this.#start())
  }

  pause(): void {
    this.#paused = true
  }

  resume(): void {
    if (!this.#paused) return
    this.#paused = false
    if (this.#timer === undefined) this.#scheduleNext()
  }

  abort(): void {
    if (this.#isFinished) return
    this.#isFinished = true
    clearTimeout(this.#timer as NodeJS.Timeout)
    clearImmediate(this.#timer as NodeJS.Immediate)
    setImmediate(() => this.#listener.failed(new Error('aborted')))
  }

  #start(): void {
    if (this.#fault === 'unreachable') return this.#fail(new Error('connect ECONNREFUSED (simulated)'))
    this.#listener.started()
    if (this.#fault === 'hang') return
    const headers: HeaderList = ['content-type', this.#answer.contentType, 'x-request-id', 'req_simulated']
    if (this.#answer.status === 429) headers.push('retry-after', '1')
    this.#listener.head(this.#answer.status, headers)
    this.#scheduleNext()
  }

  #scheduleNext(): void {
    this.#schedule(() => this.#sendPiece())
  }

  #sendPiece(): void {
    this.#timer = undefined
    if (this.#paused) return
    const { pieces } = this.#answer
    const breaksAt = Math.ceil(pieces.length / 2)
    if (this.#fault === 'cut' && this.#pieceIndex >= breaksAt)
      return this.#fail(new Error('other side closed (simulated)'))
    if (this.#fault === 'endless' && this.#pieceIndex >= breaksAt) this.#pieceIndex = breaksAt - 1
    const piece = pieces[this.#pieceIndex++]
    if (piece === undefined || (this.#fault === 'no-end' && this.#pieceIndex > breaksAt)) {
      this.#isFinished = true
      this.#listener.end()
      return
    }
    this.#listener.data(Buffer.from(piece))
    if (!this.#isFinished) this.#scheduleNext()
  }

  #fail(error: Error): void {
    this.#isFinished = true
    this.#listener.failed(error)
  }

  #schedule(step: () => void): void {
    if (this.#isFinished) return
    this.#timer = this.#paceMs > 0 ? setTimeout(step, this.#paceMs) : setImmediate(step)
  }
}
