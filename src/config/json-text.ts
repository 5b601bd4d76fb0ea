// JSON text: the value of a JSON file and the position of each of its parts. It is strict, as JSON is: it names duplicate keys,
// comments and trailing commas, of which JSON.parse forgets the first and hides the others.

import type { Finding, Place } from './findings.ts'

/** Lines and columns begin at 1. */
interface Position {
  readonly line: number
  readonly column: number
}

/** A finding about the text itself, with where it is. */
interface TextFinding extends Finding {
  readonly position: Position
}

export interface JsonText {
  /** Undefined if the text is no JSON. */
  readonly value: unknown
  readonly mistakes: readonly TextFinding[]
  /** Where a key of an object, or an element of a list, stands. Of a place that is not in the text: where the nearest part around it does. */
  positionOf(place: Place): Position
}

const MAX_DEPTH = 64
/** All but control characters, quotes and backslashes. */
const PLAIN_CHARACTERS = /[ !#-[\]-\uffff]*/y
const ESCAPE = /\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})/y
const NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?(?![\w.+-])/y
const WORD = /(?:true|false|null)(?!\w)/y
const SPACE = /[ \t\r\n]*/y
const COMMENT = /\/\/[^\n]*|\/\*[\s\S]*?(?:\*\/|$)|#[^\n]*/y
const VALUE = 'must be a value: text in double quotes, a number, true, false, null, an object or a list'

/** Reads the whole text. Duplicates, comments and trailing commas are mistakes that reading goes on after; it ends at any other. */
export function readJsonText(text: string): JsonText {
  const reader = new Reader(text)
  const value = reader.read()
  return { value, mistakes: reader.mistakes, positionOf: (place) => reader.positionOf(place) }
}

/** Thrown at a mistake after which nothing can be read, and caught in `read`. */
class Unreadable extends Error {}

class Reader {
  readonly mistakes: TextFinding[] = []
  readonly #text: string
  readonly #offsets = new Map<string, number>()
  #offset = 0
  #hasComment = false

  constructor(text: string) {
    this.#text = text
  }

  read(): unknown {
    try {
      this.#skipSpace([])
      if (this.#offset === this.#text.length) this.#fail([], 'must not be empty. A file without content is {}')
      const value = this.#readValue([])
      this.#skipSpace([])
      if (this.#offset < this.#text.length) this.#fail([], 'must end after its object')
      return value
    } catch (error) {
      if (error instanceof Unreadable) return undefined
      throw error
    }
  }

  positionOf(place: Place): Position {
    for (let length = place.length; length > 0; length--) {
      const offset = this.#offsets.get(JSON.stringify(place.slice(0, length)))
      if (offset !== undefined) return this.#positionAt(offset)
    }
    return this.#positionAt(0)
  }

  #positionAt(offset: number): Position {
    const before = this.#text.slice(0, offset)
    return { line: before.split('\n').length, column: offset - before.lastIndexOf('\n') }
  }

  #readValue(place: Place): unknown {
    if (place.length > MAX_DEPTH) this.#fail(place.slice(0, 1), `must not be nested more than ${MAX_DEPTH} levels deep`)
    if (this.#take('{')) return this.#readObject(place)
    if (this.#take('[')) return this.#readList(place)
    const text = this.#readString(place)
    if (text !== undefined) return text
    const scalar = this.#match(NUMBER) ?? this.#match(WORD)
    if (scalar === undefined) this.#fail(place, this.#endsHere() ?? VALUE)
    return JSON.parse(scalar)
  }

  /** Undefined if no text begins here. */
  #readString(place: Place): string | undefined {
    const start = this.#offset
    if (!this.#take('"')) return undefined
    this.#match(PLAIN_CHARACTERS)
    while (!this.#take('"')) {
      if (this.#match(ESCAPE) === undefined) this.#fail(place, this.#endsHere() ?? this.#characterExpected())
      this.#match(PLAIN_CHARACTERS)
    }
    return JSON.parse(this.#text.slice(start, this.#offset))
  }

  #characterExpected(): string {
    return this.#text[this.#offset] === '\\'
      ? 'must have \\\\ for a backslash in text'
      : 'must have no line breaks, tabs or other control characters in text. It ends with a double quote'
  }

  #readObject(place: Place): object {
    const entries: [string, unknown][] = []
    const offsets = new Map<string, number>()
    this.#skipSpace(place)
    while (!this.#take('}')) {
      const offset = this.#offset
      const key = this.#readString(place)
      if (key === undefined) this.#fail(place, this.#endsHere() ?? 'must have a key in double quotes here')
      const inner = [...place, key]
      const first = offsets.get(key)
      if (first === undefined) this.#offsets.set(JSON.stringify(inner), offset)
      else
        this.#addMistake(inner, `must not stand twice. It is in line ${this.#positionAt(first).line} already`, offset)
      offsets.set(key, first ?? offset)
      this.#skipSpace(inner)
      if (!this.#take(':')) this.#fail(inner, this.#endsHere() ?? 'must have a colon after its key')
      this.#skipSpace(inner)
      entries.push([key, this.#readValue(inner)])
      this.#endElement(place, '}')
    }
    return Object.fromEntries(entries)
  }

  #readList(place: Place): unknown[] {
    const elements: unknown[] = []
    this.#skipSpace(place)
    while (!this.#take(']')) {
      const inner = [...place, elements.length]
      this.#offsets.set(JSON.stringify(inner), this.#offset)
      elements.push(this.#readValue(inner))
      this.#endElement(place, ']')
    }
    return elements
  }

  /** Takes the comma after an element, or stands before the end of its container. */
  #endElement(place: Place, end: '}' | ']'): void {
    this.#skipSpace(place)
    const offset = this.#offset
    if (this.#take(',')) {
      this.#skipSpace(place)
      if (this.#text[this.#offset] === end) this.#addMistake(place, `must have no comma before its ${end}`, offset)
    } else if (this.#text[this.#offset] !== end) {
      this.#fail(place, this.#endsHere() ?? `must have a comma or a ${end} here`)
    }
  }

  #skipSpace(place: Place): void {
    for (this.#match(SPACE); ; this.#match(SPACE)) {
      const offset = this.#offset
      if (this.#match(COMMENT) === undefined) return
      // One finding for all of them: a file that has one usually has many.
      if (!this.#hasComment) this.#addMistake(place, 'must have no comments here or below. JSON has none', offset)
      this.#hasComment = true
    }
  }

  #take(sign: string): boolean {
    if (this.#text[this.#offset] !== sign) return false
    this.#offset += 1
    return true
  }

  #match(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.#offset
    const found = pattern.exec(this.#text)?.[0]
    if (found !== undefined) this.#offset += found.length
    return found
  }

  #endsHere(): string | undefined {
    return this.#offset < this.#text.length ? undefined : 'must be complete, and the file ends here'
  }

  #addMistake(place: Place, text: string, offset: number): void {
    this.mistakes.push({ place, text, position: this.#positionAt(offset) })
  }

  #fail(place: Place, text: string): never {
    this.#addMistake(place, text, this.#offset)
    throw new Unreadable()
  }
}
