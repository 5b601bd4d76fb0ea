// Key limits: the limits of one key's record, prepared for calls. It holds no level.

import type { Span } from './calendar.ts'
import type { Charge, What } from './meter.ts'
import { type Limit, MeteredLimit, type Raise, raisedCapacity, type WindowZone, windowZone } from './metered-limit.ts'

/** The amounts that a call takes, each in its own unit; cost in nano-dollars. */
type Amounts = Readonly<Record<What, bigint>>

/**
 * The limits of one key. Each replaces what settings, `bursar.json` and `/admin/limits` say of keys for the same what and span.
 *
 * @example
 * const limits = compileKeyLimits([{ who: 'key', subject: 'ci', what: 'cost', span: 'day', capacity: 5_000_000_000n,
 *   refill: 'window', enforced: true }], 'Europe/Berlin')
 * plan.chargesFor({ ...subjects, keyLimits: limits }, amounts, now.wallMs, '', false)
 */
export class KeyLimits {
  readonly limits: readonly Limit[]
  readonly raises: readonly Raise[]
  /** The IANA zone in which calendar windows turn; undefined for the gateway's. */
  readonly timeZone: string | undefined
  readonly #metered: readonly MeteredLimit[]
  #replacement: KeyLimits | undefined
  #zone: WindowZone | undefined
  #gatewayZone = ''

  constructor(limits: readonly Limit[], timeZone: string | undefined, raises: readonly Raise[]) {
    this.limits = limits
    this.raises = raises
    this.timeZone = timeZone
    this.#metered = limits.map((limit) => new MeteredLimit(limit))
  }

  /** Whether any limit counts this. */
  counts(what: What): boolean {
    return this.limits.some((limit) => limit.what === what)
  }

  /** Whether the key has a limit of its own on this. */
  has(what: What, span: Span): boolean {
    for (const { limit } of this.#metered) if (limit.what === what && limit.span === span) return true
    return false
  }

  /** The capacity of a limit on this key, which its raises may enlarge. In the unit of `what`. */
  capacityOf({ what, span, capacity }: Limit, wallMs: number): bigint {
    for (const raise of this.raises)
      if (raise.what === what && raise.span === span) return raisedCapacity(capacity, raise, wallMs)
    return capacity
  }

  /**
   * Adds the charges of one call.
   * @param gatewayZone the zone of limits without their own
   */
  addCharges(
    charges: Charge[],
    amounts: Amounts,
    wallMs: number,
    realm: string,
    soft: boolean,
    gatewayZone: string,
  ): void {
    const zone = this.#zoneIn(gatewayZone)
    for (const metered of this.#metered) {
      const { limit } = metered
      charges.push({
        meter: metered.meterOn(limit.subject ?? '', wallMs, zone, realm),
        amount: amounts[limit.what],
        capacity: this.capacityOf(limit, wallMs),
        enforced: limit.enforced && !soft,
      })
    }
  }

  /** Whether others took the place of these since. */
  get isReplaced(): boolean {
    return this.#replacement !== undefined
  }

  /** The limits that took the place of these since: a call is admitted by them, so that their new windows count the call. */
  get newest(): KeyLimits {
    let newest: KeyLimits = this
    while (newest.#replacement) newest = newest.#replacement
    if (this.#replacement) this.#replacement = newest
    return newest
  }

  /** From now on, `next` holds in place of these. */
  replaceBy(next: KeyLimits): void {
    if (next.newest !== this.newest) this.#replacement = next
  }

  #zoneIn(gatewayZone: string): WindowZone {
    if (!this.#zone || this.#gatewayZone !== gatewayZone) {
      this.#zone = windowZone(this.timeZone, gatewayZone)
      this.#gatewayZone = gatewayZone
    }
    return this.#zone
  }
}

/**
 * Prepares the limits of a key's record.
 * @param limits each with `who: 'key'` and the key's id as its subject
 * @param timeZone the key's own IANA zone; undefined for the gateway's
 */
export function compileKeyLimits(
  limits: readonly Limit[],
  timeZone: string | undefined,
  raises: readonly Raise[] = [],
): KeyLimits {
  return new KeyLimits(limits, timeZone, raises)
}
