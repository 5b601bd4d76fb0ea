// The alerts of bursar.json: who hears of what, and when. /admin/alerts takes the same rows. Secrets that are written as $NAME are looked
// up in the variables that are handed in.

import { z } from 'zod'
import type { Span } from '../core/calendar.ts'
import type { Scope } from '../core/limits.ts'
import type { What } from '../core/meter.ts'
import { usdOf } from '../core/money.ts'
import { nearestName } from '../core/nearest-name.ts'
import type { Finding, Place } from './findings.ts'
import { isLimitWord, LIMIT_WORDS, limitOfWord, readScope } from './limits.ts'
import { shownAlertOption } from './masks.ts'
import { isPrivateHost } from './private-addresses.ts'
import { readValue, strictObject, usdSchema, wholeNumber } from './schema.ts'
import type { Environment } from './settings.ts'

/** What alerts can be about. */
const ALERT_KINDS = [
  'limit',
  'unusual_spend',
  'upstream_limit_low',
  'price_unknown',
  'quote_exceeded',
  'provider_down',
  'prices_old',
  'ledger_unavailable',
] as const
export type AlertKind = (typeof ALERT_KINDS)[number]

/** Limits that an alert watches: `perUser.costPerDay`. */
export interface WatchedLimit {
  /** Without a subject: each subject of the kind. */
  readonly scope: Scope
  readonly what: What
  readonly span: Span
}

/** Where messages go. Addresses and secrets are in clear here. */
export type ReceiverAddress =
  | { readonly send: 'webhook'; readonly url: string; readonly secret: string }
  | { readonly send: 'slack'; readonly url: string }
  | {
      readonly send: 'mail'
      /** `smtps://host:465`: encrypted from the start; `smtp://host:587`: encrypted by STARTTLS. */
      readonly server: string
      /** Empty: the server asks for none. */
      readonly user: string
      readonly password: string
      readonly from: string
      readonly to: readonly string[]
    }

/** One receiver, and what it hears of, with every default filled in. */
export interface AlertRow {
  readonly name: string
  readonly address: ReceiverAddress
  /** True: the receiver may be on this machine or its network, and http:// is allowed. */
  readonly allowPrivate: boolean
  readonly on: ReadonlySet<AlertKind>
  /** Undefined: every limit on cost over an hour or more. */
  readonly limits: readonly WatchedLimit[] | undefined
  /** Whole percentages of a limit, ascending. */
  readonly at: readonly number[]
  /** How many times its usual cost an hour must have, and how much at least, in nano-dollars. */
  readonly factor: number
  readonly floorNanoUsd: bigint
  /** The row in the words of bursar.json, with secrets in disguise. */
  readonly shown: Readonly<Record<string, unknown>>
}

const DEFAULT_PERCENTAGES = [80, 100]
const DEFAULT_FACTOR = 3
const DEFAULT_FLOOR_USD = '1.00'
const MAX_LIMITS = 100
const MAX_PERCENTAGES = 20
const MAX_RECIPIENTS = 50
const MAX_TEXT_CHARACTERS = 4_096

