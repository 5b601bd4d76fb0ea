// Exchange: the two ends of a call, the request to read and the answer to write. Each kind of transport has a file beside
// this one. An exchange knows nothing of what its bytes mean.

import type { PermitLease } from '../core/permits.ts'
import { Problem } from '../core/problem.ts'
import type { HeaderList, RequestLine } from '../wire/dialect.ts'

/**
 * Is notified about the client. One object in place of two callbacks, because a closure on a property would keep the call alive:
 * see docs/decisions/v8-memory.md.
 */
export interface ClientWatcher {
  onClientGone(): void
  /** The client reads again, after a `write` that returned false. */
  onClientDrain(): void
}

/**
 * The two ends of one call. Call `writeHead` once, then `write` any number of times, then `end` or `cut` once.
 *
 * After the client has gone, writes do nothing and report nothing: read `clientGone`.
 */
export interface Exchange extends RequestLine {
  readonly method: string
  /** Names and values in turn, as they arrived. */
  readonly headers: HeaderList
  /**
   * Reads the body; call it once. Rejects with Problem `body_too_large`, `request_timeout` if the client went away while it
   * was sending, or `overloaded` if `lease` has no room left.
   * @param lease acquires the size of every chunk before the chunk is kept
   */
  body(maxBytes: number, lease: Pick<PermitLease, 'acquire'>): Promise<Buffer>
  /** @param atOnce sends the headers now instead of together with the first bytes of the body, which may be slow to come */
  writeHead(status: number, headers: HeaderList, atOnce?: boolean): void
  /** False if the client reads more slowly than we write: wait for `onClientDrain`. */
  write(chunk: Buffer): boolean
  end(chunk?: Buffer | string): void
  /** Breaks the connection, after these last bytes, so that the client does not mistake a partial answer for a whole one. */
  cut(last?: string): void
  readonly headersSent: boolean
  /** The client has stopped reading: what is written now stays in memory until it reads again. */
  readonly blocked: boolean
  /** The client disconnected before the answer ended. */
  readonly clientGone: boolean
  watcher: ClientWatcher | undefined
}

export function bodyTooLargeProblem(maxBytes: number): Problem {
  return new Problem(
    'body_too_large',
    `The request body is larger than ${maxBytes} bytes, the most that MAX_BODY_BYTES allows.`,
  )
}

export function incompleteBodyProblem(): Problem {
  return new Problem('request_timeout', 'The connection closed before the whole request body had arrived.')
}

export function overloadedProblem(): Problem {
  return new Problem(
    'overloaded',
    'Requests and answers under way fill MAX_BUFFERED_BYTES. Please try again in a moment.',
  )
}
