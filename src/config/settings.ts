// Settings: one table of everything that the environment sets. Reads no environment itself.

import type { Span } from '../core/calendar.ts'
import { listOf } from '../core/issue-text.ts'
import { DEFAULT_REFILLS, type Limit } from '../core/limits.ts'
import type { What } from '../core/meter.ts'
import { BUILT_IN_PROVIDERS, type ProviderVariable } from '../providers/index.ts'
import { ConfigError } from './config-error.ts'
import { HOSTED_TOOLS_RULES } from './routes.ts'
import {
  parseBaseUrl,
  parseCount,
  parseCountLimit,
  parseFlag,
  parseHeaderValue,
  parseKeys,
  parseOneOf,
  parseOptionalUrl,
  parseRetentionDays,
  parseSecret,
  parseStoreUrl,
  parseText,
  parseTimeZone,
  parseUsdLimit,
  type SettingParser,
} from './setting-parsers.ts'

export type { ConfiguredKey } from './setting-parsers.ts'

/** Variables by name, as the process was given them. */
export type Environment = Readonly<Record<string, string | undefined>>

interface Setting<Value> {
  /** The text that is parsed if the variable is absent. */
  readonly defaultText: string
  /** What a variable that is set and empty means: the default, or that there is no such limit. */
  readonly empty: 'default' | 'no limit'
  readonly parse: SettingParser<Value>
  /** True: the value is never shown. */
  readonly secret?: boolean
  /** What `.env.example` says of it, line by line. */
  readonly about: readonly string[]
}

function setting<Value>(defaultText: string, parse: SettingParser<Value>, ...about: string[]) {
  return { defaultText, empty: 'default', parse, about } as const satisfies Setting<Value>
}

/** A value that is never shown. */
function secret<Value>(parse: SettingParser<Value>, ...about: string[]) {
  return { ...setting('', parse, ...about), secret: true } as const satisfies Setting<Value>
}

/** A limit over everyone. Its value is undefined if there is no such limit. */
function limit(defaultText: string, parse: SettingParser<bigint>, ...about: string[]) {
  return { defaultText, empty: 'no limit', parse, about } as const satisfies Setting<bigint>
}

const SERVER_SETTINGS = {
  PORT: setting('5555', parseCount(0, 65_535), 'Port to listen on; 0 takes a free one.'),
  HOST: setting(
    '127.0.0.1',
    parseText,
    'Address to listen on. Anything but loopback needs BURSAR_KEYS, ADMIN_KEY (every call needs a key then), or AUTH=off.',
  ),
  DATABASE_URL: setting(
    'sqlite:bursar.db',
    parseStoreUrl,
    'The ledger. sqlite:PATH keeps it in a file; memory: keeps nothing.',
  ),
  BURSAR_KEYS: secret(parseKeys, 'Keys callers use, as name:secret,name:secret. Secrets have at least 16 characters.'),
  ADMIN_KEY: secret(
    parseSecret,
    'Sees everything that any key sees, and makes keys. At least 16 characters. While it is set, figures need it or a key.',
  ),
  BURSAR_SECRET: secret(
    parseSecret,
    'Encrypts the provider keys that are set by PUT /admin/providers/NAME. At least 16 characters,',
    'such as those that `openssl rand -hex 32` prints. Keys that were stored under another one are not read until it is back.',
  ),
  AUTH: setting(
    '',
    parseOneOf('', 'off'),
    'Empty, or',
    'off: listen on any address, and answer all clients, without keys. Everyone who reaches it can spend.',
  ),
  CONFIG_FILE: setting(
    'bursar.json',
    parseText,
    'Limits per subject, prices, aliases and providers of your own; reloaded when it changes. It need not exist.',
  ),
  PUBLIC_URL: setting(
    '',
    parseOptionalUrl,
    'The address at which people reach the gateway, for links in alerts and for signing in behind a proxy.',
    'Empty: http://HOST:PORT, and for signing in the address of each request.',
  ),
  ALERTS_ALLOW_PRIVATE: setting(
    'false',
    parseFlag,
    'true: alerts may be sent to this machine and private networks, also over http://.',
    'false: only the alerts of bursar.json that say "allowPrivate": true.',
  ),
  LOG_LEVEL: setting(
    'info',
    parseOneOf('trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'),
    'How much to log: trace, debug, info, warn, error, fatal or silent.',
  ),
}

