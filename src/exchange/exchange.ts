// Exchange: a call's two ends, the request to read and the answer to write, over Node's own streams or web Request/Response.

import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Holding } from '../call/deadlines.ts'
import { Problem } from '../core/problem.ts'
import { TurnsEnd } from '../core/turn-batcher.ts'
import type { HeaderList, RequestLine } from '../wire/dialect.ts'

/** Who hears of the client. One object and not callbacks: closures put on a property are born old and keep their call alive. */
export interface ClientWatcher {
  clientLeft(): void
  /** The client reads again, after a `write` that said false. */
  clientDrained(): void
}

/**
 * One call's ends. `begin` once, then `write`, then `end` or `cut`. After the client has left, writes go nowhere and say so
 * by nothing: ask `left`.
 */
export interface Exchange extends RequestLine {
  readonly method: string
  /** Names and values in turn, as they came. */
  readonly headers: HeaderList
  /**
   * Reads the body once. Rejects with Problem `body_too_large`, `request_timeout` where the client left while sending, or
   * `overloaded` where there is no room for it.
   * @param holding takes every chunk's size before it is kept
   */
  body(mostBytes: number, holding: Pick<Holding, 'take'>): Promise<Buffer>
  /** @param atOnce sends the headers now, and not with the first bytes of a body that may take its time */
  begin(status: number, headers: HeaderList, atOnce?: boolean): void
  /** False when the client is slower than we are: wait for `clientDrained`. */
  write(chunk: Buffer): boolean
  end(chunk?: Buffer | string): void
  /** Breaks the connection, after some last bytes: the client must not take what it has for the whole. */
  cut(last?: string): void
  readonly begun: boolean
  /** The client has stopped reading: what is written now waits for it, perhaps for ever. */
  readonly blocked: boolean
  /** The client went away before the answer ended. */
  readonly left: boolean
  watcher: ClientWatcher | undefined
}

function tooLarge(mostBytes: number): Problem {
  return new Problem('body_too_large', `The request body is larger than ${mostBytes} bytes.`)
}

function goneWhileSending(): Problem {
  return new Problem('request_timeout', 'The request body did not arrive.')
}

export function noRoom(): Problem {
  return new Problem('overloaded', 'Too many bytes are in flight. Please try again in a moment.')
}

function ignore(): void {}

interface Ending {
  readonly outgoing: ServerResponse
  readonly chunk: Buffer | string | undefined
}

/**
 * Answers that end in one turn of the event loop are written at its end, one right after the other: a write wakes whoever waits
 * for it, and to wake it anew for each takes as long as a third of the call.
 */
const endings = new TurnsEnd<Ending>(setImmediate, ({ outgoing, chunk }) => outgoing.end(chunk))

/** Over `node:http`, without web streams in between. */
export class NodeExchange implements Exchange {
  readonly #incoming: IncomingMessage
  readonly #outgoing: ServerResponse
  readonly path: string
  readonly query: string
  #left = false
  #awaitsDrain = false
  watcher: ClientWatcher | undefined

