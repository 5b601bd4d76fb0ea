// Setting names: variables that look like a setting and are none. Variables of other programs are left alone.

import { nearestName } from '../core/nearest-name.ts'
import { type Environment, SETTINGS } from './settings.ts'

const OUR_PREFIX = /^BURSAR_/i
/** Variables that the commands of `bursar` read, beside the gateway. */
const COMMAND_VARIABLES: readonly string[] = ['BURSAR_URL', 'BURSAR_ADMIN_KEY', 'BURSAR_CALLER_KEY']
/** Names of other programs can be as near as this to shorter names: `POST` to `PORT`. */
const MIN_CHARACTERS = 8
const MIN_COMMON_WORDS = 2

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
  return near[0] ?? names.find((setting) => lacksWords(bare.toUpperCase(), setting))
}

/** False if a word of the name is another word than the setting's: `DATABASE_USER` is not `DATABASE_URL`. */
function hasNearWords(name: string, setting: string): boolean {
  const words = name.toUpperCase().split('_')
  const others = setting.split('_')
  const isNear = (word: string, other: string) =>
    word === other || other.startsWith(word) || nearestName(word, [other]) !== undefined
  return words.length !== others.length || words.every((word, index) => isNear(word, others[index] ?? ''))
}

/** True if the name is the setting's with words left out in the middle: `OPENAI_KEY`. */
function lacksWords(name: string, setting: string): boolean {
  const words = name.split('_')
  const all = setting.split('_')
  if (words.length < MIN_COMMON_WORDS || words[0] !== all[0] || words.at(-1) !== all.at(-1)) return false
  let next = 0
  for (const word of all) if (word === words[next]) next += 1
  return next === words.length
}
