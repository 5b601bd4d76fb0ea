// Partial calls: the arguments of a tool call that Gemini sends value by value, each with its place in the whole.

import type { JsonObject } from '../../core/chat.ts'
import { recordOf } from '../../core/json-values.ts'

const MAX_ARGUMENTS_CHARACTERS = 4_194_304
const MAX_PATH_STEPS = 64
const PATH = /^\$(?:\.[\p{L}_$][\p{L}\p{N}_$-]*|\[\d{1,9}\]|\['[^']*'\]|\["[^"]*"\])+$/u
const PATH_STEP = /\.([\p{L}_$][\p{L}\p{N}_$-]*)|\[(\d+)\]|\['([^']*)'\]|\["([^"]*)"\]/gu

type JsonContainer = Map<string, JsonNode> | JsonNode[]
type JsonNode = JsonContainer | string | number | boolean | null

/** One call, while its arguments arrive. What cannot be placed is left out. */
export class PartialCall {
  readonly name: string
  readonly id: string | undefined
  readonly signature: string | undefined
  readonly #args = new Map<string, JsonNode>()
  /** The text that goes on with the next piece. */
  #unfinishedPath: string | undefined
  #characterCount = 0

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
      this.#characterCount += path.length + (typeof value === 'string' ? value.length : 8)
      if (value === undefined || this.#characterCount > MAX_ARGUMENTS_CHARACTERS || !PATH.test(path)) continue
      const steps = [...path.matchAll(PATH_STEP)].map(([, name, index, single, double]) =>
        index === undefined ? (name ?? single ?? double ?? '') : Number(index),
      )
      if (steps.length <= MAX_PATH_STEPS) this.#setValue(steps, value, this.#unfinishedPath === path)
      this.#unfinishedPath = piece.willContinue === true ? path : undefined
    }
  }

  /** The arguments, as JSON. */
  argumentsJson(): string {
    return JSON.stringify(toPlainJson(this.#args))
  }

  #setValue(steps: readonly (string | number)[], value: JsonNode, goesOn: boolean): void {
    let into: JsonContainer = this.#args
    for (const [at, step] of steps.entries()) {
      const found: JsonNode | undefined = getChild(into, step)
      if (at === steps.length - 1) {
        setChild(into, step, goesOn && typeof found === 'string' ? found + String(value) : value)
      } else if (found instanceof Map || Array.isArray(found)) into = found
      else {
        const inner: JsonContainer = typeof steps[at + 1] === 'number' ? [] : new Map()
        if (!setChild(into, step, inner)) return
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

function getChild(into: JsonContainer, step: string | number): JsonNode | undefined {
  if (into instanceof Map) return into.get(String(step))
  return typeof step === 'number' ? into[step] : undefined
}

/** False where there is no such place: lists grow one by one. */
function setChild(into: JsonContainer, step: string | number, value: JsonNode): boolean {
  if (into instanceof Map) into.set(String(step), value)
  else if (typeof step === 'number' && step <= into.length) into[step] = value
  else return false
  return true
}

function toPlainJson(node: JsonNode): unknown {
  if (node instanceof Map) return Object.fromEntries([...node].map(([name, inner]) => [name, toPlainJson(inner)]))
  return Array.isArray(node) ? node.map(toPlainJson) : node
}
