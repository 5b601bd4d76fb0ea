// The keys that a reader knows in one kind of object, found by their bytes. A key is never made into a string.

import { caseVariantProblem } from './errors.ts'
import { CASE_BIT, isLetter } from './scan.ts'

/** The position of a key that is not in the table. */
export const UNKNOWN_FIELD = -1

const EMPTY_SLOT = -1
const MIN_SLOTS = 8
const MAX_SLOTS = 4096
/** FNV's prime: it spreads four small numbers over all bits. */
const MULTIPLIER = 0x01000193
/** Readers keep the fields they have seen as the bits of two numbers. */
const MAX_FIELDS = 64

/**
 * A table of known keys without collisions (a perfect hash): one look-up and one comparison tell which key some bytes are.
 * docs/decisions/json-reading.md has the figures.
 * @example
 * const fields = new Fields('model', 'stream')
 * fields.find(Buffer.from('"stream"'), 1, 7) // 1
 */
export class Fields {
  readonly names: readonly string[]
  /** All names, one after the other, and where each begins. The last start is the end of all. */
  readonly #bytes: Uint8Array
  readonly #starts: Uint16Array
  /** Positions of names, by the hashes of the names: no two share a slot. */
  readonly #slots: Int8Array
  readonly #slotMask: number
  readonly #indexByFoldedName = new Map<string, number>()
  #isExact = false

  constructor(...names: string[]) {
    if (names.length > MAX_FIELDS) throw new Error(`a table holds at most ${MAX_FIELDS} fields, not ${names.length}`)
    this.names = names
    const keys = names.map((name) => Buffer.from(name))
    this.#bytes = new Uint8Array(Buffer.concat(keys))
    this.#starts = new Uint16Array(names.length + 1)
    for (const [index, key] of keys.entries()) this.#starts[index + 1] = (this.#starts[index] ?? 0) + key.length
    this.#slots = slotsOf(keys.map((key) => hashOf(key, 0, key.length)))
    this.#slotMask = this.#slots.length - 1
    for (const [index, name] of names.entries()) this.#indexByFoldedName.set(foldKey(name), index)
  }

  /**
   * For the figures in a provider's answer, which are read as JSON.parse reads them: a key in another case is another key,
   * and the last of two equal keys counts.
   */
  static exact(...names: string[]): Fields {
    const fields = new Fields(...names)
    fields.#isExact = true
    return fields
  }

  get isExact(): boolean {
    return this.#isExact
  }

  /**
   * The position of the field that `bytes[start, end)` names, or UNKNOWN_FIELD. Throws Problem for a key that differs from a
   * known one only by case: servers disagree on whether such keys are equal, and the gateway must meter what is run.
   */
  find(bytes: Buffer, start: number, end: number): number {
    const index = this.#slots[hashOf(bytes, start, end) & this.#slotMask] ?? EMPTY_SLOT
    if (index === EMPTY_SLOT) return UNKNOWN_FIELD
    const names = this.#bytes
    const nameStart = this.#starts[index] ?? 0
    const length = end - start
    if ((this.#starts[index + 1] ?? 0) - nameStart !== length) return UNKNOWN_FIELD
    for (let offset = 0; offset < length; offset++)
      if (names[nameStart + offset] !== bytes[start + offset])
        return this.#findVariant(bytes, start, end, nameStart, index)
    return index
  }

  /** For a key with as many bytes as the name at `index` that is not that name. */
  #findVariant(bytes: Buffer, start: number, end: number, nameStart: number, index: number): number {
    if (this.#isExact) return UNKNOWN_FIELD
    for (let offset = 0; offset < end - start; offset++) {
      const byte = this.#bytes[nameStart + offset] ?? 0
      const difference = (bytes[start + offset] ?? 0) ^ byte
      if (difference !== 0 && (difference !== CASE_BIT || !isLetter(byte))) return UNKNOWN_FIELD
    }
    throw caseVariantProblem(bytes.toString('utf8', start, end), this.names[index] ?? '')
  }

  /** Like `find`, for a key with escapes or characters beyond ASCII: `ſtream` is a variant of `stream`. */
  findDecoded(key: string): number {
    const index = this.#indexByFoldedName.get(foldKey(key))
    if (index === undefined) return UNKNOWN_FIELD
    if (this.names[index] === key) return index
    if (!this.#isExact) throw caseVariantProblem(key, this.names[index] ?? '')
    return UNKNOWN_FIELD
  }
}

/** From the key's length and three of its bytes, which suffice to tell known keys apart. Both cases of a letter are equal. */
function hashOf(bytes: Buffer, start: number, end: number): number {
  const first = (bytes[start] ?? 0) | CASE_BIT
  const middle = (bytes[(start + end) >>> 1] ?? 0) | CASE_BIT
  const last = (bytes[end - 1] ?? 0) | CASE_BIT
  const hash = Math.imul(Math.imul(Math.imul(end - start, MULTIPLIER) ^ first, MULTIPLIER) ^ middle, MULTIPLIER) ^ last
  return hash ^ (hash >>> 15)
}

/** The smallest table in which each hash has a slot of its own. */
function slotsOf(hashes: readonly number[]): Int8Array {
  for (let size = MIN_SLOTS; size <= MAX_SLOTS; size *= 2) {
    const slots = new Int8Array(size).fill(EMPTY_SLOT)
    for (const [index, hash] of hashes.entries()) slots[hash & (size - 1)] = index
    if (slots.filter((slot) => slot !== EMPTY_SLOT).length === hashes.length) return slots
  }
  throw new Error('two fields have the same hash: let hashOf read more of their bytes')
}

function foldKey(key: string): string {
  return key.normalize('NFKC').toUpperCase().toLowerCase()
}
