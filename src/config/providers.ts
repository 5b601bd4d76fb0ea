// The providers of bursar.json: OpenAI-compatible endpoints, and whose keys are used. Keys written as $NAME are looked up in the
// variables that are handed in.

import { z } from 'zod'
import { didYouMean } from '../core/nearest-name.ts'
import {
  AUTH_SCHEMES,
  BUILT_IN_PROVIDERS,
  type BuiltInName,
  COMPATIBLE_DIALECTS,
  COST_FIELDS,
  type CompatibleSettings,
  PRESET_NAMES,
  type ProviderRows,
  presetRow,
} from '../providers/index.ts'
import type { Finding, Place } from './findings.ts'
import { readEntries, readValue, strictObject, unknownKeys, wholeNumber } from './schema.ts'
import { BASE_URL_EXPECTED, isBaseUrl } from './setting-parsers.ts'
import type { Environment } from './settings.ts'

const HEADER_NAME = /^[A-Za-z0-9!#$%&'*+.^_`|~-]+$/
const HEADER_VALUE = /^[\x20-\x7e]*$/
/** Only the gateway sets these: they say how bytes travel, or who pays. */
const GATEWAY_HEADERS =
  /^(x-bursar-.*|host|connection|keep-alive|transfer-encoding|te|trailer|upgrade|expect|content-(length|type|encoding)|accept-encoding)$/i
const KEY_HEADERS = /^(authorization|api-key|x-api-key|x-goog-api-key)$/i
const tokens = wholeNumber(0).exactOptional()

const headersSchema = z
  .record(
    z.string().regex(HEADER_NAME, 'must be the name of a header'),
    z.string().regex(HEADER_VALUE, 'must have only characters that can be sent in a header'),
  )
  .refine(
    (headers) => !Object.keys(headers).some((name) => GATEWAY_HEADERS.test(name)),
    'must not name a header that the gateway sets',
  )

const baseUrlSchema = z.string().refine(isBaseUrl, BASE_URL_EXPECTED)

const providerRowSchema = strictObject({
  preset: z.enum(PRESET_NAMES).exactOptional(),
  baseUrl: baseUrlSchema.exactOptional(),
  apiKey: z.string().exactOptional(),
  callerKeys: z.enum(['off', 'forward']).exactOptional(),
  auth: z.enum(AUTH_SCHEMES).exactOptional(),
  headers: headersSchema.exactOptional(),
  query: z.record(z.string().min(1), z.string()).exactOptional(),
  capField: z.enum(['max_tokens', 'max_completion_tokens']).exactOptional(),
  readsBothCaps: z.boolean().exactOptional(),
  knowsStreamOptions: z.boolean().exactOptional(),
  rewritesTools: z.boolean().exactOptional(),
  capCoversReasoning: z.boolean().exactOptional(),
  costField: z.enum([...COST_FIELDS, '']).exactOptional(),
  tokensPerCall: tokens,
  tokensPerMessage: tokens,
  tokensWithTools: tokens,
  dialects: z.array(z.enum(COMPATIBLE_DIALECTS)).min(1).exactOptional(),
  prices: z.string().min(1).exactOptional(),
  model: z.string().min(1).exactOptional(),
  paths: z
    .partialRecord(
      z.enum(COMPATIBLE_DIALECTS),
      z
        .string()
        .regex(/^\/[^?#\s]*$/, 'must be a path that begins with / and has no query')
        .refine((path) => !/\{(?!deployment\})/.test(path), 'must have no placeholder but {deployment}'),
      { error: unknownKeys(COMPATIBLE_DIALECTS) },
    )
    .exactOptional(),
  deployments: z.record(z.string().min(1), z.string().min(1)).exactOptional(),
})

const builtInRowSchema = providerRowSchema.pick({ callerKeys: true })

type ProviderRow = z.infer<typeof providerRowSchema>

/** The providers of a file. */
export interface ReadProviders {
  readonly rows: ProviderRows
  /** The names of all rows, also of those with mistakes. */
  readonly names: readonly string[]
  /** The variables that hold their keys. */
  readonly variables: readonly string[]
}

/**
 * Reads `providers` of a file: presets are filled in, and keys looked up. What is wrong with them is added to `mistakes`. A variable
 * that a row names and that is not set is added to `warnings`.
 */
export function readProviders(
  section: unknown,
  env: Environment,
  mistakes: Finding[],
  warnings: Finding[],
): ReadProviders {
  const callerKeys: BuiltInName[] = []
  const compatible: CompatibleSettings[] = []
  const variables: string[] = []
  const entries = readEntries(section, ['providers'], mistakes)
  for (const [name, value] of entries) {
    const place = ['providers', name]
    const builtIn = BUILT_IN_PROVIDERS.find((provider) => provider.name === name)
    if (builtIn) {
      if (readBuiltInRow(builtIn, value, place, mistakes)?.callerKeys === 'forward') callerKeys.push(builtIn.name)
      continue
    }
    if (/^sim(ulated)?$/.test(name) || !/^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$/.test(name))
      mistakes.push({ place, text: 'must have a name of 1 to 64 letters, digits, _ . -, other than sim and simulated' })
    const row = readValue(providerRowSchema, value, place, mistakes)
    if (!row) continue
    const settings = settingsOf(name, row, env, (option, text) => mistakes.push({ place: [...place, option], text }))
    const { missingVariable } = settings
    const written = row.apiKey ?? presetRow(row.preset).apiKey
    if (written.startsWith('$')) variables.push(written.slice(1))
    if (missingVariable !== undefined && row.apiKey !== undefined)
      warnings.push({ place: [...place, 'apiKey'], text: missingVariableText(missingVariable, env) })
    compatible.push(settings)
  }
  return { rows: { callerKeys, compatible }, names: entries.map(([name]) => name), variables }
}

function missingVariableText(variable: string, env: Environment): string {
  const set = Object.keys(env).filter((name) => env[name]?.trim())
  return `names the variable ${variable}, which is not set.${didYouMean(variable, set)} The provider has no key until it is`
}

function readBuiltInRow(
  builtIn: (typeof BUILT_IN_PROVIDERS)[number],
  written: unknown,
  place: Place,
  mistakes: Finding[],
): Pick<ProviderRow, 'callerKeys'> | undefined {
  const others = readEntries(written, place, mistakes).filter(([option]) => option !== 'callerKeys')
  if (others.length === 0) return readValue(builtInRowSchema, written, place, mistakes)
  const text = `must have only callerKeys. Its key, address and model are settings: ${variablesOf(builtIn)}`
  mistakes.push({ place, text })
  return undefined
}

function variablesOf({ settings: { apiKey, baseUrl, model } }: (typeof BUILT_IN_PROVIDERS)[number]): string {
  return [apiKey, baseUrl, model].map(({ variable }) => variable).join(', ')
}

function settingsOf(
  name: string,
  { preset, callerKeys, apiKey, ...options }: ProviderRow,
  env: Environment,
  addMistake: (option: string, text: string) => void,
): CompatibleSettings {
  const row = { ...presetRow(preset), ...options }
  const forwards = callerKeys === 'forward'
  if (row.baseUrl === '') addMistake('baseUrl', 'is missing; it must be the URL of the endpoint')
  if (row.auth === 'none' && forwards)
    addMistake('callerKeys', 'must be off if auth is none, because no key is sent then')
  if (row.auth === 'none' && apiKey)
    addMistake('apiKey', 'must be left out if auth is none, because no key is sent then')
  if (row.auth !== 'none' && Object.keys(row.headers).some((header) => KEY_HEADERS.test(header)))
    addMistake('headers', 'must not carry a key. Set apiKey, or set auth to none')
  if (!/^(?!\$)|^\$\w+$/.test(apiKey ?? '')) addMistake('apiKey', 'must name a variable after the $, such as $MY_KEY')
  const key = row.auth === 'none' ? { value: '' } : keyOf(apiKey ?? row.apiKey, env)
  if (!/^[\x21-\x7e]*$/.test(key.value))
    addMistake('apiKey', 'must have only characters that can be sent in a header (is there a line break, or a space?)')
  const isKeyInEnvironment = (apiKey ?? row.apiKey).startsWith('$') && key.value !== ''
  const sendsOwnFields = options.headers !== undefined || options.query !== undefined
  return {
    ...row,
    name,
    apiKey: key.value,
    missingVariable: key.missing,
    callerKeys: forwards,
    isKeyInEnvironment,
    sendsOwnFields,
  }
}

/** The key itself, or the value of the variable it names. */
function keyOf(written: string, env: Environment): { readonly value: string; readonly missing?: string } {
  if (!written.startsWith('$')) return { value: written }
  const variable = written.slice(1)
  const value = Object.hasOwn(env, variable) ? (env[variable]?.trim() ?? '') : ''
  return value === '' ? { value, missing: variable } : { value }
}
