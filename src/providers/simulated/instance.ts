// The simulated provider's structured answers: an instance of a JSON schema, made from the prompt. The same prompt gives the same
// instance. A few property names have a meaning (quote, score, expression …); all others are filled by type.

import { isRecord, recordOf } from '../../core/json-values.ts'
import {
  blocksIn,
  expressionIn,
  missingWords,
  nearestSentence,
  outsideBlocks,
  timeZoneIn,
  topicCoverage,
} from './words.ts'

type Schema = Readonly<Record<string, unknown>>

/** What an instance is made from. */
export interface Prompt {
  /** The last message. */
  readonly last: string
  /** The instructions and all messages. */
  readonly all: string
}

const MAX_DEPTH = 12
const MAX_ITEMS = 100
const MAX_NODES = 2_000
const MAX_STRING_CHARACTERS = 1_600
const MAX_WORDS = 12

/** The place of a value in the instance. */
interface SchemaPosition {
  readonly name: string
  /** The nearest description above. */
  readonly topic: string
  /** The index in the nearest list. */
  readonly item: number
  readonly depth: number
}

/** A JSON value that fits the schema, if the schema uses common keywords only. Bounded in depth and size. */
export function instanceOf(schema: unknown, prompt: Prompt): unknown {
  return new InstanceBuilder(recordOf(schema), prompt).build(recordOf(schema), {
    name: '',
    topic: '',
    item: 0,
    depth: 0,
  })
}

class InstanceBuilder {
  readonly #root: Schema
  readonly #prompt: Prompt
  #nodeCount = 0

  constructor(root: Schema, prompt: Prompt) {
    this.#root = root
    this.#prompt = prompt
  }

  build(unresolved: unknown, position: SchemaPosition): unknown {
    const schema = this.#resolveSchema(unresolved, position.depth)
    if (++this.#nodeCount > MAX_NODES || position.depth > MAX_DEPTH) return emptyOf(schema)
    const fixed = fixedValueIn(schema)
    if (fixed !== undefined) return fixed.value
    switch (typeOf(schema)) {
      case 'object':
        return this.#buildObject(schema, position)
      case 'array':
        return this.#buildArray(schema, position)
      case 'number':
      case 'integer':
        return this.#buildNumber(schema, position)
      case 'boolean':
        return true
      case 'null':
        return null
      default:
        return this.#buildString(schema, position)
    }
  }

  /** Follows references, takes the first alternative, and merges all of `allOf`. */
  #resolveSchema(unresolved: unknown, depth: number): Schema {
    let schema = recordOf(unresolved)
    for (let hops = 0; hops < MAX_DEPTH; hops++) {
      const { $ref, anyOf, oneOf, allOf, ...rest } = schema
      const choice = [anyOf, oneOf].find((schemas) => Array.isArray(schemas) && schemas.length > 0)
      if (typeof $ref === 'string') schema = { ...rest, ...this.#resolveReference($ref) }
      else if (Array.isArray(choice))
        schema = { ...rest, ...recordOf(choice[depth > MAX_DEPTH / 2 ? choice.length - 1 : 0]) }
      else if (Array.isArray(allOf)) schema = allOf.slice(0, MAX_ITEMS).reduce(mergeSchemas, rest)
      else return schema
    }
    return schema
  }

  /** The schema that `#/$defs/name` refers to. */
  #resolveReference(reference: string): Schema {
    if (!reference.startsWith('#')) return {}
    const steps = reference
      .split('/')
      .slice(1, MAX_DEPTH)
      .map((step) => step.replaceAll('~1', '/').replaceAll('~0', '~'))
    return recordOf(
      steps.reduce<unknown>(
        (value, step) => (Array.isArray(value) ? value[Number(step)] : ownProperty(value, step)),
        this.#root,
      ),
    )
  }

