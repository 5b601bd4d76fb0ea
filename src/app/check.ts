// Check: reads the configuration as a start would, and prints what it makes. It opens no port and no ledger, and sends nothing.

import { ConfigError, counted } from '../config/config-error.ts'
import type { FileConfig } from '../config/file.ts'
import { type Environment, isExposed, type Settings } from '../config/settings.ts'
import type { Span } from '../core/calendar.ts'
import { listOf } from '../core/issue-text.ts'
import type { Limit } from '../core/limits.ts'
import { formatUsd } from '../core/money.ts'
import { mergeLimits } from '../limits/merge-limits.ts'
import { priceWarnings } from '../prices/price-warnings.ts'
import { chooseDefaultModel, ProvidersInForce } from '../providers/index.ts'
import type { Provider } from '../providers/provider.ts'
import { readConfigFile } from './config-file.ts'
import {
  bookOf,
  type Configuration,
  type EarlyFindings,
  loadConfiguration,
  nameWarnings,
} from './load-configuration.ts'
import { configuredLimits } from './reload.ts'
import { settingWarnings } from './setting-warnings.ts'
import { warningSubjects } from './warning-subjects.ts'

/** The report, and the exit code: 1 if there is a mistake or a warning. */
export interface CheckResult {
  readonly text: string
  readonly exitCode: 0 | 1
}

export async function checkConfiguration(env: Environment, nowMs: number, early: EarlyFindings): Promise<CheckResult> {
  let configuration: Configuration
  try {
    configuration = loadConfiguration(env, (path) => readConfigFile(path, env), nowMs, early)
  } catch (error) {
    if (error instanceof ConfigError) return { text: `${error.message}\n`, exitCode: 1 }
    throw error
  }
  const { settings, file } = configuration
  const providers = new ProvidersInForce(settings)
  try {
    providers.prepare(file.providers).putInForce()
    const { warnings, notes } = remarks(configuration, providers.list, nowMs)
    const sections = [
      section('Limits', limitLines(settings, file)),
      section('Routes', routeLines(settings, file, providers.list)),
      section('Providers', providerLines(providers.list)),
      section('Keys', [keyLine(settings)]),
      section('Prices', notes),
      warnings.length === 0 ? 'No mistakes, and no warnings.\n' : section(counted(warnings, 'warning'), warnings),
    ]
    return { text: sections.join('\n'), exitCode: warnings.length === 0 ? 0 : 1 }
  } finally {
    await providers.close()
  }
}

/** Warnings of the configuration, and notes on prices, which become old by themselves. */
function remarks(configuration: Configuration, providers: readonly Provider[], nowMs: number) {
  const { settings, file } = configuration
  const book = bookOf(file)
  const names = [...file.routes.aliases.values()].flatMap(({ targets }) => targets)
  const subjects = warningSubjects(providers, [...names, ...(file.patterns.model ? [file.patterns.model] : [])])
  const ofPrices = priceWarnings(book, subjects, nowMs)
  return {
    warnings: [
      ...configuration.warnings,
      ...settingWarnings(configuration).map(({ message }) => message),
      ...nameWarnings(settings, file, book, nowMs, limitsOf(settings, file)),
      ...ofPrices.filter(({ code }) => code === 'model_ends').map(({ message }) => message),
    ],
    notes: [
      `of ${book.list.date}, and ${counted(file.prices, 'row')} of your own`,
      ...ofPrices.filter(({ code }) => code !== 'model_ends').map(({ message }) => message),
    ],
  }
}

function section(title: string, lines: readonly string[]): string {
  return `${title}\n${lines.map((line) => `  ${line}\n`).join('')}`
}

/** Rows of two columns. */
function table(rows: readonly (readonly [string, string])[]): string[] {
  const width = Math.max(...rows.map(([name]) => name.length))
  return rows.map(([name, text]) => `${name.padEnd(width)}  ${text}`)
}

