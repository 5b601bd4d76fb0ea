// Exchange: the two ends of a call, the request to read and the answer to write. Each kind of transport has its own file in this
// folder. An exchange does not know what its bytes mean.

import type { PermitLease } from '../core/permits.ts'
import { Problem } from '../core/problem.ts'
import type { HeaderList, RequestLine } from '../wire/dialect.ts'

/**
 * Is notified about the client. It is one object instead of two callbacks, because a closure on a property would keep the call in
 * memory: see docs/decisions/v8-memory.md.
 */
export interface ClientWatcher {
  /** The client has disconnected before the answer ended. Called at most once. */
  onClientGone(): void
  /** The client reads again, after a `write` that returned false. */
  onClientDrain(): void
}

/**
 * The two ends of one call. Call `writeHead` once, then `write` any number of times, then `end` or `cut` once.
 *
 * After the client has disconnected, writes do nothing: read `clientGone`.
 *
 * @example
 * const body = await exchange.body(maxBytes, lease)
 * exchange.writeHead(200, ['content-type', 'application/json'])
 * exchange.end(answer)
 */
export interface Exchange extends RequestLine {
  readonly method: string
  /** Names and values in turn, as they arrived. */
  readonly headers: HeaderList
  /** The IP address of the client. Undefined without a network: in memory, and over a unix socket. Empty if it is no longer known. */
  readonly remoteAddress: string | undefined
  /**
   * Reads the body; call it once. Rejects with Problem `body_too_large`, `request_timeout` if the client went away while it
   * was sending, or `overloaded` if `lease` has no room left.
   * @param lease acquires the size of every chunk before the chunk is kept
   */
  body(maxBytes: number, lease: Pick<PermitLease, 'acquire'>): Promise<Buffer>
  /** @param atOnce sends the headers now instead of together with the first bytes of the body, which may be slow to come */
  writeHead(status: number, headers: HeaderList, atOnce?: boolean): void
  /** Returns false if the client reads more slowly than the gateway writes: then wait for `watcher.onClientDrain`. */
  write(chunk: Buffer): boolean
  end(chunk?: Buffer | string): void
  /** Writes `last` and breaks the connection, so that the client does not take a partial answer for a complete one. */
  cut(last?: string): void
  /** True once `writeHead` was called. */
  readonly headersSent: boolean
  /** True while the client does not read: bytes that are written stay in memory. */
  readonly blocked: boolean
  /** True if the client disconnected before the answer ended. */
  readonly clientGone: boolean
  /** Set it to be notified; undefined at first. */
  watcher: ClientWatcher | undefined
}

/** @param source what sets the limit: a setting, or the endpoint itself */
export function bodyTooLargeProblem(maxBytes: number, source = 'MAX_BODY_BYTES'): Problem {
  return new Problem(
    'body_too_large',
    `The request body is larger than ${maxBytes} bytes, the most that ${source} allows.`,
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
