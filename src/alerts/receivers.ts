// Receivers: delivers a message to an address of any kind within a time. It knows no queue.

import { createHash } from 'node:crypto'
import type { AlertRow, ReceiverAddress } from '../config/alerts.ts'
import type { Timers } from '../core/clock.ts'
import { HttpPoster } from './http-post.ts'
import { mailDelivery } from './mail.ts'
import type { Resolve } from './public-hosts.ts'
import type { Attempt, Parcel } from './receiver.ts'
import { slackDelivery } from './slack.ts'
import { webhookDelivery } from './webhook.ts'

/** No attempt takes longer, however slowly a receiver answers. */
const MAX_ATTEMPT_MS = 15_000

/** What delivers. Tests replace it. */
export interface Receivers {
  /** Never rejects. */
  deliver(row: AlertRow, parcel: Parcel, stop: AbortSignal): Promise<Attempt>
  close(): Promise<void>
}

export function receivers(timers: Timers, resolve: Resolve): Receivers {
  const poster = new HttpPoster(resolve)
  const deliverTo = {
    webhook: webhookDelivery(poster),
    slack: slackDelivery(poster),
    mail: mailDelivery(resolve),
  }
  const send = ({ address, allowPrivate }: AlertRow, parcel: Parcel, signal: AbortSignal): Promise<Attempt> => {
    switch (address.send) {
      case 'webhook':
        return deliverTo.webhook(address, parcel, allowPrivate, signal)
      case 'slack':
        return deliverTo.slack(address, parcel, allowPrivate, signal)
      case 'mail':
        return deliverTo.mail(address, parcel, allowPrivate, signal)
    }
  }
  return {
    deliver: async (row, parcel, stop) => {
      const late = new AbortController()
      const deadline = timers.setTimeout(() => late.abort(), MAX_ATTEMPT_MS).unref()
      try {
        return await send(row, parcel, AbortSignal.any([stop, late.signal]))
      } catch {
        return { kind: 'failed', error: 'The message could not be sent.', retry: 'soon' }
      } finally {
        timers.clearTimeout(deadline)
      }
    },
    close: () => poster.close(),
  }
}

/** Tells whether an address is the same as before, and not what it is. */
export function addressDigest(address: ReceiverAddress): string {
  return createHash('sha256').update(JSON.stringify(address)).digest('hex')
}