  #buildObject(schema: Schema, position: SchemaPosition): unknown {
    const topic = descriptionOf(schema) || position.topic
    const required = Array.isArray(schema.required) ? schema.required.filter((name) => typeof name === 'string') : []
    const properties = Object.entries(recordOf(schema.properties))
    const missing = required.filter((name) => !properties.some(([known]) => known === name))
    const additional = missing.map((name): [string, unknown] => [name, schema.additionalProperties])
    // Deep objects leave out optional properties, so that a schema that refers to itself comes to an end.
    const wanted = properties.filter(([name]) => position.depth < MAX_DEPTH / 2 || required.includes(name))
    return Object.fromEntries(
      [...wanted, ...additional].map(([name, property]) => [
        name,
        this.build(property, { ...position, name, topic, depth: position.depth + 1 }),
      ]),
    )
  }

  #buildArray(schema: Schema, position: SchemaPosition): unknown {
    const items = Array.isArray(schema.prefixItems) ? schema.prefixItems : []
    const inside = this.#resolveSchema(schema.items, position.depth)
    const min = parseCount(schema.minItems) ?? 0
    const max = Math.min(parseCount(schema.maxItems) ?? MAX_ITEMS, MAX_ITEMS)
    if (/^(needs|depends_on|dependencies|after|requires)$/.test(position.name) && isPlainString(inside))
      return Array.from({ length: Math.min(Math.max(Math.min(position.item, 1), min), max) }, () => `s${position.item}`)
    // Items with an id are steps: two of them, so that the second can follow the first.
    const defaultLength = Object.hasOwn(recordOf(inside.properties), 'id') ? 2 : 1
    const length = Math.min(Math.max(min, items.length, defaultLength), max)
    const depth = position.depth + 1
    return Array.from({ length }, (_, item) => this.build(items[item] ?? schema.items, { ...position, item, depth }))
  }

  /** A score tells how much of its topic the text covers; other numbers lie in the middle of their range. */
  #buildNumber(schema: Schema, position: SchemaPosition): number {
    const whole = typeOf(schema) === 'integer'
    const [from, to] = rangeOf(schema)
    const step = typeof schema.multipleOf === 'number' && schema.multipleOf > 0 ? schema.multipleOf : whole ? 1 : 0
    const middle = to === undefined ? (from ?? 1) : from === undefined ? Math.min(1, to) : (from + to) / 2
    const wanted =
      /score|rating/.test(position.name) && to !== undefined ? this.#buildScore(position, from ?? 0, to) : middle
    if (step === 0) return Number(wanted.toPrecision(12))
    const down = Math.floor(wanted / step) * step
    return from !== undefined && down < from ? Math.ceil(wanted / step) * step : down
  }

  #buildScore({ topic }: SchemaPosition, from: number, to: number): number {
    const [text = this.#prompt.last] = blocksIn(this.#prompt.last)
    return Math.round(from + (to - from) * topicCoverage(topic, text))
  }

  #buildString(schema: Schema, position: SchemaPosition): string {
    const format = typeof schema.format === 'string' ? FORMAT_EXAMPLES[schema.format] : undefined
    const min = parseCount(schema.minLength) ?? 0
    const max = Math.min(parseCount(schema.maxLength) ?? MAX_STRING_CHARACTERS, MAX_STRING_CHARACTERS)
    const words = format ?? this.#chooseText(position, descriptionOf(schema))
    // Schemas count code points.
    const letters = [...words.slice(0, 2 * max).toWellFormed()].slice(0, max)
    return letters.join('') + '.'.repeat(Math.max(0, Math.min(min, MAX_STRING_CHARACTERS) - letters.length))
  }

  #chooseText({ name, topic, item }: SchemaPosition, description: string): string {
    const { last, all } = this.#prompt
    const [block] = blocksIn(last)
    const outside = outsideBlocks(last)
    if (name === 'id') return `s${item + 1}`
    if (/quote|excerpt|^answer$/.test(name)) return nearestSentence(outside, block ?? last)
    if (/^(revised|improved)/.test(name)) return [block ?? last, missingWords(block ?? last, outside)].join(' ').trim()
    if (/expression|formula/.test(name)) return expressionIn(last) ?? '1 + 1'
    if (/time_?zone/i.test(name)) return timeZoneIn(last) ?? 'UTC'
    if (/^(text|json|input)$/.test(name)) return block ?? outside
    if (name === 'path') return '$'
    if (/^(unit|from|to)$/.test(name)) return 'km'
    const source = [outside, block, last, topic, description, all].find(
      (text) => text !== undefined && text.trim() !== '',
    )
    return firstWords(source ?? name, item)
  }
}

