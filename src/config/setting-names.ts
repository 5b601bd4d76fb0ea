// Setting names: variables that look like a setting and are none. Variables of other programs are left alone.

import { nearestName } from '../core/nearest-name.ts'
import { type Environment, SETTINGS } from './settings.ts'

const OUR_PREFIX = /^BURSAR_/i
/** Variables that the commands of `bursar` read, beside the gateway. */
const COMMAND_VARIABLES: readonly string[] = ['BURSAR_URL', 'BURSAR_ADMIN_KEY', 'BURSAR_CALLER_KEY']
/** Names of other programs can be as near as this to shorter names: `POST` to `PORT`. */
const MIN_CHARACTERS = 8
const MIN_COMMON_WORDS = 2
/** `MIN` is short for `MINUTE`; shorter beginnings say too little. */
const MIN_SHORT_CHARACTERS = 3

const LIMIT_NAMES: ReadonlySet<string> = new Set(
  Object.entries(SETTINGS).flatMap(([name, { empty }]) => (empty === 'no limit' ? [name] : [])),
)

/** A warning for each variable that is nearly a setting. @param used variables that bursar.json names */
export function unknownSettings(env: Environment, used: ReadonlySet<string>): string[] {
  return Object.keys(env).flatMap((name) => {
    if (env[name] === undefined || Object.hasOwn(SETTINGS, name) || used.has(name)) return []
    if (COMMAND_VARIABLES.includes(name)) return []
    const nearest = nearestSetting(name)
    // On Windows a variable is read in any case.
    if (nearest === name.toUpperCase() && env[nearest] === env[name]) return []
    if (nearest !== undefined) return [`${name}: is no setting, and is not read. Did you mean ${nearest}?`]
    return OUR_PREFIX.test(name) ? [`${name}: is no setting, and is not read. .env.example lists the settings`] : []
  })
}

function nearestSetting(name: string): string | undefined {
  const bare = name.replace(OUR_PREFIX, '')
  const exact = Object.keys(SETTINGS).find((setting) => setting === bare.toUpperCase())
  // On systems that keep case apart, `host` and `port` are variables of other programs.
  if (exact !== undefined && (exact.length >= MIN_CHARACTERS || bare !== name)) return exact
  const names = Object.keys(SETTINGS).filter((setting) => setting.length >= MIN_CHARACTERS)
  const near = [name, bare].flatMap(
    (text) =>
      nearestName(
        text,
        names.filter((setting) => hasNearWords(text, setting)),
      ) ?? [],
  )
  const words = bare.toUpperCase().split('_')
  return (
    near[0] ??
    names.find((setting) => hasSameWords(words, setting)) ??
    names.find((setting) => lacksWords(words, setting))
  )
}

/** False if a word of the name is another word than the setting's: `DATABASE_USER` is not `DATABASE_URL`. */
function hasNearWords(name: string, setting: string): boolean {
  const words = name.toUpperCase().split('_')
  const others = setting.split('_')
  return words.length !== others.length || words.every((word, index) => isNear(word, others[index] ?? ''))
}

/** True for the same word with a mistake, or for its beginning. */
function isNear(word: string, other: string): boolean {
  if (word === other || nearestName(word, [other]) !== undefined) return true
  return word.length >= MIN_SHORT_CHARACTERS && other.startsWith(word)
}

/** True for the words of the setting in another order, or shortened: `SPENDING_LIMIT_DAILY`, `MAX_REQ_PER_MIN`. */
function hasSameWords(words: readonly string[], setting: string): boolean {
  const all = setting.split('_')
  if (words.length !== all.length || words.length < MIN_COMMON_WORDS) return false
  return (
    words.every((word, index) => isNear(word, all[index] ?? '')) || words.toSorted().join() === all.toSorted().join()
  )
}

/**
 * True for the words of the setting without some of them: `OPENAI_KEY`, `MAX_REQUESTS`. Of limits, the first may be missing, too, and
 * others may be in the middle: `SPENDING_LIMIT`, `MONTHLY_BUDGET_LIMIT`.
 */
function lacksWords(words: readonly string[], setting: string): boolean {
  const all = setting.split('_')
  const isLimit = LIMIT_NAMES.has(setting)
  const hasFirst = words[0] === all[0]
  if (words.length < MIN_COMMON_WORDS || (!hasFirst && !isLimit)) return false
  if (isLimit && hasFirst && words.at(-1) === all.at(-1)) return true
  let next = 0
  for (const word of all) if (next < words.length && isNear(words[next] ?? '', word)) next += 1
  return next === words.length
}