const PROVIDER_NAMES = BUILT_IN_PROVIDERS.map(({ name }) => name)

const PROVIDER_SETTINGS = {
  ...providerSettings(),
  DEFAULT_LLM_PROVIDER: setting(
    'openai',
    parseOneOf(...PROVIDER_NAMES),
    `The provider shown as the default: ${listOf(PROVIDER_NAMES)}.`,
  ),
}

const LIMIT_SETTINGS = {
  MAX_REQUESTS_PER_MINUTE: limit('60', parseCountLimit, 'Requests per minute, over everyone.'),
  MAX_TOKENS_PER_MINUTE: limit('90000', parseCountLimit, 'Tokens per minute, over everyone.'),
  MAX_COST_PER_REQUEST: limit('0.50', parseUsdLimit, 'The most one call may cost, in dollars.'),
  DAILY_SPENDING_LIMIT: limit('10.00', parseUsdLimit, 'Dollars a day, over everyone.'),
  MONTHLY_SPENDING_LIMIT: limit('', parseUsdLimit, 'Dollars a calendar month, over everyone.'),
  MAX_IN_FLIGHT: limit('', parseCountLimit, 'Calls in flight at a time, over everyone.'),
  ENABLE_COST_TRACKING: setting(
    'true',
    parseFlag,
    'true: costs are quoted and limited.',
    'false: no quotes and no limits on cost.',
  ),
  ENFORCEMENT: setting(
    'hard',
    parseOneOf('hard', 'soft'),
    'hard: refuse calls that do not fit.',
    'soft: decide, count and warn, but let calls through.',
  ),
  TIME_ZONE: setting('UTC', parseTimeZone, 'The zone whose midnight turns days and months, such as Europe/Berlin.'),
}

const CALL_SETTINGS = {
  USAGE_HISTORY_SIZE: setting('10000', parseCount(0, 1_000_000), 'Newest calls kept in memory.'),
  RETENTION_DAYS: setting(
    '',
    parseRetentionDays,
    'Days for which the ledger keeps the rows of calls, 32 at least; their sums stay. Empty: for ever.',
  ),
  TOKEN_RESERVATION: setting(
    'estimate',
    parseOneOf('estimate', 'worst'),
    'What limits on tokens reserve for a call.',
    'estimate: what is likely; the difference is paid afterwards, before the next call.',
    'worst: the most it can take.',
  ),
  DEFAULT_MAX_OUTPUT_TOKENS: setting(
    '4096',
    parseCount(1, 10_000_000),
    'Output cap for calls without one to unknown models.',
  ),
  MIN_INJECTED_OUTPUT_TOKENS: setting(
    '256',
    parseCount(1, 10_000_000),
    'The smallest cap worth setting to make a call fit.',
  ),
  ON_DISCONNECT: setting(
    'drain',
    parseOneOf('drain', 'charge', 'cancel'),
    'When a client leaves before its call is over:',
    'drain: read on for the exact cost.',
    'charge: break off, and charge the whole reservation.',
    'cancel: break off, and charge what was seen. It may have cost more: limits are soft then.',
  ),
  MAX_DRAINS: setting(
    '100',
    parseCount(0, 1_000_000),
    'The most calls that are read on at the same time after their clients left.',
    'For further calls, the whole reservation is charged.',
  ),
  UNKNOWN_PRICE: setting(
    'refuse',
    parseOneOf('refuse', 'allow'),
    'Calls whose price is unknown, if cost is limited.',
    'refuse: refuse them.',
    'allow: send them, and reserve no cost.',
  ),
  PRICES_URL: setting(
    '',
    parseOptionalUrl,
    'Where newer prices are downloaded from, at the start and once a day: a file like src/prices/prices.json. Empty: never.',
  ),
  MONEY_REFUSAL: setting(
    'auto',
    parseOneOf('auto', '429', '402', '400'),
    'The status of refusals for which there is no money left, or which no waiting lets through.',
    'auto: 429, which SDKs expect; for Codex and opencode the status at which they stop and show the text.',
    '429, 402 or 400: the same for everyone. 400 is 402 in the dialect of Anthropic: Claude Code repeats a 400.',
  ),
  HOSTED_TOOLS: setting(
    '',
    parseOneOf('', ...HOSTED_TOOLS_RULES),
    'Tools that the provider runs, such as searches of the web. Empty: UNBOUNDED_CALLS decides.',
    'estimate: reserve one context window, and settle what they cost.',
    'drop: send the call without them, and say so in x-bursar-dropped.',
    'refuse: refuse the call.',
  ),
  UNBOUNDED_CALLS: setting(
    'estimate',
    parseOneOf('estimate', 'refuse'),
    'Calls whose cost has no upper bound, if HOSTED_TOOLS does not decide.',
    'estimate: reserve one context window, and settle what they cost.',
    'refuse: refuse them.',
  ),
}

