// Probe: one request to a provider that costs nothing, which shows whether the provider answers and takes its key. What the provider
// writes is not repeated: it can hold parts of the key.

import type { Clock, Timer, Timers } from '../core/clock.ts'
import type { HeaderList } from '../wire/dialect.ts'
import type { AnswerListener, Provider, ProviderProbe, RequestControl } from './provider.ts'

const PROBE_TIMEOUT_MS = 5_000
const ERROR_CODE = /^[A-Z][A-Z0-9_]{2,40}$/

/** What a probe has shown. */
export interface ProbeResult {
  readonly ok: boolean
  /** Null if there was no answer, or nothing was sent. */
  readonly status: number | null
  readonly latencyMs: number
  /** A sentence without secrets. */
  readonly message: string
}

/** Probes a provider. Never rejects: a provider that does not answer is a result. */
export function probe(provider: Provider, clock: Clock, timers: Timers): Promise<ProbeResult> {
  const unsent = (ok: boolean, message: string) => Promise.resolve({ ok, status: null, latencyMs: 0, message })
  const { probe: request } = provider
  if (provider.simulated || !request) return unsent(true, 'It answers in this process, and sends nothing.')
  if (provider.callerKeys) return unsent(false, 'Nothing was sent: callers send keys of their own.')
  if (!provider.configured) return unsent(false, `Nothing was sent: it has no key. ${provider.setupGuide}.`)
  return new Promise((resolve) => void new Probe(provider, request, clock, timers, resolve))
}

/** One probe under way. It ends with the head of the answer, of which the status is enough. */
class Probe implements AnswerListener {
  readonly #path: string
  readonly #clock: Clock
  readonly #timers: Timers
  readonly #startedMs: number
  readonly #deadline: Timer
  readonly #control: RequestControl
  readonly #resolve: (result: ProbeResult) => void

  constructor(
    provider: Provider,
    { path, headers }: ProviderProbe,
    clock: Clock,
    timers: Timers,
    resolve: (result: ProbeResult) => void,
  ) {
    this.#path = path.replace(/\?.*/, '')
    this.#clock = clock
    this.#timers = timers
    this.#resolve = resolve
    this.#startedMs = clock.now().monoMs
    this.#deadline = timers.setTimeout(() => this.#onDeadline(), PROBE_TIMEOUT_MS)
    const body = Buffer.alloc(0)
    const request = { dialect: '', method: 'GET', path, headers, body, model: '', stream: false }
    this.#control = provider.send({ ...request, callerKey: undefined, needsPlainAnswer: true }, this)
  }

  started(): void {}

  head(status: number, headers: HeaderList): void {
    const type = headers[headers.indexOf('content-type') + 1] ?? ''
    const isPage = status === 200 && !/\bjson\b/i.test(type)
    const message = isPage ? 'It answered with something else than JSON: check its base URL.' : this.#sentenceOf(status)
    this.#finish({ ok: status === 200 && !isPage, status, message })
    this.#control.abort()
  }

  data(): void {}

  end(): void {}

  failed(error: Error): void {
    const code =
      'code' in error && typeof error.code === 'string' && ERROR_CODE.test(error.code) ? ` (${error.code})` : ''
    this.#finish({ ok: false, status: null, message: `It could not be reached${code}: check its base URL.` })
  }

  #onDeadline(): void {
    const message = `It did not answer within ${PROBE_TIMEOUT_MS / 1_000} seconds.`
    this.#finish({ ok: false, status: null, message })
    this.#control.abort()
  }

  #sentenceOf(status: number): string {
    if (status === 200) return 'It answered, and takes the key.'
    if (status === 401 || status === 403) return `It refused the key (${status}).`
    if (status === 429) return 'It refused for its own limits (429), which says nothing of the key.'
    if (status >= 500) return `It failed (${status}).`
    if (status >= 300 && status < 400)
      return `It redirects elsewhere (${status}), which is not followed: check its base URL.`
    return `It has no GET ${this.#path} (${status}): check its base URL. If calls work, it has no list of models.`
  }

  /** Only the first result counts: aborting reports a failure. */
  #finish(result: Omit<ProbeResult, 'latencyMs'>): void {
    this.#timers.clearTimeout(this.#deadline)
    this.#resolve({ ...result, latencyMs: Math.max(0, this.#clock.now().monoMs - this.#startedMs) })
  }
}