/** The secret of Standard Webhooks: 24 to 64 bytes in base64. */
const WEBHOOK_SECRET = /^whsec_[A-Za-z0-9+/]{32,88}={0,2}$/
/** No more than a mailbox: one sign @, and nothing that ends a header or starts another address. */
const MAILBOX =
  /^[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*$/

const nameSchema = z
  .string()
  .regex(
    /^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$/,
    'must have 1 to 64 letters, digits, _ . -, and begin with a letter or digit',
  )
const text = z.string().min(1).max(MAX_TEXT_CHARACTERS)
const mailbox = z.string().max(254).regex(MAILBOX, 'must be an address such as ops@example.com')

const hearsOf = {
  name: nameSchema,
  on: z.array(z.enum(ALERT_KINDS)).min(1).exactOptional(),
  limits: z.array(z.string()).min(1).max(MAX_LIMITS).exactOptional(),
  at: z.array(wholeNumber(1, 1_000)).min(1).max(MAX_PERCENTAGES).exactOptional(),
  factor: z.number().min(1).max(1_000).exactOptional(),
  floor: usdSchema.exactOptional(),
}
const ROW_SHAPES = {
  webhook: { send: z.literal('webhook'), url: text, secret: text },
  slack: { send: z.literal('slack'), url: text },
  mail: {
    send: z.literal('mail'),
    server: text,
    user: text.exactOptional(),
    password: text.exactOptional(),
    from: mailbox,
    to: z.array(mailbox).min(1).max(MAX_RECIPIENTS),
  },
} as const
const sendSchema = z.looseObject({ send: z.enum(['webhook', 'slack', 'mail']) })

/** What differs between the file and /admin/alerts. */
export interface AlertRowSource {
  /** Where $NAME is looked up. Without it, every text is taken as it is. */
  readonly env?: Environment | undefined
  /** True: the row can allow private addresses itself, by `allowPrivate`. */
  readonly canAllowPrivate: boolean
  /** Whether all rows may have private addresses. */
  readonly allowsPrivate: boolean
}

/** Reads `alerts` of a file. What is wrong with them is added to `mistakes`. */
export function readAlerts(
  section: unknown,
  env: Environment,
  mistakes: Finding[],
): { readonly rows: readonly AlertRow[]; readonly variables: readonly string[] } {
  if (section === undefined) return { rows: [], variables: [] }
  const values = readValue(z.array(z.unknown()), section, ['alerts'], mistakes) ?? []
  const variables = values.flatMap(variablesIn)
  const source = { env, canAllowPrivate: true, allowsPrivate: env.ALERTS_ALLOW_PRIVATE?.trim() === 'true' }
  const rows: AlertRow[] = []
  values.forEach((value, index) => {
    const row = readAlertRow(value, ['alerts', index], source, mistakes)
    if (!row) return
    if (rows.some(({ name }) => name === row.name))
      mistakes.push({ place: ['alerts', index, 'name'], text: 'must not be the name of another alert' })
    else rows.push(row)
  })
  return { rows, variables }
}

/** Reads one row. Undefined if anything is wrong with it: then `mistakes` has findings. */
export function readAlertRow(
  value: unknown,
  place: Place,
  source: AlertRowSource,
  mistakes: Finding[],
): AlertRow | undefined {
  const before = mistakes.length
  const kind = readValue(sendSchema, value, place, mistakes)?.send
  if (kind === undefined) return undefined
  const options = source.canAllowPrivate ? { ...hearsOf, allowPrivate: z.boolean().exactOptional() } : hearsOf
  const row: WrittenRow | undefined = readValue(
    strictObject({ ...options, ...ROW_SHAPES[kind] }),
    value,
    place,
    mistakes,
  )
  if (!row) return undefined
  const add = (option: string | readonly (string | number)[], wrong: string) =>
    mistakes.push({ place: [...place, ...(typeof option === 'string' ? [option] : option)], text: wrong })
  const allowPrivate = source.allowsPrivate || row.allowPrivate === true
  const address = addressOf(row, allowPrivate, source.env, add)
  const limits = row.limits?.flatMap((written, index) => {
    const read = readWatchedLimit(written)
    if (typeof read !== 'string') return [read]
    add(['limits', index], read)
    return []
  })
  if (mistakes.length > before) return undefined
  return {
    name: row.name,
    address,
    allowPrivate,
    on: new Set(row.on ?? ALERT_KINDS),
    limits,
    at: [...new Set(row.at ?? DEFAULT_PERCENTAGES)].toSorted((left, right) => left - right),
    factor: row.factor ?? DEFAULT_FACTOR,
    floorNanoUsd: usdOf(row.floor ?? DEFAULT_FLOOR_USD) ?? 0n,
    shown: shownAlert(row),
  }
}

/** A row of any kind, as far as code reads it before the kind is looked at. */
interface WrittenRow {
  readonly name: string
  readonly send: ReceiverAddress['send']
  readonly allowPrivate?: boolean
  readonly on?: readonly AlertKind[]
  readonly limits?: readonly string[]
  readonly at?: readonly number[]
  readonly factor?: number
  readonly floor?: string | number
  readonly url?: string
  readonly secret?: string
  readonly server?: string
  readonly user?: string
  readonly password?: string
  readonly from?: string
  readonly to?: readonly string[]
}

type AddMistake = (option: string | readonly (string | number)[], text: string) => void

function addressOf(
  row: WrittenRow,
  allowPrivate: boolean,
  env: Environment | undefined,
  add: AddMistake,
): ReceiverAddress {
  const read = (option: 'url' | 'secret' | 'server' | 'user' | 'password') =>
    secretText(row[option] ?? '', option, env, add)
  if (row.send === 'mail') {
    const server = read('server')
    if (server !== undefined) checkServer(server, allowPrivate, add)
    const [user = '', password = ''] = [read('user'), read('password')]
    if ((user === '') !== (password === ''))
      add(user === '' ? 'user' : 'password', 'is missing: a user and a password go together')
    return { send: 'mail', server: server ?? '', user, password, from: row.from ?? '', to: row.to ?? [] }
  }
  const url = read('url')
  if (url !== undefined) checkUrl(url, allowPrivate, add)
  if (row.send === 'slack') return { send: 'slack', url: url ?? '' }
  const secret = read('secret')
  if (secret !== undefined && !WEBHOOK_SECRET.test(secret))
    add(
      'secret',
      'must be whsec_ and 24 to 64 bytes in base64, such as whsec_ and what `openssl rand -base64 32` prints',
    )
  return { send: 'webhook', url: url ?? '', secret: secret ?? '' }
}

/** The text itself, or the value of the variable that it names. Undefined, and a mistake, if there is none. */
function secretText(
  written: string,
  option: string,
  env: Environment | undefined,
  add: AddMistake,
): string | undefined {
  if (!env || !written.startsWith('$')) return written
  const variable = written.slice(1)
  const value = Object.hasOwn(env, variable) ? env[variable]?.trim() : undefined
  if (value) return value
  add(
    option,
    /^\w+$/.test(variable)
      ? `names the variable ${variable}, which is not set`
      : 'must name a variable after the $, such as $SLACK_URL',
  )
  return undefined
}

const PRIVATE_EXPECTED =
  'must not be on this machine or a private network. To allow that, set "allowPrivate": true in bursar.json, or ALERTS_ALLOW_PRIVATE=true'

function checkUrl(written: string, allowPrivate: boolean, add: AddMistake): void {
  const url = URL.canParse(written) ? new URL(written) : undefined
  const isWeb = url && (url.protocol === 'https:' || (allowPrivate && url.protocol === 'http:'))
  if (!isWeb || url.username !== '' || url.password !== '' || url.hash !== '')
    add(
      'url',
      `must be a URL that begins with ${allowPrivate ? 'https:// or http://' : 'https://'}, without a user and a #`,
    )
  else if (!allowPrivate && isPrivateHost(url.hostname)) add('url', PRIVATE_EXPECTED)
}

function checkServer(written: string, allowPrivate: boolean, add: AddMistake): void {
  const host = smtpServerOf(written)?.host
  if (host === undefined)
    add('server', 'must be smtps://HOST:PORT or smtp://HOST:PORT, without a user: user and password stand beside it')
  else if (!allowPrivate && isPrivateHost(host)) add('server', PRIVATE_EXPECTED)
}

const DEFAULT_PORTS = { 'smtps:': 465, 'smtp:': 587 } as const

/** The parts of a mail server's address. Undefined if the text is none. */
export function smtpServerOf(written: string) {
  if (!URL.canParse(written)) return undefined
  const { protocol, host, port, username, password, pathname, search, hash } = new URL(written)
  if ((protocol !== 'smtp:' && protocol !== 'smtps:') || host === '') return undefined
  if ([username, password, search, hash].some((part) => part !== '') || pathname.length > 1) return undefined
  // Only URLs of the web have their hosts written in one way, with numbers in any base as dotted decimals.
  const asWeb = written.replace(/^smtps?:/i, 'https:')
  if (!URL.canParse(asWeb)) return undefined
  const { hostname } = new URL(asWeb)
  return {
    host: hostname.replace(/^\[|\]$/g, ''),
    port: port === '' ? DEFAULT_PORTS[protocol] : Number(port),
    isSecure: protocol === 'smtps:',
  }
}

/** A limit as alerts name it, or what is wrong with it. The text follows its place. */
function readWatchedLimit(written: string): WatchedLimit | string {
  const dot = written.lastIndexOf('.')
  const word = written.slice(dot + 1)
  if (dot < 0 || !isLimitWord(word)) {
    const nearest = nearestName(word, LIMIT_WORDS)
    const advice =
      nearest === undefined ? '' : `. Did you mean ${dot < 0 ? 'global' : written.slice(0, dot)}.${nearest}?`
    return `must be a scope, a point, and a limit, such as global.costPerDay or perUser.costPerDay${advice}`
  }
  const read = readScope(written.slice(0, dot))
  if ('mistake' in read) return read.mistake
  const { what, span, refill } = limitOfWord(word)
  if (refill === 'call')
    return `must not be ${word}: that limit holds for each call alone, so there is no part of it to reach`
  return { scope: read.scope, what, span }
}

/** What is shown of a row: addresses can hold secrets in any part behind the host. */
function shownAlert(row: WrittenRow): Readonly<Record<string, unknown>> {
  const shown = Object.entries(row).map(([option, value]) => [option, shownAlertOption(option, value)])
  return Object.fromEntries(shown)
}

function variablesIn(row: unknown): readonly string[] {
  if (typeof row !== 'object' || row === null) return []
  return Object.entries(row).flatMap(([option, value]) =>
    ['url', 'secret', 'server', 'user', 'password'].includes(option) &&
    typeof value === 'string' &&
    value.startsWith('$')
      ? [value.slice(1)]
      : [],
  )
}