const BOUND_SETTINGS = {
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
    'normal: safe against kill -9.',
    'full: also safe against power loss, and slower.',
  ),
}

/** Every setting there is. */
export const SETTINGS = {
  ...SERVER_SETTINGS,
  ...PROVIDER_SETTINGS,
  ...LIMIT_SETTINGS,
  ...CALL_SETTINGS,
  ...BOUND_SETTINGS,
}

/** The same settings as the sections of `.env.example`, in its order. */
export const SETTING_SECTIONS: readonly (readonly [title: string, rows: Readonly<Record<string, Setting<unknown>>>])[] =
  [
    ['Where it listens, what it keeps, who may call', SERVER_SETTINGS],
    ['Providers: a provider without a key is not configured', PROVIDER_SETTINGS],
    ['Limits over everyone; empty: no such limit. Per key, user and so on: bursar.json', LIMIT_SETTINGS],
    ['How calls are reserved and settled', CALL_SETTINGS],
    ['Bounds', BOUND_SETTINGS],
  ]

type SettingName = keyof typeof SETTINGS
type ValueOf<Row extends Setting<unknown>> =
  | ReturnType<Row['parse']>
  | (Row['empty'] extends 'no limit' ? undefined : never)

/** The value of every setting, by its name. */
export type Settings = { readonly [Name in SettingName]: ValueOf<(typeof SETTINGS)[Name]> } & {
  /** The texts of the settings that the environment decides, by name. All others have their defaults. */
  readonly given: ReadonlyMap<string, string>
}

/** The rows that providers bring along. */
function providerSettings() {
  const rows = BUILT_IN_PROVIDERS.flatMap(({ settings: { apiKey, baseUrl, model } }) => [
    [apiKey.variable, secret(parseHeaderValue, apiKey.about)] as const,
    [baseUrl.variable, setting(baseUrl.defaultText, parseBaseUrl, baseUrl.about)] as const,
    [model.variable, setting(model.defaultText, parseText, model.about)] as const,
  ])
  return Object.fromEntries(rows) as { readonly [Name in ProviderVariable]: (typeof rows)[number][1] }
}

/** Settings as far as they could be read: those with a mistake are absent. */
export interface SettingsReading {
  readonly settings: Partial<Settings>
  /** A sentence each, which begins with the setting's name. */
  readonly mistakes: readonly string[]
}

