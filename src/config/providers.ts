// The providers of bursar.json: OpenAI-compatible endpoints, and whose keys are used. Keys written as $NAME are looked up here.

import { z } from 'zod'
import {
  AUTH_SCHEMES,
  BUILT_IN_PROVIDERS,
  type BuiltInName,
  COMPATIBLE_DIALECTS,
  type CompatibleSettings,
  PRESET_NAMES,
  type ProviderRows,
  presetRow,
} from '../providers/index.ts'
import type { Environment } from './settings.ts'

const HEADER_NAME = /^[A-Za-z0-9!#$%&'*+.^_`|~-]+$/
const HEADER_VALUE = /^[\x20-\x7e]*$/
/** Set by the gateway alone: they say how bytes travel, or who pays. */
const GATEWAY_HEADERS =
  /^(x-bursar-.*|host|connection|keep-alive|transfer-encoding|te|trailer|upgrade|expect|content-(length|type|encoding)|accept-encoding)$/i
const KEY_HEADERS = /^(authorization|api-key|x-api-key|x-goog-api-key)$/i
const tokenCountSchema = z.number().int().nonnegative()

const headersSchema = z
  .record(
    z.string().regex(HEADER_NAME, 'is no name of a header'),
    z.string().regex(HEADER_VALUE, 'holds characters that cannot be sent in a header'),
  )
  .refine((all) => !Object.keys(all).some((name) => GATEWAY_HEADERS.test(name)), 'names a header that the gateway sets')

const baseUrlSchema = z.string().refine(isBaseUrl, 'must be an http(s) URL without a query, and without a key')

const providerRowSchema = z.strictObject({
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
  capCoversReasoning: z.boolean().exactOptional(),
  tokensPerCall: tokenCountSchema.exactOptional(),
  tokensPerMessage: tokenCountSchema.exactOptional(),
  tokensWithTools: tokenCountSchema.exactOptional(),
  dialects: z.array(z.enum(COMPATIBLE_DIALECTS)).min(1).exactOptional(),
  prices: z.string().min(1).exactOptional(),
  model: z.string().min(1).exactOptional(),
  paths: z
    .partialRecord(z.enum(COMPATIBLE_DIALECTS), z.string().regex(/^\/[^?#\s]*$/, 'must be a path without a query'))
    .exactOptional(),
  deployments: z.record(z.string().min(1), z.string().min(1)).exactOptional(),
})

type ProviderRow = z.infer<typeof providerRowSchema>

export const providersSchema = z.record(z.string(), providerRowSchema).default({})

/** The rows with presets filled in and keys looked up. What is wrong with them is added to `mistakes`. */
export function providerRows(
  rows: Readonly<Record<string, ProviderRow>>,
  env: Environment,
  mistakes: string[],
): ProviderRows {
  const callerKeys: BuiltInName[] = []
  const compatible: CompatibleSettings[] = []
  for (const [name, row] of Object.entries(rows)) {
    const wrong = (what: string) => mistakes.push(`providers.${name}${what}`)
    const builtIn = BUILT_IN_PROVIDERS.find((provider) => provider.name === name)
    if (builtIn) {
      if (Object.keys(row).some((option) => option !== 'callerKeys'))
        wrong(': only callerKeys can be set here; its key, address and model are settings')
      if (row.callerKeys === 'forward') callerKeys.push(builtIn.name)
    } else if (/^sim(ulated)?$/.test(name) || !/^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$/.test(name)) {
      wrong(': must be named with letters, digits, _ . -, and not sim or simulated')
    } else compatible.push(settingsOf(name, row, env, wrong))
  }
  return { callerKeys, compatible }
}

function settingsOf(
  name: string,
  { preset, callerKeys, apiKey, ...options }: ProviderRow,
  env: Environment,
  wrong: (what: string) => void,
): CompatibleSettings {
  const row = { ...presetRow(preset), ...options }
  const forwards = callerKeys === 'forward'
  if (row.baseUrl === '') wrong('.baseUrl: is required')
  if (row.auth === 'none' && forwards) wrong('.callerKeys: there are none to forward where auth is none')
  if (row.auth === 'none' && apiKey) wrong('.apiKey: is not sent where auth is none')
  if (row.auth !== 'none' && Object.keys(row.headers).some((header) => KEY_HEADERS.test(header)))
    wrong('.headers: the key belongs into apiKey, or auth must be none')
  if (!/^(?!\$)|^\$\w+$/.test(apiKey ?? '')) wrong('.apiKey: names no variable')
  const key = row.auth === 'none' ? { value: '' } : keyOf(apiKey ?? row.apiKey, env)
  if (!/^[\x21-\x7e]*$/.test(key.value))
    wrong('.apiKey: holds characters that cannot be sent in a header (a line break? a space?)')
  return { ...row, name, apiKey: key.value, missingVariable: key.missing, callerKeys: forwards }
}

/** A key as it is, or what the variable it names holds. */
function keyOf(written: string, env: Environment): { readonly value: string; readonly missing?: string } {
  if (!written.startsWith('$')) return { value: written }
  const variable = written.slice(1)
  const value = Object.hasOwn(env, variable) ? (env[variable]?.trim() ?? '') : ''
  return value === '' ? { value, missing: variable } : { value }
}

function isBaseUrl(text: string): boolean {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (!url || (url.protocol !== 'https:' && url.protocol !== 'http:')) return false
  return url.username === '' && url.password === '' && url.search === '' && url.hash === ''
}
