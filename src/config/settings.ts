// Settings: one table of everything that the environment sets. Reads no environment itself.

import { isTimeZone, type Span } from '../core/calendar.ts'
import { DEFAULT_REFILLS, type Limit } from '../core/limits.ts'
import type { What } from '../core/meter.ts'
import { parseUsd } from '../core/money.ts'
import { ConfigError } from './config-error.ts'

/** A key a caller may use, from `BURSAR_KEYS`. The secret itself is not kept. */
export interface ConfiguredKey {
  readonly id: string
  readonly secret: string
}

/** A setting's text to its value. Throws an Error that says what was expected. */
type SettingParser<Value> = (text: string) => Value

interface Setting<Value> {
  readonly fallback: string
  readonly parse: SettingParser<Value>
  /** One line for `.env.example` and the README. */
  readonly about: string
}

function setting<Value>(fallback: string, parse: SettingParser<Value>, about: string): Setting<Value> {
  return { fallback, parse, about }
}

/** Every setting there is. An empty value is an absent one. */
export const SETTINGS = {
  PORT: setting('5555', parseCount(0, 65_535), 'Port to listen on; 0 takes a free one.'),
  HOST: setting('127.0.0.1', parseText, 'Address to listen on. Anything but loopback needs keys, or AUTH=off.'),
  DATABASE_URL: setting('sqlite:bursar.db', parseStoreUrl, 'The ledger: sqlite:PATH, or memory: to keep nothing.'),
  BURSAR_KEYS: setting(
    '',
    parseKeys,
    'Keys callers use, as name:secret,name:secret. Secrets have at least 16 characters.',
  ),
  ADMIN_KEY: setting('', parseOptionalSecret, 'Sees everything that any key sees. At least 16 characters.'),
  AUTH: setting(
    '',
    parseOneOf('', 'off'),
    'off: listen on any address without keys. Everyone who reaches it may spend.',
  ),
  CONFIG_FILE: setting(
    'bursar.json',
    parseText,
    'Limits per subject, providers and prices of your own; reloaded when it changes.',
  ),
  LOG_LEVEL: setting(
    'info',
    parseOneOf('trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'),
    'How much to log.',
  ),

  OPENAI_API_KEY: setting('', parseHeaderValue, 'Your OpenAI key.'),
  OPENAI_BASE_URL: setting('https://api.openai.com/v1', parseUrl, 'Where OpenAI is, with /v1.'),
  OPENAI_MODEL: setting('gpt-4o', parseText, 'The model shown as the default.'),
  ANTHROPIC_API_KEY: setting('', parseHeaderValue, 'Your Anthropic key.'),
  ANTHROPIC_BASE_URL: setting('https://api.anthropic.com', parseUrl, 'Where Anthropic is, without /v1.'),
  ANTHROPIC_MODEL: setting('claude-sonnet-5', parseText, 'The model shown as the default.'),
  GEMINI_API_KEY: setting('', parseHeaderValue, 'Your Gemini key.'),
  GEMINI_BASE_URL: setting('https://generativelanguage.googleapis.com', parseUrl, 'Where Gemini is, without /v1beta.'),
  GEMINI_MODEL: setting('gemini-2.5-flash', parseText, 'The model shown as the default.'),
  DEFAULT_LLM_PROVIDER: setting(
    'openai',
    parseOneOf('openai', 'anthropic', 'gemini'),
    'The provider shown as the default.',
  ),

  MAX_REQUESTS_PER_MINUTE: setting(
    '60',
    parseOptionalCount,
    'Requests per minute, over everyone. Empty: no such limit.',
  ),
  MAX_TOKENS_PER_MINUTE: setting('90000', parseOptionalCount, 'Tokens per minute, over everyone.'),
  MAX_COST_PER_REQUEST: setting('0.50', parseOptionalUsd, 'The most one call may cost, in dollars.'),
  DAILY_SPENDING_LIMIT: setting('10.00', parseOptionalUsd, 'Dollars a day, over everyone.'),
  MONTHLY_SPENDING_LIMIT: setting('', parseOptionalUsd, 'Dollars a calendar month, over everyone.'),
  MAX_IN_FLIGHT: setting('', parseOptionalCount, 'Calls in flight at a time, over everyone.'),
  ENABLE_COST_TRACKING: setting('true', parseFlag, 'false: no quotes and no limits on cost.'),
  ENFORCEMENT: setting('hard', parseOneOf('hard', 'soft'), 'soft: decide, count and warn, but let calls through.'),
  TIME_ZONE: setting('UTC', parseTimeZone, 'The zone whose midnight turns days and months.'),

  USAGE_HISTORY_SIZE: setting('10000', parseCount(0, 1_000_000), 'Newest calls kept in memory.'),
  TOKEN_RESERVATION: setting('estimate', parseOneOf('estimate', 'worst'), 'What limits on tokens reserve for a call.'),
  DEFAULT_MAX_OUTPUT_TOKENS: setting(
    '4096',
    parseCount(1, 10_000_000),
    'Output cap for calls without one to unknown models.',
  ),
  MIN_INJECTED_OUTPUT_TOKENS: setting(
    '256',
    parseCount(1, 10_000_000),
    'The least cap worth setting to make a call fit.',
  ),
  ON_DISCONNECT: setting(
    'drain',
    parseOneOf('drain', 'charge', 'cancel'),
    'When a client leaves: read on for the exact cost, charge the whole reservation, or what was seen (soft).',
  ),
  MAX_DRAINS: setting('100', parseCount(0, 1_000_000), 'Calls read on at a time for clients that left.'),
  UNKNOWN_PRICE: setting(
    'refuse',
    parseOneOf('refuse', 'allow'),
    'Calls whose price is unknown, where cost is limited.',
  ),
  UNBOUNDED_CALLS: setting(
    'estimate',
    parseOneOf('estimate', 'refuse'),
    'Calls that nobody can bound: hosted tools and the like.',
  ),

  MAX_BODY_BYTES: setting(
    '33554432',
    parseCount(1, 1_073_741_824),
    'The largest request, and the largest whole answer.',
  ),
  MAX_BUFFERED_BYTES: setting(
    '268435456',
    parseCount(1, 17_179_869_184),
    'Bytes of requests and whole answers held at a time.',
  ),
  UPSTREAM_TIMEOUT_MS: setting('600000', parseCount(1, 86_400_000), 'The longest a call may take.'),
  DRAIN_TIMEOUT_MS: setting('25000', parseCount(0, 3_600_000), 'How long a stopping server waits for calls to finish.'),
  SQLITE_SYNCHRONOUS: setting(
    'normal',
    parseOneOf('normal', 'full'),
    'full: also safe against power loss, and slower.',
  ),
} as const satisfies Record<string, Setting<unknown>>