/** Reads every setting, with all mistakes. Blanks around a value do not count, and neither do other variables. */
export function readSettingsOf(env: Environment): SettingsReading {
  const mistakes: string[] = []
  const given = new Map<string, string>()
  const values: Record<string, unknown> = {}
  for (const [name, row] of Object.entries<Setting<unknown>>(SETTINGS)) {
    try {
      const text = textOf(env[name])?.trim()
      if (text !== undefined && (text !== '' || row.empty === 'no limit')) given.set(name, text)
      values[name] = readSetting(row, text)
    } catch (error) {
      mistakes.push(`${name}: ${error instanceof Error ? error.message : 'is not valid'}`)
    }
  }
  // Not enumerable, so that code which lists settings lists no texts of secrets.
  Object.defineProperty(values, 'given', { value: given })
  const settings: Partial<Settings> = values
  const exposed = exposureMistake(settings)
  if (exposed) mistakes.push(exposed)
  return { settings: Object.freeze(settings), mistakes }
}

/** Reads every setting. Throws ConfigError with all mistakes at once. */
export function readSettings(env: Environment): Settings {
  const reading = readSettingsOf(env)
  if (!isWhole(reading)) throw new ConfigError(reading.mistakes)
  return reading.settings
}

/** True if every setting could be read. */
export function isWhole(reading: SettingsReading): reading is SettingsReading & { readonly settings: Settings } {
  return reading.mistakes.length === 0
}

/** A program can hand in anything. Throws an Error for a value that is no text. */
function textOf(value: unknown): string | undefined {
  if (value === undefined || typeof value === 'string') return value
  throw new Error('must be text')
}

function readSetting({ defaultText, empty, parse }: Setting<unknown>, given: string | undefined): unknown {
  const text = given === undefined || (given === '' && empty === 'default') ? defaultText : given
  return text === '' && empty === 'no limit' ? undefined : parse(text)
}

const LOOPBACK_HOSTS = new Set(['127.0.0.1', '::1', 'localhost'])

/** Whether other machines can reach the address, and nobody has said that all of them may call. */
export function isExposed({ HOST, AUTH }: Pick<Settings, 'HOST' | 'AUTH'>): boolean {
  return !LOOPBACK_HOSTS.has(HOST) && AUTH !== 'off'
}

/** Why these settings must not be served. Undefined if they may be, or if one of the four is a mistake itself. */
function exposureMistake({ HOST, AUTH, BURSAR_KEYS, ADMIN_KEY }: Partial<Settings>): string | undefined {
  if (HOST === undefined || AUTH === undefined || BURSAR_KEYS === undefined || ADMIN_KEY === undefined) return undefined
  if (!isExposed({ HOST, AUTH }) || BURSAR_KEYS.length > 0 || ADMIN_KEY !== '') return undefined
  return `HOST: ${HOST} can be reached from outside, and there are no keys. Set ADMIN_KEY, and make keys with it; or BURSAR_KEYS; or AUTH=off if you mean it.`
}

/** The settings that are limits. */
type LimitSetting = {
  [Name in SettingName]: (typeof SETTINGS)[Name]['empty'] extends 'no limit' ? Name : never
}[SettingName]

/** The global limits of the settings. Without cost tracking, no limit counts cost. */
export function settingLimits(settings: Settings): Limit[] {
  const limits: Limit[] = []
  const add = (what: What, span: Span, source: LimitSetting) => {
    const capacity = settings[source]
    const refill = DEFAULT_REFILLS[what][span]
    if (capacity === undefined || !refill) return
    limits.push({ who: 'global', subject: undefined, what, span, capacity, refill, enforced: true, source })
  }
  add('requests', 'minute', 'MAX_REQUESTS_PER_MINUTE')
  add('tokens', 'minute', 'MAX_TOKENS_PER_MINUTE')
  add('inFlight', 'call', 'MAX_IN_FLIGHT')
  if (!settings.ENABLE_COST_TRACKING) return limits
  add('cost', 'call', 'MAX_COST_PER_REQUEST')
  add('cost', 'day', 'DAILY_SPENDING_LIMIT')
  add('cost', 'month', 'MONTHLY_SPENDING_LIMIT')
  return limits
}