/** Strings of these formats. They do not depend on the prompt. */
const FORMAT_EXAMPLES: Readonly<Record<string, string>> = {
  'date-time': '2026-01-01T00:00:00Z',
  date: '2026-01-01',
  time: '00:00:00Z',
  duration: 'PT1S',
  email: 'someone@example.com',
  hostname: 'example.com',
  ipv4: '192.0.2.1',
  ipv6: '2001:db8::1',
  uri: 'https://example.com/',
  uuid: '00000000-0000-4000-8000-000000000000',
}

/** Without braces, which would read as references. */
function firstWords(text: string, item: number): string {
  const words = text.replace(/[{}]/g, '').match(/\S+/g) ?? []
  const from = Math.min(item * 2, Math.max(0, words.length - MAX_WORDS))
  return words.slice(from, from + MAX_WORDS).join(' ')
}

function isPlainString({ type, description: _, ...keywords }: Schema): boolean {
  return type === 'string' && Object.keys(keywords).length === 0
}

function fixedValueIn(schema: Schema): { readonly value: unknown } | undefined {
  if (Object.hasOwn(schema, 'const')) return { value: schema.const }
  if (Array.isArray(schema.enum) && schema.enum.length > 0) return { value: schema.enum[0] }
  return Object.hasOwn(schema, 'default') ? { value: schema.default } : undefined
}

/** In lower case: Gemini's own schemas use capitals. */
function typeOf(schema: Schema): string {
  const types: unknown[] = Array.isArray(schema.type) ? schema.type : [schema.type]
  const type = types.find((name) => typeof name === 'string' && name.toLowerCase() !== 'null') ?? types[0]
  if (typeof type === 'string') return type.toLowerCase()
  if (isRecord(schema.properties)) return 'object'
  return schema.items !== undefined || Array.isArray(schema.prefixItems) ? 'array' : 'string'
}

function emptyOf(schema: Schema): unknown {
  const fixed = fixedValueIn(schema)
  if (fixed !== undefined) return fixed.value
  return { object: {}, array: [], number: 0, integer: 0, boolean: true, null: null }[typeOf(schema)] ?? ''
}

/** The bounds of a number, from keywords or from its description: `From 0 (…) to 10`. */
function rangeOf(schema: Schema): readonly [from: number | undefined, to: number | undefined] {
  const whole = typeOf(schema) === 'integer' ? 1 : 1e-6
  const from = finiteNumber(schema.minimum) ?? exclusiveBound(schema.exclusiveMinimum, whole)
  const to = finiteNumber(schema.maximum) ?? exclusiveBound(schema.exclusiveMaximum, -whole)
  if (from !== undefined || to !== undefined) return [from, to]
  const [, low, high] =
    /\bfrom (-?\d{1,9}(?:\.\d{1,9})?)\b[^.]{0,60}?\bto (-?\d{1,9}(?:\.\d{1,9})?)\b/i.exec(descriptionOf(schema)) ?? []
  return low === undefined || high === undefined ? [undefined, undefined] : [Number(low), Number(high)]
}

function finiteNumber(value: unknown): number | undefined {
  return typeof value === 'number' && Number.isFinite(value) ? value : undefined
}

/** The bound inside an exclusive one. */
function exclusiveBound(value: unknown, step: number): number | undefined {
  const edge = finiteNumber(value)
  return edge === undefined ? undefined : edge + step
}

/** Gemini writes counts as strings. */
function parseCount(value: unknown): number | undefined {
  const count = typeof value === 'string' ? Number(value) : value
  return typeof count === 'number' && Number.isInteger(count) && count >= 0 ? count : undefined
}

function descriptionOf({ description }: Schema): string {
  return typeof description === 'string' ? description : ''
}

function ownProperty(value: unknown, name: string): unknown {
  return isRecord(value) && Object.hasOwn(value, name) ? value[name] : undefined
}

function mergeSchemas(base: Schema, addition: unknown): Schema {
  const { properties, required, ...rest } = recordOf(addition)
  const list = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : [])
  return {
    ...base,
    ...rest,
    ...(isRecord(properties) ? { properties: { ...recordOf(base.properties), ...properties } } : {}),
    ...(Array.isArray(required) ? { required: [...list(base.required), ...required] } : {}),
  }
}
