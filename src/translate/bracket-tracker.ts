// Bracket tracker: tells when JSON text that arrives in pieces is complete. It does not check that the JSON is valid.

/** Counts the brackets of JSON text that arrives in pieces. Brackets in strings do not count. */
export class BracketTracker {
  /** The deepest nesting so far. */
  maxDepth = 0
  #depth = 0
  #isString = false
  #isEscaped = false

  /** True once the outermost bracket has closed. */
  get isWhole(): boolean {
    return this.maxDepth > 0 && this.#depth === 0
  }

  push(text: string): void {
    for (const character of text) {
      if (this.#isEscaped) this.#isEscaped = false
      else if (this.#isString) {
        if (character === '\\') this.#isEscaped = true
        else if (character === '"') this.#isString = false
      } else this.#trackBracket(character)
    }
  }

  #trackBracket(character: string): void {
    if (character === '"') this.#isString = true
    else if (character === '{' || character === '[') this.maxDepth = Math.max(this.maxDepth, ++this.#depth)
    else if (character === '}' || character === ']') this.#depth = Math.max(0, this.#depth - 1)
  }
}
