// Id source: makes the ids of ledger rows. They grow with the wall clock, so that a span of time is a span of ids. It reads no clock.

import { RecentMap } from '../../core/recent-map.ts'

/** An entry id is the time in milliseconds × this, plus a count within the millisecond: see migrations. */
export const IDS_PER_MS = 1024

const DAY_MS = 86_400_000
/** More than can wait to be written. */
const MAX_LATE_IDS = 200_000

/** Ids in ascending order. An id is epoch milliseconds times `IDS_PER_MS`, or one more than the id before. */
export class IdSource {
  #lastId: number
  /** The last late id of each millisecond: its row may not be written yet. */
  readonly #late = new RecentMap<number>(MAX_LATE_IDS)

  /** @param lastId the largest id that was given, whether its row was written or not */
  constructor(lastId: number) {
    this.#lastId = lastId
  }

  get lastId(): number {
    return this.#lastId
  }

  /**
   * Larger than every id before. An id is at most a day ahead of the clock, or one wrong reservation time would push all later
   * ids ahead.
   */
  next(reservedAtMs: number, wallMs: number): number {
    const atMs = Math.min(Math.max(reservedAtMs, wallMs), wallMs + DAY_MS)
    this.#lastId = Math.max(this.#lastId + 1, Math.floor(atMs) * IDS_PER_MS)
    return this.#lastId
  }

  /**
   * An id at the time of a row that is written late, so that a span of time stays a span of ids.
   * @param lastAt the largest id from `fromId` on and below `untilId` that has a row, or undefined
   */
  late(reservedAtMs: number, lastAt: (fromId: number, untilId: number) => number | undefined): number {
    for (let atMs = Math.max(0, Math.floor(reservedAtMs)); ; atMs++) {
      const fromId = atMs * IDS_PER_MS
      const lastId = Math.max(fromId - 1, this.#late.get(`${atMs}`) ?? 0, lastAt(fromId, fromId + IDS_PER_MS) ?? 0)
      if (lastId + 1 >= fromId + IDS_PER_MS) continue
      this.#late.set(`${atMs}`, lastId + 1)
      return lastId + 1
    }
  }
}
