// The load generator, a process of its own started with `fork`: every Load it is sent is answered by a Result.
// Raw sockets, one request in flight on each, and of the answer it reads only status, length and the number of SSE chunks.
import { createConnection, type Socket } from 'node:net'
import { WORD } from './answers.ts'
import { type Kind, requestOf, type Way } from './bodies.ts'

/**
 * Without `ratePerSecond` the loop is closed: every connection sends again as soon as it has its answer, or `pauseMs` later.
 * A client that leaves drops its connection, after a number of reads up to `leaveWithinReads` or after so long, if the answer
 * is not over by then.
 */
export type Load = {
  port: number
  kind: Kind
  /** Pass-through where it is absent. */
  way?: Way
  connections: number
  seconds: number
  /** Ends a closed loop before its time: no call begins after so many. */
  maxCalls?: number
  ratePerSecond?: number
  pauseMs?: number
  leaveWithinReads?: number
  leaveAfterMs?: number
  /** The latency of a stream is the time to the first byte of its content, and not to its end. */
  untilContent?: boolean
  headers?: readonly string[]
  /** Further headers: calls take each list in turn. */
  headerLists?: readonly (readonly string[])[]
}

/**
 * `calls` includes `errors` (not a 200, or a broken connection), which include the `unanswered`, and calls whose client `left`;
 * `reads` counts socket reads, to see chunks coalesce.
 */
export type Result = {
  calls: number
  errors: number
  firstError?: string
  unanswered: number
  left: number
  chunks: number
  reads: number
  seconds: number
  p50Ms: number
  p99Ms: number
  maxMs: number
}

const MAX_LATENCY_US = 2_000_000
const DRAIN_MS = 15_000
const MAX_STEP_MS = 0.15
/** Marks a JSON event; `data: [DONE]` is not one. */
const EVENT = 'data: {'
const END = '\r\n0\r\n\r\n'

const NO_BYTES = Buffer.alloc(0)

const READING_HEAD = -1
const READING_CHUNKS = -2

class Connection {
  intendedAt = 0
  busy = false
  readonly #run: LoadRun
  #socket: Socket | undefined
  #remainingBytes = READING_HEAD
  #head = ''
  /** The last characters of the chunked body so far, because a marker may be split between two reads. */
  #tail = ''
  #isOk = false
  #hasContent = false
  #readsLeft = Number.POSITIVE_INFINITY
  #disconnectTimer: NodeJS.Timeout | undefined

  constructor(run: LoadRun) {
    this.#run = run
  }

  send(intendedAt: number): void {
    this.intendedAt = intendedAt
    this.busy = true
    this.#hasContent = false
    this.#socket ??= this.#connect()
    this.#socket.write(this.#run.nextRequest())
    const { leaveWithinReads, leaveAfterMs } = this.#run.load
    if (leaveWithinReads !== undefined) this.#readsLeft = 1 + (this.#run.calls % leaveWithinReads)
    if (leaveAfterMs !== undefined) this.#disconnectTimer = setTimeout(() => this.#disconnect(), leaveAfterMs)
  }

  close(): void {
    this.#socket?.destroy()
  }

