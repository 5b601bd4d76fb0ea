// The simulated provider's structured answers: an instance of a JSON schema, made from what it was told. Same words, same
// instance. A few names of properties mean something (quote, score, expression …); all else is filled by its type.

import { isRecord, recordOf } from '../../core/json-values.ts'
import { blocksIn, expressionIn, missingFrom, nearest, outsideBlocks, share, zoneIn } from './words.ts'

type Schema = Readonly<Record<string, unknown>>

/** What an instance is made from. */
export interface Told {
  /** The last thing said. */
  readonly last: string
  /** All that was said, the rules included. */
  readonly all: string
}

const MOST_DEPTH = 12
const MOST_ITEMS = 100
const MOST_NODES = 2_000
const MOST_STRING = 1_600
const USUAL_WORDS = 12

/** Where in the instance something stands. */
interface Place {
  readonly name: string
  /** What the nearest description above says. */
  readonly topic: string
  /** Which item of the nearest list. */
  readonly item: number
  readonly depth: number
}

/** A JSON value that fits the schema, as far as a schema of usual words goes. Bounded in depth and size. */
export function instanceOf(schema: unknown, told: Told): unknown {
  return new Maker(recordOf(schema), told).make(recordOf(schema), { name: '', topic: '', item: 0, depth: 0 })
}

class Maker {
  readonly #root: Schema
  readonly #told: Told
  #nodes = 0

  constructor(root: Schema, told: Told) {
    this.#root = root
    this.#told = told
  }

  make(asked: unknown, place: Place): unknown {
    const schema = this.#resolved(asked, place.depth)
    if (++this.#nodes > MOST_NODES || place.depth > MOST_DEPTH) return emptyOf(schema)
    const fixed = fixedIn(schema)
    if (fixed !== undefined) return fixed.value
    switch (typeOf(schema)) {
      case 'object':
        return this.#object(schema, place)
      case 'array':
        return this.#array(schema, place)
      case 'number':
      case 'integer':
        return this.#number(schema, place)
      case 'boolean':
        return true
      case 'null':
        return null
      default:
        return this.#string(schema, place)
    }
  }

  /** References followed, the first of alternatives taken, all of `allOf` put together. */
  #resolved(asked: unknown, depth: number): Schema {
    let schema = recordOf(asked)
    for (let hops = 0; hops < MOST_DEPTH; hops++) {
      const { $ref, anyOf, oneOf, allOf, ...rest } = schema
      const choice = [anyOf, oneOf].find((some) => Array.isArray(some) && some.length > 0)
      if (typeof $ref === 'string') schema = { ...rest, ...this.#at($ref) }
      else if (Array.isArray(choice))
        schema = { ...rest, ...recordOf(choice[depth > MOST_DEPTH / 2 ? choice.length - 1 : 0]) }
      else if (Array.isArray(allOf)) schema = allOf.slice(0, MOST_ITEMS).reduce(merged, rest)
      else return schema
    }
    return schema
  }

  /** What `#/$defs/name` refers to. */
  #at(reference: string): Schema {
    if (!reference.startsWith('#')) return {}
    const steps = reference
      .split('/')
      .slice(1, MOST_DEPTH)
      .map((step) => step.replaceAll('~1', '/').replaceAll('~0', '~'))
    return recordOf(
      steps.reduce<unknown>(
        (value, step) => (Array.isArray(value) ? value[Number(step)] : own(value, step)),
        this.#root,
      ),
    )
  }

  #object(schema: Schema, place: Place): unknown {
    const topic = descriptionOf(schema) || place.topic
    const required = Array.isArray(schema.required) ? schema.required.filter((name) => typeof name === 'string') : []
    const properties = Object.entries(recordOf(schema.properties))
    const missing = required.filter((name) => !properties.some(([known]) => known === name))
    const more = missing.map((name): [string, unknown] => [name, schema.additionalProperties])
    // Properties that may be absent are, once it gets deep: a schema that refers to itself comes to an end.
    const wanted = properties.filter(([name]) => place.depth < MOST_DEPTH / 2 || required.includes(name))
    return Object.fromEntries(
      [...wanted, ...more].map(([name, one]) => [
        name,
        this.make(one, { ...place, name, topic, depth: place.depth + 1 }),
      ]),
    )
  }

  #array(schema: Schema, place: Place): unknown {
    const items = Array.isArray(schema.prefixItems) ? schema.prefixItems : []
    const inside = this.#resolved(schema.items, place.depth)
    const least = countIn(schema.minItems) ?? 0
    const most = Math.min(countIn(schema.maxItems) ?? MOST_ITEMS, MOST_ITEMS)
    if (/^(needs|depends_on|dependencies|after|requires)$/.test(place.name) && isPlainString(inside))
      return Array.from({ length: Math.min(Math.max(Math.min(place.item, 1), least), most) }, () => `s${place.item}`)
    // Things with an id are a course of several: two, so that the second can follow the first.
    const usual = Object.hasOwn(recordOf(inside.properties), 'id') ? 2 : 1
    const length = Math.min(Math.max(least, items.length, usual), most)
    const depth = place.depth + 1
    return Array.from({ length }, (_, item) => this.make(items[item] ?? schema.items, { ...place, item, depth }))
  }

  /** Scores say how much of what is asked for the text holds; others lie in the middle of what is allowed. */
  #number(schema: Schema, place: Place): number {
    const whole = typeOf(schema) === 'integer'
    const [from, to] = rangeOf(schema)
    const step = typeof schema.multipleOf === 'number' && schema.multipleOf > 0 ? schema.multipleOf : whole ? 1 : 0
    const usual = to === undefined ? (from ?? 1) : from === undefined ? Math.min(1, to) : (from + to) / 2
    const wanted = /score|rating/.test(place.name) && to !== undefined ? this.#score(place, from ?? 0, to) : usual
    if (step === 0) return Number(wanted.toPrecision(12))
    const down = Math.floor(wanted / step) * step
    return from !== undefined && down < from ? Math.ceil(wanted / step) * step : down
  }

  #score({ topic }: Place, from: number, to: number): number {
    const [text = this.#told.last] = blocksIn(this.#told.last)
    return Math.round(from + (to - from) * share(topic, text))
  }

  #string(schema: Schema, place: Place): string {
    const format = typeof schema.format === 'string' ? FORMATS[schema.format] : undefined
    const least = countIn(schema.minLength) ?? 0
    const most = Math.min(countIn(schema.maxLength) ?? MOST_STRING, MOST_STRING)
    const words = format ?? this.#words(place, descriptionOf(schema))
    // Schemas count whole characters.
    const letters = [...words.slice(0, 2 * most).toWellFormed()].slice(0, most)
    return letters.join('') + '.'.repeat(Math.max(0, Math.min(least, MOST_STRING) - letters.length))
  }

  #words({ name, topic, item }: Place, description: string): string {
    const { last, all } = this.#told
    const [block] = blocksIn(last)
    const outside = outsideBlocks(last)
    if (name === 'id') return `s${item + 1}`
    if (/quote|excerpt|^answer$/.test(name)) return nearest(outside, block ?? last)
    if (/^(revised|improved)/.test(name)) return [block ?? last, missingFrom(block ?? last, outside)].join(' ').trim()
    if (/expression|formula/.test(name)) return expressionIn(last) ?? '1 + 1'
    if (/time_?zone/i.test(name)) return zoneIn(last) ?? 'UTC'
    if (/^(text|json|input)$/.test(name)) return block ?? outside
    if (name === 'path') return '$'
    if (/^(unit|from|to)$/.test(name)) return 'km'
    const source = [outside, block, last, topic, description, all].find(
      (text) => text !== undefined && text.trim() !== '',
    )
    return firstWords(source ?? name, item)
  }
}

