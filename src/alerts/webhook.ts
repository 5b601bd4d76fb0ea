// Webhook: sends a message with the signature of Standard Webhooks (https://www.standardwebhooks.com), by which the receiver knows the
// sender, the age, and a repeat.

import { createHmac } from 'node:crypto'
import type { HttpPoster } from './http-post.ts'
import type { Deliver } from './receiver.ts'

const SECRET_PREFIX = 'whsec_'

export function webhookDelivery(poster: HttpPoster): Deliver<'webhook'> {
  return ({ url, secret }, { id, json, atSeconds }, allowPrivate, signal) =>
    poster.post({ url, headers: webhookHeaders(secret, id, atSeconds, json), body: json, allowPrivate, signal })
}

/** @param secret `whsec_` and base64 */
function webhookHeaders(secret: string, id: string, atSeconds: number, body: string) {
  const key = Buffer.from(secret.slice(SECRET_PREFIX.length), 'base64')
  const signature = createHmac('sha256', key).update(`${id}.${atSeconds}.${body}`).digest('base64')
  return {
    'content-type': 'application/json',
    'user-agent': 'bursar',
    'webhook-id': id,
    'webhook-timestamp': String(atSeconds),
    'webhook-signature': `v1,${signature}`,
  }
}