type SettingName = keyof typeof SETTINGS

export type Settings = { readonly [Name in SettingName]: ReturnType<(typeof SETTINGS)[Name]['parse']> }

/** Reads every setting; unknown variables are none of our business. Throws ConfigError with all mistakes at once. */
export function readSettings(env: Readonly<Record<string, string | undefined>>): Settings {
  const mistakes: string[] = []
  const values: Record<string, unknown> = {}
  for (const [name, { fallback, parse }] of Object.entries(SETTINGS) as [SettingName, Setting<unknown>][]) {
    const given = env[name]?.trim()
    try {
      // Limits can be switched off by an empty value; elsewhere empty means the default.
      const limit = parse === parseOptionalCount || parse === parseOptionalUsd
      values[name] = parse(given === undefined || (given === '' && !limit) ? fallback : given)
    } catch (error) {
      mistakes.push(`${name}: ${error instanceof Error ? error.message : 'is not valid'}`)
    }
  }
  const settings = values as Settings
  const exposed = exposureMistake(settings)
  if (exposed) mistakes.push(exposed)
  if (mistakes.length > 0) throw new ConfigError(mistakes)
  return Object.freeze(settings)
}

const LOOPBACK_HOSTS = new Set(['127.0.0.1', '::1', 'localhost'])

/** Why these settings must not be served, or undefined; also where one it goes by is a mistake itself. */
function exposureMistake({ HOST, AUTH, BURSAR_KEYS }: Partial<Settings>): string | undefined {
  if (HOST === undefined || AUTH === undefined || BURSAR_KEYS === undefined) return undefined
  if (LOOPBACK_HOSTS.has(HOST) || AUTH === 'off' || BURSAR_KEYS.length > 0) return undefined
  return `HOST: ${HOST} can be reached from outside, and there are no keys. Set BURSAR_KEYS, or AUTH=off if you mean it.`
}

