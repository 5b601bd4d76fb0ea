// Brackets: tells when JSON that comes in pieces is whole.

/** Follows JSON text in pieces, far enough to know when its outermost bracket has closed. */
export class BracketTracker {
  maxDepth = 0
  #depth = 0
  #isString = false
  #isEscaped = false

  /** True from the moment that the outermost bracket has closed. */
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
