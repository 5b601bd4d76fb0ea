// JsonCursor: reads a few fields out of a JSON body without building the rest. Strings are skipped at memchr speed.

import { Problem } from '../core/problem.ts'

/** Returned by `nextField` for a key that is not in the table. */
export const OTHER = -1
/** Returned by `nextField` at the end of the object. */
export const END = -2

const QUOTE = 0x22
const BACKSLASH = 0x5c
const MAX_DEPTH = 256
const SHORT_STRING = 24

/** The keys a reader knows in one kind of object. Their positions are what `nextField` returns. */
export class Fields {
  readonly names: readonly string[]
  readonly #byShape = new Map<number, { readonly index: number; readonly bytes: Buffer }[]>()
  readonly #folded = new Map<string, number>()

  constructor(...names: string[]) {
    this.names = names
    for (const [index, name] of names.entries()) {
      const bytes = Buffer.from(name)
      const shape = shapeOf(bytes[0] ?? 0, bytes.length)
      this.#byShape.set(shape, [...(this.#byShape.get(shape) ?? []), { index, bytes }])
      this.#folded.set(fold(name), index)
    }
  }

  /**
   * The field that `bytes[start, end)` names. A key that differs from a known one only by case is refused: servers disagree
   * on whether such keys are the same, and what is metered must be what is run.
   */
  find(bytes: Buffer, start: number, end: number): number {
    const candidates = this.#byShape.get(shapeOf(bytes[start] ?? 0, end - start))
    if (!candidates) return OTHER
    for (const { index, bytes: name } of candidates) {
      let at = 0
      let sameCase = true
      for (; at < name.length; at++) {
        const difference = (bytes[start + at] ?? 0) ^ (name[at] ?? 0)
        if (difference === 0) continue
        if (difference !== 0x20 || !isLetter(name[at] ?? 0)) break
        sameCase = false
      }
      if (at < name.length) continue
      if (!sameCase) throw caseVariant(bytes.toString('utf8', start, end), this.names[index] ?? '')
      return index
    }
    return OTHER
  }

  /** As `find`, for a key with escapes or letters beyond ASCII (`ſtream` folds to `stream`). */
  findDecoded(key: string): number {
    const index = this.#folded.get(fold(key))
    if (index === undefined) return OTHER
    if (this.names[index] !== key) throw caseVariant(key, this.names[index] ?? '')
    return index
  }
}

/** Where a value lies in the body: `[start, end)`, in bytes. */
export interface Range {
  readonly start: number
  readonly end: number
}

/**
 * A pull parser over one body. Call `enterObject` and `nextField`, or `enterArray` and `nextElement`, and consume each value
 * with `skip`, `string`, `number`, `boolean`, or by entering it.
 * Throws Problem `invalid_json` on broken structure. What is inside skipped strings and numbers is the provider's to judge.
 */
export class JsonCursor {
  readonly #bytes: Buffer
  /** The bytes as a string of one character each, made for the first long string: its search is half as dear as a buffer's. */
  #latin1: string | undefined
  #at = 0
  /** True right after `{` or `[`, where no comma is due. */
  #fresh = false
  #depth = 0

  constructor(bytes: Buffer) {
    this.#bytes = bytes
    this.#space()
  }

  /** The first byte of the next value, as a character: `{`, `[`, `"`, a digit, `t`, `f`, `n`, or '' at the end. */
  peek(): string {
    return this.#at < this.#bytes.length ? String.fromCharCode(this.#bytes[this.#at] ?? 0) : ''
  }

  get position(): number {
    return this.#at
  }

  enterObject(): void {
    this.#enter(0x7b, 'an object')
  }

  enterArray(): void {
    this.#enter(0x5b, 'an array')
  }

