// Arguments of tool calls: JSON text, whole or in pieces, whole or broken.

import type { JsonObject } from '../core/neutral.ts'
import { isRecord } from '../wire/draft.ts'

/** Nobody's tool takes more; text that nests without end would break whoever writes it again. */
const DEEPEST = 128

/** Follows JSON text in pieces, far enough to know when its outermost bracket has closed. */
export class Brackets {
  deepest = 0
  #depth = 0
  #isString = false
  #isEscaped = false

  /** True from the moment that the outermost bracket has closed. */
  get isWhole(): boolean {
    return this.deepest > 0 && this.#depth === 0
  }

  push(text: string): void {
    for (const character of text) {
      if (this.#isEscaped) this.#isEscaped = false
      else if (this.#isString) {
        if (character === '\\') this.#isEscaped = true
        else if (character === '"') this.#isString = false
      } else this.#outside(character)
    }
  }

  #outside(character: string): void {
    if (character === '"') this.#isString = true
    else if (character === '{' || character === '[') this.deepest = Math.max(this.deepest, ++this.#depth)
    else if (character === '}' || character === ']') this.#depth = Math.max(0, this.#depth - 1)
  }
}

/** The object in this text; undefined where it holds none that could be written again. */
export function objectIn(text: string): JsonObject | undefined {
  if (text === '') return {}
  const brackets = new Brackets()
  brackets.push(text)
  if (brackets.deepest > DEEPEST) return undefined
  try {
    const value: unknown = JSON.parse(text)
    return isRecord(value) ? value : undefined
  } catch {
    return undefined
  }
}

/** JSON of any value that was parsed from JSON; undefined where it nests too deep. */
export function textOfValue(value: unknown): string | undefined {
  try {
    return JSON.stringify(value)
  } catch {
    return undefined
  }
}
