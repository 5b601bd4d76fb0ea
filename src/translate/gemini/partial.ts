// Partial calls: the arguments of a tool call that Gemini sends value by value, each with its place in the whole.

import type { JsonObject } from '../../core/chat.ts'
import { recordOf } from '../../core/json-values.ts'

const MOST_CHARACTERS = 4_194_304
const MOST_STEPS = 64
const PATH = /^\$(?:\.[\p{L}_$][\p{L}\p{N}_$-]*|\[\d{1,9}\]|\['[^']*'\]|\["[^"]*"\])+$/u
const STEP = /\.([\p{L}_$][\p{L}\p{N}_$-]*)|\[(\d+)\]|\['([^']*)'\]|\["([^"]*)"\]/gu

type Inner = Map<string, Node> | Node[]
type Node = Inner | string | number | boolean | null

/** One call, while its arguments arrive. What cannot be placed is left out. */
export class PartialCall {
  readonly name: string
  readonly id: string | undefined
  readonly signature: string | undefined
  readonly #args = new Map<string, Node>()
  /** The text that goes on with the next piece. */
  #open: string | undefined
  #characters = 0

  constructor(name: string, id: string | undefined, signature: string | undefined) {
    this.name = name
    this.id = id
    this.signature = signature
  }

  /** @param pieces `partialArgs` as they came */
  add(pieces: unknown): void {
    for (const one of Array.isArray(pieces) ? pieces : []) {
      const piece = recordOf(one)
      const path = typeof piece.jsonPath === 'string' ? piece.jsonPath : ''
      const value = scalarIn(piece)
      this.#characters += path.length + (typeof value === 'string' ? value.length : 8)
      if (value === undefined || this.#characters > MOST_CHARACTERS || !PATH.test(path)) continue
      const steps = [...path.matchAll(STEP)].map(([, name, index, single, double]) =>
        index === undefined ? (name ?? single ?? double ?? '') : Number(index),
      )
      if (steps.length <= MOST_STEPS) this.#put(steps, value, this.#open === path)
      this.#open = piece.willContinue === true ? path : undefined
    }
  }

  /** The arguments, as JSON. */
  json(): string {
    return JSON.stringify(plain(this.#args))
  }

  #put(steps: readonly (string | number)[], value: Node, goesOn: boolean): void {
    let into: Inner = this.#args
    for (const [at, step] of steps.entries()) {
      const found: Node | undefined = get(into, step)
      if (at === steps.length - 1) {
        set(into, step, goesOn && typeof found === 'string' ? found + String(value) : value)
      } else if (found instanceof Map || Array.isArray(found)) into = found
      else {
        const inner: Inner = typeof steps[at + 1] === 'number' ? [] : new Map()
        if (!set(into, step, inner)) return
        into = inner
      }
    }
  }
}

function scalarIn(piece: JsonObject): string | number | boolean | null | undefined {
  if (typeof piece.stringValue === 'string') return piece.stringValue
  if (typeof piece.numberValue === 'number') return piece.numberValue
  if (typeof piece.boolValue === 'boolean') return piece.boolValue
  return Object.hasOwn(piece, 'nullValue') ? null : undefined
}

function get(into: Inner, step: string | number): Node | undefined {
  if (into instanceof Map) return into.get(String(step))
  return typeof step === 'number' ? into[step] : undefined
}

/** False where there is no such place: lists grow one by one. */
function set(into: Inner, step: string | number, value: Node): boolean {
  if (into instanceof Map) into.set(String(step), value)
  else if (typeof step === 'number' && step <= into.length) into[step] = value
  else return false
  return true
}

function plain(node: Node): unknown {
  if (node instanceof Map) return Object.fromEntries([...node].map(([name, inner]) => [name, plain(inner)]))
  return Array.isArray(node) ? node.map(plain) : node
}
