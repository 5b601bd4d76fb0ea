// Sign-in attempts: slow down whoever guesses keys, by a bucket for each address and one for all. It knows no keys.

import {
  type Charge,
  type Instant,
  type Level,
  type Meter,
  newLevel,
  release,
  shortfallReason,
  take,
  viewOf,
} from '../core/meter.ts'
import { Problem } from '../core/problem.ts'
import { RecentMap } from '../core/recent-map.ts'

const MAX_ATTEMPTS_PER_ADDRESS = 5n
const ADDRESS_WAIT_MS = 30_000
const MAX_ATTEMPTS_PER_MINUTE = 100n
/** Several times the addresses whose bucket can be other than full, which the bucket for all bounds. */
const MAX_ADDRESSES = 2_000
const IPV4 = /^(?:::ffff:)?(\d{1,3}(?:\.\d{1,3}){3})$/i
const NETWORK_GROUPS = 4

/** An attempt that was begun. */
export interface Attempt {
  readonly address: string
  readonly taken: readonly (readonly [Level, Charge])[]
}

/** How many wrong keys may follow, and how long the wait is after them. */
export interface AttemptsLeft {
  readonly attempts: number
  readonly waitMs: number
}

/**
 * Begin an attempt before the key is looked at, so that many at a time are no more than one after the other, and give it back if the key
 * is right.
 *
 * @example
 * const attempt = attempts.begin('10.0.0.7', clock.now()) // Problem `too_many_attempts`
 * attempts.giveBack(attempt)
 */
export class SignInAttempts {
  readonly #levels = new RecentMap<Level>(MAX_ADDRESSES)
  readonly #all: Charge = chargeOf('all', MAX_ATTEMPTS_PER_MINUTE, 60_000)
  #allLevel: Level | undefined

  /**
   * Takes an attempt from both buckets, or throws Problem `too_many_attempts` with Retry-After and takes nothing.
   * @param address the IP address of the client; undefined without a network
   */
  begin(address: string | undefined, now: Instant): Attempt {
    const network = networkOf(address ?? '')
    const charge = addressCharge(network)
    const all = (this.#allLevel ??= newLevel(this.#all.meter, now))
    const level = this.#levels.get(network) ?? newLevel(charge.meter, now)
    const waitMs = Math.max(waitOf(level, charge, now), waitOf(all, this.#all, now))
    if (waitMs > 0) throw tooManyAttempts(waitMs)
    this.#levels.set(network, level)
    return {
      address: network,
      taken: [
        [level, take(level, charge, now)],
        [all, take(all, this.#all, now)],
      ],
    }
  }

  giveBack({ taken }: Attempt): void {
    for (const [level, charge] of taken) release(level, charge)
  }

  /** What is left after an attempt. */
  leftAfter({ taken }: Attempt, now: Instant): AttemptsLeft {
    const rows = taken.map(([level, charge]) => ({
      attempts: Number(viewOf(level, charge, now).free),
      waitMs: waitOf(level, charge, now) || charge.meter.spanMs / Number(charge.capacity),
    }))
    return rows.reduce((least, row) =>
      row.attempts < least.attempts || (row.attempts === least.attempts && row.waitMs > least.waitMs) ? row : least,
    )
  }
}

function addressCharge(network: string): Charge {
  return chargeOf(network, MAX_ATTEMPTS_PER_ADDRESS, ADDRESS_WAIT_MS * Number(MAX_ATTEMPTS_PER_ADDRESS))
}

function chargeOf(subject: string, capacity: bigint, spanMs: number): Charge {
  const meter: Meter = {
    key: `sign-in:${subject}`,
    name: 'sign_ins',
    who: 'global',
    subject,
    what: 'requests',
    span: 'minute',
    refill: 'steady',
    spanMs,
    endsAtMs: Number.POSITIVE_INFINITY,
  }
  return { meter, amount: 1n, capacity, enforced: true }
}

/** Milliseconds until the charge fits. */
function waitOf(level: Level, charge: Charge, now: Instant): number {
  const reason = shortfallReason(level, charge, now)
  return reason?.kind === 'time' ? reason.waitMs : 0
}

function tooManyAttempts(waitMs: number): Problem {
  const seconds = String(Math.ceil(waitMs / 1_000))
  const message = `Too many wrong keys were tried. The next try is in ${seconds} s.`
  return new Problem('too_many_attempts', message, null, { headers: ['retry-after', seconds] })
}

/** Of IP version 6, a client has a whole network of addresses: its first 64 bits. */
function networkOf(address: string): string {
  const [, version4] = IPV4.exec(address) ?? []
  if (version4 !== undefined) return version4
  if (!address.includes(':')) return address
  const [head = '', tail] = (address.split('%')[0] ?? '').split('::')
  const [before, after] = [head, tail ?? ''].map((part) => part.split(':').filter((group) => group !== ''))
  const missing = tail === undefined ? 0 : 8 - (before?.length ?? 0) - (after?.length ?? 0)
  const groups = [...(before ?? []), ...Array<string>(Math.max(0, missing)).fill('0'), ...(after ?? [])]
  return `${groups.slice(0, NETWORK_GROUPS).join(':')}::/64`
}
