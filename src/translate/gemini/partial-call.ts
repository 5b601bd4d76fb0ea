// Gemini partial call: joins the arguments of a tool call that Gemini streams value by value, each with its JSON path.

import type { JsonObject } from '../../core/chat.ts'
import { recordOf } from '../../core/json-values.ts'

const MAX_ARGUMENTS_CHARACTERS = 4_194_304
const MAX_PATH_STEPS = 64
const PATH = /^\$(?:\.[\p{L}_$][\p{L}\p{N}_$-]*|\[\d{1,9}\]|\['[^']*'\]|\["[^"]*"\])+$/u
const PATH_STEP = /\.([\p{L}_$][\p{L}\p{N}_$-]*)|\[(\d+)\]|\['([^']*)'\]|\["([^"]*)"\]/gu

type JsonContainer = Map<string, JsonNode> | JsonNode[]
type JsonNode = JsonContainer | string | number | boolean | null

/** One call whose arguments are still arriving. Values without a valid path are left out. */
export class PartialCall {
  readonly name: string
  readonly id: string | undefined
  readonly signature: string | undefined
  readonly #args = new Map<string, JsonNode>()
  /** The path of a text that the next piece continues. */
  #unfinishedPath: string | undefined
  #characterCount = 0

  constructor(name: string, id: string | undefined, signature: string | undefined) {
    this.name = name
    this.id = id
    this.signature = signature
  }

  /** @param pieces the field `partialArgs` as Gemini sent it */
  add(pieces: unknown): void {
    for (const element of Array.isArray(pieces) ? pieces : []) {
      const piece = recordOf(element)
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

  /** The arguments as JSON text. */
  argumentsJson(): string {
    return JSON.stringify(toPlainJson(this.#args))
  }

  #setValue(steps: readonly (string | number)[], value: JsonNode, appends: boolean): void {
    let container: JsonContainer = this.#args
    for (const [index, step] of steps.entries()) {
      const existing: JsonNode | undefined = getChild(container, step)
      if (index === steps.length - 1) {
        setChild(container, step, appends && typeof existing === 'string' ? existing + String(value) : value)
      } else if (existing instanceof Map || Array.isArray(existing)) container = existing
      else {
        const child: JsonContainer = typeof steps[index + 1] === 'number' ? [] : new Map()
        if (!setChild(container, step, child)) return
        container = child
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

function getChild(container: JsonContainer, step: string | number): JsonNode | undefined {
  if (container instanceof Map) return container.get(String(step))
  return typeof step === 'number' ? container[step] : undefined
}

/** False if the container has no such place. Lists grow by one element at a time. */
function setChild(container: JsonContainer, step: string | number, value: JsonNode): boolean {
  if (container instanceof Map) container.set(String(step), value)
  else if (typeof step === 'number' && step <= container.length) container[step] = value
  else return false
  return true
}

function toPlainJson(node: JsonNode): unknown {
  if (node instanceof Map) return Object.fromEntries([...node].map(([name, child]) => [name, toPlainJson(child)]))
  return Array.isArray(node) ? node.map(toPlainJson) : node
}
