// Unmatched names: what the settings and bursar.json name and what does not exist. These are warnings and no mistakes, because keys
// and models may come later.

import { listOf } from '../core/issue-text.ts'
import { NO_SUBJECT, SCOPED_BY, type Scope } from '../core/limits.ts'
import { modelNameOf } from '../core/model-name.ts'
import { didYouMean, nearestName } from '../core/nearest-name.ts'
import { BUILT_IN_PROVIDERS } from '../providers/index.ts'
import type { FileConfig, FilePrice } from './file.ts'
import { type Finding, type Place, shown } from './findings.ts'
import { type KnownModels, providerOf } from './known-models.ts'
import { ratesShape } from './schema.ts'
import type { Settings } from './settings.ts'

/** Everything that is checked. Settings that have a mistake are absent. */
export interface NamedThings {
  readonly settings: Partial<Settings>
  readonly file: FileConfig
  readonly models: KnownModels
  /** The keys that were made, as far as the file names them. Absent if no ledger was read. */
  readonly madeKeys?: MadeKeys | undefined
}

/** Keys that are no settings. */
export interface MadeKeys {
  /** Whether there are any at all. */
  readonly exist: boolean
  /** Those that the file names. */
  readonly ids: ReadonlySet<string>
}

/** The keys that rows of limits are for. */
export function keysNamedIn({ names }: FileConfig): readonly string[] {
  return [...names.scopes.values()].flatMap(({ who, subject }) => keyOf(who, subject) ?? [])
}

/** The key of a subject; undefined for subjects that have none. */
export function keyOf(who: Scope['who'], subject: string | undefined): string | undefined {
  if (subject === undefined || who === 'key') return subject
  return SCOPED_BY[who] === 'key' && subject.includes('/') ? subject.slice(0, subject.indexOf('/')) : undefined
}

/** A warning for each name in bursar.json that matches nothing, with the nearest name that does. */
export function unmatchedInFile(things: NamedThings): Finding[] {
  const { file, models } = things
  const aliases = [...file.routes.aliases.keys()]
  return [
    ...file.names.warnings,
    ...[...file.names.scopes].flatMap(([row, scope]) => at(['limits', row], unmatchedScope(row, scope, things))),
    ...[...file.names.prices].flatMap(([index, price]) => at(['prices', index], unmatchedPrice(price, file, models))),
    ...[...file.routes.aliases].flatMap(([name, { targets }]) => [
      ...targets.flatMap((target, index) =>
        // That an alias leads to another alias is a mistake already.
        at(
          ['aliases', name, index],
          target !== name && aliases.includes(target) ? undefined : unmatchedTarget(name, target, models),
        ),
      ),
      ...at(['aliases', name], hiddenModel(name, targets, models)),
    ]),
    ...at(['patterns', 'model'], unmatchedModel(file.patterns.model, models, aliases)),
    ...at(['patterns', 'embeddingModel'], unmatchedModel(file.patterns.embeddingModel, models, aliases)),
  ]
}

/** Names of models are compared with all that are listed: nobody reads more of them at a time. */
const MAX_KEY_WARNINGS = 10

/** The same for what a key may use: names, and patterns in which `*` stands for any text. The first ten. */
export function unmatchedInKey(
  {
    models: patterns,
    providers,
  }: { readonly models: readonly string[] | null; readonly providers: readonly string[] | null },
  aliases: readonly string[],
  models: KnownModels,
): Finding[] {
  const findings: Finding[] = []
  const check = (list: string, names: readonly string[] | null, unmatched: (name: string) => string | undefined) => {
    for (const [index, name] of (names ?? []).entries())
      if (findings.length < MAX_KEY_WARNINGS) findings.push(...at([list, index], unmatched(name)))
  }
  check('models', patterns, (name) =>
    name.includes('*') ? unmatchedPattern(name, models) : unmatchedModel(name, models, aliases),
  )
  check('providers', providers, (name) => (name.includes('*') ? undefined : unmatchedProvider(name, models)))
  return findings
}