/** Strings of these formats, whatever was said. */
const FORMATS: Readonly<Record<string, string>> = {
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

/** Braces would read as references. */
function firstWords(text: string, item: number): string {
  const words = text.replace(/[{}]/g, '').match(/\S+/g) ?? []
  const from = Math.min(item * 2, Math.max(0, words.length - USUAL_WORDS))
  return words.slice(from, from + USUAL_WORDS).join(' ')
}

function isPlainString({ type, description: _, ...more }: Schema): boolean {
  return type === 'string' && Object.keys(more).length === 0
}

function fixedIn(schema: Schema): { readonly value: unknown } | undefined {
  if (Object.hasOwn(schema, 'const')) return { value: schema.const }
  if (Array.isArray(schema.enum) && schema.enum.length > 0) return { value: schema.enum[0] }
  return Object.hasOwn(schema, 'default') ? { value: schema.default } : undefined
}

/** In lower case: Gemini's own schemas write them large. */
function typeOf(schema: Schema): string {
  const some: unknown[] = Array.isArray(schema.type) ? schema.type : [schema.type]
  const type = some.find((one) => typeof one === 'string' && one.toLowerCase() !== 'null') ?? some[0]
  if (typeof type === 'string') return type.toLowerCase()
  if (isRecord(schema.properties)) return 'object'
  return schema.items !== undefined || Array.isArray(schema.prefixItems) ? 'array' : 'string'
}

function emptyOf(schema: Schema): unknown {
  const fixed = fixedIn(schema)
  if (fixed !== undefined) return fixed.value
  return { object: {}, array: [], number: 0, integer: 0, boolean: true, null: null }[typeOf(schema)] ?? ''
}

/** The bounds of a number, or those its description gives: `From 0 (…) to 10`. */
function rangeOf(schema: Schema): readonly [from: number | undefined, to: number | undefined] {
  const whole = typeOf(schema) === 'integer' ? 1 : 1e-6
  const from = bound(schema.minimum) ?? beyond(schema.exclusiveMinimum, whole)
  const to = bound(schema.maximum) ?? beyond(schema.exclusiveMaximum, -whole)
  if (from !== undefined || to !== undefined) return [from, to]
  const [, low, high] =
    /\bfrom (-?\d{1,9}(?:\.\d{1,9})?)\b[^.]{0,60}?\bto (-?\d{1,9}(?:\.\d{1,9})?)\b/i.exec(descriptionOf(schema)) ?? []
  return low === undefined || high === undefined ? [undefined, undefined] : [Number(low), Number(high)]
}

function bound(value: unknown): number | undefined {
  return typeof value === 'number' && Number.isFinite(value) ? value : undefined
}

function beyond(value: unknown, by: number): number | undefined {
  const edge = bound(value)
  return edge === undefined ? undefined : edge + by
}

/** Gemini writes counts as strings. */
function countIn(value: unknown): number | undefined {
  const count = typeof value === 'string' ? Number(value) : value
  return typeof count === 'number' && Number.isInteger(count) && count >= 0 ? count : undefined
}

function descriptionOf({ description }: Schema): string {
  return typeof description === 'string' ? description : ''
}

function own(value: unknown, name: string): unknown {
  return isRecord(value) && Object.hasOwn(value, name) ? value[name] : undefined
}

function merged(one: Schema, other: unknown): Schema {
  const { properties, required, ...rest } = recordOf(other)
  const list = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : [])
  return {
    ...one,
    ...rest,
    ...(isRecord(properties) ? { properties: { ...recordOf(one.properties), ...properties } } : {}),
    ...(Array.isArray(required) ? { required: [...list(one.required), ...required] } : {}),
  }
}