  #connect(): Socket {
    const onread = {
      buffer: Buffer.allocUnsafe(65_536),
      callback: (length: number, buffer: Uint8Array) => {
        this.#read((buffer as Buffer).toString('latin1', 0, length))
        return true
      },
    }
    const socket = createConnection({ host: '127.0.0.1', port: this.#run.load.port, noDelay: true, onread })
    socket.on('error', (error) => this.#connectionLost(error.message))
    socket.on('close', () => this.#connectionLost('connection closed'))
    return socket
  }

  #disconnect(): void {
    this.#socket?.removeAllListeners().on('error', () => {})
    this.close()
    this.#socket = undefined
    this.#run.disconnects++
    this.#finish(undefined)
  }

  #connectionLost(reason: string): void {
    // An error is followed by a close.
    if (!this.#socket) return
    this.#socket = undefined
    clearTimeout(this.#disconnectTimer)
    this.#remainingBytes = READING_HEAD
    this.#head = ''
    // A pause, so that a dead server does not turn the closed loop into a spin.
    if (this.busy) setTimeout(() => this.#finish(reason), 20)
  }

  #read(text: string): void {
    this.#run.reads++
    if (--this.#readsLeft === 0) return this.#disconnect()
    if (this.#remainingBytes === READING_HEAD) {
      this.#head += text
      const end = this.#head.indexOf('\r\n\r\n')
      if (end < 0) return
      const length = /\r\ncontent-length: *(\d+)/i.exec(this.#head.slice(0, end + 2))?.[1]
      this.#isOk = this.#head.startsWith('HTTP/1.1 200')
      this.#remainingBytes = length === undefined ? READING_CHUNKS : Number(length)
      this.#tail = '\r\n'
      text = this.#head.slice(end + 4)
      if (this.#isOk) this.#head = ''
    }
    if (this.#remainingBytes === READING_CHUNKS) this.#readChunked(text)
    else if ((this.#remainingBytes -= text.length) <= 0) this.#finish(this.#isOk ? undefined : this.#head)
  }

  #readChunked(text: string): void {
    const seen = this.#tail + text
    if (!this.#hasContent && this.#run.load.untilContent && seen.includes(WORD)) {
      this.#hasContent = true
      this.#run.countLatency(this.intendedAt)
    }
    for (let at = seen.indexOf(EVENT); at >= 0; at = seen.indexOf(EVENT, at + EVENT.length)) this.#run.chunks++
    // Shorter than EVENT, so that nothing is counted twice; just as long as END needs before its last character.
    this.#tail = seen.slice(1 - EVENT.length)
    if (seen.endsWith(END)) this.#finish(this.#isOk ? undefined : this.#head)
  }

  #finish(error: string | undefined): void {
    if (!this.busy) return
    this.busy = false
    clearTimeout(this.#disconnectTimer)
    this.#remainingBytes = READING_HEAD
    this.#head = ''
    this.#run.finishCall(this, error)
  }
}

class LoadRun {
  readonly load: Load
  calls = 0
  errors = 0
  chunks = 0
  reads = 0
  disconnects = 0
  readonly #latenciesUs = new Uint32Array(MAX_LATENCY_US + 1)
  readonly #all: Connection[]
  readonly #idle: Connection[] = []
  readonly #overdueMs: number[] = []
  readonly #startedAt = performance.now()
  readonly #requests: readonly Buffer[]
  readonly #endsAt: number
  #firstError: string | undefined
  #inFlight = 0
  #sent = 0

  constructor(load: Load) {
    this.load = load
    const { kind, port, headers = [], headerLists = [[]], way } = load
    this.#requests = headerLists.map((list) => requestOf(kind, port, [...headers, ...list], way))
    this.#endsAt = this.#startedAt + load.seconds * 1000
    this.#all = Array.from({ length: load.connections }, () => new Connection(this))
    this.#idle.push(...this.#all)
  }

  async run(): Promise<Result> {
    if (this.load.ratePerSecond === undefined) for (const connection of this.#idle.splice(0)) this.#send(connection)
    else await this.#sendAtRate(this.load.ratePerSecond)
    const giveUpAt = this.#endsAt + DRAIN_MS
    while (!this.#isOver() || (this.#inFlight > 0 && performance.now() < giveUpAt)) await sleep(5)
    for (const connection of this.#all) connection.close()
    return this.#result()
  }

  /** `#sent` counts the request already. */
  nextRequest(): Buffer {
    return this.#requests[this.#sent % this.#requests.length] ?? NO_BYTES
  }

  finishCall(connection: Connection, error: string | undefined): void {
    if (!this.load.untilContent) this.countLatency(connection.intendedAt)
    this.calls++
    this.#inFlight--
    if (error !== undefined) {
      this.errors++
      this.#firstError ??= error
    }
    const late = this.#overdueMs.shift()
    if (late !== undefined) this.#send(connection, late)
    else if (this.load.ratePerSecond !== undefined) this.#idle.push(connection)
    else if (this.load.pauseMs === undefined) this.#sendAgain(connection)
    else setTimeout(() => this.#sendAgain(connection), this.load.pauseMs)
  }

  countLatency(intendedAt: number): void {
    const latencyUs = Math.round((performance.now() - intendedAt) * 1000)
    const bucket = Math.min(latencyUs, MAX_LATENCY_US)
    this.#latenciesUs[bucket] = (this.#latenciesUs[bucket] ?? 0) + 1
  }

  #sendAgain(connection: Connection): void {
    if (this.#isOver()) this.#idle.push(connection)
    else this.#send(connection)
  }

  /** Answers whether calls no longer begin; those in flight may still be answered. */
  #isOver(): boolean {
    const { maxCalls = Number.POSITIVE_INFINITY } = this.load
    return this.#sent >= maxCalls || performance.now() >= this.#endsAt
  }

  #send(connection: Connection, intendedAt = performance.now()): void {
    this.#inFlight++
    this.#sent++
    connection.send(intendedAt)
  }

  /**
   * Sends at evenly spaced instants. Timers tick in whole milliseconds, which would turn the pace into bursts, so the loop
   * itself sleeps in steps of a fraction of that between two turns of the event loop; answers are seen as finely. Shorter steps
   * take half a core, which is then missing where the latency comes from.
   */
  async #sendAtRate(ratePerSecond: number): Promise<void> {
    const cell = new Int32Array(new SharedArrayBuffer(4))
    const everyMs = 1000 / ratePerSecond
    for (let next = this.#startedAt; next < this.#endsAt; ) {
      for (const now = performance.now(); next <= now; next += everyMs) {
        const connection = this.#idle.pop()
        if (connection) this.#send(connection, next)
        else this.#overdueMs.push(next)
      }
      const restMs = next - performance.now()
      if (restMs > 0.02) Atomics.wait(cell, 0, 0, Math.min(restMs, MAX_STEP_MS))
      await new Promise((resolve) => setImmediate(resolve))
    }
  }

  #percentileMs(share: number): number {
    let left = this.calls * share
    for (let us = 0; us <= MAX_LATENCY_US; us++) if ((left -= this.#latenciesUs[us] ?? 0) <= 0) return us / 1000
    return MAX_LATENCY_US / 1000
  }

  #result(): Result {
    const lost = this.#inFlight + this.#overdueMs.length
    return {
      calls: this.calls + lost,
      errors: this.errors + lost,
      ...(this.#firstError || lost ? { firstError: this.#firstError ?? `${lost} calls never answered` } : {}),
      unanswered: lost,
      left: this.disconnects,
      chunks: this.chunks,
      reads: this.reads,
      seconds: (performance.now() - this.#startedAt) / 1000,
      p50Ms: this.#percentileMs(0.5),
      p99Ms: this.#percentileMs(0.99),
      maxMs: this.#percentileMs(1),
    }
  }
}

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

// Loads come in order and answers go out in the same order; the process ends with the one that started it.
process.on('message', (load: Load) => new LoadRun(load).run().then((result) => process.send?.(result)))
process.on('disconnect', () => process.exit(0))
