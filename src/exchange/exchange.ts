// Exchange: a call's two ends, the request to read and the answer to write, over Node's own streams or web Request/Response.

import type { PermitLease } from '../core/permits.ts'
import { Problem } from '../core/problem.ts'
import type { HeaderList, RequestLine } from '../wire/dialect.ts'

/** Who hears of the client. An object, because a closure on a property would keep the call alive: see docs/decisions/v8-memory.md. */
export interface ClientWatcher {
  onClientGone(): void
  /** The client reads again, after a `write` that said false. */
  onClientDrain(): void
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
  body(mostBytes: number, holding: Pick<PermitLease, 'acquire'>): Promise<Buffer>
  /** @param atOnce sends the headers now, and not with the first bytes of a body that may take its time */
  writeHead(status: number, headers: HeaderList, atOnce?: boolean): void
  /** False when the client is slower than we are: wait for `clientDrained`. */
  write(chunk: Buffer): boolean
  end(chunk?: Buffer | string): void
  /** Breaks the connection, after some last bytes: the client must not take what it has for the whole. */
  cut(last?: string): void
  readonly headersSent: boolean
  /** The client has stopped reading: what is written now waits for it, perhaps for ever. */
  readonly blocked: boolean
  /** The client went away before the answer ended. */
  readonly clientGone: boolean
  watcher: ClientWatcher | undefined
}

export function bodyTooLargeProblem(mostBytes: number): Problem {
  return new Problem('body_too_large', `The request body is larger than ${mostBytes} bytes.`)
}

export function incompleteBodyProblem(): Problem {
  return new Problem('request_timeout', 'The request body did not arrive.')
}

export function overloadedProblem(): Problem {
  return new Problem('overloaded', 'Too many bytes are in flight. Please try again in a moment.')
}
