// File: the shape of bursar.json. It reads neither files nor the environment itself.

import { z } from 'zod'
import type { Limit, Scope } from '../core/limits.ts'
import { NO_PROVIDER_ROWS, type ProviderRows } from '../providers/index.ts'
import { type AlertRow, readAlerts } from './alerts.ts'
import { ConfigError } from './config-error.ts'
import { type Finding, type Place, placeText } from './findings.ts'
import { readJsonText } from './json-text.ts'
import { readLimits } from './limits.ts'
import { copyPlain } from './plain-value.ts'
import { type FilePrice, readPrices } from './prices.ts'
import { readProviders } from './providers.ts'
import { NO_ROUTES, patternsSchema, type RouteRows, readRoutes } from './routes.ts'
import { readEntries, readValue, unknownKeyText } from './schema.ts'
import type { Environment } from './settings.ts'

export type { FilePrice } from './prices.ts'

/** The models that patterns use if a request names none. */
export interface PatternModels {
  readonly model?: string
  readonly embeddingModel?: string
}

/** What bursar.json says, with every default filled in. */
export interface FileConfig {
  readonly limits: readonly Limit[]
  readonly prices: readonly FilePrice[]
  readonly providers: ProviderRows
  readonly routes: RouteRows
  readonly patterns: PatternModels
  readonly alerts: readonly AlertRow[]
  readonly names: FileNames
  readonly written: WrittenFile
}

/** The sections of bursar.json in its own words. They can hold secrets: see `shownSections`. */
export interface WrittenFile {
  /** Null if there is no file: none exists, or a program hands over a value. */
  readonly path: string | null
  readonly sections: Readonly<Record<string, unknown>>
}

/** What bursar.json says by which names, for warnings of names that match nothing. */
export interface FileNames {
  /** Whom the rows of `limits` are for, by the name of the row. */
  readonly scopes: ReadonlyMap<string, Scope>
  /** All rows of `providers`, also those with mistakes. */
  readonly providers: readonly string[]
  /** The rows of `prices`, by their index. */
  readonly prices: ReadonlyMap<number, FilePrice>
  /** The models of all rows of `prices`, also of those with mistakes. */
  readonly pricedModels: readonly { readonly provider: string; readonly model: string }[]
  /** The variables that hold the keys of its providers, and the secrets of its alerts. */
  readonly variables: readonly string[]
  /** What reading the file found to warn of. */
  readonly warnings: readonly Finding[]
  /** A place with the file, line and column in front, if there is a file. */
  describe(place: Place): string
}

/** A file as far as it could be read. With mistakes, it must not come into force. */
export interface FileReading {
  readonly file: FileConfig
  /** A sentence each, which begins with its place. */
  readonly mistakes: readonly string[]
}

/** The configuration of an empty bursar.json, and of none. */
export const EMPTY_FILE_CONFIG: FileConfig = {
  limits: [],
  prices: [],
  providers: NO_PROVIDER_ROWS,
  routes: NO_ROUTES,
  patterns: {},
  alerts: [],
  names: {
    scopes: new Map(),
    prices: new Map(),
    providers: [],
    pricedModels: [],
    variables: [],
    warnings: [],
    describe: placeText,
  },
  written: { path: null, sections: {} },
}

const SECTIONS = ['$schema', 'aliases', 'retries', 'patterns', 'providers', 'limits', 'prices', 'alerts'] as const

/**
 * Reads the text of bursar.json, with all mistakes.
 * @param env where keys written as `$NAME` are looked up
 * @param name of the file; without it, places have neither a line nor a column
 */
export function readFileText(text: string, env: Environment, name?: string): FileReading {
  const json = readJsonText(text)
  const describe = (place: Place, { line, column } = json.positionOf(place)) =>
    name === undefined ? placeText(place) : `${name}:${line}:${column}: ${placeText(place)}`
  const { file, findings } = json.value === undefined ? NOTHING_READ : readSections(json.value, env, describe, name)
  const ofValues = findings.map((finding) => ({ ...finding, position: json.positionOf(finding.place) }))
  const inOrder = [...json.mistakes, ...ofValues].sort(
    ({ position: left }, { position: right }) => left.line - right.line || left.column - right.column,
  )
  return { file, mistakes: inOrder.map(({ place, text: wrong, position }) => `${describe(place, position)}: ${wrong}`) }
}

/** Reads a value that has the shape of bursar.json, such as the `config` of `createBursar`. */
export function readFileValue(value: unknown, env: Environment): FileReading {
  const notPlain: Finding[] = []
  const describe = (place: Place) => placeText(place, 'config')
  const { file, findings } = readSections(copyPlain(value ?? {}, notPlain), env, describe)
  return { file, mistakes: [...notPlain, ...findings].map(({ place, text }) => `${describe(place)}: ${text}`) }
}

/** Reads the text of bursar.json. Throws ConfigError with every mistake. */
export function readFileConfig(text: string, env: Environment = {}): FileConfig {
  return wholeFile(readFileText(text, env))
}

/** A file without mistakes. Throws ConfigError for any other. */
export function wholeFile({ file, mistakes }: FileReading): FileConfig {
  if (mistakes.length > 0) throw new ConfigError(mistakes)
  return file
}

interface SectionsReading {
  readonly file: FileConfig
  readonly findings: readonly Finding[]
}

const NOTHING_READ: SectionsReading = { file: EMPTY_FILE_CONFIG, findings: [] }

function readSections(
  value: unknown,
  env: Environment,
  describe: FileNames['describe'],
  path: string | null = null,
): SectionsReading {
  const mistakes: Finding[] = []
  const warnings: Finding[] = []
  const sections = Object.fromEntries(readEntries(value, [], mistakes))
  for (const key of Object.keys(sections))
    if (!SECTIONS.some((known) => known === key)) mistakes.push({ place: [key], text: unknownKeyText(key, SECTIONS) })
  const { $schema, patterns = {} } = sections
  readValue(z.string().optional(), $schema, ['$schema'], mistakes)
  const routes = readRoutes(sections, mistakes)
  const patternModels = readValue(patternsSchema, patterns, ['patterns'], mistakes) ?? {}
  const providers = readProviders(sections.providers, env, mistakes, warnings)
  const { limits, scopes } = readLimits(sections.limits, mistakes)
  const prices = readPrices(sections.prices, mistakes)
  const alerts = readAlerts(sections.alerts, env, mistakes)
  const file = {
    limits,
    prices: [...prices.rows.values()],
    providers: providers.rows,
    routes,
    patterns: patternModels,
    alerts: alerts.rows,
    names: {
      scopes,
      providers: providers.names,
      prices: prices.rows,
      pricedModels: prices.named,
      variables: [...providers.variables, ...alerts.variables],
      warnings,
      describe,
    },
    written: { path, sections },
  }
  return { file, findings: mistakes }
}
