// Messages: an alert as receivers get it: the JSON of a webhook, the payload of Slack, the parts of a mail. Names in alerts come from
// callers, so each format escapes them.

import type { Alert } from './alert.ts'

/** The body of a webhook, in the shape that Standard Webhooks recommends. It is stored as it is sent. */
export interface AlertMessage {
  readonly type: string
  /** RFC 3339: when it happened. */
  readonly timestamp: string
  readonly data: {
    readonly kind: string
    readonly subject: string
    readonly title: string
    readonly text: string
    readonly advice: string
    readonly figures: Alert['figures']
    /** Where the limits are shown. */
    readonly link: string
  }
}

/** @param link to `/llm/limits` */
export function messageOf(
  { type, kind, atMs, subject, title, text, advice, figures }: Alert,
  link: string,
): AlertMessage {
  return { type, timestamp: new Date(atMs).toISOString(), data: { kind, subject, title, text, advice, figures, link } }
}

/** A message that was stored by `JSON.stringify(messageOf(…))`. */
export function parseMessage(json: string): AlertMessage {
  return JSON.parse(json) as AlertMessage
}

/** The payload of an incoming webhook of Slack. Only the link is markup; all other text is plain. */
export function slackPayload({ data: { title, text, advice, link } }: AlertMessage) {
  const [escapedTitle, escapedText] = [escapeSlack(title), escapeSlack(`${text} ${advice}`)]
  return {
    // For notifications and screen readers.
    text: `${escapedTitle}\n${escapedText}`,
    mrkdwn: false,
    blocks: [
      {
        type: 'header',
        text: { type: 'plain_text', text: shorten(escapedTitle, MAX_HEADER_CHARACTERS), emoji: false },
      },
      {
        type: 'section',
        text: { type: 'plain_text', text: shorten(escapedText, MAX_SECTION_CHARACTERS), emoji: false },
      },
      {
        type: 'context',
        elements: [{ type: 'mrkdwn', text: `<${escapeSlack(link)}|${escapeSlack(link)}>`, verbatim: true }],
      },
    ],
  }
}

/** Slack's own bounds. */
const MAX_HEADER_CHARACTERS = 150
const MAX_SECTION_CHARACTERS = 3_000

/** As Slack asks for. Without these signs, no text is a link, a mention or a call for everyone. */
function escapeSlack(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
}

/** Does not cut through an entity. */
function shorten(text: string, maxCharacters: number): string {
  return text.length <= maxCharacters ? text : `${text.slice(0, maxCharacters - 1).replace(/&[a-z]{0,3}$/, '')}…`
}

/** The parts of a mail. */
export function mailParts({ data: { title, text, advice, link } }: AlertMessage) {
  return {
    // One line: what ends a line would begin another header.
    subject: `[bursar] ${title.replace(/\s+/g, ' ')}`,
    text: `${title}\n\n${text}\n\n${advice}\n\n${link}\n`,
    html: `<h3>${escapeHtml(title)}</h3><p>${escapeHtml(text)}</p><p>${escapeHtml(advice)}</p><p><a href="${escapeHtml(link)}">${escapeHtml(link)}</a></p>`,
  }
}

const HTML_ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
}

function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (sign) => HTML_ENTITIES[sign] ?? sign)
}
