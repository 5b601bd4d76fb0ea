// Live stream: the server-sent events of one reader. Nothing waits for a slow reader: what it misses is skipped, and the newest state sent.

import type { LiveHub } from '../live/live-hub.ts'

const HEARTBEAT_TICKS = 15
/** After so many ticks the reader is identified again. */
const IDENTIFY_TICKS = 15
const MAX_CALLS_PER_EVENT = 200
/** How long a client waits before it connects again. */
const RETRY_MS = 2_000
/** Minutes that change often: the one that runs, and those before whose calls settle. */
const NEW_MINUTES = 5

export interface State {
  readonly at: string
  readonly minutes: readonly unknown[]
}

/** A state as text. */
export interface StateTexts {
  /** With all minutes. */
  readonly whole: string
  /** With the newest minutes alone. */
  readonly news: string
  /** The minutes that `news` leaves out. */
  readonly older: string
  /** Without the clock: if nothing else changed, nothing is sent. */
  readonly mark: string
}

export function textsOf(state: State): StateTexts {
  const { at, minutes, ...rest } = state
  const body = JSON.stringify(rest).slice(1, -1)
  const news = JSON.stringify(minutes.slice(-NEW_MINUTES))
  return {
    whole: `{"at":"${at}","minutes":${JSON.stringify(minutes)},${body}}`,
    news: `{"at":"${at}","minutes":${news},${body}}`,
    older: JSON.stringify(minutes.slice(0, -NEW_MINUTES)),
    // The time until windows turn runs with the clock.
    mark: news + body.replaceAll(/"resets_in_ms":[\d.e+]+/g, ''),
  }
}

interface StreamParts {
  readonly hub: LiveHub
  readonly state: () => Promise<StateTexts>
  readonly newestCalls: () => Promise<readonly unknown[]>
  /** What happened to calls after a number, as the text of an event; empty if nothing did. */
  readonly changes: (seq: number, limit: number) => Promise<string>
  /** False, or rejects, once the reader may read no more. */
  readonly mayRead: () => Promise<boolean>
  /** The id of the last event that the reader has. */
  readonly lastEventId: string | undefined
}

export class LiveStream {
  readonly body: ReadableStream<Uint8Array>
  readonly #parts: StreamParts
  readonly #encoder = new TextEncoder()
  #sink: ReadableStreamDefaultController<Uint8Array> | undefined
  #stop: (() => void) | undefined
  #seq: number
  #sent: StateTexts | undefined
  #ticks = 0
  #idleTicks = 0
  #isBusy = false
  #isEnded = false

  constructor(parts: StreamParts) {
    this.#parts = parts
    this.#seq = parts.hub.calls.lastSeq
    this.body = new ReadableStream<Uint8Array>(
      {
        start: (sink) => {
          this.#sink = sink
        },
        cancel: () => this.end(),
      },
      // One state waits at most.
      { highWaterMark: 1 },
    )
  }

  /** Sends the whole state, and follows the hub. Rejects if there is no state. */
  async begin(): Promise<void> {
    const { hub, state, newestCalls, lastEventId } = this.#parts
    const known = seqOf(lastEventId, hub.epoch)
    const now = await state()
    this.#sent = now
    const head = `retry: ${RETRY_MS}\n\n${this.#event('state', now.whole)}`
    const isResumed = known !== undefined && hub.calls.goesOnAfter(known)
    if (isResumed) this.#seq = known
    const calls = isResumed ? '' : this.#event('calls', JSON.stringify({ calls: await newestCalls() }))
    this.#write(head + calls)
    this.#stop = hub.read(() => void this.#tick())
  }

  end(): void {
    if (this.#isEnded) return
    this.#isEnded = true
    this.#stop?.()
    try {
      this.#sink?.close()
    } catch {
      // The reader has gone.
    }
  }

  async #tick(): Promise<void> {
    if (this.#parts.hub.isClosed) return this.end()
    // A slow reader still has the text before, and gets the newest state later.
    if (this.#isBusy || this.#isEnded || (this.#sink?.desiredSize ?? 0) <= 0) return
    this.#isBusy = true
    try {
      if (++this.#ticks % IDENTIFY_TICKS === 0 && !(await this.#parts.mayRead())) return this.end()
      const text = await this.#news()
      if (text !== '') this.#write(text)
    } catch {
      // The ledger cannot be read, or the reader may read no more. It connects again, and learns why.
      this.end()
    } finally {
      this.#isBusy = false
    }
  }

  /** The events since the last ones; a comment now and then if there are none. */
  async #news(): Promise<string> {
    const { hub, state, changes } = this.#parts
    const lastSeq = hub.calls.lastSeq
    const calls = await changes(this.#seq, MAX_CALLS_PER_EVENT)
    this.#seq = lastSeq
    const now = await state()
    let text = ''
    if (now.mark !== this.#sent?.mark || now.older !== this.#sent.older) {
      text += this.#event('state', now.older === this.#sent?.older ? now.news : now.whole)
      this.#sent = now
    }
    if (calls !== '') text += this.#event('calls', calls)
    this.#idleTicks = text === '' ? this.#idleTicks + 1 : 0
    return this.#idleTicks > 0 && this.#idleTicks % HEARTBEAT_TICKS === 0 ? ':\n\n' : text
  }

  #event(name: string, data: string): string {
    return `id: ${this.#parts.hub.epoch}/${this.#seq}\nevent: ${name}\ndata: ${data}\n\n`
  }

  #write(text: string): void {
    if (!this.#isEnded) this.#sink?.enqueue(this.#encoder.encode(text))
  }
}

/** Undefined for none, and for the id of another process: its numbers mean nothing here. */
function seqOf(id: string | undefined, epoch: string): number | undefined {
  const [of, seq = ''] = id?.split('/') ?? []
  return of === epoch && /^\d{1,15}$/.test(seq) ? Number(seq) : undefined
}
