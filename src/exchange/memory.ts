// Inner exchange: the two ends of a call that the gateway makes for a caller of its own endpoints.

import type { Holding } from '../core/permits.ts'
import type { HeaderList } from '../wire/dialect.ts'
import { type ClientWatcher, type Exchange, noRoom } from './exchange.ts'

/** What came back. */
export interface InnerAnswer {
  readonly status: number
  /** By lower-case name. */
  readonly headers: ReadonlyMap<string, string>
  readonly body: Buffer
}

interface InnerRequest {
  readonly path: string
  readonly query: string
  /** Names, in lower case, and values in turn. */
  readonly headers: HeaderList
  readonly body: Buffer
}

/** The request is in memory, and so is the answer when it has ended. */
export class InnerExchange implements Exchange {
  readonly method = 'POST'
  readonly path: string
  readonly query: string
  readonly headers: HeaderList
  readonly #body: Buffer
  readonly #answer = Promise.withResolvers<InnerAnswer | undefined>()
  readonly #pieces: Buffer[] = []
  readonly #answerHeaders = new Map<string, string>()
  #status = 0
  readonly blocked = false
  begun = false
  left = false
  watcher: ClientWatcher | undefined

  constructor({ path, query, headers, body }: InnerRequest) {
    this.path = path
    this.query = query
    this.headers = headers
    this.#body = body
  }

  /** Undefined where it broke off, or nobody waits for it any more. */
  get answer(): Promise<InnerAnswer | undefined> {
    return this.#answer.promise
  }

  header(name: string): string | undefined {
    for (let at = 0; at + 1 < this.headers.length; at += 2) if (this.headers[at] === name) return this.headers[at + 1]
    return undefined
  }

  /** It is ours, however large; but what is held for it counts. */
  async body(_mostBytes: number, holding: Pick<Holding, 'take'>): Promise<Buffer> {
    if (!holding.take(this.#body.length)) throw noRoom()
    return this.#body
  }

  begin(status: number, headers: HeaderList): void {
    this.begun = true
    this.#status = status
    for (let at = 0; at + 1 < headers.length; at += 2)
      this.#answerHeaders.set((headers[at] ?? '').toLowerCase(), headers[at + 1] ?? '')
  }

  write(chunk: Buffer): boolean {
    this.#pieces.push(chunk)
    return true
  }

  end(chunk?: Buffer | string): void {
    if (chunk !== undefined) this.#pieces.push(Buffer.from(chunk))
    const body = Buffer.concat(this.#pieces)
    this.#answer.resolve({ status: this.#status, headers: this.#answerHeaders, body })
  }

  cut(): void {
    this.#answer.resolve(undefined)
  }

  /** Whoever it is made for went away. */
  leave(): void {
    if (this.left) return
    this.left = true
    this.#answer.resolve(undefined)
    this.watcher?.clientLeft()
  }
}