/** Models that match a pattern may come later: only its provider is known. */
function unmatchedPattern(pattern: string, models: KnownModels): string | undefined {
  const provider = providerOf(pattern)
  return provider === undefined || provider === 'sim' || provider.includes('*')
    ? undefined
    : unmatchedProvider(provider, models)
}

/** The same for the settings that name a model. */
export function unmatchedInSettings({ settings, models }: NamedThings): Finding[] {
  return BUILT_IN_PROVIDERS.flatMap(({ name, settings: { model: setting } }) => {
    const model = settings[setting.variable]
    return at([setting.variable], unmatchedModel(model && `${name}/${model}`, models))
  })
}

function at(place: Place, text: string | undefined): Finding[] {
  return text === undefined ? [] : [{ place, text }]
}

/**
 * Why a row of limits limits nothing; undefined if it does.
 * @param row as the file has it, such as `model:openai/gpt-4o`
 * @param verb what the row does with calls
 */
export function unmatchedScope(
  row: string,
  { who, subject }: Scope,
  things: NamedThings,
  verb: 'limits' | 'watches' = 'limits',
): string | undefined {
  const { settings, models, madeKeys } = things
  const keys = settings.BURSAR_KEYS?.map(({ id }) => id)
  // Only keys that are made have these, and they may come later.
  if (who === 'organisation' || who === 'project') return undefined
  if (who === 'provider') return subject && unmatchedProvider(subject, models)
  if (who === 'model') return subject && unmatchedModel(row.slice(row.indexOf(':') + 1), models, [], true)
  if (!keys || who === 'global') return undefined
  if (who === 'key' && subject === undefined)
    return keys.length > 0 || madeKeys?.exist
      ? undefined
      : `${verb} all calls together, as one key: BURSAR_KEYS has no keys, and none is known that was made`
  if (who === 'user' && subject !== undefined && !subject.includes('/'))
    return madeKeys?.exist === false
      ? `${verb} the person ${shown(subject)}, and no key has been made that could name a person. A user that a caller declares has its key in front, such as user:alice/${shown(subject)}`
      : undefined
  const key = keyOf(who, subject)
  return key === undefined ? undefined : unmatchedKey(key, keys, madeKeys, verb)
}

/** @param advice begins with a blank, or is empty */
function advised(text: string, advice: string): string {
  return advice === '' ? text : `${text}.${advice}`
}

function unmatchedKey(
  key: string,
  keys: readonly string[],
  madeKeys: MadeKeys | undefined,
  verb: string,
): string | undefined {
  if (madeKeys?.ids.has(key)) return undefined
  if (keys.length === 0 && madeKeys?.exist) return `${verb} nothing: there is no key ${shown(key)}`
  if (keys.length === 0) {
    return key === NO_SUBJECT
      ? undefined
      : `${verb} nothing: BURSAR_KEYS has no keys, and none is known that was made. Every call is of ${NO_SUBJECT}`
  }
  if (key === NO_SUBJECT) return `${verb} nothing: BURSAR_KEYS has keys, so every call is of a key`
  if (keys.includes(key)) return undefined
  return advised(
    `${verb} nothing: BURSAR_KEYS has no ${shown(key)}`,
    didYouMean(key, keys) || ` Its names are ${listOf(keys)}`,
  )
}

function unmatchedProvider(name: string, models: KnownModels): string | undefined {
  const names = models.providerNames
  if (names.includes(name)) return undefined
  return advised(`no provider is named ${shown(name)}`, didYouMean(name, names) || ` The names are ${listOf(names)}`)
}

/**
 * Why a model's name matches nothing. Undefined if it does, or if there is no name.
 * @param others names that count beside models: aliases
 * @param isWhole true: the name must have its provider in front
 */
