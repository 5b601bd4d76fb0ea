// Load configuration: settings and bursar.json together, with all that is wrong with either, and all that should be looked at.

import type { AlertRow } from '../config/alerts.ts'
import { ConfigError } from '../config/config-error.ts'
import { EMPTY_FILE_CONFIG, type FileConfig, type FileReading } from '../config/file.ts'
import { type Place, placeText } from '../config/findings.ts'
import { KnownModels, type PriceNames } from '../config/known-models.ts'
import { unknownSettings } from '../config/setting-names.ts'
import { type Environment, isWhole, readSettingsOf, SETTINGS, type Settings } from '../config/settings.ts'
import { unmatchedInAlert } from '../config/unmatched-alerts.ts'
import {
  type MadeKeys,
  type NamedThings,
  unmatchedInFile,
  unmatchedInKey,
  unmatchedInSettings,
  unmatchedScope,
} from '../config/unmatched-names.ts'
import type { Clock } from '../core/clock.ts'
import type { Limit, Scope } from '../core/limits.ts'
import type { KeyDocument } from '../keys/key-record.ts'
import type { ConfigurationState } from '../overrides/overrides.ts'
import { priceEntries } from '../overrides/price-entries.ts'
import { settingsInForce } from '../overrides/settings.ts'
import { createPriceBook, type EditablePriceBook } from '../prices/price-book.ts'
import { compileUserPrices } from '../prices/user-prices.ts'

/** A configuration without mistakes. */
export interface Configuration {
  readonly settings: Settings
  readonly file: FileConfig
  /** What to look at in the environment. A sentence each, which begins with the place. */
  readonly warnings: readonly string[]
}

/** What was found before the settings are read, in .env itself. */
export interface EarlyFindings {
  readonly mistakes: readonly string[]
  readonly warnings: readonly string[]
}

export const NO_FINDINGS: EarlyFindings = { mistakes: [], warnings: [] }

/**
 * Reads settings and file. Throws ConfigError with all mistakes of both, and with the warnings.
 * @param readFile gets `CONFIG_FILE`
 */
export function loadConfiguration(
  env: Environment,
  readFile: (path: string) => FileReading,
  nowMs: number,
  early: EarlyFindings = NO_FINDINGS,
): Configuration {
  const reading = readSettingsOf(env)
  const { file, mistakes } = readFile(reading.settings.CONFIG_FILE ?? SETTINGS.CONFIG_FILE.defaultText)
  const unknown = [...early.warnings, ...unknownSettings(env, new Set(file.names.variables))]
  if (early.mistakes.length > 0 || mistakes.length > 0 || !isWhole(reading)) {
    const warnings = [...unknown, ...nameWarnings(reading.settings, file, bookOf(file), nowMs)]
    throw new ConfigError([...early.mistakes, ...reading.mistakes, ...mistakes], warnings)
  }
  return { settings: reading.settings, file, warnings: unknown }
}

/**
 * What settings and file name and what does not exist, a sentence each.
 * @param book with the prices of the file
 * @param limits all that are in force but those of keys' records. Without them, the limits that alerts name are not checked
 */
export function nameWarnings(
  settings: Partial<Settings>,
  file: FileConfig,
  book: EditablePriceBook,
  nowMs: number,
  limits?: readonly Limit[],
  madeKeys?: MadeKeys,
): readonly string[] {
  const things: NamedThings = { settings, file, madeKeys, models: new KnownModels(file, priceNames(book, nowMs)) }
  const ofAlerts = file.alerts.flatMap((row, index) =>
    (limits ? unmatchedInAlert(row, { ...things, limits }) : []).map(({ place, text }) => ({
      place: ['alerts', index, ...place],
      text,
    })),
  )
  const written = (describe: (place: Place) => string) => (finding: { place: Place; text: string }) =>
    `${describe(finding.place)}: ${finding.text}`
  return [
    ...unmatchedInSettings(things).map(written(placeText)),
    ...[...unmatchedInFile(things), ...ofAlerts].map(written((place) => file.names.describe(place))),
  ]
}

/** What an operator names by /admin/ and what does not exist now. */
export interface AdminNames {
  /** A sentence for each name in the lists of a key, which begins with the place. */
  inKey(key: Pick<KeyDocument, 'models' | 'providers'>): readonly string[]
  /** @param row as `bursar.json` names the scope */
  inLimits(row: string, scope: Scope, madeKeys: MadeKeys): readonly string[]
  /** @param limits all that are in force but those of keys' records */
  inAlert(row: Pick<AlertRow, 'limits'>, limits: readonly Limit[], madeKeys: MadeKeys | undefined): readonly string[]
}

/** @param state what is in force now */
export function adminNames(state: () => ConfigurationState, book: EditablePriceBook, clock: Clock): AdminNames {
  const things = () => {
    const { file } = state()
    return {
      settings: settingsInForce(state()),
      file,
      models: new KnownModels(file, priceNames(book, clock.now().wallMs)),
    }
  }
  return {
    inKey: (key) => {
      const { file, models } = things()
      const findings = unmatchedInKey(key, [...file.routes.aliases.keys()], models)
      return findings.map(({ place, text }) => `${placeText(place)}: ${text}`)
    },
    inLimits: (row, scope, madeKeys) => {
      const text = unmatchedScope(row, scope, { ...things(), madeKeys })
      return text === undefined ? [] : [`${row}: ${text}`]
    },
    inAlert: (row, limits, madeKeys) =>
      unmatchedInAlert(row, { ...things(), limits, madeKeys }).map(({ place, text }) => `${placeText(place)}: ${text}`),
  }
}

/** What the prices that are set by /admin/prices name and what does not exist, a sentence each. @param book with these prices */
export function priceRowWarnings(
  { settings, file, overrides: { prices } }: ConfigurationState,
  book: EditablePriceBook,
  nowMs: number,
): readonly string[] {
  const { names, providers } = file
  const rows = { ...EMPTY_FILE_CONFIG.names, providers: names.providers, prices: new Map(prices.entries()) }
  const priced = { ...EMPTY_FILE_CONFIG, providers, prices, names: rows }
  const things = { settings, file: priced, models: new KnownModels(priced, priceNames(book, nowMs)) }
  return unmatchedInFile(things).map(({ place, text }) => `/admin/prices: ${placeText(place)}: ${text}`)
}

/** The shipped prices and those of the file. */
export function bookOf(file: FileConfig): EditablePriceBook {
  const book = createPriceBook()
  book.useUserPrices(compileUserPrices(priceEntries(file.prices)))
  return book
}

function priceNames(book: EditablePriceBook, nowMs: number): PriceNames {
  return {
    models: (provider) => book.models(provider, nowMs),
    isKnown: (provider, model) =>
      book.serves(provider, model, nowMs) || book.find(provider, model, nowMs).retirement !== undefined,
    hasPrice: (provider, model) => book.find(provider, model, nowMs).price !== undefined,
    sibling: (provider, model) => book.sibling(provider, model, nowMs),
  }
}
