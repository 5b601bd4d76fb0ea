// Alert queue: the contract for alerts that wait to be delivered, and for what was delivered, so that nothing is sent twice. It knows
// neither receivers nor what an alert says.

/** The most alerts that wait for delivery, over all receivers. */
export const MAX_PENDING_ALERTS = 10_000
/** The most alerts that are remembered after their delivery. If there are more, the oldest are forgotten. */
export const MAX_DONE_ALERTS = 100_000

/** An alert for one receiver. */
export interface AlertDraft {
  /** The name of the receiver. */
  readonly receiver: string
  /** What the alert is about: the subject and the window. */
  readonly key: string
  /** An alert is not added while one with the same receiver, the same key, and this rank or a higher one is kept. */
  readonly rank: number
  /** The id of the message, the same for each attempt, so that the receiver can tell a repeat. */
  readonly messageId: string
  /** JSON. */
  readonly message: string
  /** Epoch milliseconds. The key is kept at least until then, and longer if the alert is not delivered by then. */
  readonly keepUntilMs: number
  /** Epoch milliseconds, if the alert was delivered before it could be written. */
  readonly sentAtMs?: number
}

/** An alert that waits for delivery. */
export interface PendingAlert {
  readonly id: number
  readonly receiver: string
  readonly messageId: string
  /** JSON. */
  readonly message: string
  /** Epoch milliseconds. */
  readonly createdAtMs: number
  /** Attempts that failed. */
  readonly attempts: number
}

/** What became of the drafts. */
export interface AddedAlerts {
  readonly added: number
  /** Alerts that are lost, because too many wait. */
  readonly overflowed: number
}

/** What became of an attempt to deliver an alert. */
export type DeliveryResult =
  | { readonly kind: 'delivered' }
  /** To be tried again at `nextAtMs`, epoch milliseconds. */
  | { readonly kind: 'failed'; readonly error: string; readonly nextAtMs: number }
  /** Not tried again. */
  | { readonly kind: 'givenUp'; readonly error: string }

/** The deliveries to one receiver. Times are epoch milliseconds; null if there was none. */
export interface ReceiverDeliveries {
  readonly receiver: string
  readonly pending: number
  readonly lastSentAtMs: number | null
  readonly lastFailedAtMs: number | null
  /** Of the newest attempt that failed. */
  readonly lastError: string | null
}

/**
 * Alerts on their way. Do not use a queue after its store is closed. Rejects with StoreUnavailable if it cannot be read or written. Each
 * line of a list below is the name of a test in `test/stores/conformance`.
 */
export interface AlertQueue {
  /**
   * Adds alerts, all in one commit. Resolves once they are written.
   *
   * - an alert is added once for each receiver, key and rank, and a lower rank not after a higher one
   * - an alert can be added again once its key is kept no longer
   * - an alert that was sent before it was written is kept and not pending
   * - too many pending alerts are refused, and counted
   */
  add(drafts: readonly AlertDraft[], nowMs: number): Promise<AddedAlerts>
  /**
   * Alerts of a receiver whose next attempt is due, the oldest first.
   *
   * - pending alerts come oldest first, once they are due
   */
  due(receiver: string, nowMs: number, limit: number): Promise<readonly PendingAlert[]>
  /**
   * When the next attempt for any of the receivers is due, in epoch milliseconds; undefined if none is.
   *
   * - the next attempt is that of the receivers that are asked for
   */
  nextDueAtMs(receivers: readonly string[]): Promise<number | undefined>
  /**
   * Records an attempt.
   *
   * - an alert that was delivered or given up is no longer pending, and its key is kept
   * - an alert that failed waits for its next attempt
   */
  record(id: number, result: DeliveryResult, nowMs: number): Promise<void>
  /**
   * Lets alerts with this key be added again, for all receivers. Those that are pending stay pending.
   *
   * - a key that is released can be added again
   */
  release(key: string): Promise<void>
  /**
   * Drops what is pending for a receiver, and forgets its errors.
   *
   * - alerts of a receiver that is removed are dropped
   */
  drop(receiver: string): Promise<void>
  /**
   * What was delivered, by receiver.
   *
   * - deliveries are counted by receiver
   */
  deliveries(): Promise<readonly ReceiverDeliveries[]>
  /**
   * Deletes alerts that are delivered or given up and whose key need not be kept any longer.
   *
   * - alerts that are done are deleted once their window has ended
   * - alerts survive a restart
   */
  tidy(nowMs: number): Promise<void>
}