  /** The next key's position in `fields`, OTHER, or END. The cursor then stands at the key's value. */
  nextField(fields: Fields): number {
    if (!this.#continues(0x7d)) return END
    if (this.#bytes[this.#at] !== QUOTE) throw this.#broken('a key')
    const start = this.#at + 1
    let end = start
    let plain = true
    for (let byte = this.#bytes[end]; byte !== QUOTE; byte = this.#bytes[++end]) {
      if (byte === undefined) throw this.#broken('the end of a key')
      if (byte < 0x80 && byte !== BACKSLASH) continue
      plain = false
      if (byte === BACKSLASH) end++
    }
    this.#at = end + 1
    this.#space()
    if (this.#bytes[this.#at] !== 0x3a) throw this.#broken('a colon')
    this.#at++
    this.#space()
    return plain ? fields.find(this.#bytes, start, end) : fields.findDecoded(this.#decode(start - 1, end + 1))
  }

  /** True when the cursor stands at another element of the array. */
  nextElement(): boolean {
    return this.#continues(0x5d)
  }

  /** Skips any value. Returns where it was. */
  skip(): Range {
    const start = this.#at
    this.#skipValue(this.#depth)
    const end = this.#at
    this.#done()
    return { start, end }
  }

  /** The bytes of a value, as they came. */
  text({ start, end }: Range): string {
    return this.#bytes.toString('utf8', start, end)
  }

  /** The string at a range that `skip` returned. */
  stringAt({ start, end }: Range, name: string): string {
    if (this.#bytes[start] !== QUOTE) throw invalid(name, 'must be a string')
    return this.#decode(start, end)
  }

  string(name: string): string {
    return this.stringAt(this.skip(), name)
  }

  /** Any string; anything else gives null. */
  stringOrNull(): string | null {
    const at = this.skip()
    return this.#bytes[at.start] === QUOTE ? this.#decode(at.start, at.end) : null
  }

  /** `true` or `false`; null counts as false. */
  boolean(name: string): boolean {
    const first = this.peek()
    if (first !== 't' && first !== 'f' && first !== 'n') throw invalid(name, 'must be true or false')
    this.skip()
    return first === 't'
  }

  /** The whole number, of at least `least`, at a range that `skip` returned; null gives null. */
  countAt({ start, end }: Range, name: string, least: number): number | null {
    const text = this.#bytes.toString('latin1', start, Math.min(end, start + 40))
    if (text === 'null') return null
    const value = /^-?\d/.test(text) ? Number(text) : Number.NaN
    if (!Number.isSafeInteger(value) || value < least)
      throw invalid(name, `must be a whole number of at least ${least}`)
    return value
  }

  count(name: string, least: number): number | null {
    return this.countAt(this.skip(), name, least)
  }

  /** After the outermost value: nothing but space may follow. */
  finish(): void {
    this.#space()
    if (this.#at < this.#bytes.length) throw this.#broken('the end')
    // As large as the body, and whoever may still edit it keeps this alive.
    this.#latin1 = undefined
  }

  #enter(bracket: number, what: string): void {
    if (this.#bytes[this.#at] !== bracket) throw this.#broken(what)
    if (++this.#depth > MAX_DEPTH) throw tooDeep()
    this.#at++
    this.#space()
    this.#fresh = true
  }

  /** Steps over the comma to the next member, or out of the container. */
  #continues(closing: number): boolean {
    if (this.#bytes[this.#at] === closing) {
      this.#at++
      this.#depth--
      this.#done()
      return false
    }
    if (!this.#fresh) {
      if (this.#bytes[this.#at] !== 0x2c) throw this.#broken('a comma or the end of it')
      this.#at++
      this.#space()
    }
    this.#fresh = false
    return true
  }

  #done(): void {
    this.#fresh = false
    this.#space()
  }

  #skipValue(depth: number): void {
    const byte = this.#bytes[this.#at]
    if (byte === QUOTE) this.#skipString()
    else if (byte === 0x7b || byte === 0x5b) this.#skipContainer(byte, depth + 1)
    else this.#skipScalar()
  }

  #skipContainer(opening: number, depth: number): void {
    if (depth > MAX_DEPTH) throw tooDeep()
    const closing = opening + 2
    this.#at++
    this.#space()
    if (this.#bytes[this.#at] === closing) {
      this.#at++
      return
    }
    for (;;) {
      if (opening === 0x7b) this.#skipKey()
      this.#skipValue(depth)
      this.#space()
      const byte = this.#bytes[this.#at]
      this.#at++
      if (byte === closing) return
      if (byte !== 0x2c) throw this.#broken('a comma or the end of it', this.#at - 1)
      this.#space()
    }
  }

  #skipKey(): void {
    if (this.#bytes[this.#at] !== QUOTE) throw this.#broken('a key')
    this.#skipString()
    this.#space()
    if (this.#bytes[this.#at] !== 0x3a) throw this.#broken('a colon')
    this.#at++
    this.#space()
  }

  /** To the quote that is not escaped: one after an even run of backslashes. */
  #skipString(): void {
    const bytes = this.#bytes
    let at = this.#at + 1
    // Most strings are short: a native search costs more than looking.
    for (const near = at + SHORT_STRING; at < near; at++) {
      const byte = bytes[at]
      if (byte === QUOTE) {
        this.#at = at + 1
        return
      }
      if (byte === BACKSLASH) at++
      else if (byte === undefined) break
    }
    this.#latin1 ??= bytes.toString('latin1')
    for (at--; ; ) {
      at = this.#latin1.indexOf('"', at + 1)
      if (at < 0) throw this.#broken('the end of a string', bytes.length)
      let escapes = 0
      while (bytes[at - 1 - escapes] === BACKSLASH) escapes++
      if (escapes % 2 === 0) break
    }
    this.#at = at + 1
  }

  /** A number or a literal. A number's digits are the provider's to judge. */
  #skipScalar(): void {
    const bytes = this.#bytes
    const start = this.#at
    let at = start
    let byte = bytes[at] ?? 0
    const literal = LITERALS[byte]
    if (literal !== undefined) {
      for (let index = 0; index < literal.length; index++)
        if (bytes[at++] !== literal[index]) throw this.#broken('a value', start)
    } else {
      if (!isDigit(byte) && byte !== 0x2d) throw this.#broken('a value', start)
      do byte = bytes[++at] ?? 0
      while (isDigit(byte) || byte === 0x2e || byte === 0x2b || byte === 0x2d || (byte | 0x20) === 0x65)
    }
    this.#at = at
  }

  #space(): void {
    let byte = this.#bytes[this.#at] ?? QUOTE
    while (byte <= 0x20 && (byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09))
      byte = this.#bytes[++this.#at] ?? QUOTE
  }

  /** The string literal at `[start, end)`, quotes included, decoded. */
  #decode(start: number, end: number): string {
    const text = this.#bytes.toString('utf8', start + 1, end - 1)
    if (!text.includes('\\')) return text
    try {
      return String(JSON.parse(`"${text}"`))
    } catch {
      throw this.#broken('a well-formed string', start)
    }
  }

  #broken(expected: string, at = this.#at): Problem {
    const where = at >= this.#bytes.length ? 'at its end' : `at byte ${at}`
    return new Problem('invalid_json', `The request body is not valid JSON: expected ${expected} ${where}.`)
  }
}

