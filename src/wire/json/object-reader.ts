// Object readers: tables of known keys, each with the function that reads its value. All requests and answers are read by them.

import { type ByteRange, END_OF_OBJECT, JsonCursor } from './cursor.ts'
import { duplicateFieldProblem } from './errors.ts'
import { Fields, UNKNOWN_FIELD } from './fields.ts'

/**
 * Reads the value that the cursor stands at, and must consume it.
 * @param target what the object's values are put into
 * @param context what else the table's handlers need
 * @param name the key, for error texts
 */
type FieldHandler<Target, Context = undefined> = (
  json: JsonCursor,
  target: Target,
  context: Context,
  name: string,
) => void

export type FieldHandlers<Target, Context = undefined> = Readonly<Record<string, FieldHandler<Target, Context>>>

/** A shift by more starts again at the first bit. */
const BITS_PER_NUMBER = 32

/**
 * Reads JSON objects of one kind. A known key may come once in an object; other keys are skipped. Handlers are made once, with
 * the table: reading an object makes no closure.
 * @example
 * const MESSAGE = new ObjectReader<{ bytes: number }>({
 *   content(json, message) {
 *     message.bytes += lengthOf(json.range())
 *   },
 * })
 * MESSAGE.readDocument(Buffer.from('{"role":"user","content":"hi"}'), { bytes: 0 }) // { bytes: 4 }
 */
export class ObjectReader<Target, Context = undefined> {
  readonly #fields: Fields
  readonly #names: readonly string[]
  readonly #isExact: boolean
  readonly #handlers: readonly FieldHandler<Target, Context>[]

  constructor(handlers: FieldHandlers<Target, Context>, fields = new Fields(...Object.keys(handlers))) {
    this.#fields = fields
    this.#names = fields.names
    this.#isExact = fields.isExact
    this.#handlers = Object.values(handlers)
  }

  /** For objects that are read as JSON.parse reads them: of equal keys the last one counts. See `Fields.exact`. */
  static exact<Target>(handlers: FieldHandlers<Target>): ObjectReader<Target> {
    return new ObjectReader(handlers, Fields.exact(...Object.keys(handlers)))
  }

  /** Reads the object that the cursor stands at. Returns how many members the object has. Throws Problem. */
  read(this: ObjectReader<Target>, json: JsonCursor, target: Target): number
  read(json: JsonCursor, target: Target, context: Context): number
  read(json: JsonCursor, target: Target, context?: Context): number {
    const fields = this.#fields
    const names = this.#names
    const isExact = this.#isExact
    const handlers = this.#handlers
    let seen = 0
    let seenAbove = 0
    let members = 0
    json.enterObject()
    for (let field = json.nextField(fields); field !== END_OF_OBJECT; field = json.nextField(fields)) {
      members++
      if (field === UNKNOWN_FIELD) {
        json.skipValue()
        continue
      }
      const name = names[field] ?? ''
      if (!isExact) {
        // Servers differ in which of two equal keys counts.
        const isBelow = field < BITS_PER_NUMBER
        const bit = 1 << field
        if ((isBelow ? seen : seenAbove) & bit) throw duplicateFieldProblem(name)
        if (isBelow) seen |= bit
        else seenAbove |= bit
      }
      handlers[field]?.(json, target, context as Context, name)
    }
    return members
  }

  /** Reads the value at the cursor if it is an object, and skips any other value. */
  readIfObject(this: ObjectReader<Target>, json: JsonCursor, target: Target): void
  readIfObject(json: JsonCursor, target: Target, context: Context): void
  readIfObject(json: JsonCursor, target: Target, context?: Context): void {
    if (json.isObject()) this.read(json, target, context as Context)
    else json.skipValue()
  }

  /** Reads a document that is one object into `target`, and returns `target`. Throws on anything else. */
  readDocument(this: ObjectReader<Target>, document: Buffer, target: Target): Target {
    const json = new JsonCursor(document)
    this.read(json, target)
    json.finish()
    return target
  }
}

/** One handler for several keys. */
export function handlersFor<Target, Context>(
  names: readonly string[],
  handler: FieldHandler<Target, Context>,
): FieldHandlers<Target, Context> {
  return Object.fromEntries(names.map((name) => [name, handler]))
}

/**
 * Calls `read` at each element that is an object, and skips other elements. A value that is no array is skipped whole.
 * Returns how many objects the array has.
 */
export function eachObject<Target>(
  json: JsonCursor,
  read: (json: JsonCursor, target: Target) => void,
  target: Target,
): number {
  let objects = 0
  if (!json.isArray()) {
    json.skipValue()
    return objects
  }
  json.enterArray()
  while (json.nextElement()) {
    if (json.isObject()) {
      objects++
      read(json, target)
    } else json.skipValue()
  }
  return objects
}

/** Like `eachObject`, for a value that can also be a single object instead of an array. */
export function eachObjectOrOne<Target>(
  json: JsonCursor,
  read: (json: JsonCursor, target: Target) => void,
  target: Target,
): number {
  if (!json.isObject()) return eachObject(json, read, target)
  read(json, target)
  return 1
}

const NO_FIELDS = new Fields()

/** Skips the object that the cursor stands at. Returns how many members the object has. */
export function countMembers(json: JsonCursor): number {
  let members = 0
  json.enterObject()
  while (json.nextField(NO_FIELDS) !== END_OF_OBJECT) {
    members++
    json.skipValue()
  }
  return members
}

/** In bytes. */
export function lengthOf({ start, end }: ByteRange): number {
  return end - start
}
