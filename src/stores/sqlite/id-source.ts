// Id source: makes the ids of ledger rows. They grow with the wall clock, so that a span of time is a span of ids. It reads no clock.

/** An entry id is the time in milliseconds × this, plus a count within the millisecond: see migrations. */
export const IDS_PER_MS = 1024

const DAY_MS = 86_400_000

/** Ids in ascending order. An id is epoch milliseconds times `IDS_PER_MS`, or one more than the id before. */
export class IdSource {
  #lastId: number

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
   * @param lastAt the largest id from `fromId` on and below `untilId` whose row is written or waits; undefined if there is none
   */
  late(reservedAtMs: number, lastAt: (fromId: number, untilId: number) => number | undefined): number {
    for (let atMs = Math.max(0, Math.floor(reservedAtMs)); ; atMs++) {
      const fromId = atMs * IDS_PER_MS
      const lastId = lastAt(fromId, fromId + IDS_PER_MS) ?? fromId - 1
      if (lastId + 1 < fromId + IDS_PER_MS) return lastId + 1
    }
  }
}