function unmatchedModel(
  name: string | undefined,
  models: KnownModels,
  others: readonly string[] = [],
  isWhole = false,
): string | undefined {
  if (!name || others.includes(name)) return undefined
  const provider = isWhole ? name.slice(0, name.indexOf('/')) : providerOf(name)
  if (provider === undefined) {
    if (models.holdersOf(name).length > 0) return undefined
    return advised(`no provider has a model ${shown(name)}`, didYouMean(name, [...others, ...models.namesOfAll()]))
  }
  if (isWhole && provider === 'sim') return `no provider is named sim. Did you mean simulated/${shown(name)}?`
  const model = name.slice(provider.length + 1)
  if (!models.hasProvider(provider)) {
    const nearest = nearestName(provider, models.providerNames) ?? models.vendorOf(provider)
    const advice =
      nearest === undefined
        ? ` The names are ${listOf(models.providerNames)}`
        : ` Did you mean ${shown(`${nearest}/${model}`)}?`
    return `no provider is named ${shown(provider)}.${advice}`
  }
  if (models.has(provider, isWhole || provider !== 'sim' ? model : name)) return undefined
  const nearest = models.nearest(provider, model)
  return advised(
    `${provider} has no known model ${shown(model)}`,
    nearest === undefined ? '' : ` Did you mean ${provider}/${nearest}?`,
  )
}

function unmatchedPrice(price: FilePrice, file: FileConfig, models: KnownModels): string | undefined {
  const { provider, model } = price
  const unmatched = (provider === '*' ? undefined : models.unmatchedPriceOwner(provider)) ?? prefixedModel(price, file)
  if (unmatched !== undefined) return unmatched
  const given = Object.entries(price).flatMap(([name, value]) => (value === undefined ? [] : [name]))
  const amounts = given.filter((name) => name !== 'provider' && name !== 'model')
  if (amounts.length === 0)
    return `says nothing of ${shown(model)}: it needs amounts, such as "input": "3.00", "output": "12.00"`
  if (!amounts.some((name) => Object.hasOwn(ratesShape, name)) || models.hasPrice(provider, model)) return undefined
  return `makes no price of ${shown(model)}, because none is known that it could correct: it needs both input and output`
}

/** Calls are priced by the name of their model alone. At other providers, a name can begin with another provider's. */
function prefixedModel({ provider, model }: FilePrice, { providers }: FileConfig): string | undefined {
  const owners = BUILT_IN_PROVIDERS.map(({ name }) => name).filter((name) => provider === name || provider === '*')
  if (provider === '*' && providers.compatible.length > 0) return undefined
  const written = model.trim().toLowerCase()
  const owner = owners.find((name) => modelNameOf(name, model).model !== written)
  if (owner === undefined) return undefined
  const bare = modelNameOf(owner, model).model
  return `is for no model: the name of a model has no provider in front here. Did you mean "provider": "${owner}", "model": "${shown(bare)}"?`
}

function unmatchedTarget(alias: string, target: string, models: KnownModels): string | undefined {
  const text = unmatchedModel(target, models)
  return text !== undefined && alias === target ? `names its own alias, and ${text}` : text
}

/** An alias that hides a model of its name is wanted only if it leads to that model, too. */
function hiddenModel(alias: string, targets: readonly string[], models: KnownModels): string | undefined {
  const [holder] = models.listersOf(alias)
  if (holder === undefined) return undefined
  const model = alias.startsWith(`${holder}/`) ? alias.slice(holder.length + 1) : alias
  const own = modelNameOf(holder, model).model
  const isTarget = targets.some((target) => modelNameOf(holder, target.replace(`${holder}/`, '')).model === own)
  if (isTarget) return undefined
  const whole = `${holder}/${shown(model)}`
  return `has the name of the model ${whole}, which is none of its targets: calls for ${shown(alias)} no longer reach it. Rename the alias, or add ${whole} to it`
}