export function invalid(name: string, what: string): Problem {
  return new Problem('invalid_request', `Invalid value for '${name}': it ${what}.`, name)
}

/** A known field that appears twice: which of the two counts differs between servers. */
export function once(seen: number, field: number, fields: Fields): number {
  if (field < 0) return seen
  const bit = 1 << field
  if (seen & bit)
    throw new Problem('invalid_request', `Duplicate field '${fields.names[field]}'.`, fields.names[field] ?? null)
  return seen | bit
}

function caseVariant(key: string, name: string): Problem {
  return new Problem('invalid_request', `Unknown field '${key.slice(0, 64)}'. Did you mean '${name}'?`, name)
}

function tooDeep(): Problem {
  return new Problem('invalid_json', `The request body is nested more than ${MAX_DEPTH} levels deep.`)
}

const LITERALS: Readonly<Record<number, Buffer>> = {
  116: Buffer.from('true'),
  102: Buffer.from('false'),
  110: Buffer.from('null'),
}

function isDigit(byte: number): boolean {
  return byte >= 0x30 && byte <= 0x39
}

/** Keys of one shape are compared byte by byte; the first letter's case is left out of it. */
function shapeOf(firstByte: number, length: number): number {
  return (length << 8) | (firstByte | 0x20)
}

function isLetter(byte: number): boolean {
  const lower = byte | 0x20
  return lower >= 0x61 && lower <= 0x7a
}

function fold(key: string): string {
  return key.normalize('NFKC').toUpperCase().toLowerCase()
}
