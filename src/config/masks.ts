// Masks: what is shown of secrets, and of texts that can hold one.

const MIN_MASKED_CHARACTERS = 20
const SHOWN_END_CHARACTERS = 4
/** What stands before the random part of a key: `sk-`, `gsk_`, `xai-`. */
const KEY_PREFIX = /^[A-Za-z]{2,4}[-_]/

/** What is shown of a secret of which nothing is shown. */
export const SET = 'set'

/** `sk-…abcd`, or `set` for a key that is so short that its end would give it away. */
export function maskedKey(secret: string): string {
  if (secret.length < MIN_MASKED_CHARACTERS) return SET
  const [prefix = ''] = KEY_PREFIX.exec(secret) ?? []
  return `${prefix}…${secret.slice(-SHOWN_END_CHARACTERS)}`
}

/** A text with the user, the password and the query of an address left out. Any other text stays as it is. */
export function withoutCredentials(text: string): string {
  if (!text.includes('://') || !URL.canParse(text)) return text
  const url = new URL(text)
  const holdsNone = url.username === '' && url.password === '' && url.search === '' && url.hash === ''
  if (holdsNone) return text
  const user = url.username === '' && url.password === '' ? '' : '…@'
  return `${url.protocol}//${user}${url.host}${url.pathname}${url.search === '' ? '' : '?…'}`
}

/** The sections of bursar.json in its own words, without the secrets in them. */
export function shownSections(sections: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  const { providers, alerts, ...plain } = sections
  const others =
    alerts === undefined ? plain : { ...plain, alerts: Array.isArray(alerts) ? alerts.map(shownAlertRow) : SET }
  if (typeof providers !== 'object' || providers === null) return others
  const rows = Object.entries(providers).map(([name, row]) => [name, shownRow(row)])
  return { ...others, providers: Object.fromEntries(rows) }
}

function shownAlertRow(row: unknown): unknown {
  if (typeof row !== 'object' || row === null) return row
  return Object.fromEntries(Object.entries(row).map(([option, value]) => [option, shownAlertOption(option, value)]))
}

/** One option of an alert as people see it: URLs of receivers can hold secrets in any part behind the host. */
export function shownAlertOption(option: string, value: unknown): unknown {
  if (typeof value !== 'string' || value.startsWith('$')) return value
  if (option === 'secret' || option === 'user' || option === 'password') return SET
  if (option === 'url') return URL.canParse(value) ? `${new URL(value).origin}/…` : SET
  return option === 'server' ? withoutCredentials(value) : value
}

function shownRow(row: unknown): unknown {
  if (typeof row !== 'object' || row === null) return row
  return Object.fromEntries(Object.entries(row).map(([option, value]) => [option, shownOption(option, value)]))
}

/** Headers and parameters can carry keys under any name. */
function shownOption(option: string, value: unknown): unknown {
  if (option === 'apiKey' && typeof value === 'string') return value.startsWith('$') ? value : maskedKey(value)
  if (option === 'baseUrl' && typeof value === 'string') return withoutCredentials(value)
  if ((option !== 'headers' && option !== 'query') || typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.keys(value).map((name) => [name, SET]))
}