function limitsOf(settings: Settings, file: FileConfig): readonly Limit[] {
  return mergeLimits({ ...configuredLimits(settings, file), registry: [] })
}

function limitLines(settings: Settings, file: FileConfig): string[] {
  const limits = limitsOf(settings, file)
  if (limits.length === 0) return ['none']
  const lines = table(limits.map((limit) => [subjectText(limit), amountText(limit)]))
  return settings.ENFORCEMENT === 'soft'
    ? [...lines, 'ENFORCEMENT=soft: calls over a limit are counted, and pass']
    : lines
}

function subjectText({ who, subject }: Limit): string {
  if (who === 'global') return 'everyone'
  return subject === undefined ? `each ${who}` : `${who} ${subject}`
}

const SPAN_TEXTS: Readonly<Record<Span, string>> = {
  minute: 'a minute',
  hour: 'an hour',
  day: 'a day',
  month: 'a month',
  total: 'in total',
  call: 'a call',
}

function amountText({ what, span, capacity, refill, enforced }: Limit): string {
  const amount = what === 'cost' ? `$${dollarText(capacity)}` : `${capacity} ${what === 'inFlight' ? 'calls' : what}`
  const spanText = what === 'inFlight' ? 'at a time' : SPAN_TEXTS[span]
  const options = [refill === 'steady' ? 'refills steadily' : '', enforced ? '' : 'counts, and refuses nothing']
  return [`${amount} ${spanText}`, ...options.filter((option) => option !== '')].join(', ')
}

/** With two decimals at least. */
function dollarText(nanoUsd: bigint): string {
  const [whole, decimals = ''] = formatUsd(nanoUsd).split('.')
  return `${whole}.${decimals.padEnd(2, '0')}`
}

function routeLines(
  { DEFAULT_LLM_PROVIDER }: Settings,
  { routes, patterns }: FileConfig,
  providers: readonly Provider[],
) {
  const aliases = [...routes.aliases].map(([name, { targets, retries, onBudget }]): [string, string] => {
    const cheaper = onBudget === 'cheaper' ? ', without those that are too expensive for the money left' : ''
    return [name, `→ ${targets.join(', then ')} (${retries === 1 ? '1 retry' : `${retries} retries`} each${cheaper})`]
  })
  const model = patterns.model ?? chooseDefaultModel(providers, DEFAULT_LLM_PROVIDER)
  const embedding: [string, string][] =
    patterns.embeddingModel === undefined ? [] : [['(embeddings of patterns)', `→ ${patterns.embeddingModel}`]]
  return table([
    ...aliases,
    ['(other models)', `→ the provider in their name, or that has them (${routes.retries} retries)`],
    ['(patterns)', `→ ${model}`],
    ...embedding,
  ])
}

function providerLines(providers: readonly Provider[]): string[] {
  return table(
    providers.map((provider) => {
      const { name, simulated, configured, callerKeys, defaultModel, setupGuide } = provider
      if (simulated) return [name, 'answers sim/ models, and sends nothing']
      if (!configured) return [name, `not ready. ${setupGuide}`]
      const keys = callerKeys ? "with callers' own keys" : 'ready'
      return [name, defaultModel === '' ? keys : `${keys}, default model ${defaultModel}`]
    }),
  )
}

function keyLine(settings: Settings): string {
  const { BURSAR_KEYS, ADMIN_KEY, AUTH } = settings
  const keys = listOf(BURSAR_KEYS.map(({ id }) => id))
  const canMake = ADMIN_KEY !== ''
  const open = `calls need no key${AUTH === 'off' ? ', from anywhere' : ''}${canMake ? ', until one is made' : ''}`
  const none = isExposed(settings) ? 'calls need a key that is made' : open
  const callers = keys === '' ? none : `calls need the key of ${keys}${canMake ? ', or one that is made' : ''}`
  return `${callers}; ADMIN_KEY is ${ADMIN_KEY === '' ? 'not set' : 'set'}`
}
