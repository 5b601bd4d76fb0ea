// Idempotency: a call that is sent again with the same Idempotency-Key is not made again. It remembers by the ledger's own rows.

import { hash } from 'node:crypto'
import type { Entry } from '../core/ledger-entry.ts'
import type { Instant } from '../core/meter.ts'
import { formatUsd } from '../core/money.ts'
import { Problem } from '../core/problem.ts'
import type { Store } from '../stores/store.ts'

/** The key and the request of a call, as digests. */
export interface IdempotencyMark {
  readonly keyHash: string
  readonly bodyHash: string
}

const RETENTION_MS = 86_400_000
const MAX_KEY_CHARACTERS = 255
const IN_FLIGHT_RETRY_AFTER_MS = 1_000

/** Keys in flight are known to this process alone. */
export class Idempotency {
  readonly #store: Store
  /** The request digest of each call in flight, by the digest of its key. */
  readonly #inFlight = new Map<string, string>()

  constructor(store: Store) {
    this.#store = store
  }

  /**
   * Acquires a key for one call, until `release`.
   * Rejects with Problem if the key is in flight, if the call was made before, or if the key belongs to another request.
   * @param key as the caller wrote it
   * @param scope the caller: equal keys of different callers have nothing to do with each other
   * @param request everything in which requests differ
   */
  async acquire(
    key: string,
    scope: string,
    request: readonly (string | Buffer)[],
    now: Instant,
  ): Promise<IdempotencyMark> {
    if (key === '' || key.length > MAX_KEY_CHARACTERS)
      throw new Problem('invalid_request', `The Idempotency-Key must have 1 to ${MAX_KEY_CHARACTERS} characters.`)
    const mark = { keyHash: digest([scope, '\n', key]), bodyHash: digest(request) }
    const running = this.#inFlight.get(mark.keyHash)
    if (running !== undefined) throw running === mark.bodyHash ? inFlightProblem() : mismatchProblem()
    this.#inFlight.set(mark.keyHash, mark.bodyHash)
    try {
      const before = await this.#store.idempotentEntry(mark.keyHash, now.wallMs - RETENTION_MS)
      if (before) refuseRepeated(before, mark)
    } catch (error) {
      this.release(mark)
      throw error
    }
    return mark
  }

  /** The call is over, however it ended. */
  release({ keyHash }: IdempotencyMark): void {
    this.#inFlight.delete(keyHash)
  }
}

/** Throws Problem, unless the earlier call failed and cost nothing: then it may be made once more. */
function refuseRepeated({ facts, outcome }: Entry, { bodyHash }: IdempotencyMark): void {
  if (facts.idempotency?.bodyHash !== bodyHash) throw mismatchProblem()
  if (!outcome) throw inFlightProblem()
  const costNanoUsd = outcome.cost.totalNanoUsd
  if (outcome.ending !== 'completed' && costNanoUsd === 0n) return
  const cost = formatUsd(costNanoUsd)
  throw new Problem(
    'idempotency_done',
    `This request was made before, by call ${facts.callId}, which ended ${outcome.ending} and cost $${cost}. Its answer is not kept.`,
    null,
    { retry: false, headers: ['x-bursar-original-call-id', facts.callId] },
  )
}

function inFlightProblem(): Problem {
  const message = 'A call with this Idempotency-Key is still under way.'
  return new Problem('idempotency_in_flight', message, null, { retryAfterMs: IN_FLIGHT_RETRY_AFTER_MS })
}

function mismatchProblem(): Problem {
  const message = 'This Idempotency-Key was used for another request. Send a new key with this one.'
  return new Problem('idempotency_mismatch', message, null, { retry: false })
}

function digest(parts: readonly (string | Buffer)[]): string {
  return hash('sha256', Buffer.concat(parts.map((part) => Buffer.from(part))), 'base64url')
}
