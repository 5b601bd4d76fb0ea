// Gemini config reader: reads `generationConfig`, which holds sampling, the output format and reasoning.

import type { ChatRequest, Effort, JsonObject, OutputFormat, Reasoning } from '../../core/chat.ts'
import { invalidField } from '../../wire/json/errors.ts'
import type { ExtrasDraft } from '../dialect-fields.ts'
import { objectAt, stringsOf } from './checks.ts'
import { GEMINI_HINTS, isEmpty } from './dialect-fields.ts'
import { jsonSchemaOf } from './schema.ts'

/** The numeric fields, and the fields of a chat request that they become. */
const NUMBERS = {
  candidateCount: 'answers',
  maxOutputTokens: 'outputCap',
  temperature: 'temperature',
  topP: 'topP',
  topK: 'topK',
  seed: 'seed',
  frequencyPenalty: 'frequencyPenalty',
  presencePenalty: 'presencePenalty',
} as const

type NumberField = (typeof NUMBERS)[keyof typeof NUMBERS]

const CONFIG_PREFIX = 'generationConfig.'
const CONFIG_FIELDS: ReadonlySet<string> = new Set([
  'stopSequences',
  'thinkingConfig',
  'responseMimeType',
  'responseSchema',
  'responseJsonSchema',
  ...Object.keys(NUMBERS),
])

type ConfigFields = Omit<ChatRequest, 'model' | 'stream' | 'messages'>

/** Reads `generationConfig`. Throws Problem `invalid_request` for a field of the wrong type. */
export function readConfig(config: JsonObject, extras: ExtrasDraft): ConfigFields {
  const { responseModalities, ...others } = config
  if (isTextOnly(responseModalities)) {
    extras.mark(`${CONFIG_PREFIX}responseModalities`, responseModalities)
    extras.keepRest(others, CONFIG_FIELDS, { hints: GEMINI_HINTS, prefix: CONFIG_PREFIX })
  } else extras.keepRest(config, CONFIG_FIELDS, { hints: GEMINI_HINTS, prefix: CONFIG_PREFIX })
  const stop = config.stopSequences ?? undefined
  return {
    ...numbersIn(config),
    ...(stop === undefined ? {} : { stop: stringsOf(stop, `${CONFIG_PREFIX}stopSequences`) }),
    ...formatIn(config, extras),
    ...reasoningIn(config.thinkingConfig, extras),
  }
}

function numbersIn(config: JsonObject): Partial<Record<NumberField, number>> {
  const numbers: Partial<Record<NumberField, number>> = {}
  for (const [name, field] of Object.entries(NUMBERS)) {
    const value = config[name]
    if (value === undefined || value === null) continue
    if (typeof value !== 'number') throw invalidField(`${CONFIG_PREFIX}${name}`, 'must be a number')
    numbers[field] = value
  }
  return numbers
}

/** Whether the only modality is text, which is the default. */
function isTextOnly(modalities: unknown): boolean {
  return Array.isArray(modalities) && modalities.length > 0 && modalities.every((modality) => modality === 'TEXT')
}

function formatIn(config: JsonObject, extras: ExtrasDraft): { readonly format?: OutputFormat } {
  const type = config.responseMimeType
  const schema = objectAt(config.responseJsonSchema, `${CONFIG_PREFIX}responseJsonSchema`)
  const openApiSchema = objectAt(config.responseSchema, `${CONFIG_PREFIX}responseSchema`)
  if (type === 'application/json') {
    if (openApiSchema) extras.mark(`${CONFIG_PREFIX}responseSchema`, openApiSchema)
    if (openApiSchema && !schema) extras.mark(`${CONFIG_PREFIX}responseJsonSchema`, null)
    const requestedSchema = schema ?? (openApiSchema ? jsonSchemaOf(openApiSchema) : null)
    return { format: requestedSchema ? { kind: 'schema', schema: requestedSchema } : { kind: 'json' } }
  }
  if (type === 'text/plain') extras.mark(`${CONFIG_PREFIX}responseMimeType`, type)
  else if (!isEmpty(type)) extras.need(`${CONFIG_PREFIX}responseMimeType`, type)
  else if (type === '') extras.hint(`${CONFIG_PREFIX}responseMimeType`, type)
  if (schema) extras.need(`${CONFIG_PREFIX}responseJsonSchema`, schema)
  if (openApiSchema) extras.need(`${CONFIG_PREFIX}responseSchema`, openApiSchema)
  return {}
}

const EFFORT_BY_LEVEL: Readonly<Record<string, Effort>> = {
  MINIMAL: 'minimal',
  LOW: 'low',
  MEDIUM: 'medium',
  HIGH: 'high',
}
const THINKING_CONFIG = `${CONFIG_PREFIX}thinkingConfig`

function reasoningIn(value: unknown, extras: ExtrasDraft): { readonly reasoning?: Reasoning } {
  const config = objectAt(value, THINKING_CONFIG)
  if (!config) return {}
  const { includeThoughts, thinkingBudget, thinkingLevel, ...rest } = config
  extras.mark(THINKING_CONFIG, config)
  if (!Object.values(rest).every(isEmpty)) extras.need(THINKING_CONFIG, config)
  const level = typeof thinkingLevel === 'string' ? thinkingLevel.toUpperCase() : ''
  const effort = Object.hasOwn(EFFORT_BY_LEVEL, level) ? EFFORT_BY_LEVEL[level] : undefined
  const reasoning: Reasoning = {
    ...(effort ? { effort } : {}),
    ...budgetOf(thinkingBudget),
    ...(typeof includeThoughts === 'boolean' ? { shown: includeThoughts } : {}),
  }
  return isEmpty(reasoning) ? {} : { reasoning }
}

function budgetOf(budget: unknown): Reasoning {
  if (typeof budget !== 'number') return {}
  if (budget < 0) return { dynamic: true }
  return budget === 0 ? { effort: 'none' } : { budgetTokens: budget }
}
