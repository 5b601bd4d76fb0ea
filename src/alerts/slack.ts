// Slack: sends a message to an incoming webhook of Slack, whose address is the secret.

import type { HttpPoster } from './http-post.ts'
import { slackPayload } from './messages.ts'
import type { Deliver } from './receiver.ts'

export function slackDelivery(poster: HttpPoster): Deliver<'slack'> {
  return ({ url }, { message }, allowPrivate, signal) => {
    const headers = { 'content-type': 'application/json', 'user-agent': 'bursar' }
    return poster.post({ url, headers, body: JSON.stringify(slackPayload(message)), allowPrivate, signal })
  }
}