  constructor(incoming: IncomingMessage, outgoing: ServerResponse) {
    this.#incoming = incoming
    this.#outgoing = outgoing
    const url = incoming.url ?? '/'
    const mark = url.indexOf('?')
    this.path = mark < 0 ? url : url.slice(0, mark)
    this.query = mark < 0 ? '' : url.slice(mark + 1)
    outgoing.on('close', () => {
      if (outgoing.writableEnded || this.#left) return
      this.#left = true
      this.watcher?.clientLeft()
    })
    // A socket that breaks while we write is a client that left: 'close' follows.
    outgoing.on('error', ignore)
  }

  get method(): string {
    return this.#incoming.method ?? 'GET'
  }

  get headers(): HeaderList {
    return this.#incoming.rawHeaders
  }

  get begun(): boolean {
    return this.#outgoing.headersSent
  }

  get blocked(): boolean {
    return this.#outgoing.writableNeedDrain
  }

  get left(): boolean {
    return this.#left
  }

  header(name: string): string | undefined {
    const value = this.#incoming.headers[name]
    return Array.isArray(value) ? value[0] : value
  }

  body(mostBytes: number, holding: Pick<Holding, 'take'>): Promise<Buffer> {
    const incoming = this.#incoming
    const announced = Number(incoming.headers['content-length'] ?? Number.NaN)
    return new Promise((resolve, reject) => {
      const chunks: Buffer[] = []
      let size = 0
      let over = false
      const fail = (problem: Problem) => {
        over = true
        chunks.length = 0
        reject(problem)
      }
      const finish = () => {
        over = true
        const [first] = chunks
        resolve(chunks.length === 1 && first ? first : Buffer.concat(chunks))
      }
      incoming.on('data', (chunk: Buffer) => {
        // What comes after a failure is thrown away, so that the client gets to read the answer.
        if (over) return
        size += chunk.length
        if (size > mostBytes) return fail(tooLarge(mostBytes))
        if (!holding.take(chunk.length)) return fail(noRoom())
        chunks.push(chunk)
        if (size === announced) finish()
      })
      if (announced > mostBytes) return fail(tooLarge(mostBytes))
      if (!(announced > 0)) incoming.on('end', () => over || finish())
      // After an error, too.
      incoming.on('close', () => over || reject(goneWhileSending()))
    })
  }

  begin(status: number, headers: HeaderList, atOnce = false): void {
    if (this.#left) return
    this.#outgoing.writeHead(status, headers)
    if (atOnce) this.#outgoing.flushHeaders()
  }

  write(chunk: Buffer): boolean {
    if (this.#left || this.#outgoing.write(chunk)) return true
    if (!this.#awaitsDrain) {
      this.#awaitsDrain = true
      this.#outgoing.once('drain', () => {
        this.#awaitsDrain = false
        this.watcher?.clientDrained()
      })
    }
    return false
  }

  end(chunk?: Buffer | string): void {
    if (!this.#left) endings.push({ outgoing: this.#outgoing, chunk })
  }

  cut(last?: string): void {
    const outgoing = this.#outgoing
    if (last === undefined || this.#left) outgoing.destroy()
    else outgoing.write(last, () => outgoing.destroy())
  }
}

/** Statuses whose web Response must not have a body. */
const NO_BODY: ReadonlySet<number> = new Set([204, 205, 304])

/** Over web Request and Response: in-process `fetch`, tests, other runtimes, and handlers of a user's own app. */
export class WebExchange implements Exchange {
  readonly #request: Request
  readonly path: string
  readonly query: string
  readonly headers: HeaderList
  /** Resolves when the answer begins. */
  readonly response: Promise<Response>
  #respond: (response: Response) => void = () => {}
  #sink: ReadableStreamDefaultController<Uint8Array> | undefined
  #ended = false
  #failOnPull: Error | undefined
  #left = false
  begun = false
  watcher: ClientWatcher | undefined

  constructor(request: Request) {
    this.#request = request
    const url = new URL(request.url)
    this.path = url.pathname
    this.query = url.search.slice(1)
    this.headers = [...request.headers].flat()
    this.response = new Promise((resolve) => {
      this.#respond = resolve
    })
    if (request.signal.aborted) this.#leave()
    request.signal.addEventListener('abort', () => {
      // Whoever still reads the answer is told: an aborted fetch fails, it does not wait.
      if (!this.#ended) this.#sink?.error(request.signal.reason)
      this.#leave()
    })
  }

  get method(): string {
    return this.#request.method
  }

  get blocked(): boolean {
    return (this.#sink?.desiredSize ?? 1) <= 0
  }

  get left(): boolean {
    return this.#left
  }

  header(name: string): string | undefined {
    return this.#request.headers.get(name) ?? undefined
  }

  async body(mostBytes: number, holding: Pick<Holding, 'take'>): Promise<Buffer> {
    if (Number(this.header('content-length') ?? 0) > mostBytes) throw tooLarge(mostBytes)
    const chunks: Uint8Array[] = []
    let size = 0
    try {
      for await (const chunk of this.#request.body ?? []) {
        size += chunk.length
        if (size > mostBytes) throw tooLarge(mostBytes)
        if (!holding.take(chunk.length)) throw noRoom()
        chunks.push(chunk)
      }
    } catch (error) {
      throw error instanceof Problem ? error : goneWhileSending()
    }
    return Buffer.concat(chunks)
  }

  begin(status: number, headers: HeaderList): void {
    const pairs: [string, string][] = []
    for (let at = 0; at + 1 < headers.length; at += 2) pairs.push([headers[at] ?? '', headers[at + 1] ?? ''])
    const body = new ReadableStream<Uint8Array>({
      start: (sink) => {
        this.#sink = sink
      },
      pull: (sink) => {
        if (this.#failOnPull) sink.error(this.#failOnPull)
        this.watcher?.clientDrained()
      },
      cancel: () => this.#leave(),
    })
    // A web Response takes fewer statuses than HTTP does.
    const legal = status >= 200 && status <= 599 ? status : 502
    this.#respond(new Response(NO_BODY.has(status) ? null : body, { status: legal, headers: pairs }))
    this.begun = true
  }

  write(chunk: Buffer): boolean {
    if (this.#left || !this.#sink) return true
    this.#sink.enqueue(chunk)
    return !this.blocked
  }

  end(chunk?: Buffer | string): void {
    if (this.#ended || this.#left) return
    if (chunk !== undefined && chunk.length > 0) this.write(Buffer.from(chunk))
    this.#ended = true
    this.#sink?.close()
  }

  cut(last?: string): void {
    if (this.#ended || this.#left) return
    if (last !== undefined) this.write(Buffer.from(last))
    this.#ended = true
    const failure = new Error('The answer was cut off.')
    // An error throws away what is queued: what was written last has to be read first.
    if (last === undefined) this.#sink?.error(failure)
    else this.#failOnPull = failure
  }

  #leave(): void {
    if (this.#left || this.#ended) return
    this.#left = true
    // Nobody reads it, but whoever awaits it must not wait for ever.
    if (!this.begun) this.#respond(new Response(null, { status: 499 }))
    this.watcher?.clientLeft()
  }
}