/** The limits that settings alone make. */
export function settingLimits(settings: Settings): Limit[] {
  const limits: Limit[] = []
  const add = (what: What, span: Span, capacity: bigint | undefined) => {
    const refill = DEFAULT_REFILLS[what][span]
    if (capacity === undefined || !refill) return
    limits.push({ who: 'global', subject: undefined, what, span, capacity, refill, enforced: true })
  }
  add('requests', 'minute', settings.MAX_REQUESTS_PER_MINUTE)
  add('tokens', 'minute', settings.MAX_TOKENS_PER_MINUTE)
  add('inFlight', 'call', settings.MAX_IN_FLIGHT)
  if (!settings.ENABLE_COST_TRACKING) return limits
  add('cost', 'call', settings.MAX_COST_PER_REQUEST)
  add('cost', 'day', settings.DAILY_SPENDING_LIMIT)
  add('cost', 'month', settings.MONTHLY_SPENDING_LIMIT)
  return limits
}

function parseText(value: string): string {
  return value
}

function parseOneOf<const Word extends string>(...words: Word[]): SettingParser<Word> {
  return (value) => {
    const found = words.find((word) => word === value)
    if (found === undefined) throw new Error(`must be one of ${words.filter((word) => word !== '').join(', ')}`)
    return found
  }
}

function parseCount(least: number, most: number): SettingParser<number> {
  return (value) => {
    const number = /^\d{1,15}$/.test(value) ? Number(value) : Number.NaN
    if (!(number >= least && number <= most)) throw new Error(`must be a whole number from ${least} to ${most}`)
    return number
  }
}

function parseOptionalCount(value: string): bigint | undefined {
  if (value === '') return undefined
  if (!/^\d{1,15}$/.test(value)) throw new Error('must be a whole number, or empty for no limit')
  return BigInt(value)
}

function parseOptionalUsd(value: string): bigint | undefined {
  if (value === '') return undefined
  const nanoUsd = parseUsd(value)
  if (nanoUsd === undefined) throw new Error('must be decimal dollars such as 2.50, or empty for no limit')
  return nanoUsd
}

function parseFlag(value: string): boolean {
  if (value !== 'true' && value !== 'false') throw new Error('must be true or false')
  return value === 'true'
}

function parseUrl(value: string): string {
  const parsed = URL.canParse(value) ? new URL(value) : undefined
  if (!parsed || (parsed.protocol !== 'https:' && parsed.protocol !== 'http:'))
    throw new Error('must be an http(s) URL')
  return value.replace(/\/+$/, '')
}

function parseTimeZone(value: string): string {
  if (!isTimeZone(value)) throw new Error('must be an IANA time zone such as Europe/Berlin')
  return value
}

function parseStoreUrl(value: string): string {
  if (!/^(sqlite:.+|memory:)$/.test(value)) throw new Error('must be sqlite:PATH or memory:')
  return value
}

/** The value is not repeated in the message: it is a secret. */
function parseHeaderValue(value: string): string {
  if (!/^[\x21-\x7e]*$/.test(value))
    throw new Error('holds characters that cannot be sent in a header (a line break? a space?)')
  return value
}

const MIN_SECRET_CHARACTERS = 16

function parseOptionalSecret(value: string): string {
  if (value !== '' && value.length < MIN_SECRET_CHARACTERS)
    throw new Error(`must have at least ${MIN_SECRET_CHARACTERS} characters`)
  return parseHeaderValue(value)
}

function parseKeys(value: string): readonly ConfiguredKey[] {
  if (value === '') return []
  const found = value.split(',').map((pair, index) => {
    const colon = pair.indexOf(':')
    const id = pair.slice(0, Math.max(colon, 0)).trim()
    const secret = pair.slice(colon + 1).trim()
    if (!/^[A-Za-z0-9_.-]{1,64}$/.test(id))
      throw new Error('must be name:secret,… with names of letters, digits, _ . -')
    // Not by its name: who writes secret:name would find the secret in the message.
    if (secret.length < MIN_SECRET_CHARACTERS)
      throw new Error(`the secret of key ${index + 1} must have at least ${MIN_SECRET_CHARACTERS} characters`)
    return { id, secret: parseHeaderValue(secret) }
  })
  if (new Set(found.map((key) => key.id)).size < found.length) throw new Error('names a key twice')
  if (new Set(found.map((key) => key.secret)).size < found.length) throw new Error('gives two keys the same secret')
  return found
}
