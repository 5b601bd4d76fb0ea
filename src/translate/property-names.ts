// Property names: gives the arguments of a tool names that the target accepts, and restores the caller's names in calls.

import type { JsonObject } from '../core/chat.ts'
import { isRecord, recordOf } from '../core/json-values.ts'
import { parseJsonObject } from './arguments.ts'
import { hashOf } from './dialect-fields.ts'

/** Which names of properties are accepted at the root of a tool's schema. */
export interface PropertyNameRules {
  readonly maxCharacters: number
  /** Matches each character that is not accepted. Global. */
  readonly illegalCharacter: RegExp
}

const HASH_CHARACTERS = 8

/** The sent names by the caller's, without those that are the same. */
export function sentNamesOf(schema: JsonObject, rules: PropertyNameRules): ReadonlyMap<string, string> {
  const names = new Map<string, string>()
  for (const name of Object.keys(recordOf(schema.properties))) {
    const legal = name.replace(rules.illegalCharacter, '_')
    if (legal === name && name.length <= rules.maxCharacters && name !== '') continue
    const hash = hashOf(name).slice(-HASH_CHARACTERS)
    names.set(name, `${legal.slice(0, rules.maxCharacters - HASH_CHARACTERS - 1)}_${hash}`)
  }
  return names
}

/** A tool's schema with other names of its properties, also where it requires them. */
export function withPropertyNames(schema: JsonObject, names: ReadonlyMap<string, string>): JsonObject {
  const { properties, required } = schema
  return {
    ...schema,
    ...(isRecord(properties) && { properties: renamedKeys(properties, names) }),
    ...(Array.isArray(required) && { required: required.map((name) => names.get(name) ?? name) }),
  }
}

/** Arguments with other names; unchanged if they are no JSON object. @param text the arguments as JSON */
export function withArgumentNames(text: string, names: ReadonlyMap<string, string>): string {
  const args = parseJsonObject(text)
  if (!args || !Object.keys(args).some((name) => names.has(name))) return text
  return JSON.stringify(renamedKeys(args, names))
}

function renamedKeys(record: JsonObject, names: ReadonlyMap<string, string>): JsonObject {
  return Object.fromEntries(Object.entries(record).map(([name, value]) => [names.get(name) ?? name, value]))
}
